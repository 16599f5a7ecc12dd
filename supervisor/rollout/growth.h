// What the process of an isolated version holds, over the requests that it has answered: which
// measurements are kept, and how fast they grow. Pure: no clock, no I/O. docs/ANALYSIS.md tells the
// rules for a person.
#pragma once
#include "rollout/analysis.h"

const char *gr_resource_name(enum gr_resource r); // "bytes of memory", "descriptors", "threads"

// One process at one moment.
struct gr_usage {
    uint64_t process; // tells it from every other one, also from a later one with its number
    uint64_t value[GR_RESOURCES]; // resident bytes, open descriptors, threads
};

#define GR_GROWTH_POINTS_MAX 256
#define GR_GROWTH_POINTS_MIN 24 // before that nothing is said
struct gr_growth_point {
    uint64_t requests;
    uint64_t value[GR_RESOURCES];
};
struct gr_growth {
    uint64_t process; // 0: none was seen yet
    uint64_t next;    // requests from which on the next point is taken
    uint64_t spacing; // requests between two points, doubled whenever there is no more room
    size_t n;
    struct gr_growth_point points[GR_GROWTH_POINTS_MAX];
};
// Takes a measurement into account when enough requests lie behind the last point, and behind the
// begin of the process (`warm_up`, at least 1). Another process begins anew.
void gr_growth_note(struct gr_growth *g, const struct gr_usage *now, uint64_t requests,
                    uint64_t warm_up);
// How fast the resource grows of late: over the later half of the points, so that what was filled
// before does not count for ever; and no faster than over all of them, so that what is given back
// from time to time does not count at all. A growth of less than a few pieces in that time is none,
// since one descriptor that is opened late is no leak. Too few points: 0, and unbounded. Before any
// measurement ret->points is 0.
void gr_growth_slope(const struct gr_growth *g, enum gr_resource r, double alpha,
                     struct gr_slope *ret);
