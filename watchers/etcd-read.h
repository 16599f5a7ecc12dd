// One consistent read of all keys that a source follows: pages pinned to the revision of the first
// one.
#pragma once
#include "watchers/etcd-client.h"
#include "watchers/source-internal.h"

struct gr_etcd_read;
struct gr_etcd_read_callbacks {
    // Exactly once. Owns: snapshot by the receiver; NULL: *e says why. `keys` counts all keys below
    // the prefix; `store` is the store's own revision, not older than the snapshot's.
    void (*done)(void *userdata, struct gr_snapshot *snapshot, int64_t keys, int64_t store,
                 const struct gr_error *e);
    void *userdata;
};
// `keys` is borrowed and outlives the read. At the revision `at`; 0: the newest.
GR_MUST_CHECK int gr_etcd_read_start(struct gr_etcd *c, const struct gr_source_keys *keys,
                                     int64_t at, const struct gr_etcd_read_callbacks *cb,
                                     struct gr_etcd_read **ret, struct gr_error *e);
// No callback any more. Not needed after done. NULL is fine.
void gr_etcd_read_cancel(struct gr_etcd_read *r);
