// Owns the question that stands between verification and the worker: may these versions come into
// force as things are now? A rollout that may not yet waits in Pending, holds nothing but its
// verified bytes, and is asked again whenever something changed. Must never decide it: that is the
// admission's.
#include "base/log.h"
#include "rollout/rollout-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// --- the answer
// -----------------------------------------------------------------------------------

static bool brings_something(const struct gr_rollout *r)
{
    for (size_t i = 0; i < r->row.n; i++)
        if (r->row.members[i].to)
            return true;
    return false;
}

// Dependencies first. An admission that names no order leaves them as they stand.
static int keep_order(struct gr_rollout *r, const struct gr_admission *a)
{
    size_t *order = calloc(r->row.n + 1, sizeof *order), n = 0;
    if (!order)
        return -ENOMEM;
    for (size_t i = 0; i < a->n_order && n < r->row.n; i++)
        order[n++] = a->order[i];
    for (size_t i = 0; i < r->row.n && a->n_order == 0; i++)
        if (r->row.members[i].to)
            order[n++] = i;
    free(r->order);
    r->order = order;
    r->n_order = n;
    return 0;
}

static void go(struct gr_rollout *r, const struct gr_admission *a)
{
    if (keep_order(r, a) < 0) {
        struct gr_error e = {0};
        gr_error_set_retryable(&e, -ENOMEM, GR_REASON_INTERNAL,
                               "out of memory for rollout %" PRId64 "; write the key again",
                               r->row.id);
        gr_rollout_fail(r, r->row.n, &e);
        return;
    }
    r->admitted = true;
    if (r->awaiting) {
        r->awaiting = false;
        r->row.reason = GR_REASON_NONE;
        r->row.message[0] = '\0';
        if (brings_something(r) && gr_rollout_set_phase(r, GR_ROLLOUT_ADMIT) < 0)
            return;
    }
    r->stage_wanted = true;
    gr_rollout_try_stage(r);
}

// Removals wait in Pending as well, which they have not left.
static void await(struct gr_rollout *r, const struct gr_error *why)
{
    bool news =
        !r->awaiting || r->row.reason != why->reason || strcmp(r->row.message, why->message) != 0;
    r->awaiting = true;
    gr_rollout_set_reason(r, r->row.n, why);
    if (r->row.phase == GR_PHASE_VERIFYING) {
        (void)!gr_rollout_set_phase(r, GR_ROLLOUT_AWAIT);
        return;
    }
    struct gr_error e = {0};
    if (news && gr_rollout_write(r, &e) < 0) // a start asks again in any case
        gr_log(GR_LOG_WARNING, "rollout %" PRId64 ": what it waits for could not be journaled: %s",
               r->row.id, e.message);
    if (news)
        r->env.ops->changed(r->env.ops->userdata, r);
}

void gr_rollout_consider(struct gr_rollout *r)
{
    struct gr_admission a = {.culprit = SIZE_MAX};
    if (gr_door_negotiate(r) < 0)
        return;
    enum gr_resolve_verdict v =
        r->env.ops->admit ? r->env.ops->admit(r->env.ops->userdata, r, &a) : GR_RESOLVE_GO;
    switch (v) {
    case GR_RESOLVE_GO:
        if (gr_door_negotiate(r) < 0) // with those that it took along
            return;
        go(r, &a);
        return;
    case GR_RESOLVE_WAIT:
        await(r, &a.why);
        return;
    case GR_RESOLVE_REFUSE:
        gr_rollout_fail(r, a.culprit, &a.why);
        return;
    }
}

void gr_rollout_reconsider(struct gr_rollout *r)
{
    if (r->awaiting)
        gr_rollout_consider(r);
}

// --- two that wait for each other
// -----------------------------------------------------------------

static int copy_row(struct gr_rollout_member *to, const struct gr_rollout_member *from)
{
    to->module = from->module;
    int k = from->to ? gr_desired_copy(from->to, &to->to) : 0;
    return k == 0 && from->from ? gr_desired_copy(from->from, &to->from) : k;
}

// Members are sorted by module, and neither has one of the other's.
static void sort_members(struct gr_rollout *r)
{
    for (size_t i = 1; i < r->row.n; i++)
        for (size_t k = i;
             k > 0 && strcmp(r->row.members[k].module.s, r->row.members[k - 1].module.s) < 0; k--) {
            struct gr_rollout_member row = r->row.members[k];
            struct gr_member m = r->members[k];
            r->row.members[k] = r->row.members[k - 1];
            r->members[k] = r->members[k - 1];
            r->row.members[k - 1] = row;
            r->members[k - 1] = m;
        }
    for (size_t i = 0; i < r->row.n; i++)
        r->members[i].index = i;
}

static int make_room(struct gr_rollout *r, size_t more)
{
    struct gr_rollout_member *rows =
        reallocarray(r->row.members, r->row.n + more, sizeof *r->row.members);
    if (!rows)
        return -ENOMEM;
    r->row.members = rows;
    memset(rows + r->row.n, 0, more * sizeof *rows);
    struct gr_member *members = reallocarray(r->members, r->row.n + more, sizeof *r->members);
    if (!members)
        return -ENOMEM;
    r->members = members;
    memset(members + r->row.n, 0, more * sizeof *members);
    return 0;
}

// The documents are copied, since the older one stays as history; what was verified moves.
int gr_rollout_absorb(struct gr_rollout *r, struct gr_rollout *older)
{
    size_t before = r->row.n, more = older->row.n;
    int k = make_room(r, more);
    if (k < 0)
        return k;
    for (size_t i = 0; k == 0 && i < more; i++)
        k = copy_row(&r->row.members[before + i], &older->row.members[i]);
    if (k < 0) {
        for (size_t i = before; i < before + more; i++) {
            gr_desired_free(gr_steal(r->row.members[i].to));
            gr_desired_free(gr_steal(r->row.members[i].from));
        }
        return k;
    }
    for (size_t i = 0; i < more; i++) {
        r->members[before + i] = older->members[i];
        r->members[before + i].rollout = r;
        older->members[i].verified = NULL;
    }
    r->row.n += more;
    sort_members(r);
    r->ladder = gr_rollout_find_ladder(&r->row);
    if (older->deadline.usec > r->deadline.usec)
        r->deadline = older->deadline;
    gr_rollout_arm(r);
    gr_rollout_supersede(older, r->row.id);
    return 0;
}
