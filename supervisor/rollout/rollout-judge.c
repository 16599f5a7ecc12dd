// Measures the members and has them judged: what the worker counts is added up over workers and
// restarts, and every look is kept as a record. The arithmetic is analysis*.c's.
#include "base/buf.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// --- measuring
// ------------------------------------------------------------------------------------

void gr_arm_add(struct gr_arm_sample *into, const struct gr_arm_sample *more)
{
    into->requests += more->requests;
    into->errors += more->errors;
    into->crashes += more->crashes;
    for (size_t i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        into->latency.count[i] += more->latency.count[i];
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

// Adds what `now` has more than `last`, and remembers now.
static void add_growth(struct gr_arm_sample *sum, struct gr_arm_sample *last,
                       const struct gr_arm_sample *now)
{
    sum->requests += grown(now->requests, last->requests);
    sum->errors += grown(now->errors, last->errors);
    sum->crashes += grown(now->crashes, last->crashes);
    for (size_t i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        sum->latency.count[i] += grown(now->latency.count[i], last->latency.count[i]);
    *last = *now;
}

void gr_rollout_begin_measuring(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++) {
        struct gr_member *m = &r->members[i];
        if (m->began || !r->row.members[i].to)
            continue;
        m->began = true;
        r->env.ops->history(r->env.ops->userdata, r, i, &m->reference);
        (void)!r->env.ops->sample(r->env.ops->userdata, r, i, &m->last_candidate, &m->last_stable);
    }
}

static void note_usage(struct gr_rollout *r, size_t i)
{
    struct gr_member *m = &r->members[i];
    struct gr_usage now;
    if (m->isolated && r->env.ops->usage && r->env.ops->usage(r->env.ops->userdata, r, i, &now))
        gr_growth_note(&m->growth, &now, m->candidate.requests,
                       r->row.members[i].to->strategy.analysis.warm_up_requests);
}

void gr_rollout_measure(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++) {
        struct gr_member *m = &r->members[i];
        struct gr_arm_sample candidate = {0}, stable = {0};
        if (!m->began)
            continue;
        m->seen = r->env.ops->sample(r->env.ops->userdata, r, i, &candidate, &stable);
        if (!m->seen)
            continue;
        add_growth(&m->candidate, &m->last_candidate, &candidate);
        // without steps the two never serve beside each other: what stable still answered while the
        // swap was under way belongs to what it had shown before
        add_growth(r->ladder && r->ladder->n_steps ? &m->stable : &m->reference, &m->last_stable,
                   &stable);
        note_usage(r, i);
    }
}

void gr_rollout_new_counters(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        r->members[i].last_candidate = r->members[i].last_stable = (struct gr_arm_sample){0};
}

void gr_rollout_begin_share(struct gr_rollout *r)
{
    gr_rollout_measure(r);
    for (size_t i = 0; i < r->row.n; i++) {
        r->members[i].share_base[0] = r->members[i].candidate.requests;
        r->members[i].share_base[1] = r->members[i].stable.requests;
    }
}

void gr_rollout_share(const struct gr_rollout *r, size_t member, uint64_t *ret_candidate,
                      uint64_t *ret_stable)
{
    const struct gr_member *m = &r->members[member];
    *ret_candidate = m->candidate.requests - m->share_base[0];
    *ret_stable = m->stable.requests - m->share_base[1];
}

uint64_t gr_rollout_seen_requests(const struct gr_rollout *r)
{
    uint64_t most = 0;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->members[i].candidate.requests > most)
            most = r->members[i].candidate.requests;
    return most;
}

// --- judging
// --------------------------------------------------------------------------------------

// The row has the newest record only; those that changed the verdict are kept for `explain`.
static void keep_record(const struct gr_rollout *r, size_t i)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
    struct gr_error e = {0};
    int k = gr_verdict_record_format(&r->members[i].record, &text);
    const struct gr_verdict_row row = {.rollout = r->row.id,
                                       .module = r->row.members[i].module,
                                       .at = gr_wall_now(),
                                       .record = text.data};
    if (k == 0)
        k = gr_journal_add_verdict(r->env.journal, &row, &e);
    if (k < 0)
        gr_log(GR_LOG_DEBUG, "rollout %" PRId64 ": a verdict was not kept: %s", r->row.id,
               e.message);
}

