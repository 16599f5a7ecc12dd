// One profile of this worker: takes samples for the time that was ordered, then writes what it met
// as text to a file of the supervisor's, which hands it on unread to grayctl.
//
// The text, one thing a line, blanks between words; "-" stands for an empty one:
//   grayling-profile 1
//   image START END BASE BUILD_ID PATH      code that is mapped; addresses in hex
//   module SERIAL BUILD_ID NAME PATH        a load of a module, also of one that is gone by now
//   stack COUNT FRAME...                    innermost first; a frame is ADDRESS or SERIAL:OFFSET
//   run PID HZ USEC SAMPLES LOST
//   end
#pragma once
#include "base/clock.h"
#include "worker/wire.h"

struct gr_profile;
struct gr_profile_order {
    uint64_t id; // of the message that is answered
    unsigned hz;
    uint64_t usec;
    int fd; // where the text goes; copied
};
// Fails: -EALREADY, -EINVAL, errno; *e says which.
int gr_profile_begin(const struct gr_profile_order *o, struct gr_profile **ret, struct gr_error *e);
// Does what is due; at the end answers {"type":"profiled","id","bytes"} and sets *p to NULL.
// Returns when it wants to be called again; GR_USEC_INFINITY: not. *p may be NULL.
uint64_t gr_profile_turn(struct gr_profile **p, struct gr_wire *w, struct gr_mono now);
// Ends it without an answer. NULL is fine. Not where a handler may be in the way of quiet.
void gr_profile_free(struct gr_profile *p);
