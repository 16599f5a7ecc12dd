// What a test of the watchers sees: an event loop, a source with its newest snapshot, and a client
// to write with.
#pragma once
#include "watchers/source.h"

struct gr_world {
    sd_event *event;
    struct gr_transport *transport;
    struct gr_source *source;
    struct gr_etcd *client;
    struct gr_snapshot *snapshot; // copy of the newest
    unsigned n_snapshots, n_healths;
    struct gr_source_health health;
    uint64_t deadline_usec;
    struct gr_etcd_result result; // of the last gr_world_ call; kvs are not kept
    bool answered;
};
void gr_world_init(struct gr_world *w);
void gr_world_done(struct gr_world *w);
struct gr_source_callbacks gr_world_callbacks(struct gr_world *w);
// Starts an etcd source of service "order" and a client on the same endpoints.
void gr_world_follow(struct gr_world *w, const struct gr_etcd_config *config,
                     struct gr_source_floor floor);
void gr_world_unfollow(struct gr_world *w);
// One turn of the loop; fails the test when the patience is over.
void gr_world_step(struct gr_world *w);
void gr_world_patience(struct gr_world *w);
#define GR_UNTIL(w, condition)                                                                     \
    for (gr_world_patience(w); !(condition);)                                                      \
    gr_world_step(w)
// Writes and waits for the answer; fails the test when it is an error.
void gr_world_put(struct gr_world *w, const char *key, const char *value);
void gr_world_delete(struct gr_world *w, const char *key);
// A gr_etcd_done for w->result.
void gr_world_answer(void *userdata, const struct gr_etcd_result *r);
// The value of a module in the newest snapshot, or NULL.
const char *gr_world_value(const struct gr_world *w, const char *module);
