// The front door: HTTP/1.1 on the listening sockets that the supervisor owns, with one set of lanes
// (lane.h) for all.
#pragma once
#include "worker/shadow.h"

struct gr_door;
struct gr_door_options {
    struct gr_dispatch *dispatch; // borrowed, as is stats
    struct gr_stats *stats;
    struct gr_shadow *shadow;          // borrowed too
    struct gr_spans *spans;            // likewise; NULL: none are recorded
    unsigned threads;                  // 1..GR_THREADS_MAX
    unsigned pool_threads, pool_queue; // of one version with `execution: pool`
    bool access_log;                   // a line for each request
    const int *listeners;              // borrowed until close
    size_t n_listeners;
    int changed_fd; // eventfd, written when the last connection closed
};
// Starts accepting. Fails: retryable Internal with the library's own words in the log.
GR_MUST_CHECK int gr_door_open(const struct gr_door_options *o, struct gr_door **ret,
                               struct gr_error *e);
// Accepts no more (new connections wait in the shared backlog for whoever accepts next); answers
// what comes on open connections and closes each with its answer.
void gr_door_drain(struct gr_door *d);
// Once a second.
void gr_door_tick(struct gr_door *d);
void gr_door_count(struct gr_door *d, uint64_t *ret_open, uint64_t *ret_busy);
// The breaker of the version in that slot opened: what waits for its threads is answered now. Any
// thread.
void gr_door_note_broken(struct gr_door *d, unsigned slot);
// A thread of it is inside of a call that lasts: the door cannot be closed.
bool gr_door_is_astray(struct gr_door *d);
// Closes every connection and joins the threads; no request may be parked. NULL is nothing.
void gr_door_close(struct gr_door *d);
