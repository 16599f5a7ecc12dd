// When memory pressure replaces a worker. Pure: the time and the measurements are passed in.
// docs/CONTAINMENT.md tells the rules for a person.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>

struct gr_pressure { // all zero: nothing was seen yet
    unsigned over;   // measurements in a row above the high mark, of the worker that serves
    bool spent; // a worker was replaced for it, and no measurement since was below the low mark
    bool told;  // ... and that it did not help has been said
    uint64_t not_before_usec; // no replacement for it before that
    uint64_t backoff_usec;    // how long the last one forbade the next
    uint64_t last_usec;       // ... and when it was
};
enum gr_pressure_move {
    GR_PRESSURE_WAIT,     // nothing to do, or not yet
    GR_PRESSURE_REPLACE,  // the worker, now
    GR_PRESSURE_UNHELPED, // the worker after it has as little room: told once
};
// One measurement: the used part of what may be used, in permyriad, and whether a fault was
// counted within the breaker's window. Sustained means GR_PRESSURE_SUSTAINED of them in a row.
enum gr_pressure_move gr_pressure_note(struct gr_pressure *p, uint64_t now_usec, unsigned permyriad,
                                       bool faults);
// Another worker serves, or none does: what was measured in a row is over.
void gr_pressure_another_worker(struct gr_pressure *p);
