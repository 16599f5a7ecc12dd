// Owns the life of one rollout. Must never touch a worker, a socket or etcd but through its ops.
#include "rollout/rollout.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "rollout/transition.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANALYSIS_INTERVAL_USEC (250 * GR_USEC_PER_MSEC)
#define STAGE_TRIES_MAX 2 // workers that may die while they load it

struct member {
    struct gr_rollout *rollout;
    size_t index;
    struct gr_verification *verification;
    struct gr_verified *verified;
    bool fetched;
    int slot;
    struct gr_error_verdict verdict;
};

struct gr_rollout {
    struct gr_rollout_env env;
    struct gr_rollout_row row;
    struct member *members;
    sd_event_source *timer;
    struct gr_mono deadline, bake_end;
    size_t staging;    // answers outstanding
    bool swapping;     // an answer is outstanding
    bool taking_back;  // the table could not be journaled: the worker goes back before the rollout
                       // ends
    bool stage_wanted; // all verified, waiting for a worker that can stage
    unsigned stage_tries;
    enum gr_rollout_event restored_as; // what ends RollingBack
};

static void arm(struct gr_rollout *r);
static void try_stage(struct gr_rollout *r);

// --- the only writer of the phase
// -----------------------------------------------------------------

static bool goes_forward_only_when_journaled(enum gr_phase p)
{
    return p == GR_PHASE_FETCHING || p == GR_PHASE_VERIFYING || p == GR_PHASE_STAGED;
}

// Look up, journal the intent, report. The effect is the caller's next line. Fails only where going
// on without a journaled intent would be wrong.
static int set_phase(struct gr_rollout *r, enum gr_rollout_event ev)
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
    r->row.updated = gr_wall_now();
    r->row.bake_left_usec = gr_rollout_bake_left_usec(r);
    struct gr_error e = {0};
    k = gr_journal_put_rollout(r->env.journal, &r->row, &e);
    if (k < 0 && goes_forward_only_when_journaled(next)) {
        r->row.phase = before;
        gr_rollout_fail(r, 0, &e);
        return k;
    }
    if (k < 0) // the way back needs no disk
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": phase %s could not be journaled: %s",
               r->row.id, gr_phase_name(next), e.message);
    arm(r);
    r->env.ops->changed(r->env.ops->userdata, r);
    return 0;
}

static void set_reason(struct gr_rollout *r, size_t member, const struct gr_error *why)
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

static void drop_candidates(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++) {
        struct member *m = &r->members[i];
        gr_verification_cancel(gr_steal(m->verification));
        gr_verified_free(gr_steal(m->verified));
        if (m->slot >= 0)
            r->env.ops->unstage(r->env.ops->userdata, m->slot);
        m->slot = -1;
    }
    r->stage_wanted = false;
}

static void end(struct gr_rollout *r, enum gr_rollout_event ev)
{
    if (set_phase(r, ev) < 0)
        return;
    r->env.ops->ended(r->env.ops->userdata, r);
}

// --- fetch and verify
// -----------------------------------------------------------------------------

static bool all_verified(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && !r->members[i].verified)
            return false;
    return true;
}

static void on_station(void *u, enum gr_verify_station s)
{
    struct member *m = u;
    struct gr_rollout *r = m->rollout;
    if (s != GR_VERIFY_FETCH)
        m->fetched = true;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && !r->members[i].fetched)
            return;
    if (r->row.phase == GR_PHASE_FETCHING)
        (void)!set_phase(r, GR_ROLLOUT_FETCHED);
}

static void on_verified(void *u, struct gr_verified *v, const struct gr_error *e)
{
    struct member *m = u;
    struct gr_rollout *r = m->rollout;
    m->verification = NULL;
    if (!v) {
        gr_rollout_fail(r, m->index, e);
        return;
    }
    m->verified = v;
    m->fetched = true;
    r->env.ops->verified(r->env.ops->userdata, v);
    if (!all_verified(r))
        return;
    if (r->row.phase == GR_PHASE_FETCHING && set_phase(r, GR_ROLLOUT_FETCHED) < 0)
        return;
    r->stage_wanted = true;
    try_stage(r);
}

static int start_verification(struct gr_rollout *r, size_t i)
{
    const struct gr_desired *to = r->row.members[i].to, *from = r->row.members[i].from;
    const struct gr_verify_request request = {.module = &to->module,
                                              .version = &to->version,
                                              .digest = &to->digest,
                                              .size = to->size,
                                              .sources = (const char *const *)to->sources,
                                              .n_sources = to->n_sources,
                                              .config = to->config,
                                              .again = from &&
                                                       gr_digest_equal(&from->digest, &to->digest)};
    const struct gr_verify_callbacks cb = {
        .station = on_station, .done = on_verified, .userdata = &r->members[i]};
    struct gr_error e = {0};
    int k = gr_verification_start(r->env.verifier, &request, &cb, &r->members[i].verification, &e);
    if (k < 0)
        gr_rollout_fail(r, i, &e);
    return k;
}

