// Puts the gates together: how alpha is split, when one gate is decided, and what all of them say.
#include "rollout/analysis-internal.h"
#include <errno.h>
#include <string.h>

// Evidence that is worth mentioning. From here on a gate is undecided, and nothing is promoted.
#define SUSPICION 3.0

static const char *const names[GR_GATE_COUNT] = {[GR_GATE_HARM] = "harm",
                                                 [GR_GATE_CRASHES] = "crashes",
                                                 [GR_GATE_ERRORS] = "errors",
                                                 [GR_GATE_ERRORS_ALONE] = "errors_alone",
                                                 [GR_GATE_LATENCY_P99] = "latency_p99",
                                                 [GR_GATE_LATENCY_SHAPE] = "latency_shape",
                                                 [GR_GATE_SLA_ERRORS] = "sla_errors",
                                                 [GR_GATE_SLA_P99] = "sla_p99",
                                                 [GR_GATE_MEMORY] = "memory",
                                                 [GR_GATE_DESCRIPTORS] = "descriptors",
                                                 [GR_GATE_THREADS] = "threads"};

const char *gr_verdict_name(enum gr_verdict v)
{
    static const char *const verdicts[] = {"Inconclusive", "Successful", "Failed", "Error"};
    return (unsigned)v < GR_COUNT(verdicts) ? verdicts[v] : "?";
}

const char *gr_gate_name(enum gr_gate g)
{
    return (unsigned)g < GR_GATE_COUNT ? names[g] : "none";
}

int gr_gate_parse(const char *name, enum gr_gate *ret)
{
    for (unsigned i = 0; i < GR_GATE_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum gr_gate)i;
            return 0;
        }
    return -EINVAL;
}

// --- alpha ------------------------------------------------------------------------------

// Parts of alpha; a gate that is off leaves its part to the others.
static unsigned weight_of(const struct gr_analysis_input *in, unsigned gate)
{
    bool errors = in->limits.error_rate_max_increase >= 0;
    bool latency = in->limits.latency_p99_max_ratio >= 0;
    switch ((enum gr_gate)gate) {
    case GR_GATE_ERRORS:
        return errors && in->has_stable ? 4 : 0;
    // the first deployment is held against its own promise, if it made one
    case GR_GATE_ERRORS_ALONE:
        return errors && (in->has_stable || in->sla_error_rate < 0) ? 2 : 0;
    case GR_GATE_LATENCY_P99:
    case GR_GATE_LATENCY_SHAPE:
        return latency && in->has_stable ? 2 : 0;
    case GR_GATE_SLA_ERRORS:
        return in->sla_error_rate >= 0 ? 2 : 0;
    case GR_GATE_SLA_P99:
        return in->sla_p99_usec > 0 ? 2 : 0;
    case GR_GATE_MEMORY:
    case GR_GATE_DESCRIPTORS:
    case GR_GATE_THREADS:
        return in->slope_limit[gate - GR_GATE_MEMORY] >= 0 ? 1 : 0;
    case GR_GATE_HARM:
    case GR_GATE_CRASHES:
    case GR_GATE_COUNT:
        break;
    }
    return 0;
}

double gr_analysis_level(const struct gr_analysis_input *in, enum gr_gate gate)
{
    unsigned all = 0;
    for (unsigned i = 0; i < GR_GATE_COUNT; i++)
        all += weight_of(in, i);
    unsigned own = weight_of(in, gate);
    return own ? in->limits.alpha * own / all : 0;
}

// --- one gate ------------------------------------------------------------------------------

double gr_evidence_beside(const struct gr_analysis_state *s, enum gr_gate gate)
{
    double sum = 0;
    if (gate == GR_GATE_ERRORS)
        return gr_bet_evidence(&s->errors);
    if (gate == GR_GATE_LATENCY_P99)
        return gr_bet_evidence(&s->tails[0].bet);
    for (unsigned i = 1; i < GR_TAILS; i++) // the mean of e-values is one
        sum += gr_bet_evidence(&s->tails[i].bet);
    return sum / (GR_TAILS - 1);
}

void gr_gate_conclude(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      enum gr_gate gate, struct gr_gate_verdict *g, double evidence, bool within,
                      bool enough)
{
    if (evidence > s->peak[gate])
        s->peak[gate] = evidence;
    g->evidence = s->peak[gate];
    g->evidence_limit = 1 / gr_analysis_level(in, gate);
    if (g->evidence >= g->evidence_limit) {
        g->verdict = GR_VERDICT_FAILED;
        if (g->low < g->limit) // all that keeps the limit is refuted
            g->low = g->limit;
        if (g->high < g->low)
            g->high = g->low;
    } else if (enough && within && evidence < SUSPICION)
        g->verdict = GR_VERDICT_SUCCESSFUL;
    else
        g->verdict = GR_VERDICT_INCONCLUSIVE;
}

