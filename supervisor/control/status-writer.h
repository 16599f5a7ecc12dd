// Writes what this host does to etcd (INTERFACES §4): leased keys, only what changed, with back-off
// while etcd is away. Never in the way of anything.
#pragma once
#include "control/view.h"
#include "watchers/etcd.h"

struct gr_status_writer;
GR_MUST_CHECK int gr_status_writer_new(sd_event *event, struct gr_transport *t,
                                       const struct gr_etcd_config *c,
                                       const struct gr_name *service,
                                       const struct gr_name *instance,
                                       const struct gr_view *(*view)(void *u), void *userdata,
                                       struct gr_status_writer **ret, struct gr_error *e);
void gr_status_writer_free(struct gr_status_writer *w); // NULL is fine
// Something changed: looks at the view again at the next turn of the loop and writes the
// difference.
void gr_status_writer_touch(struct gr_status_writer *w);
