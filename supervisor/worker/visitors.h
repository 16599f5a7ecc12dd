// The open connections of the front door and how long each may stay in what it does: a peer that
// trickles its header, or says nothing, is cut off. The library's own timeout only knows silence.
#pragma once
#include "base/macros.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum gr_visit {
    GR_VISIT_NEW,      // accepted, nothing complete yet
    GR_VISIT_HEAD,     // a request line came
    GR_VISIT_BODY,     // the head is complete
    GR_VISIT_BUSY,     // the request is complete; it is being called, parked or answered
    GR_VISIT_IDLE,     // answered; the next request may come
    GR_VISIT_GIVEN_UP, // answered without its call, which still has the connection
};
struct gr_visitor { // one open connection
    struct gr_visitor *previous, *next;
    int fd;
    const void *lane;       // that serves it
    _Atomic uint32_t state; // gr_visit and the second when it began
};
struct gr_visitors {
    pthread_mutex_t lock;
    struct gr_visitor *first;
    uint64_t open, total; // under the lock
    _Atomic uint32_t second;
};
void gr_visitors_init(struct gr_visitors *v);
// NULL: out of memory; the connection is then not watched.
struct gr_visitor *gr_visitors_add(struct gr_visitors *v, int fd, const void *lane);
// Before its descriptor is closed. NULL is nothing. false: it was given up before, and has been
// counted as gone.
bool gr_visitors_remove(struct gr_visitors *v, struct gr_visitor *visitor);
// Those of the lane within a body of which more has come than is read on: tells them and cuts them
// off. On the lane's thread, when it has read all that it can.
void gr_visitors_cut_stalled(struct gr_visitors *v, const void *lane, void (*tell)(int fd));
// From here on nobody waits for it, although it is there. false: it is not watched.
bool gr_visitors_give_up(struct gr_visitors *v, struct gr_visitor *visitor);
void gr_visitor_set(struct gr_visitors *v, struct gr_visitor *visitor, enum gr_visit visit);
// Once a second: cuts off who has overstayed.
void gr_visitors_tick(struct gr_visitors *v);
// *ret_busy: those within a request.
void gr_visitors_count(struct gr_visitors *v, uint64_t *ret_open, uint64_t *ret_total,
                       uint64_t *ret_busy);