static void swap_forward(struct gr_rollout *r)
{
    r->swapping = true;
    struct gr_error e = {0};
    int k = GR_FAULT("rollout.before-swap");
    if (k == 0)
        k = r->env.ops->swap(r->env.ops->userdata, r, GR_FORWARD);
    if (k < 0) {
        gr_error_set(&e, k, GR_REASON_INTERNAL,
                     "the swap of rollout %" PRId64
                     " could not be asked of the worker (%s); the old table stays in force. "
                     "Write the key again to try once more",
                     r->row.id, strerror(-k));
        gr_rollout_swapped(r, &e);
    }
}

void gr_rollout_begin(struct gr_rollout *r)
{
    if (r->row.phase != GR_PHASE_PENDING)
        return;
    bool removes_only = true;
    for (size_t i = 0; i < r->row.n; i++)
        removes_only &= r->row.members[i].to == NULL;
    if (removes_only) {
        r->stage_wanted = true;
        try_stage(r);
        return;
    }
    if (set_phase(r, GR_ROLLOUT_BEGIN) < 0)
        return;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && start_verification(r, i) < 0)
            return;
}

void gr_rollout_settle(struct gr_rollout *r)
{
    snprintf(r->row.message, sizeof r->row.message, "what is asked for is in force already");
    end(r, GR_ROLLOUT_SETTLED);
}

// --- stage and swap
// -------------------------------------------------------------------------------

static bool all_staged(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && r->members[i].slot < 0)
            return false;
    return r->staging == 0;
}

static void staged(struct gr_rollout *r)
{
    bool removes_only = r->row.phase == GR_PHASE_PENDING;
    if (r->row.phase != GR_PHASE_STAGED &&
        set_phase(r, removes_only ? GR_ROLLOUT_REMOVE : GR_ROLLOUT_STAGED) < 0)
        return;
    swap_forward(r);
}

static void try_stage(struct gr_rollout *r)
{
    if (!r->stage_wanted || r->staging || r->swapping ||
        !r->env.ops->can_stage(r->env.ops->userdata))
        return;
    r->stage_wanted = false;
    for (size_t i = 0; i < r->row.n; i++)
        r->staging += r->row.members[i].to != NULL;
    if (!r->staging) {
        staged(r);
        return;
    }
    r->stage_tries++;
    for (size_t i = 0; i < r->row.n && !gr_phase_is_terminal(r->row.phase); i++) {
        if (!r->row.members[i].to)
            continue;
        int k = r->env.ops->stage(r->env.ops->userdata, r, i, r->members[i].verified);
        if (k < 0) {
            struct gr_error e = {0};
            gr_error_set(&e, k, GR_REASON_LOAD_FAILED, "%s %s could not be given to the worker: %s",
                         r->row.members[i].module.s, r->row.members[i].to->version.text,
                         strerror(-k));
            gr_rollout_staged(r, i, -1, &e);
        }
    }
}

void gr_rollout_staged(struct gr_rollout *r, size_t member, int slot, const struct gr_error *why)
{
    if (r->staging)
        r->staging--;
    bool open = r->row.phase == GR_PHASE_VERIFYING || r->row.phase == GR_PHASE_STAGED;
    if (slot >= 0 && !open) { // the rollout ended meanwhile
        r->env.ops->unstage(r->env.ops->userdata, slot);
        return;
    }
    r->members[member].slot = slot;
    if (slot < 0 && open) {
        if (why->code == -ECONNRESET && r->stage_tries < STAGE_TRIES_MAX) {
            r->stage_wanted = true; // the worker went: the next one loads all again
            return;
        }
        gr_rollout_fail(r, member, why);
        return;
    }
    if (open && !r->stage_wanted && all_staged(r))
        staged(r);
}

// The row as it will be after `phase` was entered, for the transaction that commits the table with
// it.
static struct gr_rollout_row row_as(const struct gr_rollout *r, enum gr_phase phase,
                                    uint64_t bake_left_usec)
{
    struct gr_rollout_row as = r->row;
    as.phase = phase;
    as.bake_left_usec = bake_left_usec;
    as.updated = gr_wall_now();
    return as;
}

