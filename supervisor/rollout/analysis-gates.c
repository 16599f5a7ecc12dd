// The gates over histograms, and those that need no chance: latency, harm, crashes, resources.
#include "rollout/analysis-internal.h"

#define P99 0.99
#define RATIO_MAX 1e6 // where an unbounded ratio stops
#define NSEC_PER_USEC 1000.0

static bool ran_enough(const struct gr_analysis_input *in)
{
    return in->candidate.requests >= in->limits.min_requests &&
           in->stable.requests >= in->limits.min_requests;
}

static double ratio_of(double a, double b)
{
    double r = b > 0 ? a / b : a > 0 ? RATIO_MAX : 1;
    return r < RATIO_MAX ? r : RATIO_MAX;
}

static void judge_p99(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      struct gr_gate_verdict *g)
{
    const struct gr_histogram *c = &in->candidate.latency, *b = &in->stable.latency;
    uint64_t c_low, c_high, b_low, b_high;
    gr_latency_p99_interval(c, in->limits.alpha / 2, &c_low, &c_high);
    gr_latency_p99_interval(b, in->limits.alpha / 2, &b_low, &b_high);
    g->candidate_n = gr_latency_total(c);
    g->stable_n = gr_latency_total(b);
    g->candidate = (double)gr_histogram_quantile_nsec(c, P99);
    g->stable = (double)gr_histogram_quantile_nsec(b, P99);
    g->estimate = ratio_of(g->candidate, g->stable);
    g->low = b_high == UINT64_MAX ? 0 : ratio_of((double)c_low, (double)b_high);
    g->high = c_high == UINT64_MAX ? RATIO_MAX : ratio_of((double)c_high, (double)b_low);
    g->limit = in->limits.latency_p99_max_ratio;
    gr_gate_conclude(s, in, GR_GATE_LATENCY_P99, g, gr_evidence_beside(s, GR_GATE_LATENCY_P99),
                     g->estimate <= g->limit || g->candidate <= g->stable + GR_LATENCY_SLACK_NSEC,
                     ran_enough(in) && s->tails[0].set);
    gr_gate_leave_if_over(in, g, ran_enough(in));
}

static void judge_shape(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                        struct gr_gate_verdict *g)
{
    const struct gr_histogram *c = &in->candidate.latency, *b = &in->stable.latency;
    double radius;
    gr_latency_excess(c, b, in->limits.latency_p99_max_ratio, in->limits.alpha, &g->estimate,
                      &radius);
    g->candidate_n = gr_latency_total(c);
    g->stable_n = gr_latency_total(b);
    g->low = g->estimate > radius ? g->estimate - radius : 0;
    g->high = g->estimate + radius < 1 ? g->estimate + radius : 1;
    // the largest of many differences is above zero by chance alone: only evidence counts
    gr_gate_conclude(s, in, GR_GATE_LATENCY_SHAPE, g, gr_evidence_beside(s, GR_GATE_LATENCY_SHAPE),
                     true, ran_enough(in) && s->tails[1].set);
    gr_gate_leave_if_over(in, g, ran_enough(in));
}

static void judge_sla_p99(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                          struct gr_analysis_verdict *v)
{
    struct gr_gate_verdict *g = &v->gates[GR_GATE_SLA_P99];
    const struct gr_histogram *c = &in->candidate.latency, *b = &in->stable.latency;
    double limit = (double)in->sla_p99_usec * NSEC_PER_USEC;
    struct gr_pair p = {gr_latency_total(c), gr_latency_beyond(c, limit)},
                   stable = {gr_latency_total(b), gr_latency_beyond(b, limit)};
    uint64_t low, high;
    gr_latency_p99_interval(c, in->limits.alpha, &low, &high);
    g->enabled = true;
    g->candidate_n = p.requests;
    g->stable_n = stable.requests;
    g->stable = (double)gr_histogram_quantile_nsec(b, P99);
    g->candidate = g->estimate = (double)gr_histogram_quantile_nsec(c, P99);
    g->low = (double)low;
    g->high = high == UINT64_MAX ? RATIO_MAX * RATIO_MAX : (double)high;
    g->limit = limit;
    // the estimate is its bucket's upper end; by shares, whole buckets decide as in the evidence
    gr_gate_conclude(s, in, GR_GATE_SLA_P99, g, gr_share_evidence(p, 1 - P99),
                     (double)p.errors <= (1 - P99) * (double)p.requests,
                     in->candidate.requests >= in->limits.min_requests);
    gr_gate_hold_to_promise(in, g, gr_share_evidence(stable, 1 - P99), v);
}

void gr_gates_latency(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      struct gr_analysis_verdict *v)
{
    // without concurrent stable there is nothing to compare; what was compared before stays
    if (gr_analysis_level(in, GR_GATE_LATENCY_P99) > 0 &&
        (in->concurrent || s->candidate_paired.requests > 0)) {
        v->gates[GR_GATE_LATENCY_P99].enabled = true;
        judge_p99(s, in, &v->gates[GR_GATE_LATENCY_P99]);
        v->gates[GR_GATE_LATENCY_SHAPE].enabled = true;
        judge_shape(s, in, &v->gates[GR_GATE_LATENCY_SHAPE]);
        if (gr_bet_evidence(&s->tail_stable.bet) >= 1 / in->limits.alpha)
            v->findings |= GR_FINDING_STABLE_WORSE;
    }
    if (gr_analysis_level(in, GR_GATE_SLA_P99) > 0)
        judge_sla_p99(s, in, v);
}

static void count_against(struct gr_gate_verdict *g, uint64_t requests, uint64_t count,
                          uint64_t limit, bool failed)
{
    *g = (struct gr_gate_verdict){.enabled = true,
                                  .verdict = failed ? GR_VERDICT_FAILED : GR_VERDICT_SUCCESSFUL,
                                  .candidate_n = requests,
                                  .candidate = (double)count,
                                  .estimate = (double)count,
                                  .low = (double)count,
                                  .high = (double)count,
                                  .limit = (double)limit};
}

void gr_gates_harm(const struct gr_analysis_input *in, struct gr_analysis_verdict *v)
{
    const struct gr_arm_sample *c = &in->candidate;
    if (in->harm_bad_responses > 0) // the Nth one ends it, so that one fewer is the most allowed
        count_against(&v->gates[GR_GATE_HARM], c->requests, c->errors, in->harm_bad_responses - 1,
                      c->errors >= in->harm_bad_responses);
    count_against(&v->gates[GR_GATE_CRASHES], c->requests, c->crashes, in->crashes_allowed,
                  c->crashes > in->crashes_allowed);
}

void gr_gates_resources(const struct gr_analysis_input *in, struct gr_analysis_verdict *v)
{
    for (unsigned i = 0; i < GR_COUNT(in->slope); i++) {
        const struct gr_slope *s = &in->slope[i];
        struct gr_gate_verdict *g = &v->gates[GR_GATE_MEMORY + i];
        if (in->slope_limit[i] < 0)
            continue;
        *g = (struct gr_gate_verdict){.enabled = true,
                                      .candidate_n = s->points,
                                      .candidate = s->per_request,
                                      .estimate = s->per_request,
                                      .low = s->low,
                                      .high = s->high,
                                      .limit = in->slope_limit[i]};
        if (s->points == 0)
            continue; // nothing measured: undecided
        g->verdict = s->low > g->limit            ? GR_VERDICT_FAILED
                     : s->per_request <= g->limit ? GR_VERDICT_SUCCESSFUL
                                                  : GR_VERDICT_INCONCLUSIVE;
    }
}
