// The way back: what fails a rollout, and how what was in force before comes back. Needs no disk,
// no network and no analysis.
#include "base/fault.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// What an operator must never see served again by accident: a version that misbehaved under
// traffic.
bool gr_rollout_convicts(enum gr_reason reason)
{
    return reason == GR_REASON_CRASHED || reason == GR_REASON_CALL_TIMEOUT ||
           reason == GR_REASON_ERROR_RATE_REGRESSED || reason == GR_REASON_LATENCY_REGRESSED ||
           reason == GR_REASON_RESOURCE_LEAK || reason == GR_REASON_HARM_BUDGET_SPENT;
}

// on_failure: pause. A crash is never waited on: the worker has to be replaced.
static bool waits_for_a_person(const struct gr_rollout *r, enum gr_reason reason)
{
    return gr_rollout_is_stepping(r) && r->ladder->on_failure == GR_ON_FAILURE_PAUSE &&
           gr_rollout_convicts(reason) && reason != GR_REASON_CRASHED &&
           reason != GR_REASON_CALL_TIMEOUT && gr_rollout_now(r).usec < r->deadline.usec &&
           !(r->asks && r->ask == GR_ASK_FORWARD);
}

static void convict(struct gr_rollout *r, size_t member, enum gr_reason reason)
{
    if (member < r->row.n && r->row.members[member].to && gr_rollout_convicts(reason))
        r->env.ops->convict(r->env.ops->userdata, r, member);
}

// What failed and waited for a person is convicted when it goes back, whoever sends it back.
static void convict_waiting(struct gr_rollout *r)
{
    for (size_t i = 0; r->row.gray.hold == GR_HOLD_FAILURE && i < r->row.n; i++)
        convict(r, i, r->row.members[i].reason);
}

static int send_back(struct gr_rollout *r)
{
    r->back_again.usec = 0;
    r->asks++;
    r->ask = GR_ASK_BACK;
    int k = GR_FAULT("rollout.before-back");
    return k < 0 ? k : r->env.ops->swap(r->env.ops->userdata, r, GR_BACK);
}

static void check_sent(struct gr_rollout *r, int k)
{
    struct gr_error e = {0};
    if (k == 0)
        return;
    gr_error_set(&e, k, GR_REASON_INTERNAL, "the worker could not be asked: %s", strerror(-k));
    gr_rollout_answered(r, &e);
}

void gr_rollout_ask_back(struct gr_rollout *r)
{
    check_sent(r, send_back(r));
}

// What was never in force goes before the disk is waited for: the journal names stable already, and
// who starts anew in between looks at the same numbers again. The answer comes from the event loop.
static void go_back(struct gr_rollout *r, enum gr_rollout_event ev, enum gr_rollout_event restored)
{
    bool at_once = !r->row.gray.swapped;
    r->restored_as = restored;
    r->row.gray.weight_permyriad = r->row.gray.shadow_permyriad = 0;
    int k = at_once ? send_back(r) : 0;
    (void)!gr_rollout_set_phase(r, ev);
    if (!at_once)
        k = send_back(r);
    check_sent(r, k);
}

void gr_rollout_restored(struct gr_rollout *r)
{
    enum gr_phase next = GR_PHASE_ROLLED_BACK;
    GR_INSTANT("back.answered");
    (void)!gr_transition(r->row.phase, r->restored_as, &next);
    struct gr_rollout_row as = gr_rollout_row_as(r, next);
    struct gr_error e = {0};
    if (r->row.gray.swapped && r->env.ops->commit(r->env.ops->userdata, r, GR_BACK, &as, &e) < 0)
        gr_log(GR_LOG_ERROR, "rollout %" PRId64 ": went back, but the journal did not take it: %s",
               r->row.id, e.message);
    GR_INSTANT("back.committed");
    r->env.ops->release(r->env.ops->userdata, r, GR_BACK);
    gr_rollout_drop_candidates(r);
    gr_rollout_end(r, r->restored_as);
}

// State that was accepted is not given up because a hook failed once, or a call was slow.
bool gr_rollout_tries_back_again(const struct gr_rollout *r, const struct gr_error *why)
{
    bool has_state = why->reason == GR_REASON_STATE_HANDOVER_FAILED;
    for (size_t i = 0; i < r->row.n; i++)
        has_state |= r->members[i].has_state && why->reason == GR_REASON_FREEZE_TIMEOUT &&
                     r->back_tries < GR_BACK_TRIES_MAX;
    return has_state && !r->forced_back;
}

static void wait_to_go_back(struct gr_rollout *r, const struct gr_error *why)
{
    uint64_t wait = GR_BACK_AGAIN_USEC << (r->back_tries < 10 ? r->back_tries : 10);
    bool first = r->back_tries++ == 0;
    if (r->back_tries == GR_BACK_TRIES_QUIET) {
        char text[GR_MESSAGE_MAX];
        snprintf(text, sizeof text,
                 "the way back waits for its state: %.500s. It is tried again; grayctl abort %s "
                 "--one-way goes back without it",
                 why->message, r->row.members[0].module.s);
        snprintf(r->row.message, sizeof r->row.message, "%s", text);
        r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_DEGRADED, text);
    }
    gr_log(first ? GR_LOG_NOTICE : GR_LOG_DEBUG,
           "rollout %" PRId64 ": the way back is tried again, with its state: %s", r->row.id,
           why->message);
    r->back_again.usec =
        gr_rollout_now(r).usec + (wait < GR_BACK_AGAIN_USEC_MAX ? wait : GR_BACK_AGAIN_USEC_MAX);
    gr_rollout_arm(r);
}

