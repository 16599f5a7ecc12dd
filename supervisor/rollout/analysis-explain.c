// A verdict in sentences, for a person who was woken by it. Must say nothing that the record does
// not hold.
#include "rollout/analysis-internal.h"
#include "rollout/analysis-record.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 32
#define EVIDENCE_SHOWN_MAX 1e6

struct shown {
    char s[SHOWN_MAX];
};

static struct shown percent(double share)
{
    struct shown t;
    snprintf(t.s, sizeof t.s, "%.3g %%", 100 * share);
    return t;
}

static struct shown points(double difference) // percentage points
{
    struct shown t;
    snprintf(t.s, sizeof t.s, "%+.3g", 100 * difference);
    return t;
}

static struct shown span(double nsec)
{
    static const struct {
        double nsec;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    struct shown t;
    unsigned i = 0;
    while (i + 1 < GR_COUNT(units) && nsec < units[i].nsec)
        i++;
    snprintf(t.s, sizeof t.s, "%.3g %s", nsec / units[i].nsec, units[i].unit);
    return t;
}

static struct shown odds(double evidence)
{
    struct shown t;
    if (evidence > EVIDENCE_SHOWN_MAX)
        snprintf(t.s, sizeof t.s, "over a million to 1");
    else
        snprintf(t.s, sizeof t.s, evidence < 10 ? "%.2g to 1" : "%.0f to 1", evidence);
    return t;
}

static int say_evidence(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text, "; evidence against it %s, %s convicts", odds(g->evidence).s,
                         odds(g->evidence_limit).s);
}

// --- one gate ---------------------------------------------------------------------------

static int say_harm(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text,
                         "%.0f bad responses in %" PRIu64
                         " requests; the harm budget ends the candidate at %.0f",
                         g->estimate, g->candidate_n, g->limit + 1);
}

static int say_crashes(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text, "%.0f crashes in %" PRIu64 " requests; %.0f are allowed",
                         g->estimate, g->candidate_n, g->limit);
}

static int say_errors(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(
        text,
        "%s of the candidate's %" PRIu64 " requests failed beside %s of stable's %" PRIu64
        ": %s percentage points (%s to %s), %s allowed",
        percent(g->candidate).s, g->candidate_n, percent(g->stable).s, g->stable_n,
        points(g->estimate).s, points(g->low).s, points(g->high).s, points(g->limit).s);
}

static int say_errors_alone(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    if (g->stable_n == 0)
        return gr_buf_printf(text,
                             "%s of the candidate's %" PRIu64
                             " requests failed, with no version to compare; %s is allowed",
                             percent(g->candidate).s, g->candidate_n, percent(g->limit).s);
    return gr_buf_printf(
        text,
        "%s of the %" PRIu64
        " requests that had no stable beside them failed, against %s of the %" PRIu64
        " that stable had answered: %s percentage points (%s to %s), %s allowed",
        percent(g->candidate).s, g->candidate_n, percent(g->stable).s, g->stable_n,
        points(g->estimate).s, points(g->low).s, points(g->high).s, points(g->limit).s);
}

static int say_p99(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    struct shown bounds;
    if (g->high >= 1e6)
        snprintf(bounds.s, sizeof bounds.s, "at least %.2f", g->low);
    else
        snprintf(bounds.s, sizeof bounds.s, "%.2f to %.2f", g->low, g->high);
    int k = gr_buf_printf(text,
                          "p99 %s in %" PRIu64 " requests beside stable's %s in %" PRIu64
                          ": ratio %.2f (%s), %.2f allowed",
                          span(g->candidate).s, g->candidate_n, span(g->stable).s, g->stable_n,
                          g->estimate, bounds.s, g->limit);
    if (k == 0 && g->verdict == GR_VERDICT_INCONCLUSIVE && g->stable_n < GR_P99_REQUESTS_MIN)
        k = gr_buf_printf(text, ", compared from %d requests of stable on", GR_P99_REQUESTS_MIN);
    return k;
}

static int say_shape(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text,
                         "up to %s more of the candidate's %" PRIu64
                         " requests than of stable's are beyond a latency that the allowed ratio "
                         "makes good for (%s to %s)",
                         percent(g->estimate).s, g->candidate_n, percent(g->low).s,
                         percent(g->high).s);
}

static int say_sla_errors(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text,
                         "%s of %" PRIu64 " requests failed (%s to %s); the contract promises at "
                         "most %s, and stable shows %s of %" PRIu64,
                         percent(g->candidate).s, g->candidate_n, percent(g->low).s,
                         percent(g->high).s, percent(g->limit).s, percent(g->stable).s,
                         g->stable_n);
}

static int say_sla_p99(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    return gr_buf_printf(text,
                         "p99 %s in %" PRIu64 " requests; the contract promises at most %s, and "
                         "stable shows %s in %" PRIu64,
                         span(g->candidate).s, g->candidate_n, span(g->limit).s, span(g->stable).s,
                         g->stable_n);
}

static int say_growth(const struct gr_gate_verdict *g, struct gr_buf *text)
{
    if (g->candidate_n == 0)
        return gr_buf_printf(text, "not measured yet; %.3g per request is allowed", g->limit);
    if (g->high >= GR_SLOPE_UNBOUNDED)
        return gr_buf_printf(text, "too few points yet (%" PRIu64 "); %.3g per request is allowed",
                             g->candidate_n, g->limit);
    return gr_buf_printf(
        text, "grows by %.3g per request (%.3g to %.3g, from %" PRIu64 " points), %.3g allowed",
        g->estimate, g->low, g->high, g->candidate_n, g->limit);
}

