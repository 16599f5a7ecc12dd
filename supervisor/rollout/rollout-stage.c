// Takes a rollout from its document to the worker: fetch and verify, stage, and the swap. Whether
// it may be staged is asked in rollout-admit.c.
#include "base/fault.h"
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
    struct gr_member *m = u;
    struct gr_rollout *r = m->rollout;
    if (s != GR_VERIFY_FETCH)
        m->fetched = true;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && !r->members[i].fetched)
            return;
    if (r->row.phase == GR_PHASE_FETCHING)
        (void)!gr_rollout_set_phase(r, GR_ROLLOUT_FETCHED);
}

static void on_verified(void *u, struct gr_verified *v, const struct gr_error *e)
{
    struct gr_member *m = u;
    struct gr_rollout *r = m->rollout;
    m->verification = NULL;
    if (!v) {
        gr_rollout_fail(r, m->index, e);
        return;
    }
    GR_INSTANT("verify.done");
    m->verified = v;
    m->fetched = true;
    gr_rollout_set_contract(r, m->index, gr_verified_contract(v));
    r->env.ops->verified(r->env.ops->userdata, v);
    if (!all_verified(r))
        return;
    if (r->row.phase == GR_PHASE_FETCHING && gr_rollout_set_phase(r, GR_ROLLOUT_FETCHED) < 0)
        return;
    gr_rollout_consider(r);
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

void gr_rollout_begin(struct gr_rollout *r)
{
    if (r->row.phase != GR_PHASE_PENDING || r->awaiting)
        return;
    bool removes_only = true;
    for (size_t i = 0; i < r->row.n; i++)
        removes_only &= r->row.members[i].to == NULL;
    if (removes_only) {
        gr_rollout_consider(r);
        return;
    }
    if (gr_rollout_set_phase(r, GR_ROLLOUT_BEGIN) < 0)
        return;
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to && start_verification(r, i) < 0)
            return;
}

void gr_rollout_settle(struct gr_rollout *r)
{
    snprintf(r->row.message, sizeof r->row.message, "what is asked for is in force already");
    gr_rollout_end(r, GR_ROLLOUT_SETTLED);
}

// --- stage
// ----------------------------------------------------------------------------------------

static void staged(struct gr_rollout *r)
{
    bool removes_only = r->row.phase == GR_PHASE_PENDING;
    if (r->row.phase != GR_PHASE_STAGED &&
        gr_rollout_set_phase(r, removes_only ? GR_ROLLOUT_REMOVE : GR_ROLLOUT_STAGED) < 0)
        return;
    if (!r->ladder) {
        gr_rollout_swap_forward(r);
        return;
    }
    r->row.step = 0;
    if (gr_rollout_set_phase(r, GR_ROLLOUT_PROGRESS) == 0)
        gr_steps_walk(r);
}

static void stage_again(struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        r->members[i].slot = -1;
    r->stage_wanted = true;
}

// One after the other: a version is initialised when all that it needs is.
static void stage_next(struct gr_rollout *r)
{
    if (r->n_staged == r->n_order) {
        staged(r);
        return;
    }
    size_t i = r->order[r->n_staged++];
    r->staging = 1;
    int k = GR_FAULT("stage.ask");
    if (k == 0)
        k = r->env.ops->stage(r->env.ops->userdata, r, i, r->members[i].verified);
    if (k < 0) {
        struct gr_error e = {0};
        gr_error_set(&e, k, GR_REASON_LOAD_FAILED, "%s %s could not be given to the worker: %s",
                     r->row.members[i].module.s, r->row.members[i].to->version.text, strerror(-k));
        gr_rollout_staged(r, i, -1, &e);
    }
}

void gr_rollout_try_stage(struct gr_rollout *r)
{
    if (!r->stage_wanted || r->staging || r->asks || !r->env.ops->can_stage(r->env.ops->userdata))
        return;
    r->stage_wanted = false;
    r->n_staged = 0;
    r->stage_tries += r->n_order > 0;
    stage_next(r);
}