static uint64_t longest_bake(const struct gr_rollout *r)
{
    uint64_t bake = 0;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && r->row.members[i].to->strategy.bake_usec > bake)
            bake = r->row.members[i].to->strategy.bake_usec;
    return bake;
}

static void ask_back(struct gr_rollout *r)
{
    r->swapping = true;
    int k = r->env.ops->swap(r->env.ops->userdata, r, GR_BACK);
    if (k < 0) {
        struct gr_error e = {0};
        gr_error_set(&e, k, GR_REASON_INTERNAL, "the worker could not be asked: %s", strerror(-k));
        gr_rollout_swapped(r, &e);
    }
}

static void begin_bake(struct gr_rollout *r)
{
    bool deploys = false;
    for (size_t i = 0; i < r->row.n; i++)
        deploys |= r->row.members[i].to != NULL;
    uint64_t bake = longest_bake(r);
    r->bake_end = (struct gr_mono){gr_mono_now().usec + bake};
    struct gr_rollout_row as = row_as(r, deploys ? GR_PHASE_BAKING : GR_PHASE_HEALTHY, bake);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_FORWARD, &as, &e) < 0) {
        set_reason(r, r->row.n, &e); // not journaled, so it must not be served
        r->taking_back = true;
        ask_back(r);
        return;
    }
    for (size_t i = 0; i < r->row.n; i++) // the bytes are in the store and in the worker
        gr_verified_free(gr_steal(r->members[i].verified));
    if (deploys) {
        (void)!set_phase(r, GR_ROLLOUT_SWAPPED);
        return;
    }
    r->env.ops->release(r->env.ops->userdata, r, GR_SETTLE);
    end(r, GR_ROLLOUT_REMOVED);
}

static void restored(struct gr_rollout *r)
{
    enum gr_phase next = GR_PHASE_ROLLED_BACK;
    (void)!gr_transition(r->row.phase, r->restored_as, &next);
    struct gr_rollout_row as = row_as(r, next, 0);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_BACK, &as, &e) < 0)
        gr_log(GR_LOG_ERROR, "rollout %" PRId64 ": went back, but the journal did not take it: %s",
               r->row.id, e.message);
    r->env.ops->release(r->env.ops->userdata, r, GR_BACK);
    drop_candidates(r);
    end(r, r->restored_as);
}

void gr_rollout_swapped(struct gr_rollout *r, const struct gr_error *why)
{
    r->swapping = false;
    if (r->row.phase == GR_PHASE_ROLLING_BACK || r->taking_back) {
        if (why) // ops->swap has the worker replaced by one that is built from the rows
            gr_log(GR_LOG_WARNING,
                   "rollout %" PRId64
                   ": the way back inside the worker failed (%s); the worker is replaced",
                   r->row.id, why->message);
        if (r->row.phase == GR_PHASE_ROLLING_BACK) {
            restored(r);
            return;
        }
        drop_candidates(r);
        end(r, GR_ROLLOUT_FAIL);
        return;
    }
    if (r->row.phase != GR_PHASE_STAGED)
        return;
    if (why) {
        if (why->code == -ECONNRESET && r->stage_tries < STAGE_TRIES_MAX) {
            for (size_t i = 0; i < r->row.n; i++)
                r->members[i].slot = -1;
            r->stage_wanted = true;
            return;
        }
        gr_rollout_fail(r, r->row.n, why);
        return;
    }
    if (GR_FAULT("rollout.after-swap") < 0)
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": fault point rollout.after-swap", r->row.id);
    begin_bake(r);
}

void gr_rollout_worker_ready(struct gr_rollout *r)
{
    if (r->row.phase == GR_PHASE_VERIFYING || r->row.phase == GR_PHASE_STAGED ||
        r->row.phase == GR_PHASE_PENDING)
        try_stage(r);
}

// --- bake, judgement and the way back
// -------------------------------------------------------------

static void judge(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++) {
        const struct gr_desired *to = r->row.members[i].to;
        if (!to)
            continue;
        struct gr_error_sample candidate = {0}, baseline = {0};
        r->env.ops->sample(r->env.ops->userdata, r, i, &candidate, &baseline);
        struct gr_error_verdict v = gr_analyse_errors(candidate, baseline, &to->strategy.analysis);
        r->members[i].verdict = v;
        if (v.verdict != GR_VERDICT_FAILED)
            continue;
        struct gr_error e = {0};
        gr_error_set(&e, -EBADE, GR_REASON_ERROR_RATE_REGRESSED,
                     "%s %s failed %" PRIu64 " of %" PRIu64
                     " requests (%.2f %%); expected at most %.2f %%, which is what the version "
                     "before had shown (%" PRIu64 " of %" PRIu64
                     ") and max_increase together. Publish a mended build under a new version",
                     to->module.s, to->version.text, candidate.errors, candidate.requests,
                     100.0 * (double)candidate.errors / (double)candidate.requests, 100 * v.limit,
                     baseline.errors, baseline.requests);
        gr_rollout_fail(r, i, &e);
        return;
    }
}

