// Operators' orders. Precedence: abort, rollback, pause, promote, new generation. An order names
// the rollout and the step that its giver saw: of two, one wins, and the other is told who, what,
// when.
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// --- who, what and when
// ---------------------------------------------------------------------------

static const char *actor_of(const struct gr_order *o)
{
    return o->actor[0] ? o->actor : "an operator";
}

// "bob ordered promote at step 2 on 2026-...: because"; "": nobody steered it yet.
static void tell_last(const struct gr_rollout *r, char *buf, size_t cap)
{
    const struct gr_order_row *last = &r->row.gray.order;
    char at[GR_WALL_TEXT_MAX];
    buf[0] = '\0';
    if (last->verb[0])
        snprintf(buf, cap, ": %s ordered %s at step %" PRId64 " at %s%s%.200s", last->actor,
                 last->verb, last->step + 1, gr_wall_format(last->at, at),
                 last->reason[0] ? ", because " : "", last->reason);
}

static void remember(struct gr_rollout *r, const struct gr_order *o)
{
    struct gr_order_row *last = &r->row.gray.order;
    snprintf(last->verb, sizeof last->verb, "%s%s", gr_order_verb_name(o->verb),
             o->full ? " --full" : "");
    snprintf(last->actor, sizeof last->actor, "%s", actor_of(o));
    snprintf(last->reason, sizeof last->reason, "%s", o->reason);
    last->step = r->row.step;
    last->at = gr_wall_now();
}

static void tell(struct gr_rollout *r, const struct gr_order *o)
{
    char text[GR_MESSAGE_MAX];
    snprintf(text, sizeof text,
             "%s ordered %s%s of rollout %" PRId64 " at step %" PRId64 "%s%.500s", actor_of(o),
             r->row.gray.order.verb, o->one_way ? " --one-way" : "", r->row.id,
             r->row.gray.order.step + 1, o->reason[0] ? ": " : "", o->reason);
    r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_STEERED, text);
}

// --- the verbs
// ------------------------------------------------------------------------------------

static int not_in_phase(const struct gr_rollout *r, const struct gr_order *o, const char *remedy,
                        struct gr_error *e)
{
    return gr_error_set(
        e, -EPERM, GR_REASON_NONE, "%s of rollout %" PRId64 " is not possible: it is %s. %.700s",
        gr_order_verb_name(o->verb), r->row.id, gr_phase_name(r->row.phase), remedy);
}

static int journal_order(struct gr_rollout *r, struct gr_gray_row before, struct gr_error *e)
{
    int k = gr_rollout_write(r, e);
    if (k < 0)
        r->row.gray = before;
    return k;
}

static bool swap_is_under_way(const struct gr_rollout *r)
{
    return r->asks && r->ask == GR_ASK_FORWARD;
}

static int promote_full(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    if (before.full || swap_is_under_way(r))
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is on its way to the swap already", r->row.id);
    if (gr_rollout_blames_stable(r) && !o->over_bad_stable)
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "promote --full of rollout %" PRId64 " is not done: stable was found "
                            "to be bad, so the comparison says little; expected a decision. Use "
                            "promote --full --over-bad-stable",
                            r->row.id);
    remember(r, o);
    gr_door_open(r, o);
    r->row.gray.full = true;
    // else the bake would hold it against what stable was, and go back to what stable is
    r->row.gray.overruled |=
        before.hold == GR_HOLD_FAILURE || (o->over_bad_stable && gr_rollout_blames_stable(r));
    r->row.gray.hold = GR_HOLD_NONE;
    r->row.gray.held_by[0] = '\0';
    int k = journal_order(r, before, e);
    if (k < 0)
        return k;
    tell(r, o);
    gr_steps_walk(r); // or when the worker has answered
    return 0;
}

// What failed behind a door without a way back is kept all the same.
static int keep_it(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    if (!o->full)
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "promote of rollout %" PRId64 " is not possible: %.500s. A person may "
                            "keep it: promote --full",
                            r->row.id, r->row.message);
    remember(r, o);
    r->row.gray.overruled = true;
    r->row.gray.hold = GR_HOLD_NONE;
    int k = journal_order(r, before, e);
    if (k < 0)
        return k;
    r->row.reason = GR_REASON_NONE;
    for (size_t i = 0; i < r->row.n; i++)
        r->row.members[i].reason = GR_REASON_NONE;
    snprintf(r->row.message, sizeof r->row.message, "%s keeps it, whatever its verdict says",
             actor_of(o));
    tell(r, o);
    gr_rollout_arm(r);
    return 0;
}

