// Walks the steps of a strategy, one after the other, to the swap. Each step is a small handler
// that says done, wait or failed and may be entered again: after an answer of the worker, at a look
// at the numbers, in a new worker, after a restart.
#include "base/fault.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include "state/passage.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static gr_step_handler *const handlers[] = {[GR_STEP_WEIGHT] = gr_step_weight,
                                            [GR_STEP_SHADOW] = gr_step_shadow,
                                            [GR_STEP_PAUSE] = gr_step_pause,
                                            [GR_STEP_ANALYSIS] = gr_step_analysis};

// --- what steps do
// --------------------------------------------------------------------------------

static void fail_unjournaled(struct gr_rollout *r, int k, struct gr_error *e)
{
    if (e->reason == GR_REASON_NONE)
        gr_error_set(e, k, GR_REASON_INTERNAL,
                     "step %" PRId64 " of rollout %" PRId64 " could not be journaled: %s",
                     r->row.step, r->row.id, strerror(-k));
    gr_rollout_fail(r, r->row.n, e);
}

static int journal_step(struct gr_rollout *r)
{
    struct gr_error e = {0};
    int k = GR_FAULT("rollout.step");
    if (k == 0)
        k = gr_rollout_write(r, &e);
    if (k < 0)
        fail_unjournaled(r, k, &e);
    return k;
}

int gr_step_begin(struct gr_rollout *r, const char *format, ...)
{
    va_list ap;
    char text[256];
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    snprintf(r->row.message, sizeof r->row.message, "step %" PRId64 " of %zu: %s", r->row.step + 1,
             r->ladder->n_steps, text);
    r->row.reason = GR_REASON_NONE;
    r->step_entered = true;
    int k = journal_step(r);
    if (k == 0)
        r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_STEP, r->row.message);
    return k;
}

static void ask_failed(struct gr_rollout *r, int k)
{
    struct gr_error e = {0};
    gr_error_set(&e, k, GR_REASON_INTERNAL,
                 "the worker could not be asked for step %" PRId64 " of rollout %" PRId64
                 " (%s); stable serves on. Write the key again to try once more",
                 r->row.step + 1, r->row.id, strerror(-k));
    gr_rollout_answered(r, &e);
}

void gr_steps_lost(struct gr_rollout *r)
{
    gr_rollout_refresh_left(r);
    r->step_resumed = r->row.gray.hold == GR_HOLD_STEP;
    r->step_entered = false;
}

enum gr_step_result gr_step_route(struct gr_rollout *r)
{
    gr_rollout_begin_measuring(r);
    r->in_table = true;
    r->asks++;
    r->ask = GR_ASK_ROUTE;
    int k = GR_FAULT("rollout.before-route");
    if (k == 0)
        k = r->env.ops->route(r->env.ops->userdata, r);
    if (k == -ECONNRESET) { // nobody serves: the next worker is asked
        r->asks--;
        gr_steps_lost(r);
        return GR_STEP_WAIT;
    }
    if (k < 0)
        ask_failed(r, k);
    gr_rollout_arm(r);
    return gr_rollout_is_stepping(r) ? GR_STEP_WAIT : GR_STEP_FAILED;
}

// --- holds
// ----------------------------------------------------------------------------------------

void gr_steps_hold(struct gr_rollout *r, enum gr_hold h, const char *sentence)
{
    r->row.gray.hold = h;
    r->step_resumed = false;
    if (sentence)
        snprintf(r->row.message, sizeof r->row.message, "%s", sentence);
    if (h == GR_HOLD_FAILURE) {
        r->row.gray.weight_permyriad = r->row.gray.shadow_permyriad = 0;
        r->row.gray.full = false;
        if (gr_step_route(r) == GR_STEP_FAILED) // before the disk is waited for, as the way back
            return;
    }
    struct gr_error e = {0};
    if (r->row.phase == GR_PHASE_PROGRESSING) {
        if (gr_rollout_set_phase(r, GR_ROLLOUT_PAUSE) < 0)
            return;
    } else if (gr_rollout_write(r, &e) < 0) { // holding needs no disk
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": %s", r->row.id, e.message);
    } else {
        r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_STEP, r->row.message);
    }
}

static bool is_held(const struct gr_rollout *r)
{
    return r->row.gray.held_by[0] || r->row.gray.hold == GR_HOLD_FAILURE;
}

