// One watch of a prefix on one endpoint, from its opening to its end. Tells that something changed,
// never what: the truth is read (etcd-read.h). What no read can show is told beside it: which
// revision changed a key that was changed again since, or deleted.
#pragma once
#include "watchers/etcd-client.h"
#include "watchers/source.h"

struct gr_etcd_watch;
struct gr_etcd_watch_callbacks { // created and changed may come from inside curl: they must not
                                 // close the watch
    void (*created)(void *userdata);
    void (*changed)(void *userdata, int64_t mod_revision); // newest of a message
    // Each of a message, before its `changed`.
    void (*event)(void *userdata, struct gr_bytes key, int64_t mod_revision, bool deleted);
    // Exactly once and last. The watch is gone when it is called.
    void (*ended)(void *userdata, enum gr_watch_restart why, const struct gr_error *e);
    void *userdata;
};
// `cluster_id` is the one that must answer.
GR_MUST_CHECK int gr_etcd_watch_open(sd_event *event, struct gr_etcd *c, struct gr_bytes prefix,
                                     int64_t start_revision, uint64_t cluster_id,
                                     const struct gr_etcd_watch_callbacks *cb,
                                     struct gr_etcd_watch **ret, struct gr_error *e);
// No callback any more. NULL is fine.
void gr_etcd_watch_close(struct gr_etcd_watch *w);