// It waits at a door, and the order goes through.
static int go_through(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    remember(r, o);
    gr_door_open(r, o);
    r->row.gray.held_by[0] = '\0';
    int k = journal_order(r, before, e);
    if (k < 0)
        return k;
    tell(r, o);
    gr_steps_walk(r);
    return 0;
}

static int promote_it(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    if (r->row.phase == GR_PHASE_BAKING && before.hold == GR_HOLD_FAILURE)
        return keep_it(r, o, e);
    if (r->row.phase == GR_PHASE_BAKING)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is in force already and bakes; abort takes it "
                            "back",
                            r->row.id);
    if (r->awaiting)
        return not_in_phase(r, o, r->row.message, e);
    if (!gr_rollout_is_stepping(r))
        return not_in_phase(r, o, "A rollout is promoted while it walks its steps", e);
    int refused = gr_door_refuse_promote(r, o, e);
    if (refused < 0)
        return refused;
    if (o->full)
        return promote_full(r, o, e);
    if (before.full || swap_is_under_way(r))
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is on its way to the swap already", r->row.id);
    if (before.hold == GR_HOLD_BAD_STABLE && o->over_bad_stable)
        return promote_full(r, o, e); // the swap is what is left
    if (before.hold == GR_HOLD_ONE_WAY)
        return go_through(r, o, e);
    if (before.hold == GR_HOLD_BAD_STABLE || before.hold == GR_HOLD_UNDECIDED ||
        before.hold == GR_HOLD_FAILURE)
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "promote of rollout %" PRId64 " is not possible: %.500s. Undecided "
                            "never promotes; a person may: promote --full%s",
                            r->row.id, r->row.message,
                            before.hold == GR_HOLD_BAD_STABLE ? " --over-bad-stable" : "");
    if (r->asks && !r->step_entered) // nobody has seen what this step does
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is on its way to step %" PRId64
                            " already: the worker is being told of the one before",
                            r->row.id, r->row.step + 1);
    remember(r, o);
    gr_door_open(r, o);
    r->row.gray.held_by[0] = '\0';
    gr_steps_leave(r); // whatever is asked of the worker: the answer goes on with the next step
    if (r->row.phase == GR_PHASE_PAUSED && r->row.gray.hold == GR_HOLD_NONE) {
        int k = gr_rollout_set_phase(r, GR_ROLLOUT_RESUME); // journals the order too
        if (k < 0)
            return gr_error_set(e, k, GR_REASON_DISK_FULL, "%.900s", r->row.message);
    } else {
        int k = journal_order(r, before, e);
        if (k < 0) {
            r->row.step--;
            return k;
        }
    }
    tell(r, o);
    gr_steps_walk(r);
    return 0;
}

static int pause_it(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    if (!gr_rollout_is_stepping(r))
        return not_in_phase(r, o,
                            r->row.phase == GR_PHASE_BAKING
                                ? "Its versions are in force: abort takes them back"
                                : "A rollout is paused while it walks its steps; abort ends it",
                            e);
    if (swap_is_under_way(r))
        return not_in_phase(r, o, "Its swap is under way: abort takes it back", e);
    if (before.held_by[0])
        return gr_error_set(e, -EALREADY, GR_REASON_NONE, "rollout %" PRId64 " is held by %s",
                            r->row.id, before.held_by);
    gr_rollout_refresh_left(r); // the step's clock stops here
    remember(r, o);
    r->row.gray.full = false; // a hold comes before a promotion
    snprintf(r->row.gray.held_by, sizeof r->row.gray.held_by, "%s", actor_of(o));
    snprintf(r->row.message, sizeof r->row.message, "%s holds it%s%.500s", actor_of(o),
             o->reason[0] ? ": " : "", o->reason);
    int k = r->row.phase == GR_PHASE_PROGRESSING ? gr_rollout_set_phase(r, GR_ROLLOUT_PAUSE)
                                                 : journal_order(r, before, e);
    if (k == 0)
        tell(r, o);
    return k;
}

