// What a strategy would let through, before it runs: for plan and lint.
#include "rollout/analysis-internal.h"
#include <errno.h>

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

static int refuse(struct gr_error *e, const char *field, const char *expected, double found)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "strategy.analysis.%s: expected %s, found %g", field, expected, found);
}

int gr_analysis_check(const struct gr_strategy *s, struct gr_error *e)
{
    const struct gr_analysis *a = &s->analysis;
    double increase = a->error_rate_max_increase, ratio = a->latency_p99_max_ratio;
    if (!(increase < 1))
        return refuse(e, "error_rate.max_increase",
                      "a share below 1, since from 1 on no candidate could ever fail; 0.005 allows "
                      "half a per cent",
                      increase);
    if (!(ratio < 0 || (ratio >= 1 && ratio <= 1000)))
        return refuse(e, "latency_p99.max_ratio",
                      "from 1 (as slow as stable) to 1000; 1.2 allows 20 % more", ratio);
    if (increase < 0 && ratio < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "strategy.analysis: expected at least one gate, found none, so that "
                            "nothing would be judged; name error_rate or latency_p99, or leave "
                            "analysis out for the defaults");
    if (!(a->alpha >= 1e-9 && a->alpha <= 0.5))
        return refuse(e, "alpha",
                      "from 1e-9 to 0.5, the share of good candidates that may be taken back; 0.01 "
                      "is usual",
                      a->alpha);
    if (a->min_requests < 1 || a->min_requests > UINT32_MAX)
        return refuse(e, "min_requests", "from 1 to 4294967295", (double)a->min_requests);
    return 0;
}
