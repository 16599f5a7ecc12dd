// The manager: everything of graylingd between its sources and its worker. One thread, one event
// loop.
#pragma once
#include "control/config.h"
#include "control/view.h"
#include <systemd/sd-event.h>

struct gr_manager;
// Takes config. Opens state, sockets, source and control socket, recovers what was journaled and
// starts the first worker. Fails with a sentence; nothing stays behind.
GR_MUST_CHECK int gr_manager_new(sd_event *event, struct gr_config *take, char *const *sets,
                                 size_t n_sets, const char *config_path, struct gr_manager **ret,
                                 struct gr_error *e);
void gr_manager_free(struct gr_manager *m);
void gr_manager_reload(struct gr_manager *m);                          // SIGHUP
void gr_manager_replace_worker(struct gr_manager *m, const char *why); // SIGUSR2, operator, taint
void gr_manager_stop(struct gr_manager *m); // SIGTERM: drains, then ends the event loop with 0