static void bake_over(struct gr_rollout *r)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX - 1);
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to)
            (void)!gr_buf_printf(
                &text, "%s%s %s baked: %" PRIu64 " requests, %" PRIu64 " errors (%s)",
                text.len ? "; " : "", r->row.members[i].module.s,
                r->row.members[i].to->version.text, r->members[i].verdict.candidate.requests,
                r->members[i].verdict.candidate.errors,
                gr_verdict_name(r->members[i].verdict.verdict));
    snprintf(r->row.message, sizeof r->row.message, "%s", text.data ? text.data : "");
    struct gr_rollout_row as = row_as(r, GR_PHASE_HEALTHY, 0);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_SETTLE, &as, &e) < 0)
        gr_log(GR_LOG_ERROR, "rollout %" PRId64 ": baked, but the journal did not take it: %s",
               r->row.id, e.message);
    r->env.ops->release(r->env.ops->userdata, r, GR_SETTLE);
    end(r, GR_ROLLOUT_BAKED);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_rollout *r = u;
    struct gr_mono now = gr_mono_now();
    if (r->row.phase == GR_PHASE_BAKING) {
        judge(r);
        if (r->row.phase == GR_PHASE_BAKING && now.usec >= r->bake_end.usec)
            bake_over(r);
        else
            arm(r);
        return 0;
    }
    if (now.usec < r->deadline.usec || r->row.phase == GR_PHASE_ROLLING_BACK) {
        arm(r);
        return 0;
    }
    struct gr_error e = {0};
    gr_error_set(&e, -ETIME, GR_REASON_DEADLINE_EXCEEDED,
                 "rollout %" PRId64 " was still %s at its deadline; expected it to serve by then. "
                 "The version before stays in force: "
                 "write the key again, or raise strategy.deadline",
                 r->row.id, gr_phase_name(r->row.phase));
    gr_rollout_fail(r, r->row.n, &e);
    return 0;
}

static void arm(struct gr_rollout *r)
{
    if (gr_phase_is_terminal(r->row.phase)) {
        r->timer = sd_event_source_disable_unref(r->timer);
        return;
    }
    uint64_t at = r->deadline.usec;
    if (r->row.phase == GR_PHASE_BAKING) {
        at = gr_mono_now().usec + ANALYSIS_INTERVAL_USEC;
        if (at > r->bake_end.usec)
            at = r->bake_end.usec;
    }
    int k = 0;
    if (!r->timer)
        k = sd_event_add_time(r->env.event, &r->timer, CLOCK_MONOTONIC, at, 1000, on_timer, r);
    else
        k = sd_event_source_set_time(r->timer, at);
    if (k >= 0)
        k = sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
    if (k < 0)
        gr_log(GR_LOG_ERROR, "rollout %" PRId64 ": no timer: %s", r->row.id, strerror(-k));
}

// What an operator must never see served again by accident: a version that misbehaved under
// traffic.
static bool is_a_conviction(enum gr_reason reason)
{
    return reason == GR_REASON_CRASHED || reason == GR_REASON_CALL_TIMEOUT ||
           reason == GR_REASON_ERROR_RATE_REGRESSED || reason == GR_REASON_LATENCY_REGRESSED ||
           reason == GR_REASON_RESOURCE_LEAK || reason == GR_REASON_HARM_BUDGET_SPENT;
}

void gr_rollout_fail(struct gr_rollout *r, size_t member, const struct gr_error *why)
{
    enum gr_phase p = r->row.phase;
    if (gr_phase_is_terminal(p) || p == GR_PHASE_ROLLING_BACK)
        return;
    set_reason(r, member, why);
    if (member < r->row.n && r->row.members[member].to && is_a_conviction(why->reason))
        r->env.ops->convict(r->env.ops->userdata, r, member);
    if (p == GR_PHASE_BAKING) {
        r->restored_as = GR_ROLLOUT_RESTORED;
        (void)!set_phase(r, GR_ROLLOUT_FAIL);
        ask_back(r);
        return;
    }
    // fetched, verified or tried in the sandbox only: Rejected. Once the worker had it: RolledBack,
    // though stable was never touched
    bool was_in_worker = p == GR_PHASE_STAGED || (p == GR_PHASE_VERIFYING && r->stage_tries > 0);
    drop_candidates(r);
    end(r, was_in_worker ? GR_ROLLOUT_FAIL : GR_ROLLOUT_REFUSE);
}

