// Owns a rollout's one timer and its times: deadline, pause, bake, looks at the numbers, and how
// much of each is left.
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static uint64_t left(struct gr_mono until, struct gr_mono now)
{
    return until.usec > now.usec ? until.usec - now.usec : 0;
}

static const struct gr_step *pause_step(const struct gr_rollout *r)
{
    size_t at = (size_t)r->row.step;
    bool in = r->ladder && r->row.gray.hold == GR_HOLD_STEP && at < r->ladder->n_steps;
    return in ? &r->ladder->steps[at] : NULL;
}

// A person's hold stops the clock of the step.
static bool pause_runs(const struct gr_rollout *r)
{
    return pause_step(r) && r->step_entered && !r->row.gray.held_by[0];
}

struct gr_rollout_left gr_rollout_left(const struct gr_rollout *r)
{
    struct gr_mono now = gr_rollout_now(r);
    const struct gr_step *s = pause_step(r);
    struct gr_rollout_left l = {.deadline_usec = left(r->deadline, now)};
    if (r->row.phase == GR_PHASE_BAKING)
        l.bake_usec = left(r->bake_end, now);
    if (!s)
        return l;
    l.gate = !s->duration_usec && !s->requests;
    l.pause_usec = pause_runs(r) ? left(r->pause_end, now) : r->row.gray.pause_left_usec;
    l.pause_requests = r->row.gray.pause_requests_left;
    if (s->requests && r->step_entered) {
        uint64_t seen = gr_rollout_seen_requests(r) - r->pause_base;
        l.pause_requests = seen < l.pause_requests ? l.pause_requests - seen : 0;
    }
    return l;
}

void gr_rollout_refresh_left(struct gr_rollout *r)
{
    struct gr_rollout_left l = gr_rollout_left(r);
    struct gr_gray_row *g = &r->row.gray;
    r->row.bake_left_usec = l.bake_usec;
    g->deadline_left_usec = l.deadline_usec ? l.deadline_usec : 1; // 0 means: not known
    if (!pause_step(r) || !r->step_entered)
        return;
    g->pause_left_usec = l.pause_usec;
    r->pause_base = gr_rollout_seen_requests(r);
    g->pause_requests_left = l.pause_requests;
}

// --- what is due
// ----------------------------------------------------------------------------------

static void deadline_passed(struct gr_rollout *r)
{
    enum gr_hold hold = r->row.gray.hold;
    bool undecided_step = gr_rollout_is_stepping(r) && (size_t)r->row.step < r->ladder->n_steps &&
                          r->ladder->steps[r->row.step].kind == GR_STEP_ANALYSIS;
    char undecided[512] = "", after[32];
    struct gr_error e = {0};
    if (hold == GR_HOLD_NONE && undecided_step)
        hold = GR_HOLD_UNDECIDED;
    if (hold == GR_HOLD_UNDECIDED)
        gr_rollout_say_undecided(r, undecided, sizeof undecided);
    if (r->awaiting) { // the reason stays what it was
        gr_error_set(&e, -ETIME, r->row.reason,
                     "%.700s It waited for that until its deadline, and is refused",
                     r->row.message);
    } else if (hold == GR_HOLD_FAILURE) { // on_failure: pause; the reason stays what it was
        gr_error_set(&e, -ETIME, r->row.reason, "%.700s Nobody decided until the deadline",
                     r->row.message);
    } else if (hold == GR_HOLD_UNDECIDED) {
        gr_error_set(&e, -ETIME, GR_REASON_INCONCLUSIVE,
                     "rollout %" PRId64 " was undecided at its deadline: %s. The version before "
                     "stays in force: give it more traffic or time, or lower "
                     "strategy.analysis.min_requests",
                     r->row.id, undecided);
    } else if (hold == GR_HOLD_ONE_WAY) {
        gr_error_set(&e, -ETIME, GR_REASON_DEADLINE_EXCEEDED,
                     "rollout %" PRId64 " waited at its deadline for a person who agrees to a swap "
                     "without a way back: %s. The version before stays in force: grayctl retry, "
                     "then promote --one-way",
                     r->row.id, r->row.gray.door_why);
    } else {
        const char *where = r->row.message;
        gr_error_set(&e, -ETIME, GR_REASON_DEADLINE_EXCEEDED,
                     "rollout %" PRId64
                     " was still %s at its deadline, after %s%s%.500s%s; expected "
                     "it to serve by then. The version before stays in force: write the key again, "
                     "or raise strategy.deadline",
                     r->row.id, gr_phase_name(r->row.phase),
                     gr_duration_format(gr_rollout_longest_deadline(&r->row), after),
                     *where ? " (" : "", where, *where ? ")" : "");
    }
    size_t culprit = 0; // a failure has one; the deadline's own has none
    while (culprit < r->row.n && (hold != GR_HOLD_FAILURE || !r->row.members[culprit].reason))
        culprit++;
    gr_rollout_fail(r, culprit, &e);
}

