// The bake: the swap's commit, the time that the version before stays warm, and the end.
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <inttypes.h>
#include <stdio.h>

static uint64_t longest_bake(const struct gr_rollout *r)
{
    uint64_t bake = 0;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && r->row.members[i].to->strategy.bake_usec > bake)
            bake = r->row.members[i].to->strategy.bake_usec;
    return bake;
}

// Not journaled, so it must not be served.
static void not_committed(struct gr_rollout *r, const struct gr_error *e)
{
    r->row.gray.swapped = false;
    if (gr_rollout_is_stepping(r)) {
        gr_rollout_fail(r, r->row.n, e);
        return;
    }
    gr_rollout_set_reason(r, r->row.n, e);
    r->taking_back = true;
    gr_rollout_ask_back(r);
}

void gr_rollout_begin_bake(struct gr_rollout *r)
{
    bool deploys = false;
    for (size_t i = 0; i < r->row.n; i++)
        deploys |= r->row.members[i].to != NULL;
    struct gr_gray_row before = r->row.gray;
    r->bake_end = (struct gr_mono){gr_rollout_now(r).usec + longest_bake(r)};
    r->row.gray.swapped = true;
    r->row.gray.weight_permyriad = deploys ? 10000 : 0;
    r->row.gray.shadow_permyriad = 0;
    if (r->ladder)
        r->row.step = (int64_t)r->ladder->n_steps;
    struct gr_rollout_row as = gr_rollout_row_as(r, deploys ? GR_PHASE_BAKING : GR_PHASE_HEALTHY);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_FORWARD, &as, &e) < 0) {
        r->row.gray = before;
        not_committed(r, &e);
        return;
    }
    for (size_t i = 0; i < r->row.n; i++) // the bytes are in the store and in the worker
        gr_verified_free(gr_steal(r->members[i].verified));
    r->in_table = false;
    if (deploys) {
        r->row.reason = GR_REASON_NONE;
        r->row.message[0] = '\0';
        (void)!gr_rollout_set_phase(r, GR_ROLLOUT_SWAPPED);
        return;
    }
    r->env.ops->release(r->env.ops->userdata, r, GR_SETTLE);
    gr_rollout_end(r, GR_ROLLOUT_REMOVED);
}

static void tell_numbers(struct gr_rollout *r)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX - 1);
    for (size_t i = 0; i < r->row.n; i++) {
        const struct gr_member *m = &r->members[i];
        if (r->row.members[i].to)
            (void)!gr_buf_printf(
                &text, "%s%s %s baked: %" PRIu64 " requests, %" PRIu64 " errors (%s)",
                text.len ? "; " : "", r->row.members[i].module.s,
                r->row.members[i].to->version.text, m->candidate.requests, m->candidate.errors,
                gr_verdict_name(m->judged ? m->record.verdict.verdict : GR_VERDICT_INCONCLUSIVE));
    }
    snprintf(r->row.message, sizeof r->row.message, "%s", text.data ? text.data : "");
}

void gr_rollout_bake_over(struct gr_rollout *r)
{
    GR_INSTANT("bake.over");
    tell_numbers(r);
    struct gr_rollout_row as = gr_rollout_row_as(r, GR_PHASE_HEALTHY);
    struct gr_error e = {0};
    if (r->env.ops->commit(r->env.ops->userdata, r, GR_SETTLE, &as, &e) < 0)
        gr_log(GR_LOG_ERROR, "rollout %" PRId64 ": baked, but the journal did not take it: %s",
               r->row.id, e.message);
    GR_INSTANT("bake.committed");
    r->env.ops->release(r->env.ops->userdata, r, GR_SETTLE);
    gr_rollout_end(r, GR_ROLLOUT_BAKED);
}
