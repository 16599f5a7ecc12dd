// For the tests of the analysis: two versions whose numbers grow in step, look by look.
#pragma once
#include "rollout/analysis.h"
#include <string.h>

static inline struct gr_analysis_input fixture_input(void)
{
    return (struct gr_analysis_input){.limits = {.error_rate_max_increase = 0.005,
                                                 .latency_p99_max_ratio = 1.2,
                                                 .alpha = 0.01,
                                                 .min_requests = 200},
                                      .sla_error_rate = -1,
                                      .slope_limit = {-1, -1, -1},
                                      .has_stable = true,
                                      .measured = true,
                                      .concurrent = true};
}

// So many requests more, with a latency around `msec`, one in fifty four times as long.
static inline void fixture_serve(struct gr_arm_sample *a, uint64_t requests, uint64_t errors,
                                 double msec)
{
    for (uint64_t i = 0; i < requests; i++) {
        uint64_t turn = (a->requests + i) % 50;
        double m = turn == 0 ? 4 * msec : msec * (1 + (double)(turn % 10) / 20);
        a->latency.count[gr_histogram_bucket((uint64_t)(m * 1e6))]++;
    }
    a->requests += requests;
    a->errors += errors;
}