// Whatever paused it is over.
static int go_on(struct gr_rollout *r)
{
    r->row.gray.hold = GR_HOLD_NONE;
    return r->row.phase == GR_PHASE_PAUSED ? gr_rollout_set_phase(r, GR_ROLLOUT_RESUME) : 0;
}

void gr_steps_leave(struct gr_rollout *r)
{
    r->row.step++;
    r->step_entered = r->step_resumed = false;
    r->row.gray.pause_left_usec = r->row.gray.pause_requests_left = 0;
    if (r->row.gray.hold == GR_HOLD_STEP)
        r->row.gray.hold = GR_HOLD_NONE;
}

// --- the end of the steps
// -------------------------------------------------------------------------

static bool swap_is_next(const struct gr_rollout *r)
{
    size_t at = (size_t)r->row.step, n = r->ladder->n_steps;
    const struct gr_step *s = at < n ? &r->ladder->steps[at] : NULL;
    return r->row.gray.full || at >= n ||
           (at + 1 == n && s->kind == GR_STEP_WEIGHT && s->permyriad == 10000);
}

static bool rolls_back_undecided(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to &&
            r->row.members[i].to->strategy.analysis.on_inconclusive == GR_INCONCLUSIVE_ROLLBACK)
            return true;
    return false;
}

static void hold_undecided(struct gr_rollout *r)
{
    char numbers[512], text[800];
    bool blames = gr_rollout_blames_stable(r);
    gr_rollout_say_undecided(r, numbers, sizeof numbers);
    if (!blames && rolls_back_undecided(r)) {
        struct gr_error e = {0};
        gr_error_set(&e, -EAGAIN, GR_REASON_INCONCLUSIVE,
                     "the swap of rollout %" PRId64 " came up undecided: %s; expected a verdict, "
                     "and on_inconclusive is rollback. Give it more traffic or time before the "
                     "last step",
                     r->row.id, numbers);
        gr_rollout_fail(r, r->row.n, &e);
        return;
    }
    snprintf(text, sizeof text,
             blames ? "stable was found to be bad too: %s. Nothing is promoted or taken back by "
                      "itself: grayctl promote --over-bad-stable, or abort"
                    : "the swap waits for a verdict: %s. It goes on by itself, or at once with "
                      "grayctl promote --full",
             numbers);
    enum gr_hold h = blames ? GR_HOLD_BAD_STABLE : GR_HOLD_UNDECIDED;
    if (r->row.gray.hold != h) {
        r->row.reason = GR_REASON_INCONCLUSIVE;
        gr_steps_hold(r, h, text);
    } else {
        snprintf(r->row.message, sizeof r->row.message, "%s", text);
    }
}

static void swap(struct gr_rollout *r)
{
    // else there is nothing to judge; copies of requests are seen by nobody and counted apart
    if (!r->row.gray.full && gr_strategy_first_shown(r->ladder) != SIZE_MAX) {
        if (!r->in_table) { // the numbers need traffic
            (void)gr_step_route(r);
            return;
        }
        if (!gr_rollout_judge(r) || is_held(r))
            return;
        if (!gr_rollout_all_successful(r) || gr_rollout_blames_stable(r)) {
            hold_undecided(r);
            return;
        }
    }
    if (gr_door_holds(r) || go_on(r) < 0)
        return;
    r->row.reason = GR_REASON_NONE;
    snprintf(r->row.message, sizeof r->row.message, "%s",
             r->row.gray.full ? "promoted to the swap" : "all steps are done: the swap");
    r->step_entered = true;
    if (journal_step(r) == 0)
        gr_rollout_swap_forward(r);
}

// --- the walk
// -------------------------------------------------------------------------------------

void gr_steps_walk(struct gr_rollout *r)
{
    while (gr_rollout_is_stepping(r) && !r->asks && !is_held(r)) {
        if (swap_is_next(r)) {
            swap(r);
            return;
        }
        const struct gr_step *s = &r->ladder->steps[r->row.step];
        if (handlers[s->kind](r, s) != GR_STEP_DONE)
            return;
        gr_steps_leave(r);
        if (go_on(r) < 0)
            return;
    }
}

void gr_steps_worker_ready(struct gr_rollout *r)
{
    if (r->asks)
        return; // its answer goes on
    if (r->step_entered || is_held(r))
        (void)gr_step_route(r);
    else
        gr_steps_walk(r);
    gr_rollout_arm(r);
}
