// grayling-worker as one value: what the main thread owns and what its orders act on. The protocol
// is in base/channel.h.
#pragma once
#include "base/clock.h"
#include "worker/door.h"
#include "worker/loader.h"
#include "worker/profile.h"
#include "worker/spans.h"

struct gr_worker {
    struct gr_wire wire;
    struct gr_stats *stats; // NULL before hello
    int harms_fd;           // of inventory.harms, for the next supervisor
    struct gr_dispatch *dispatch;
    struct gr_inventory inventory;
    struct gr_freezes freezes;
    struct gr_nursery *nursery;
    struct gr_loader *loader;
    struct gr_shadow *shadow;
    struct gr_spans *spans;     // NULL: none are recorded
    struct gr_profile *profile; // NULL: none is being taken
    struct gr_door *door;       // NULL before serve; set under door_lock, since others look too
    pthread_mutex_t door_lock;  // taken under dispatch's lock
    int listeners[GR_CHANNEL_FDS_MAX];
    size_t n_listeners;
    unsigned threads, pool_threads, pool_queue;
    bool access_log;
    int adopt_fd;   // -1: nobody may adopt
    int changed_fd; // eventfd: something that the main thread waits for has changed
    uint64_t orphan_usec;
    struct gr_mono orphan_until, drain_until; // 0: not
    bool draining, drain_answers;             // drain_answers: somebody waits for "drained"
    uint64_t drain_id;
};

// Runs until it has drained. `channel` is taken. Returns the exit status.
GR_MUST_CHECK int gr_worker_run(int channel);

// --- worker.c
// ------------------------------------------------------------------------------------------------
void gr_worker_set_door(struct gr_worker *w, struct gr_door *door); // the main thread's

// --- orders.c
// ------------------------------------------------------------------------------------------------
// Obeys one message of the supervisor; takes `message` and the descriptors. Fails: an error that
// leaves the worker of no use (a hello that cannot be met).
GR_MUST_CHECK int gr_worker_obey(struct gr_worker *w, cJSON *message, int *fds, size_t n_fds);
// Begins to drain, or shortens what it has begun.
void gr_worker_drain(struct gr_worker *w, uint64_t limit_usec);

// --- hello.c
// ------------------------------------------------------------------------------------------------
// Everything that must be there before the first module: statistics, dispatch, guard, sandbox,
// loader thread. Descriptors that it takes are set to -1. Fails: the sentence is in the log.
GR_MUST_CHECK int gr_worker_hello(struct gr_worker *w, const cJSON *message, int *fds,
                                  size_t n_fds);