void gr_rollout_staged(struct gr_rollout *r, size_t member, int slot, const struct gr_error *why)
{
    r->staging = 0;
    GR_INSTANT("stage.answered");
    bool open = r->row.phase == GR_PHASE_VERIFYING || r->row.phase == GR_PHASE_STAGED;
    if (slot >= 0 && !open) { // the rollout ended meanwhile
        r->env.ops->unstage(r->env.ops->userdata, slot);
        return;
    }
    r->members[member].slot = slot;
    if (slot < 0 && open) {
        if (why->code == -ECONNRESET && r->stage_tries < GR_STAGE_TRIES_MAX) {
            stage_again(r); // the worker went: the next one loads all again
            return;
        }
        gr_rollout_fail(r, member, why);
        return;
    }
    if (open)
        stage_next(r);
}

// --- the swap and the worker's answers
// ------------------------------------------------------------

void gr_rollout_swap_forward(struct gr_rollout *r)
{
    struct gr_error e = {0};
    gr_rollout_begin_measuring(r);
    r->asks++;
    r->ask = GR_ASK_FORWARD;
    r->swap_asked = true;
    int k = GR_FAULT("rollout.before-swap");
    if (k == 0)
        k = r->env.ops->swap(r->env.ops->userdata, r, GR_FORWARD);
    if (k < 0) {
        gr_error_set(&e, k, GR_REASON_INTERNAL,
                     "the swap of rollout %" PRId64
                     " could not be asked of the worker (%s); the old table stays in force. "
                     "Write the key again to try once more",
                     r->row.id, strerror(-k));
        gr_rollout_answered(r, &e);
    }
}

static void swap_answered(struct gr_rollout *r, const struct gr_error *why)
{
    bool lost = why && why->code == -ECONNRESET;
    if (why) // nothing was exchanged: the way back needs no freeze, which might fail as this one
             // did
        r->swap_asked = false;
    if (lost && gr_rollout_is_stepping(r)) { // the next worker has the candidates: then again
        gr_steps_lost(r);
        return;
    }
    if (lost && r->stage_tries < GR_STAGE_TRIES_MAX) {
        stage_again(r);
        return;
    }
    if (why) {
        gr_rollout_fail(r, r->row.n, why);
        return;
    }
    GR_INSTANT("rollout.after-swap");
    gr_rollout_begin_bake(r);
}

static void route_answered(struct gr_rollout *r, const struct gr_error *why)
{
    if (!gr_rollout_is_stepping(r))
        return;
    if (why && why->code == -ECONNRESET) { // asked again of the next worker
        gr_steps_lost(r);
        return;
    }
    if (why) {
        gr_rollout_fail(r, r->row.n, why);
        return;
    }
    GR_INSTANT("route.answered");
    gr_rollout_begin_share(r);
    if (r->row.gray.hold == GR_HOLD_FAILURE)
        r->env.ops->noted(r->env.ops->userdata, r, GR_MSG_STEP,
                          "weight 0 %, since it failed: a person has to decide");
    gr_steps_walk(r);
    gr_rollout_arm(r);
}

void gr_rollout_answered(struct gr_rollout *r, const struct gr_error *why)
{
    if (r->asks)
        r->asks--;
    if (r->asks || gr_phase_is_terminal(r->row.phase))
        return; // a later order is on its way, which is the one that counts
    switch (r->ask) {
    case GR_ASK_ROUTE:
        route_answered(r, why);
        return;
    case GR_ASK_FORWARD:
        swap_answered(r, why);
        return;
    case GR_ASK_BACK:
        gr_rollout_back_answered(r, why);
        return;
    }
}

void gr_rollout_worker_ready(struct gr_rollout *r)
{
    // a supervisor that died before its first look left no numbers to go on with
    if (gr_rollout_is_stepping(r) || r->row.phase == GR_PHASE_BAKING)
        gr_rollout_begin_measuring(r);
    if (gr_rollout_is_stepping(r)) {
        r->in_table = true; // it came up with them; once more, since a share may have changed since
        gr_steps_worker_ready(r);
    } else if (r->row.phase == GR_PHASE_VERIFYING || r->row.phase == GR_PHASE_STAGED ||
               r->row.phase == GR_PHASE_PENDING) {
        gr_rollout_try_stage(r);
    }
}
