// How others judge a canary, for comparison: looked at once a minute, as they do.
#pragma once
#include "world.h"

struct rival_minute { // what one version showed, in one minute or in all
    uint64_t requests, errors;
    struct gr_histogram latency;
};
struct rival_view {
    unsigned minutes; // complete ones
    struct rival_minute candidate[MINUTES], stable[MINUTES];
    struct rival_minute candidate_all, stable_all;
    double candidate_p99[MINUTES], stable_p99[MINUTES];
};
void rival_note(struct rival_view *v, bool of_candidate, bool bad, unsigned bucket);
void rival_end_minute(struct rival_view *v);
// true: rolled back at the end of this minute.
bool rival_z_test(const struct rival_view *v, double alpha);
bool rival_mann_whitney(const struct rival_view *v);
bool rival_threshold(const struct rival_view *v, double stable_p99_nsec);
