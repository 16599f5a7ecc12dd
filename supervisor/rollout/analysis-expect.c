// What a strategy would let through, before it runs: for plan.
#include "rollout/analysis-internal.h"

#define GATE_SHARE 0.4           // of alpha, for errors beside stable when both gates are on
#define SEARCH_COST 2.7725887222 // log 16: one strategy among eight, with half of the capital
#define RATIO_MAX 1000.0

struct gr_harm_expectation gr_harm_expect(const struct gr_harm_question *q)
{
    struct gr_harm_expectation r = {.requests = -1, .bad_responses = -1, .total_requests = -1};
    double share = q->candidate_share;
    if (!(share > 0 && share <= 1) || !(q->alpha > 0 && q->alpha < 1))
        return r;
    // nearly all traffic on the candidate: stable is still asked once in a thousand
    double ratio = share < 1 ? share / (1 - share) : RATIO_MAX;
    double growth = q->max_increase < 0
                        ? 0
                        : gr_bet_growth(q->candidate_error_rate, q->stable_error_rate,
                                        q->max_increase, ratio < RATIO_MAX ? ratio : RATIO_MAX);
    if (growth > 0) {
        double blocks = (SEARCH_COST - gr_exact_log(q->alpha * GATE_SHARE)) / growth;
        r.requests = GR_BLOCK_REQUESTS * __builtin_ceil(blocks / GR_BLOCK_REQUESTS);
    }
    if (q->harm_bad_responses > 0 && q->candidate_error_rate > 0) {
        double budget = (double)q->harm_bad_responses / q->candidate_error_rate;
        r.by_budget = r.requests < 0 || budget < r.requests;
        if (r.by_budget)
            r.requests = budget;
    }
    if (r.requests < 0)
        return r;
    r.bad_responses = r.requests * q->candidate_error_rate;
    r.total_requests = r.requests / share;
    return r;
}
