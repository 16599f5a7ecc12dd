// Owns the life of one rollout: its row, its phase, its members. Must never touch a worker, a
// socket or etcd but through its ops.
#include "base/fault.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

// --- the only writer of the phase
// -----------------------------------------------------------------

static bool goes_forward_only_when_journaled(enum gr_phase p)
{
    return p == GR_PHASE_FETCHING || p == GR_PHASE_VERIFYING || p == GR_PHASE_STAGED ||
           p == GR_PHASE_PROGRESSING;
}

// What the row says of the numbers: the record of the last look, from which the state follows.
static int keep_verdicts(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++) {
        if (!r->members[i].judged)
            continue;
        struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
        int k = gr_verdict_record_format(&r->members[i].record, &text);
        if (k < 0)
            return k;
        free(r->row.members[i].verdict);
        r->row.members[i].verdict = gr_buf_take(&text, NULL);
    }
    return 0;
}

int gr_rollout_write(struct gr_rollout *r, struct gr_error *e)
{
    r->row.updated = gr_wall_now();
    gr_rollout_refresh_left(r);
    r->checkpointed = gr_rollout_now(r);
    if (keep_verdicts(r) < 0)
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": its verdicts could not be kept", r->row.id);
    return gr_journal_put_rollout(r->env.journal, &r->row, e);
}

int gr_rollout_set_phase(struct gr_rollout *r, enum gr_rollout_event ev)
{
    enum gr_phase next;
    int k = gr_transition(r->row.phase, ev, &next);
    if (k < 0) {
        gr_log(GR_LOG_ERROR,
               "rollout %" PRId64 ": event %s is not possible in phase %s; it is ignored",
               r->row.id, gr_rollout_event_name(ev), gr_phase_name(r->row.phase));
        return k;
    }
    enum gr_phase before = r->row.phase;
    r->row.phase = next;
    struct gr_error e = {0};
    k = GR_FAULT("rollout.phase");
    if (k == 0)
        k = gr_rollout_write(r, &e);
    if (k < 0 && goes_forward_only_when_journaled(next)) {
        r->row.phase = before;
        if (e.reason == GR_REASON_NONE)
            gr_error_set(&e, k, GR_REASON_INTERNAL, "phase %s could not be journaled: %s",
                         gr_phase_name(next), strerror(-k));
        gr_rollout_fail(r, r->row.n, &e);
        return k;
    }
    if (k < 0) // the way back needs no disk
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": phase %s could not be journaled: %s",
               r->row.id, gr_phase_name(next), e.message);
    gr_rollout_arm(r);
    r->env.ops->changed(r->env.ops->userdata, r);
    return 0;
}

struct gr_rollout_row gr_rollout_row_as(struct gr_rollout *r, enum gr_phase phase)
{
    enum gr_phase now = r->row.phase;
    r->row.phase = phase;
    gr_rollout_refresh_left(r);
    r->row.phase = now;
    struct gr_rollout_row as = r->row;
    as.phase = phase;
    as.updated = gr_wall_now();
    return as;
}

void gr_rollout_set_reason(struct gr_rollout *r, size_t member, const struct gr_error *why)
{
    if (!why)
        return;
    r->row.reason = why->reason;
    snprintf(r->row.message, sizeof r->row.message, "%s", why->message);
    if (member < r->row.n) {
        r->row.members[member].reason = why->reason;
        snprintf(r->row.members[member].message, sizeof r->row.members[member].message, "%s",
                 why->message);
    }
}

static void drop_candidate(struct gr_rollout *r, struct gr_member *m)
{
    gr_verification_cancel(gr_steal(m->verification));
    gr_verified_free(gr_steal(m->verified));
    if (m->slot >= 0)
        r->env.ops->unstage(r->env.ops->userdata, m->slot);
    m->slot = -1;
}

// Who was loaded last goes first.
void gr_rollout_drop_candidates(struct gr_rollout *r)
{
    for (size_t i = r->n_order; i-- > 0;)
        drop_candidate(r, &r->members[r->order[i]]);
    for (size_t i = 0; i < r->row.n; i++)
        drop_candidate(r, &r->members[i]);
    r->stage_wanted = false;
    r->in_table = false;
}

void gr_rollout_end(struct gr_rollout *r, enum gr_rollout_event ev)
{
    r->awaiting = false;
    GR_INSTANT("rollout.ending");
    if (gr_rollout_set_phase(r, ev) < 0)
        return;
    GR_INSTANT("rollout.ended");
    r->env.ops->ended(r->env.ops->userdata, r);
}

// --- construction
// ---------------------------------------------------------------------------------