static int resume_it(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_gray_row before = r->row.gray;
    if (!gr_rollout_is_stepping(r))
        return not_in_phase(r, o, "Only what is paused can go on", e);
    if (r->row.phase == GR_PHASE_PROGRESSING)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is not paused; it is at step %" PRId64, r->row.id,
                            r->row.step + 1);
    if (!before.held_by[0])
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "resume of rollout %" PRId64 " is not possible: nobody holds it; "
                            "%.500s. promote goes past that",
                            r->row.id, r->row.message);
    remember(r, o);
    r->row.gray.held_by[0] = '\0';
    r->pause_end.usec = gr_rollout_now(r).usec + r->row.gray.pause_left_usec;
    snprintf(r->row.message, sizeof r->row.message, "%s let it go on", actor_of(o));
    int k = r->row.gray.hold == GR_HOLD_NONE ? gr_rollout_set_phase(r, GR_ROLLOUT_RESUME)
                                             : journal_order(r, before, e);
    if (k < 0)
        return k;
    tell(r, o);
    gr_steps_walk(r);
    gr_rollout_arm(r);
    return 0;
}

// The way back has waited for state long enough.
static int force_back(struct gr_rollout *r, const struct gr_order *o)
{
    remember(r, o);
    r->forced_back = true;
    gr_rollout_ask_back(r);
    tell(r, o);
    return 0;
}

static int abort_it(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    struct gr_error why = {0};
    if (r->back_again.usec && o->one_way)
        return force_back(r, o);
    if (r->row.phase == GR_PHASE_ROLLING_BACK || r->taking_back)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " is on its way back already: %.500s", r->row.id,
                            r->row.message);
    int refused = gr_door_refuse_abort(r, o, e);
    if (refused < 0)
        return refused;
    remember(r, o);
    gr_error_set(&why, -ECANCELED, GR_REASON_OPERATOR_ABORT, "%s took rollout %" PRId64 " back: %s",
                 actor_of(o), r->row.id, o->reason[0] ? o->reason : "no reason was given");
    gr_rollout_fail(r, r->row.n, &why);
    tell(r, o); // an event waits for the disk, and the way back must not
    return 0;
}

// --- the border
// -----------------------------------------------------------------------------------

static int check_target(const struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    char last[512], at[GR_WALL_TEXT_MAX];
    tell_last(r, last, sizeof last);
    if (o->rollout >= 0 && o->rollout != r->row.id)
        return gr_error_set(e, -ESTALE, GR_REASON_NONE,
                            "%s names rollout %" PRId64 "; expected %" PRId64
                            ", which began at %s%s. Look again, then order",
                            gr_order_verb_name(o->verb), o->rollout, r->row.id,
                            gr_wall_format(r->row.created, at), last);
    if (gr_phase_is_terminal(r->row.phase))
        return gr_error_set(e, -ESTALE, GR_REASON_NONE, "rollout %" PRId64 " ended as %s at %s%s",
                            r->row.id, gr_phase_name(r->row.phase),
                            gr_wall_format(r->row.updated, at), last);
    if (o->verb == GR_ORDER_PROMOTE && !o->full && o->step < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "promote names no step; expected the step that was seen (%" PRId64
                            " now), so that two of them never skip one",
                            r->row.step);
    // an abort is meant whatever step it has reached
    if (o->verb != GR_ORDER_ABORT && o->step >= 0 && o->step != r->row.step)
        return gr_error_set(e, -ESTALE, GR_REASON_NONE,
                            "%s names step %" PRId64 ", and rollout %" PRId64 " is at step %" PRId64
                            " now%s. Look again, then order",
                            gr_order_verb_name(o->verb), o->step + 1, r->row.id, r->row.step + 1,
                            last);
    return 0;
}

int gr_rollout_steer(struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    static int (*const obey[])(struct gr_rollout *, const struct gr_order *,
                               struct gr_error *) = {[GR_ORDER_PROMOTE] = promote_it,
                                                     [GR_ORDER_PAUSE] = pause_it,
                                                     [GR_ORDER_RESUME] = resume_it,
                                                     [GR_ORDER_ABORT] = abort_it};
    int k = check_target(r, o, e);
    if (k == 0 && o->verb == GR_ORDER_RETRY)
        k = not_in_phase(r, o, "Only a rollout that ended is tried again", e);
    return k < 0 ? k : obey[o->verb](r, o, e);
}
