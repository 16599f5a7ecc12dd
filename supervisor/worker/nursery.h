// The processes of the worker's isolated versions: started, watched, started anew, ended, on a
// thread of its own. The instances that it makes are as any other to the routing table.
#pragma once
#include "base/child.h"
#include "worker/load-order.h"

struct gr_nursery;
struct gr_nursery_options {
    struct gr_dispatch *dispatch; // borrowed
    struct gr_child spawner;      // taken, with its channel
    int spawner_channel;
    void (*on_log)(void *userdata, unsigned slot, int level, const char *message);
    // A version has a process now; 0: none. On the nursery's thread.
    void (*on_process)(void *userdata, unsigned slot, pid_t pid);
    // No process can be started any more. On the nursery's thread.
    void (*on_lost)(void *userdata);
    void *userdata;
};
GR_MUST_CHECK int gr_nursery_start(const struct gr_nursery_options *o, struct gr_nursery **ret);
// Has a version loaded, initialised and tested in a process of its own. `message` is the order that
// `o` was read from. Takes `contract` on success. Blocks, GR_ISOLATED_INIT_USEC at most. Fails as
// gr_instance_load() does.
GR_MUST_CHECK int gr_nursery_load(struct gr_nursery *n, const cJSON *message,
                                  const struct gr_load_order *o, struct gr_contract *contract,
                                  struct gr_instance **ret, struct gr_error *e);
// All instances unloaded. NULL is nothing.
void gr_nursery_stop(struct gr_nursery *n);
