// The hand-over of state as a rollout sees it: negotiated before anything is staged, a swap without
// a way back held until a person agrees, and what is in force behind such a door kept there.
// Whether the hooks do what the contracts promise is found out by the worker.
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include "state/passage.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

// Walked by a rollout without steps of its own, so that it can wait.
const struct gr_strategy gr_no_steps = {0};

// --- before it is staged
// --------------------------------------------------------------------------

static int negotiate_one(struct gr_rollout *r, size_t i)
{
    const struct gr_rollout_ops *ops = r->env.ops;
    const struct gr_desired *document = r->row.members[i].to;
    const struct gr_contract *to = gr_verified_contract(r->members[i].verified);
    const struct gr_contract *from =
        ops->in_force ? ops->in_force(ops->userdata, &document->module) : NULL;
    struct gr_gray_row *g = &r->row.gray;
    struct gr_error e = {0};
    struct gr_passage p;
    if (gr_passage_check(from, to, document, r->ladder, &e) < 0) {
        gr_rollout_fail(r, i, &e);
        return -EPERM;
    }
    gr_passage_find(from, to, &p);
    r->members[i].has_state = to->has_state || (from && from->has_state);
    if (!p.one_way)
        return 0;
    if (g->door == GR_DOOR_NONE) {
        g->door = GR_DOOR_OPEN;
        snprintf(g->door_why, sizeof g->door_why, "%s", p.why);
    }
    if (!document->one_way)
        g->door = GR_DOOR_CLOSED;
    return 0;
}

int gr_door_negotiate(struct gr_rollout *r)
{
    r->row.gray.door = GR_DOOR_NONE;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->members[i].verified && negotiate_one(r, i) < 0)
            return -EPERM;
    if (!r->ladder && r->row.gray.door == GR_DOOR_CLOSED)
        r->ladder = &gr_no_steps;
    return 0;
}

// --- before the swap
// ------------------------------------------------------------------------------

bool gr_door_holds(struct gr_rollout *r)
{
    char text[GR_MESSAGE_MAX];
    const char *module = r->row.members[0].module.s;
    if (r->row.gray.door != GR_DOOR_CLOSED)
        return false;
    if (r->row.gray.hold == GR_HOLD_ONE_WAY)
        return true;
    snprintf(
        text, sizeof text,
        "the swap has no way back: %s. It waits for a person: grayctl promote %s --one-way, or "
        "grayctl abort %s",
        r->row.gray.door_why, module, module);
    r->row.reason = GR_REASON_NONE;
    gr_steps_hold(r, GR_HOLD_ONE_WAY, text);
    return true;
}

int gr_door_refuse_promote(const struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    bool meant = o->full || o->over_bad_stable || r->row.gray.hold == GR_HOLD_ONE_WAY;
    if (r->row.gray.door != GR_DOOR_CLOSED || o->one_way || !meant)
        return 0;
    return gr_error_set(e, -EPERM, GR_REASON_NONE,
                        "promote of rollout %" PRId64 " is not done: its swap has no way back. %s; "
                        "expected an order that agrees to that: promote%s --one-way",
                        r->row.id, r->row.gray.door_why, o->full ? " --full" : "");
}

void gr_door_open(struct gr_rollout *r, const struct gr_order *o)
{
    if (r->row.gray.door == GR_DOOR_CLOSED && o->one_way)
        r->row.gray.door = GR_DOOR_OPEN;
}

// --- behind the door
// ------------------------------------------------------------------------------

// After a fault the worker is replaced, and its memory is gone whoever is in force.
static bool loses_the_worker(enum gr_reason reason)
{
    return reason == GR_REASON_CRASHED || reason == GR_REASON_CALL_TIMEOUT;
}

bool gr_door_keeps(const struct gr_rollout *r, const struct gr_error *why)
{
    return r->row.phase == GR_PHASE_BAKING && r->row.gray.door != GR_DOOR_NONE &&
           why->reason != GR_REASON_OPERATOR_ABORT && !loses_the_worker(why->reason);
}

int gr_door_refuse_abort(const struct gr_rollout *r, const struct gr_order *o, struct gr_error *e)
{
    bool behind = r->row.phase == GR_PHASE_BAKING || (r->asks && r->ask == GR_ASK_FORWARD);
    if (r->row.gray.door == GR_DOOR_NONE || o->one_way || !behind)
        return 0;
    return gr_error_set(e, -EPERM, GR_REASON_NONE,
                        "abort of rollout %" PRId64 " is not done: its swap has no way back. %s; "
                        "expected an order that agrees to that: abort --one-way. A newer release "
                        "can replace it without a loss",
                        r->row.id, r->row.gray.door_why);
}

// What failed stays in force: state would be the price of the way back, and that is a person's to
// pay.
void gr_door_keep(struct gr_rollout *r, size_t member, const struct gr_error *why)
{
    struct gr_error e = {0};
    const char *module = r->row.members[member < r->row.n ? member : 0].module.s;
    if (r->row.gray.hold == GR_HOLD_FAILURE)
        return; // the first complaint stands
    gr_rollout_set_reason(r, member, why);
    r->row.gray.hold = GR_HOLD_FAILURE;
    snprintf(r->row.message, sizeof r->row.message,
             "%.400s. It is not taken back by itself: %.300s. Publish a mended build, which takes "
             "its state over; or grayctl abort %s --one-way, or keep it: grayctl promote %s --full",
             why->message, r->row.gray.door_why, module, module);
    if (gr_rollout_write(r, &e) < 0) // holding needs no disk
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": %s", r->row.id, e.message);
    r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_DEGRADED, r->row.message);
    gr_rollout_arm(r);
}

// A newer release starts from what is in force, since there is no way back to start from.
void gr_door_leave(struct gr_rollout *r)
{
    struct gr_rollout_row as = gr_rollout_row_as(r, GR_PHASE_SUPERSEDED);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_SETTLE, &as, &e) < 0)
        gr_log(GR_LOG_ERROR,
               "rollout %" PRId64 ": stays in force, but the journal did not take it: %s",
               r->row.id, e.message);
    r->env.ops->release(r->env.ops->userdata, r, GR_SETTLE);
    gr_rollout_end(r, GR_ROLLOUT_KEEP);
}