static int say_gate(const struct gr_analysis_verdict *v, enum gr_gate gate, struct gr_buf *text)
{
    static int (*const say[GR_GATE_COUNT])(const struct gr_gate_verdict *, struct gr_buf *) = {
        [GR_GATE_HARM] = say_harm,
        [GR_GATE_CRASHES] = say_crashes,
        [GR_GATE_ERRORS] = say_errors,
        [GR_GATE_ERRORS_ALONE] = say_errors_alone,
        [GR_GATE_LATENCY_P99] = say_p99,
        [GR_GATE_LATENCY_SHAPE] = say_shape,
        [GR_GATE_SLA_ERRORS] = say_sla_errors,
        [GR_GATE_SLA_P99] = say_sla_p99,
        [GR_GATE_MEMORY] = say_growth,
        [GR_GATE_DESCRIPTORS] = say_growth,
        [GR_GATE_THREADS] = say_growth};
    if ((unsigned)gate >= GR_GATE_COUNT) // a record that was not written by the judge
        return gr_buf_printf(text, "no gate is named");
    const struct gr_gate_verdict *g = &v->gates[gate];
    bool of_shares = gate >= GR_GATE_ERRORS && gate <= GR_GATE_SLA_P99;
    int k = gr_buf_printf(text, "%s: ", gr_gate_name(gate));
    if (k == 0 && of_shares && g->candidate_n == 0) // shares of nothing would read as a finding
        return gr_buf_printf(text, "no request of the candidate to look at yet");
    if (k == 0)
        k = say[gate](g, text);
    return k == 0 && g->evidence_limit > 0 ? say_evidence(g, text) : k;
}

// --- the whole --------------------------------------------------------------------------

static int say_undecided(const struct gr_verdict_record *r, struct gr_buf *text)
{
    const struct gr_analysis_verdict *v = &r->verdict;
    uint64_t seen = r->input.candidate.requests, wanted = r->input.limits.min_requests;
    if (seen < wanted)
        return gr_buf_printf(text, "%" PRIu64 " of %" PRIu64 " requests", seen, wanted);
    if (v->gate != GR_GATE_COUNT)
        return say_gate(v, v->gate, text);
    return gr_buf_printf(text, v->findings & GR_FINDING_BOTH_BAD
                                   ? "the candidate is bad, but stable is as bad"
                                   : "no gate of the strategy can be judged here");
}

static int say_verdict(const struct gr_verdict_record *r, struct gr_buf *text)
{
    const struct gr_analysis_verdict *v = &r->verdict;
    int k = gr_buf_printf(text, "%s%s%s%s: ", gr_verdict_name(v->verdict), v->reason ? " (" : "",
                          gr_reason_name(v->reason), v->reason ? ")" : "");
    if (k < 0)
        return k;
    switch (v->verdict) {
    case GR_VERDICT_FAILED:
        return say_gate(v, v->gate, text);
    case GR_VERDICT_INCONCLUSIVE:
        return say_undecided(r, text);
    case GR_VERDICT_SUCCESSFUL:
        return gr_buf_printf(text,
                             "%" PRIu64 " requests of the candidate and %" PRIu64
                             " of stable, every gate within its limit",
                             r->input.candidate.requests, r->input.stable.requests);
    case GR_VERDICT_ERROR:
        break;
    }
    return gr_buf_printf(text, "the numbers are missing or contradict themselves, so that nothing "
                               "was judged; look at the worker and its statistics");
}

static int say_findings(const struct gr_analysis_verdict *v, struct gr_buf *text)
{
    static const struct {
        unsigned finding;
        const char *text;
    } all[] = {{GR_FINDING_STABLE_WORSE, "stable is worse than the candidate"},
               {GR_FINDING_STABLE_VIOLATES, "stable breaks the contract's promise itself"},
               {GR_FINDING_STABLE_DEGRADED, "stable is worse than it was before the rollout"},
               {GR_FINDING_BOTH_BAD, "the candidate is bad, but no worse than stable"}};
    int k = 0;
    for (unsigned i = 0; i < GR_COUNT(all) && k == 0; i++)
        if (v->findings & all[i].finding)
            k = gr_buf_printf(text, "; %s", all[i].text);
    if (k == 0 && v->findings && v->verdict != GR_VERDICT_FAILED)
        k = gr_buf_printf(text, " (going back would not help; `grayctl promote --over-bad-stable` "
                                "goes on)");
    return k;
}

int gr_verdict_explain(const struct gr_verdict_record *r, bool long_form, struct gr_buf *text)
{
    int k = say_verdict(r, text);
    if (k == 0)
        k = say_findings(&r->verdict, text);
    if (!long_form || k < 0)
        return k;
    k = gr_buf_printf(
        text,
        "\n  rule %s version %u, look %" PRIu64 "; at most %s of good candidates are taken back\n",
        r->rule, r->rule_version, r->before.looks + 1, percent(r->input.limits.alpha).s);
    for (unsigned i = 0; i < GR_GATE_COUNT && k == 0; i++) {
        if (!r->verdict.gates[i].enabled)
            continue;
        k = gr_buf_printf(text, "  %-12s ", gr_verdict_name(r->verdict.gates[i].verdict));
        if (k == 0)
            k = say_gate(&r->verdict, (enum gr_gate)i, text);
        if (k == 0)
            k = gr_buf_printf(text, "\n");
    }
    return k;
}
