// The lanes of the front door. A lane is a set of connections which one thread at a time serves, as
// the library knows it: a daemon without threads. When that thread has been inside of one call for
// a while, another one takes the lane over, so that only the connection of that call goes on
// waiting; its thread delivers the answer when it has one, and ends. A call that is overdue is
// given up: its client is answered without it (docs/CONTAINMENT.md).
//
// Taking over means that the stuck thread never returns into the library, whose state is whole
// whenever it calls back. So it leaves by a jump to its own beginning.
#pragma once
#include "worker/exchange.h"
#include <sys/socket.h>

struct gr_lanes;
struct gr_lanes_options {
    struct gr_dispatch *dispatch;               // borrowed
    unsigned n;                                 // of lanes; as many threads serve at any time
    struct MHD_Daemon *(*open)(void *userdata); // for external polling; NULL: failed
    void (*turned_away)(void *userdata);        // a connection that was added is closed again
    // The library goes round without getting anywhere: one of the lane's connections sends what it
    // can neither pass on nor keep. On the lane's thread, which rests afterwards.
    void (*stalled)(void *userdata, const struct lane *lane);
    // Answers the client of a call that is given up, now. The connection is left to the call.
    void (*give_up)(void *userdata, struct gr_exchange *x, const struct gr_overdue *o);
    // The same for a call that no lane makes: answers its client, if it has one. false: its thread
    // does so after all.
    bool (*give_up_elsewhere)(void *userdata, const struct gr_overdue *o);
    // At every look at the lanes, some times a second.
    void (*look)(void *userdata);
    // All that give_up was called for has been counted and told.
    void (*gave_up)(void *userdata);
    void *userdata;
};
// Fails: -EIO (the library), or what thread and eventfd fail with.
GR_MUST_CHECK int gr_lanes_start(const struct gr_lanes_options *o, struct gr_lanes **ret);
// Takes fd, which may be closed at once. Any thread.
void gr_lanes_add(struct gr_lanes *l, int fd, const struct sockaddr *address, socklen_t len);
// Threads that are inside of a call whose lane was taken over.
unsigned gr_lanes_astray(struct gr_lanes *l);
// Closes every connection and joins the threads; none may be astray. NULL is nothing.
void gr_lanes_stop(struct gr_lanes *l);

// --- on a lane's thread
// ------------------------------------------------------------------------------------------------

const struct lane *gr_lane_of_thread(void);
// Something came of what the library did.
void gr_lane_progress(void);

// --- around a call, on a lane's thread
// ------------------------------------------------------------------------------------------------

enum gr_lane_end {
    GR_LANE_KEPT,       // go on as usual
    GR_LANE_TAKEN_OVER, // the connection is suspended: resume it with the answer, and leave
    GR_LANE_GIVEN_UP,   // the same, but the client has its answer
};
void gr_lane_begin(struct gr_exchange *x, const struct gr_thread *seat);
enum gr_lane_end gr_lane_end(void);
_Noreturn void gr_lane_leave(void);

// The connection of an exchange that once began a call: whoever serves its lane goes on with it.
// Any thread; the exchange is theirs from here on.
void gr_lane_resume(struct gr_exchange *x);