static void add_slopes(const struct gr_member *m, const struct gr_analysis *a,
                       struct gr_analysis_input *in)
{
    for (unsigned k = 0; m->isolated && k < GR_RESOURCES; k++)
        in->slope_limit[k] = a->growth_max[k];
    for (unsigned k = 0; k < GR_RESOURCES; k++) {
        double level = gr_analysis_level(in, (enum gr_gate)(GR_GATE_MEMORY + k));
        if (level > 0)
            gr_growth_slope(&m->growth, (enum gr_resource)k, level, &in->slope[k]);
    }
}

// Whether the verdict became another one.
static bool look(struct gr_rollout *r, size_t i)
{
    struct gr_member *m = &r->members[i];
    const struct gr_strategy *s = &r->row.members[i].to->strategy;
    const struct gr_gray_row *g = &r->row.gray;
    struct gr_analysis_input in = {.limits = s->analysis,
                                   .harm_bad_responses = s->harm_bad_responses,
                                   .sla_error_rate = m->sla_error_rate,
                                   .sla_p99_usec = m->sla_p99_usec,
                                   .slope_limit = {-1, -1, -1},
                                   .has_stable = r->row.members[i].from != NULL,
                                   .measured = m->seen,
                                   .concurrent = !g->swapped && r->row.members[i].from &&
                                                 g->weight_permyriad < 10000,
                                   .candidate = m->candidate,
                                   .stable = m->stable,
                                   .reference = m->reference};
    const struct gr_analysis_verdict before = m->record.verdict;
    add_slopes(m, &s->analysis, &in);
    gr_verdict_record_make(&m->state, &in, &m->record);
    const struct gr_analysis_verdict *now = &m->record.verdict;
    bool changed = !m->judged || now->verdict != before.verdict || now->reason != before.reason ||
                   now->findings != before.findings;
    m->judged = true;
    return changed;
}

static void say_growth(enum gr_resource r, const struct gr_gate_verdict *g, char *buf, size_t cap)
{
    double many = r == GR_RESOURCE_MEMORY ? 1 : 10000;
    snprintf(buf, cap, "gained %.3g %s %s; expected at most %.3g. It was judged",
             g->estimate * many, gr_resource_name(r),
             many > 1 ? "per 10,000 requests" : "per request", g->limit * many);
}

// Expected and actual first, then how that was judged.
static void say_numbers(const struct gr_verdict_record *r, char *buf, size_t cap)
{
    const struct gr_gate_verdict *g = &r->verdict.gates[r->verdict.gate % GR_GATE_COUNT];
    if (r->verdict.gate >= GR_GATE_MEMORY && r->verdict.gate <= GR_GATE_THREADS) {
        say_growth((enum gr_resource)(r->verdict.gate - GR_GATE_MEMORY), g, buf, cap);
        return;
    }
    bool alone = r->verdict.gate == GR_GATE_SLA_ERRORS;
    if (!alone && r->verdict.gate != GR_GATE_ERRORS && r->verdict.gate != GR_GATE_ERRORS_ALONE) {
        snprintf(buf, cap, "was judged");
        return;
    }
    snprintf(buf, cap,
             "failed %" PRIu64 " of %" PRIu64 " requests (%.3g %%); expected at most %.3g %%. It "
             "was judged",
             r->input.candidate.errors, r->input.candidate.requests,
             100.0 * (double)r->input.candidate.errors / (double)r->input.candidate.requests,
             100 * (alone ? g->limit : g->stable + g->limit));
}

static void fail_by_verdict(struct gr_rollout *r, size_t i)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX / 2);
    const struct gr_verdict_record *record = &r->members[i].record;
    char numbers[200];
    struct gr_error e = {0};
    say_numbers(record, numbers, sizeof numbers);
    (void)!gr_verdict_explain(record, false, &text);
    gr_error_set(&e, -EBADE, record->verdict.reason,
                 "%s %s %s: %s. Publish a mended build under a new version",
                 r->row.members[i].module.s, r->row.members[i].to->version.text, numbers,
                 text.data ? text.data : gr_verdict_name(record->verdict.verdict));
    gr_rollout_fail(r, i, &e);
}

// A person who put it above its verdict is obeyed; a crash is no matter of opinion.
static bool acts(const struct gr_rollout *r, const struct gr_analysis_verdict *v)
{
    return v->verdict == GR_VERDICT_FAILED && r->row.gray.hold != GR_HOLD_FAILURE &&
           (!r->row.gray.overruled || v->reason == GR_REASON_CRASHED);
}