static int rollout_alloc(const struct gr_rollout_env *env, size_t n, struct gr_rollout **ret)
{
    struct gr_rollout *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->env = *env;
    r->restored_as = GR_ROLLOUT_RESTORED;
    r->members = calloc(n ? n : 1, sizeof *r->members);
    if (!r->members) {
        free(r);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        struct gr_member *m = &r->members[i];
        m->rollout = r;
        m->index = i;
        m->slot = -1;
        m->sla_error_rate = -1;
        gr_analysis_begin(&m->state);
    }
    *ret = r;
    return 0;
}

uint64_t gr_rollout_longest_deadline(const struct gr_rollout_row *row)
{
    uint64_t d = 0;
    for (size_t i = 0; i < row->n; i++)
        if (row->members[i].to && row->members[i].to->strategy.deadline_usec > d)
            d = row->members[i].to->strategy.deadline_usec;
    return d ? d : GR_DEADLINE_DEFAULT_USEC;
}

static int copy_members(struct gr_rollout *r, const struct gr_plan *plan)
{
    r->row.members = calloc(plan->n ? plan->n : 1, sizeof *r->row.members);
    if (!r->row.members)
        return -ENOMEM;
    for (size_t i = 0; i < plan->n; i++) {
        struct gr_rollout_member *m = &r->row.members[i];
        m->module = plan->items[i].module;
        r->row.n = i + 1;
        r->members[i].revision =
            plan->items[i].to ? plan->items[i].to->mod_revision : plan->rollout;
        int k = plan->items[i].to ? gr_desired_copy(plan->items[i].to, &m->to) : 0;
        if (k == 0 && plan->items[i].from)
            k = gr_desired_copy(plan->items[i].from, &m->from);
        if (k < 0)
            return k;
    }
    return 0;
}

// All members that have steps have the same ones (the plan sees to that).
const struct gr_strategy *gr_rollout_find_ladder(const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++)
        if (row->members[i].to && row->members[i].to->strategy.n_steps)
            return &row->members[i].to->strategy;
    return NULL;
}

static int fresh_salt(uint64_t *ret)
{
    do {
        if (getrandom(ret, sizeof *ret, 0) != (ssize_t)sizeof *ret)
            return -errno;
    } while (!*ret);
    return 0;
}

static void note_undo(struct gr_order_row *row, const struct gr_order *o)
{
    snprintf(row->verb, sizeof row->verb, "%s", GR_UNDO_VERB);
    snprintf(row->actor, sizeof row->actor, "%s", o->actor[0] ? o->actor : "an operator");
    snprintf(row->reason, sizeof row->reason, "%s", o->reason);
    row->at = gr_wall_now();
}

int gr_rollout_new(const struct gr_rollout_env *env, const struct gr_plan *plan, uint64_t salt,
                   struct gr_rollout **ret, struct gr_error *e)
{
    struct gr_rollout *r = NULL;
    int k = rollout_alloc(env, plan->n, &r);
    if (k < 0)
        return k;
    k = copy_members(r, plan);
    if (k == 0 && !salt)
        k = fresh_salt(&salt);
    if (k == 0) {
        r->row.id = plan->rollout;
        r->row.phase = GR_PHASE_PENDING;
        r->row.created = gr_wall_now();
        r->row.gray.salt = salt;
        if (plan->undo)
            note_undo(&r->row.gray.order, plan->undo);
        r->ladder = gr_rollout_find_ladder(&r->row);
        r->deadline =
            (struct gr_mono){gr_rollout_now(r).usec + gr_rollout_longest_deadline(&r->row)};
        k = gr_rollout_write(r, e);
    }
    if (k < 0) {
        gr_rollout_free(r);
        return k;
    }
    gr_rollout_arm(r);
    *ret = r;
    return 0;
}

// The last record holds the numbers and the state that its look began with: looking again gives the
// state that it ended with.
static void take_up_record(struct gr_rollout *r, size_t i)
{
    struct gr_member *m = &r->members[i];
    const char *text = r->row.members[i].verdict;
    struct gr_error e = {0};
    if (!text)
        return;
    if (gr_verdict_record_parse(text, strlen(text), &m->record, &e) < 0) {
        gr_log(GR_LOG_WARNING,
               "rollout %" PRId64 ": what was measured of %s cannot be read (%s); it is measured "
               "anew",
               r->row.id, r->row.members[i].module.s, e.message);
        return;
    }
    struct gr_analysis_verdict again;
    m->state = m->record.before;
    gr_analysis_judge(&m->state, &m->record.input, &again);
    m->began = m->judged = true;
    m->candidate = m->record.input.candidate;
    m->stable = m->record.input.stable;
    m->reference = m->record.input.reference;
    m->sla_error_rate = m->record.input.sla_error_rate;
    m->sla_p99_usec = m->record.input.sla_p99_usec;
    for (size_t k = 0; k < GR_RESOURCES; k++)
        m->isolated |= m->record.input.slope_limit[k] >= 0;
}