void gr_rollout_supersede(struct gr_rollout *r, int64_t by)
{
    if (gr_phase_is_terminal(r->row.phase) || r->row.phase == GR_PHASE_ROLLING_BACK)
        return;
    if (r->swapping) // the swap answers within its budget; then the newer one asks again
        return;
    snprintf(r->row.message, sizeof r->row.message, "superseded by rollout %" PRId64, by);
    if (r->row.phase == GR_PHASE_BAKING) {
        r->restored_as = GR_ROLLOUT_REPLACED;
        (void)!set_phase(r, GR_ROLLOUT_SUPERSEDE);
        ask_back(r);
        return;
    }
    drop_candidates(r);
    end(r, GR_ROLLOUT_SUPERSEDE);
}

bool gr_rollout_restore_without_worker(struct gr_rollout *r, size_t member,
                                       const struct gr_error *why)
{
    if (r->row.phase != GR_PHASE_BAKING && r->row.phase != GR_PHASE_ROLLING_BACK)
        return false;
    if (r->row.phase == GR_PHASE_BAKING) {
        set_reason(r, member, why);
        if (member < r->row.n && r->row.members[member].to && is_a_conviction(why->reason))
            r->env.ops->convict(r->env.ops->userdata, r, member);
        r->restored_as = GR_ROLLOUT_RESTORED;
        (void)!set_phase(r, GR_ROLLOUT_FAIL);
    }
    for (size_t i = 0; i < r->row.n; i++)
        r->members[i].slot = -1; // gone with the worker
    r->swapping = false;
    restored(r);
    return true;
}

// --- construction and look-up
// ---------------------------------------------------------------------

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
    for (size_t i = 0; i < n; i++)
        r->members[i] = (struct member){.rollout = r, .index = i, .slot = -1};
    *ret = r;
    return 0;
}

static uint64_t longest_deadline(const struct gr_rollout_row *row)
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
        int k = plan->items[i].to ? gr_desired_copy(plan->items[i].to, &m->to) : 0;
        if (k == 0 && plan->items[i].from)
            k = gr_desired_copy(plan->items[i].from, &m->from);
        if (k < 0)
            return k;
    }
    return 0;
}

int gr_rollout_new(const struct gr_rollout_env *env, const struct gr_plan *plan,
                   struct gr_rollout **ret, struct gr_error *e)
{
    struct gr_rollout *r = NULL;
    int k = rollout_alloc(env, plan->n, &r);
    if (k < 0)
        return k;
    k = copy_members(r, plan);
    if (k == 0) {
        r->row.id = plan->rollout;
        r->row.phase = GR_PHASE_PENDING;
        r->row.created = r->row.updated = gr_wall_now();
        r->deadline = (struct gr_mono){gr_mono_now().usec + longest_deadline(&r->row)};
        k = gr_journal_put_rollout(env->journal, &r->row, e);
    }
    if (k < 0) {
        gr_rollout_free(r);
        return k;
    }
    arm(r);
    *ret = r;
    return 0;
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
    r->deadline = (struct gr_mono){gr_mono_now().usec + longest_deadline(&r->row)};
    r->bake_end = (struct gr_mono){gr_mono_now().usec + r->row.bake_left_usec};
    arm(r);
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
    free(r);
}

const struct gr_rollout_row *gr_rollout_row(const struct gr_rollout *r)
{
    return &r->row;
}
int gr_rollout_slot(const struct gr_rollout *r, size_t member)
{
    return r->members[member].slot;
}
void gr_rollout_set_slot(struct gr_rollout *r, size_t member, int slot)
{
    r->members[member].slot = slot;
}
bool gr_rollout_names(const struct gr_rollout *r, const struct gr_name *module)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (gr_name_equal(&r->row.members[i].module, module))
            return true;
    return false;
}
bool gr_rollout_is_waiting(const struct gr_rollout *r)
{
    return r->staging > 0 || r->swapping;
}
const struct gr_error_verdict *gr_rollout_verdict(const struct gr_rollout *r, size_t member)
{
    return &r->members[member].verdict;
}
uint64_t gr_rollout_bake_left_usec(const struct gr_rollout *r)
{
    uint64_t now = gr_mono_now().usec;
    return r->row.phase == GR_PHASE_BAKING && r->bake_end.usec > now ? r->bake_end.usec - now : 0;
}
