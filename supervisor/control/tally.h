// What became of swaps and rollouts since the start of this process, by module. Owns nothing but
// memory; tells nobody.
#pragma once
#include "base/clock.h"
#include "base/error.h"
#include "base/name.h"
#include "dispatch/stats.h"

struct gr_tally { // of one module
    struct gr_name module;
    uint64_t swaps, swaps_failed;
    uint64_t rollbacks[GR_REASON_COUNT];
};

// The modules are those that were counted last: beyond GR_TALLIES_MAX the one goes that was counted
// longest ago.
struct gr_tallies {
    size_t n;
    struct gr_tally *modules;          // counted last first
    uint64_t refused[GR_REASON_COUNT]; // rollouts, before they served
    struct gr_histogram back;          // how long ways back took
    uint64_t back_sum_nsec;
};
void gr_tallies_done(struct gr_tallies *t);
// The module's, made when there is none. NULL: out of memory.
struct gr_tally *gr_tallies_open(struct gr_tallies *t, const struct gr_name *module);
// NULL: nothing was counted.
const struct gr_tally *gr_tallies_find(const struct gr_tallies *t, const struct gr_name *module);
void gr_tallies_add_back(struct gr_tallies *t, uint64_t took_usec);