void gr_rollout_try_back_again(struct gr_rollout *r)
{
    if (gr_rollout_now(r).usec >= r->back_again.usec)
        gr_rollout_ask_back(r);
    else
        gr_rollout_arm(r);
}

void gr_rollout_back_answered(struct gr_rollout *r, const struct gr_error *why)
{
    if (why && gr_rollout_tries_back_again(r, why)) {
        wait_to_go_back(r, why);
        return;
    }
    if (why) // ops->swap has the worker replaced by one that is built from the rows
        gr_log(GR_LOG_WARNING,
               "rollout %" PRId64
               ": the way back inside the worker failed (%s); the worker is replaced",
               r->row.id, why->message);
    if (r->row.phase == GR_PHASE_ROLLING_BACK) {
        gr_rollout_restored(r);
        return;
    }
    gr_rollout_drop_candidates(r);
    gr_rollout_end(r, GR_ROLLOUT_FAIL);
}

void gr_rollout_fail(struct gr_rollout *r, size_t member, const struct gr_error *why)
{
    enum gr_phase p = r->row.phase;
    if (gr_phase_is_terminal(p) || p == GR_PHASE_ROLLING_BACK || r->taking_back)
        return;
    if (gr_door_keeps(r, why)) {
        gr_door_keep(r, member, why);
        return;
    }
    gr_rollout_set_reason(r, member, why);
    if (waits_for_a_person(r, why->reason)) {
        gr_steps_hold(r, GR_HOLD_FAILURE, NULL);
        return;
    }
    if (gr_rollout_is_stepping(r)) {
        go_back(r, GR_ROLLOUT_FAIL, GR_ROLLOUT_RESTORED);
        convict_waiting(r);
        if (r->row.gray.hold != GR_HOLD_FAILURE)
            convict(r, member, why->reason);
        return;
    }
    convict(r, member, why->reason);
    if (p == GR_PHASE_BAKING) {
        go_back(r, GR_ROLLOUT_FAIL, GR_ROLLOUT_RESTORED);
        convict_waiting(r);
        return;
    }
    if (r->asks) { // a swap is under way: what it does is undone, and nothing is committed
        r->taking_back = true;
        gr_rollout_ask_back(r);
        return;
    }
    // fetched, verified or tried in the sandbox only: Rejected. Once the worker had it: RolledBack,
    // though stable was never touched
    bool was_in_worker = p == GR_PHASE_STAGED || (p == GR_PHASE_VERIFYING && r->stage_tries > 0);
    gr_rollout_drop_candidates(r);
    gr_rollout_end(r, was_in_worker ? GR_ROLLOUT_FAIL : GR_ROLLOUT_REFUSE);
}

void gr_rollout_supersede(struct gr_rollout *r, int64_t by)
{
    if (gr_phase_is_terminal(r->row.phase) || r->row.phase == GR_PHASE_ROLLING_BACK)
        return;
    if (r->asks && r->ask != GR_ASK_ROUTE) // a swap answers within its budget; then again
        return;
    snprintf(r->row.message, sizeof r->row.message, "superseded by rollout %" PRId64, by);
    if (r->row.phase == GR_PHASE_BAKING && r->row.gray.door != GR_DOOR_NONE) {
        gr_door_leave(r);
        return;
    }
    if (r->row.phase == GR_PHASE_BAKING || gr_rollout_is_stepping(r)) {
        go_back(r, GR_ROLLOUT_SUPERSEDE, GR_ROLLOUT_REPLACED);
        convict_waiting(r);
        return;
    }
    if (r->awaiting) // what it waited for is the newer one's to tell
        r->row.reason = GR_REASON_NONE;
    gr_rollout_drop_candidates(r);
    gr_rollout_end(r, GR_ROLLOUT_SUPERSEDE);
}

// Whatever state there was went with the worker, so that no door holds what failed.
bool gr_rollout_restore_without_worker(struct gr_rollout *r, size_t member,
                                       const struct gr_error *why)
{
    enum gr_phase p = r->row.phase;
    if (p != GR_PHASE_BAKING && p != GR_PHASE_ROLLING_BACK && !gr_rollout_is_stepping(r))
        return false;
    if (p != GR_PHASE_ROLLING_BACK) {
        gr_rollout_set_reason(r, member, why);
        convict(r, member, why->reason);
        r->restored_as = GR_ROLLOUT_RESTORED;
        r->row.gray.weight_permyriad = r->row.gray.shadow_permyriad = 0;
        (void)!gr_rollout_set_phase(r, GR_ROLLOUT_FAIL);
    }
    for (size_t i = 0; i < r->row.n; i++)
        r->members[i].slot = -1; // gone with the worker
    r->asks = 0;
    r->back_again.usec = 0;
    gr_rollout_restored(r);
    return true;
}
