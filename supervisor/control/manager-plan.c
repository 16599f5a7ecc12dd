// Owns the step from a snapshot to rollouts: asks for the plans, gives each an id that the journal
// does not know, refuses or begins each for itself.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int gr_manager_make_plans(struct gr_manager *m, const struct gr_wishes *before,
                          const struct gr_wishes *now, struct gr_plans **ret)
{
    const struct gr_rollout_row *open[GR_ROLLOUTS_MAX];
    for (size_t i = 0; i < m->n_rollouts; i++)
        open[i] = gr_rollout_row(m->rollouts[i]);
    const bool same_source = m->floor.cluster_id == now->cluster_id;
    const struct gr_plan_input in = {.before = before,
                                     .now = now,
                                     .since = same_source ? m->floor.revision : 0,
                                     .actual = &m->table,
                                     .convictions = m->convictions,
                                     .n_convictions = m->n_convictions,
                                     .open = open,
                                     .n_open = m->n_rollouts};
    return gr_plans_make(&in, ret);
}

static bool is_open(const struct gr_manager *m, int64_t id)
{
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_row(m->rollouts[i])->id == id)
            return true;
    return false;
}

int64_t gr_manager_next_id(const struct gr_manager *m, int64_t newest)
{
    return newest < m->now.revision ? m->now.revision : newest + 1;
}

// A transaction that is tried again (after a start) keeps its id, unless something came of it the
// first time: that stays as history, and the new try gets an id of its own.
static int64_t choose_id(struct gr_manager *m, const struct gr_plan *p, bool had_effect)
{
    struct gr_error e = {0};
    int64_t newest = p->rollout;
    if (!had_effect && !is_open(m, p->rollout))
        return p->rollout;
    if (gr_journal_newest_rollout(m->journal, &newest, &e) < 0)
        gr_log(GR_LOG_ERROR, "%s", e.message);
    return gr_manager_next_id(m, newest);
}

// `record`: false when history tells already what became of that transaction. `why` refuses all of
// it; NULL: each item says for itself.
static void refuse(struct gr_manager *m, const struct gr_plan *p, bool record,
                   const struct gr_error *why)
{
    struct gr_rollout_row row = {.id = p->rollout,
                                 .phase = GR_PHASE_REJECTED,
                                 .created = gr_wall_now(),
                                 .updated = gr_wall_now(),
                                 .n = p->n};
    row.members = calloc(p->n, sizeof *row.members);
    if (!row.members)
        return;
    for (size_t i = 0; i < p->n; i++) {
        const struct gr_plan_item *it = &p->items[i];
        const struct gr_error *refusal = why                          ? why
                                         : it->kind == GR_PLAN_REFUSE ? &it->refusal
                                                                      : NULL;
        struct gr_rollout_member *mem = &row.members[i];
        mem->module = it->module;
        if ((it->to && gr_desired_copy(it->to, &mem->to) < 0) ||
            (it->from && gr_desired_copy(it->from, &mem->from) < 0))
            gr_log(GR_LOG_ERROR, "out of memory: the record of rollout %" PRId64 " is incomplete",
                   row.id);
        if (refusal && row.reason == GR_REASON_NONE) {
            row.reason = refusal->reason;
            snprintf(row.message, sizeof row.message, "%s", refusal->message);
        }
        if (refusal) {
            mem->reason = refusal->reason;
            snprintf(mem->message, sizeof mem->message, "%s", refusal->message);
        }
    }
    struct gr_error e = {0};
    if (record && gr_journal_put_rollout(m->journal, &row, &e) < 0)
        gr_log(GR_LOG_ERROR, "the refusal of rollout %" PRId64 " could not be journaled: %s",
               row.id, e.message);
    gr_manager_report(m, &row);
    gr_rollout_row_done(&row);
}

