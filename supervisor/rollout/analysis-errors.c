// The gates that look at bad responses: beside stable, alone against what was before, and against
// the contract.
#include "rollout/analysis-internal.h"

static double share_of(struct gr_pair p)
{
    return p.requests ? (double)p.errors / (double)p.requests : 0;
}

static struct gr_pair total_of(const struct gr_arm_sample *a)
{
    return (struct gr_pair){a->requests, a->errors};
}

static double clamp_difference(double x)
{
    return x < -1 ? -1 : x > 1 ? 1 : x;
}

// Beside stable: the bet over blocks decides; the block-weighted difference is shown.
static void judge_beside(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                         struct gr_gate_verdict *g)
{
    g->enabled = in->has_stable && (in->concurrent || s->candidate_paired.requests > 0);
    if (!g->enabled)
        return;
    struct gr_pair c = s->candidate_paired, b = s->stable_paired;
    double w = s->difference_weight;
    double radius = gr_difference_radius(s->difference_variance, in->limits.alpha);
    g->candidate_n = c.requests;
    g->stable_n = b.requests;
    g->candidate = share_of(c);
    g->stable = share_of(b);
    g->estimate = w > 0 ? s->difference / w : 0;
    g->low = w > 0 ? clamp_difference(g->estimate - radius / w) : -1;
    g->high = w > 0 ? clamp_difference(g->estimate + radius / w) : 1;
    g->limit = in->limits.error_rate_max_increase;
    bool enough = b.requests > 0 && in->candidate.requests >= in->limits.min_requests &&
                  in->stable.requests >= in->limits.min_requests;
    gr_gate_conclude(s, in, GR_GATE_ERRORS, g, gr_evidence_beside(s, GR_GATE_ERRORS),
                     g->estimate <= g->limit, enough);
    gr_gate_leave_if_over(in, g, enough);
}

// Fewer requests from before cannot tell a share from the next one: with their uncertainty counted,
// no candidate would ever be convicted.
#define REFERENCE_MIN 2000

// What few requests had shown is taken as it is; nothing known: no error at all.
static double evidence_alone(struct gr_pair c, struct gr_pair before, double limit)
{
    if (before.requests >= REFERENCE_MIN)
        return gr_pair_evidence(c, before, limit);
    double most = share_of(before) + limit;
    return most < 1 ? gr_share_evidence(c, most) : 0;
}

// Without concurrent stable: against all that stable had shown, whose uncertainty counts too where
// it is known well.
static void judge_alone(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                        struct gr_gate_verdict *g)
{
    struct gr_pair c = s->alone, before = total_of(&in->reference);
    if (in->has_stable) {
        before.requests += in->stable.requests;
        before.errors += in->stable.errors;
    } else {
        before = (struct gr_pair){0};
    }
    g->enabled = !in->concurrent || c.requests > 0;
    if (!g->enabled)
        return;
    if (c.errors > c.requests) // counted a look later than its request
        c.errors = c.requests;
    g->candidate_n = c.requests;
    g->stable_n = before.requests;
    g->candidate = share_of(c);
    g->stable = share_of(before);
    g->estimate = g->candidate - g->stable;
    g->limit = in->limits.error_rate_max_increase;
    double alpha = in->limits.alpha / 2;
    double n = (double)c.requests, m = (double)before.requests;
    double spread = n * g->candidate * (1 - g->candidate), other = m * g->stable * (1 - g->stable);
    double radius = (n > 0 ? gr_difference_radius(spread, alpha) / n : 1) +
                    (m > 0 ? gr_difference_radius(other, alpha) / m : 0);
    g->low = clamp_difference(g->estimate - radius);
    g->high = clamp_difference(g->estimate + radius);
    double evidence = evidence_alone(c, before, g->limit);
    gr_gate_conclude(s, in, GR_GATE_ERRORS_ALONE, g, evidence, g->estimate <= g->limit,
                     in->concurrent || in->candidate.requests >= in->limits.min_requests);
}

static void judge_sla(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      struct gr_analysis_verdict *v)
{
    struct gr_gate_verdict *g = &v->gates[GR_GATE_SLA_ERRORS];
    struct gr_pair c = total_of(&in->candidate), stable = total_of(&in->stable);
    double n = (double)c.requests;
    g->enabled = true;
    g->candidate_n = c.requests;
    g->stable_n = stable.requests;
    g->stable = share_of(stable);
    g->candidate = g->estimate = share_of(c);
    g->limit = in->sla_error_rate;
    double spread = n * g->candidate * (1 - g->candidate);
    double radius = n > 0 ? gr_difference_radius(spread, in->limits.alpha) / n : 1;
    g->low = g->estimate > radius ? g->estimate - radius : 0;
    g->high = clamp_difference(g->estimate + radius);
    gr_gate_conclude(s, in, GR_GATE_SLA_ERRORS, g, gr_share_evidence(c, g->limit),
                     g->estimate <= g->limit, c.requests >= in->limits.min_requests);
    gr_gate_hold_to_promise(in, g, gr_share_evidence(stable, g->limit), v);
}

// Findings need no share of alpha: they hold a candidate, and take none back.
static void find_stable(const struct gr_analysis_state *s, const struct gr_analysis_input *in,
                        struct gr_analysis_verdict *v)
{
    double convicts = 1 / in->limits.alpha;
    struct gr_pair stable = total_of(&in->stable), candidate = total_of(&in->candidate),
                   before = total_of(&in->reference);
    double excess = in->limits.error_rate_max_increase;
    if (excess >= 0 && gr_bet_evidence(&s->errors_stable) >= convicts)
        v->findings |= GR_FINDING_STABLE_WORSE;
    if (excess < 0 || before.requests == 0 || gr_pair_evidence(stable, before, excess) < convicts)
        return;
    v->findings |= GR_FINDING_STABLE_DEGRADED;
    if (gr_pair_evidence(candidate, before, excess) >= convicts)
        v->findings |= GR_FINDING_BOTH_BAD;
}

void gr_gates_errors(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                     struct gr_analysis_verdict *v)
{
    if (gr_analysis_level(in, GR_GATE_ERRORS) > 0)
        judge_beside(s, in, &v->gates[GR_GATE_ERRORS]);
    if (gr_analysis_level(in, GR_GATE_ERRORS_ALONE) > 0)
        judge_alone(s, in, &v->gates[GR_GATE_ERRORS_ALONE]);
    if (gr_analysis_level(in, GR_GATE_SLA_ERRORS) > 0)
        judge_sla(s, in, v);
    if (in->has_stable)
        find_stable(s, in, v);
}