bool gr_rollout_harm(const struct gr_rollout *r, size_t member, uint64_t *ret_total,
                     uint64_t *ret_known)
{
    const struct gr_desired *to = r->row.members[member].to;
    if (!to || !to->strategy.harm_bad_responses || r->row.gray.overruled)
        return false;
    *ret_total = to->strategy.harm_bad_responses;
    *ret_known = r->members[member].candidate.errors;
    return true;
}

// The budget is spent, but the numbers do not show it: some of it went in a worker that drained, or
// that lost its supervisor, and what that one counted besides is gone.
static bool spent_elsewhere(const struct gr_rollout *r, size_t i)
{
    uint64_t total, known;
    return r->row.gray.hold != GR_HOLD_FAILURE && gr_rollout_harm(r, i, &total, &known) &&
           known < total && r->members[i].harmed >= total;
}

static void fail_by_budget(struct gr_rollout *r, size_t i)
{
    struct gr_error e = {0};
    uint64_t total = 0, known = 0;
    (void)gr_rollout_harm(r, i, &total, &known);
    gr_error_set(&e, -EBADE, GR_REASON_HARM_BUDGET_SPENT,
                 "%s %s gave %" PRIu64 " bad answers, %" PRIu64 " of them in a worker that is "
                 "replaced; the harm budget ends it at %" PRIu64 ". Publish a mended build under a "
                 "new version",
                 r->row.members[i].module.s, r->row.members[i].to->version.text,
                 r->members[i].harmed, r->members[i].harmed - known, total);
    gr_rollout_fail(r, i, &e);
}

static bool may_be_judged(const struct gr_rollout *r, size_t i)
{
    return r->row.members[i].to && r->members[i].began;
}

void gr_rollout_keep_numbers(struct gr_rollout *r)
{
    struct gr_error e = {0};
    if (r->row.phase != GR_PHASE_BAKING && !gr_rollout_is_stepping(r))
        return;
    gr_rollout_measure(r);
    for (size_t i = 0; i < r->row.n; i++)
        if (may_be_judged(r, i))
            (void)look(r, i); // who comes next acts on it
    if (gr_rollout_write(r, &e) < 0)
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": its last numbers are not kept: %s", r->row.id,
               e.message);
}

bool gr_rollout_judge(struct gr_rollout *r)
{
    // first: a bad answer is in the counters before it is in the budget
    for (size_t i = 0; i < r->row.n && r->env.ops->harmed; i++)
        r->members[i].harmed = r->env.ops->harmed(r->env.ops->userdata, r, i);
    gr_rollout_measure(r);
    for (size_t i = 0; i < r->row.n; i++) {
        if (!may_be_judged(r, i))
            continue;
        bool changed = look(r, i), fails = acts(r, &r->members[i].record.verdict);
        if (fails)
            fail_by_verdict(r, i);
        else if ((fails = spent_elsewhere(r, i)))
            fail_by_budget(r, i);
        if (changed) // the way back does not wait for the disk
            keep_record(r, i);
        if (fails)
            return r->row.gray.hold == GR_HOLD_FAILURE; // it waits; else it is on its way back
    }
    return true;
}

bool gr_rollout_all_successful(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && (!r->members[i].judged ||
                                     r->members[i].record.verdict.verdict != GR_VERDICT_SUCCESSFUL))
            return false;
    return true;
}

bool gr_rollout_blames_stable(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->members[i].judged && (r->members[i].record.verdict.findings & GR_FINDING_BOTH_BAD))
            return true;
    return false;
}

void gr_rollout_say_undecided(const struct gr_rollout *r, char *buf, size_t cap)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX / 2);
    for (size_t i = 0; i < r->row.n; i++) {
        const struct gr_member *m = &r->members[i];
        const struct gr_desired *to = r->row.members[i].to;
        enum gr_verdict v = m->judged ? m->record.verdict.verdict : GR_VERDICT_INCONCLUSIVE;
        if (to && v != GR_VERDICT_SUCCESSFUL)
            (void)!gr_buf_printf(&text, "%s%s %s answered %" PRIu64 " of %" PRIu64 " requests (%s)",
                                 text.len ? "; " : "", r->row.members[i].module.s, to->version.text,
                                 m->candidate.requests, to->strategy.analysis.min_requests,
                                 gr_verdict_name(v));
    }
    snprintf(buf, cap, "%s", text.data ? text.data : "");
}