int gr_manager_begin(struct gr_manager *m, const struct gr_plan *p, uint64_t salt,
                     struct gr_error *e)
{
    struct gr_rollout *r = NULL;
    if (gr_manager_is_safe(m))
        return gr_start_refuse(e);
    if (m->n_rollouts + m->n_ended >= GR_ROLLOUTS_MAX)
        return gr_error_set_retryable(e, -EBUSY, GR_REASON_INTERNAL,
                                      "rollout %" PRId64 " is not taken up: %d are in progress, "
                                      "which is the limit; write its keys again later",
                                      p->rollout, GR_ROLLOUTS_MAX);
    int k = GR_FAULT("plan.begin");
    if (k < 0)
        return gr_error_set_retryable(e, k, GR_REASON_INTERNAL,
                                      "rollout %" PRId64 " could not begin: %s", p->rollout,
                                      strerror(-k));
    k = gr_rollout_new(&m->env, p, salt, &r, e);
    if (k < 0)
        return k;
    GR_INSTANT("plan.begun");
    m->rollouts[m->n_rollouts++] = r;
    m->ops.changed(m, r);
    return 0;
}

// What the newest rollout of a member turned away from: the release that it brought and took back,
// or the one that an operator of this host left. NULL: nothing.
static const struct gr_desired *turned_away(const struct gr_rollout_row *r,
                                            const struct gr_rollout_member *mem)
{
    bool reason = r->reason == GR_REASON_OPERATOR_ABORT || r->reason == GR_REASON_INCONCLUSIVE ||
                  r->reason == GR_REASON_DEADLINE_EXCEEDED;
    if (r->phase == GR_PHASE_ROLLED_BACK && reason)
        return mem->to;
    bool left = r->phase == GR_PHASE_HEALTHY && !strcmp(r->gray.order.verb, GR_UNDO_VERB);
    return left ? mem->from : NULL;
}

// Whoever took a gray release back, or let it end undecided, does not want the same requests
// exposed again because graylingd was started anew: only a new document or grayctl retry begins it
// again. The same for who left a release by an undo of this host alone.
static bool was_decided(struct gr_manager *m, const struct gr_plan *p)
{
    struct gr_rollout_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    bool decided = false;
    if (!p->n || gr_journal_history(m->journal, p->items[0].module.s, 1, &rows, &n, &e) < 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct gr_rollout_row *r = &rows[i];
        decided = r->n == p->n;
        for (size_t k = 0; decided && k < r->n; k++) {
            const struct gr_desired *away = turned_away(r, &r->members[k]), *to = p->items[k].to;
            decided = away && to && gr_name_equal(&r->members[k].module, &p->items[k].module) &&
                      away->mod_revision == to->mod_revision && gr_desired_same_release(away, to);
        }
        if (decided)
            gr_manager_adopt_told(m, r);
        gr_rollout_row_done(&rows[i]);
    }
    free(rows);
    return decided;
}

static void carry_out(struct gr_manager *m, struct gr_plan *p, bool first)
{
    struct gr_error e = {0};
    enum gr_phase phase = GR_PHASE_COUNT;
    int k = gr_journal_find_rollout(m->journal, p->rollout, &phase, &e);
    if (k < 0)
        gr_log(GR_LOG_ERROR, "%s", e.message);
    bool had_effect = k > 0 && (phase == GR_PHASE_HEALTHY || phase == GR_PHASE_ROLLED_BACK);
    if (p->refused) {
        refuse(m, p, !had_effect, NULL);
        return;
    }
    if (first && was_decided(m, p))
        return;
    p->rollout = choose_id(m, p, had_effect);
    if (gr_manager_begin(m, p, 0, &e) < 0)
        refuse(m, p, true, &e); // whoever wrote the keys must see it, also without a journal
}

void gr_manager_plan(struct gr_manager *m)
{
    struct gr_plans *plans GR_CLEANUP(gr_plans_freep) = NULL;
    int k = gr_manager_make_plans(m, m->planned_once ? &m->before : NULL, &m->now, &plans);
    if (k < 0) {
        gr_log(GR_LOG_ERROR, "no plan for revision %" PRId64 ": %s", m->now.revision, strerror(-k));
        return;
    }
    bool first = !m->planned_once;
    m->planned_once = true;
    for (size_t i = 0; i < plans->n; i++)
        carry_out(m, &plans->plans[i], first);
    gr_manager_advance(m);
    gr_manager_changed(m);
}