int gr_rollout_resume(const struct gr_rollout_env *env, struct gr_rollout_row *take,
                      struct gr_rollout **ret)
{
    struct gr_rollout *r = NULL;
    int k = rollout_alloc(env, take->n, &r);
    if (k < 0)
        return k;
    r->row = *take;
    *take = (struct gr_rollout_row){0};
    r->ladder = gr_rollout_find_ladder(&r->row);
    r->admitted = true;
    for (size_t i = 0; i < r->row.n; i++)
        take_up_record(r, i);
    uint64_t now = gr_rollout_now(r).usec, left = r->row.gray.deadline_left_usec;
    r->deadline = (struct gr_mono){now + (left ? left : gr_rollout_longest_deadline(&r->row))};
    r->bake_end = (struct gr_mono){now + r->row.bake_left_usec};
    r->pause_end = (struct gr_mono){now + r->row.gray.pause_left_usec};
    r->checkpointed.usec = now;
    r->step_resumed = r->row.gray.hold == GR_HOLD_STEP;
    if (!r->ladder && gr_rollout_is_stepping(r))
        r->ladder = &gr_no_steps;
    gr_rollout_arm(r);
    *ret = r;
    return 0;
}

void gr_rollout_free(struct gr_rollout *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->row.n; i++) {
        gr_verification_cancel(r->members[i].verification);
        gr_verified_free(r->members[i].verified);
    }
    sd_event_source_disable_unref(r->timer);
    gr_rollout_row_done(&r->row);
    free(r->members);
    free(r->order);
    free(r);
}

// --- look-up
// --------------------------------------------------------------------------------------

struct gr_mono gr_rollout_now(const struct gr_rollout *r)
{
    return r->env.ops->now ? r->env.ops->now(r->env.ops->userdata) : gr_mono_now();
}
const struct gr_rollout_row *gr_rollout_row(const struct gr_rollout *r)
{
    return &r->row;
}
const struct gr_strategy *gr_rollout_ladder(const struct gr_rollout *r)
{
    return r->ladder;
}
int gr_rollout_slot(const struct gr_rollout *r, size_t member)
{
    return r->members[member].slot;
}
void gr_rollout_set_slot(struct gr_rollout *r, size_t member, int slot)
{
    r->members[member].slot = slot;
}
void gr_rollout_set_contract(struct gr_rollout *r, size_t member, const struct gr_contract *c)
{
    struct gr_member *m = &r->members[member];
    m->sla_error_rate = c->sla_error_rate;
    m->sla_p99_usec = c->sla_p99_usec;
    if (!m->judged) // gates stay as they are while one state of the analysis lives
        m->isolated = c->isolation_process;
}
bool gr_rollout_names(const struct gr_rollout *r, const struct gr_name *module)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (gr_name_equal(&r->row.members[i].module, module))
            return true;
    return false;
}
int64_t gr_rollout_revision(const struct gr_rollout *r, size_t member)
{
    return r->members[member].revision;
}
const struct gr_contract *gr_rollout_contract(const struct gr_rollout *r, size_t member)
{
    const struct gr_verified *v = r->members[member].verified;
    return v ? gr_verified_contract(v) : NULL;
}
bool gr_rollout_is_awaiting(const struct gr_rollout *r)
{
    return r->awaiting;
}
bool gr_rollout_is_admitted(const struct gr_rollout *r)
{
    return r->admitted;
}
bool gr_rollout_is_waiting(const struct gr_rollout *r)
{
    return r->staging > 0 || r->asks > 0;
}
bool gr_rollout_is_gray(const struct gr_rollout *r)
{
    return gr_rollout_is_stepping(r);
}
bool gr_rollout_swap_was_asked(const struct gr_rollout *r)
{
    return r->swap_asked;
}
bool gr_rollout_is_one_way(const struct gr_rollout *r, size_t member, enum gr_direction d)
{
    const struct gr_desired *to = r->row.members[member].to;
    return r->row.gray.door == GR_DOOR_OPEN || (to && to->one_way) ||
           (d == GR_BACK && r->forced_back);
}
bool gr_rollout_is_stuck(const struct gr_rollout *r)
{
    return (r->row.phase == GR_PHASE_BAKING && r->row.gray.hold == GR_HOLD_FAILURE) ||
           r->back_tries >= GR_BACK_TRIES_QUIET;
}
const struct gr_verdict_record *gr_rollout_verdict(const struct gr_rollout *r, size_t member)
{
    return r->members[member].judged ? &r->members[member].record : NULL;
}