void gr_gate_leave_if_over(const struct gr_analysis_input *in, struct gr_gate_verdict *g,
                           bool enough)
{
    if (!in->concurrent && !enough && g->verdict == GR_VERDICT_INCONCLUSIVE)
        g->enabled = false;
}

void gr_gate_hold_to_promise(const struct gr_analysis_input *in, struct gr_gate_verdict *g,
                             double stable_evidence, struct gr_analysis_verdict *v)
{
    if (!in->has_stable || stable_evidence < 1 / in->limits.alpha)
        return;
    v->findings |= GR_FINDING_STABLE_VIOLATES;
    if (g->verdict != GR_VERDICT_FAILED)
        return;
    g->verdict = GR_VERDICT_INCONCLUSIVE;
    v->findings |= GR_FINDING_BOTH_BAD;
}

// --- all of them ------------------------------------------------------------------------

static enum gr_reason reason_of(enum gr_gate gate)
{
    switch (gate) {
    case GR_GATE_HARM:
        return GR_REASON_HARM_BUDGET_SPENT;
    case GR_GATE_CRASHES:
        return GR_REASON_CRASHED;
    case GR_GATE_ERRORS:
    case GR_GATE_ERRORS_ALONE:
    case GR_GATE_SLA_ERRORS:
        return GR_REASON_ERROR_RATE_REGRESSED;
    case GR_GATE_LATENCY_P99:
    case GR_GATE_LATENCY_SHAPE:
    case GR_GATE_SLA_P99:
        return GR_REASON_LATENCY_REGRESSED;
    case GR_GATE_MEMORY:
    case GR_GATE_DESCRIPTORS:
    case GR_GATE_THREADS:
        return GR_REASON_RESOURCE_LEAK;
    case GR_GATE_COUNT:
        break;
    }
    return GR_REASON_NONE;
}

static enum gr_gate first_with(const struct gr_analysis_verdict *v, enum gr_verdict verdict)
{
    for (unsigned i = 0; i < GR_GATE_COUNT; i++)
        if (v->gates[i].enabled && v->gates[i].verdict == verdict)
            return (enum gr_gate)i;
    return GR_GATE_COUNT;
}

static bool is_comparison(enum gr_gate gate)
{
    return gate == GR_GATE_ERRORS || gate == GR_GATE_ERRORS_ALONE || gate == GR_GATE_LATENCY_P99 ||
           gate == GR_GATE_LATENCY_SHAPE;
}

static bool has_usable_gate(const struct gr_analysis_input *in, const struct gr_analysis_verdict *v)
{
    for (unsigned i = 0; i < GR_GATE_COUNT; i++)
        if (v->gates[i].enabled && weight_of(in, i) > 0)
            return true;
    return false;
}

void gr_analysis_judge(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                       struct gr_analysis_verdict *ret)
{
    *ret = (struct gr_analysis_verdict){.verdict = GR_VERDICT_ERROR, .gate = GR_GATE_COUNT};
    if (!gr_analysis_is_sound(s, in))
        return;
    gr_analysis_advance(s, in);
    gr_gates_harm(in, ret);
    gr_gates_errors(s, in, ret);
    gr_gates_latency(s, in, ret);
    gr_gates_resources(in, ret);
    ret->verdict = GR_VERDICT_FAILED;
    ret->gate = first_with(ret, GR_VERDICT_FAILED);
    if (ret->gate != GR_GATE_COUNT) {
        ret->reason = reason_of(ret->gate);
        if (is_comparison(ret->gate)) // worse than a bad stable: going back does help
            ret->findings &= ~GR_FINDING_BOTH_BAD;
        return;
    }
    ret->gate = first_with(ret, GR_VERDICT_INCONCLUSIVE);
    bool decided = ret->gate == GR_GATE_COUNT && !(ret->findings & GR_FINDING_BOTH_BAD) &&
                   has_usable_gate(in, ret) && in->candidate.requests >= in->limits.min_requests;
    ret->verdict = decided ? GR_VERDICT_SUCCESSFUL : GR_VERDICT_INCONCLUSIVE;
}