static void checkpoint(struct gr_rollout *r)
{
    struct gr_error e = {0};
    if (gr_rollout_now(r).usec < r->checkpointed.usec + GR_CHECKPOINT_USEC)
        return;
    if (gr_rollout_write(r, &e) < 0)
        gr_log(GR_LOG_DEBUG, "rollout %" PRId64 ": no checkpoint: %s", r->row.id, e.message);
}

void gr_rollout_tick(struct gr_rollout *r)
{
    struct gr_mono now = gr_rollout_now(r);
    enum gr_phase p = r->row.phase;
    if (gr_phase_is_terminal(p))
        return;
    if (r->back_again.usec) { // all else waits for that
        gr_rollout_try_back_again(r);
        return;
    }
    if (p == GR_PHASE_BAKING) {
        if (!gr_rollout_judge(r))
            return;
        if (now.usec >= r->bake_end.usec && r->row.gray.hold != GR_HOLD_FAILURE) {
            gr_rollout_bake_over(r);
            return;
        }
        checkpoint(r);
    } else if (p != GR_PHASE_ROLLING_BACK && now.usec >= r->deadline.usec) {
        if (!r->taking_back && !(r->asks && r->ask == GR_ASK_FORWARD)) {
            deadline_passed(r);
            return;
        } // else a swap is under way, which answers within its budget
    } else if (gr_rollout_is_stepping(r)) {
        if (!gr_rollout_judge(r))
            return;
        gr_steps_walk(r);
        if (gr_rollout_is_stepping(r))
            checkpoint(r);
    }
    gr_rollout_arm(r);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    gr_rollout_tick(u);
    return 0;
}

static uint64_t next_moment(const struct gr_rollout *r)
{
    struct gr_mono now = gr_rollout_now(r);
    uint64_t look = now.usec + GR_JUDGE_USEC;
    if (r->back_again.usec)
        return r->back_again.usec;
    if (r->row.phase == GR_PHASE_BAKING)
        return look < r->bake_end.usec || r->row.gray.hold == GR_HOLD_FAILURE ? look
                                                                              : r->bake_end.usec;
    uint64_t at = r->deadline.usec;
    if (gr_rollout_is_stepping(r) && r->in_table && look < at)
        at = look;
    if (pause_runs(r) && r->row.gray.pause_left_usec && r->pause_end.usec > now.usec &&
        r->pause_end.usec < at)
        at = r->pause_end.usec;
    // what is late already waits for an answer that makes the timer armed anew
    return at > now.usec ? at : look;
}

void gr_rollout_arm(struct gr_rollout *r)
{
    if (gr_phase_is_terminal(r->row.phase) ||
        (r->row.phase == GR_PHASE_ROLLING_BACK && !r->back_again.usec)) {
        r->timer = sd_event_source_disable_unref(r->timer);
        return;
    }
    uint64_t at = next_moment(r);
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
