// Operators' orders to rollouts: finds the rollout that is meant, and tries an ended one again.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// The newest rollout of the module in history. 1: *ret is to be done with; 0: there is none.
static int newest_ended(struct gr_manager *m, const struct gr_name *module,
                        struct gr_rollout_row *ret, struct gr_error *e)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_history(m->journal, module->s, 1, &rows, &n, e);
    if (k < 0)
        return k;
    if (n)
        *ret = rows[0];
    free(rows);
    return n ? 1 : 0;
}

static int none_in_progress(struct gr_manager *m, const struct gr_name *module,
                            const struct gr_order *o, struct gr_error *e)
{
    GR_CLEANUP(gr_rollout_row_done) struct gr_rollout_row row = {0};
    char at[GR_WALL_TEXT_MAX], by[512] = "";
    int k = newest_ended(m, module, &row, e);
    if (k < 0)
        return k;
    if (k == 0)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "%s of %s is not possible: there was no rollout of it here. grayctl "
                            "list shows what there is",
                            gr_order_verb_name(o->verb), module->s);
    if (row.gray.order.verb[0])
        snprintf(by, sizeof by, " after %s's %s%s%.150s", row.gray.order.actor, row.gray.order.verb,
                 row.gray.order.reason[0] ? ": " : "", row.gray.order.reason);
    return gr_error_set(e, -ESTALE, GR_REASON_NONE,
                        "%s of %s is not possible: no rollout of it is in progress; the newest, "
                        "%" PRId64 ", ended as %s at %s%s",
                        gr_order_verb_name(o->verb), module->s, row.id, gr_phase_name(row.phase),
                        gr_wall_format(row.updated, at), by);
}

int gr_manager_steer(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     struct gr_error *e)
{
    if (o->verb == GR_ORDER_RETRY)
        return gr_manager_retry(m, module, o, e);
    struct gr_rollout *r = gr_manager_newest_open(m, module);
    return r ? gr_rollout_steer(r, o, e) : none_in_progress(m, module, o, e);
}

// --- once more
// ------------------------------------------------------------------------------------

const struct gr_desired *gr_manager_wish(const struct gr_manager *m, const struct gr_name *module)
{
    for (size_t i = 0; i < m->now.n; i++)
        if (gr_name_equal(&m->now.wishes[i].module, module))
            return m->now.wishes[i].desired;
    return NULL;
}

const struct gr_conviction *gr_manager_conviction(const struct gr_manager *m,
                                                  const struct gr_digest *d)
{
    for (size_t i = 0; i < m->n_convictions; i++)
        if (gr_digest_equal(&m->convictions[i].digest, d))
            return &m->convictions[i];
    return NULL;
}

static int retry_item(struct gr_manager *m, const struct gr_rollout_member *mem,
                      struct gr_plan_item *it, struct gr_error *e)
{
    const struct gr_desired *wish = gr_manager_wish(m, &mem->module);
    const struct gr_committed *row = gr_manager_row(m, &mem->module);
    const struct gr_conviction *c = wish ? gr_manager_conviction(m, &wish->digest) : NULL;
    if (mem->to ? !wish || !gr_desired_same_release(wish, mem->to) : wish != NULL)
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "retry of %s %s is not possible: by now its key says %s. Write the "
                            "document again: grayctl apply or publish",
                            mem->module.s, mem->to ? mem->to->version.text : "(removal)",
                            wish ? wish->version.text : "nothing");
    if (c)
        return gr_error_set(
            e, -EKEYREJECTED, GR_REASON_QUARANTINED,
            "retry of %s %s is refused: its digest is quarantined by %s (%s: %.300s). "
            "Publish a mended build, or lift it: grayctl quarantine lift",
            mem->module.s, wish->version.text, c->instance[0] ? c->instance : "this host",
            gr_reason_name(c->reason), c->evidence);
    it->module = mem->module;
    it->to = wish;
    it->from = row ? row->release : NULL;
    it->kind = !wish ? GR_PLAN_REMOVE : row ? GR_PLAN_REPLACE : GR_PLAN_DEPLOY;
    return 0;
}

static int retry_row(struct gr_manager *m, const struct gr_rollout_row *row,
                     const struct gr_order *o, struct gr_error *e)
{
    struct gr_plan_item *items GR_AUTO_FREE = calloc(row->n + 1, sizeof *items);
    struct gr_plan plan = {.n = row->n, .items = items};
    int k = items ? 0 : -ENOMEM;
    for (size_t i = 0; k == 0 && i < row->n; i++)
        k = retry_item(m, &row->members[i], &items[i], e);
    if (k == 0)
        k = gr_journal_newest_rollout(m->journal, &plan.rollout, e);
    if (k < 0)
        return k;
    plan.rollout = gr_manager_next_id(m, plan.rollout);
    k = gr_manager_begin(m, &plan, row->gray.salt, e);
    if (k < 0)
        return k;
    char text[GR_MESSAGE_MAX];
    snprintf(text, sizeof text,
             "%s ordered retry of rollout %" PRId64 ", which becomes rollout %" PRId64 "%s%.500s",
             o->actor[0] ? o->actor : "an operator", row->id, plan.rollout,
             o->reason[0] ? ": " : "", o->reason);
    for (size_t i = 0; i < row->n; i++)
        gr_manager_tell(m, GR_MSG_STEERED, GR_LOG_INFO, row->members[i].module.s,
                        row->members[i].to ? row->members[i].to->version.text : NULL, plan.rollout,
                        NULL, GR_REASON_NONE, text);
    gr_manager_advance(m);
    return 0;
}

static int is_another(const struct gr_rollout_row *newest, const struct gr_name *module,
                      const struct gr_order *o, struct gr_error *e)
{
    char at[GR_WALL_TEXT_MAX];
    return gr_error_set(e, -ESTALE, GR_REASON_NONE,
                        "retry names rollout %" PRId64 " of %s; expected %" PRId64
                        ", the newest, which is %s and began at %s. Look again, then order",
                        o->rollout, module->s, newest->id, gr_phase_name(newest->phase),
                        gr_wall_format(newest->created, at));
}

int gr_manager_retry(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     struct gr_error *e)
{
    GR_CLEANUP(gr_rollout_row_done) struct gr_rollout_row row = {0};
    const struct gr_rollout *r = gr_manager_newest_open(m, module);
    if (gr_manager_is_safe(m))
        return gr_start_refuse(e);
    if (r && o->rollout >= 0 && o->rollout != gr_rollout_row(r)->id)
        return is_another(gr_rollout_row(r), module, o, e);
    if (r)
        return gr_error_set(e, -EPERM, GR_REASON_NONE,
                            "retry of %s is not possible: rollout %" PRId64 " is %s. abort ends it",
                            module->s, gr_rollout_row(r)->id,
                            gr_phase_name(gr_rollout_row(r)->phase));
    int k = newest_ended(m, module, &row, e);
    if (k < 0)
        return k;
    if (k == 0)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "there was no rollout of %s here; write its key to begin one",
                            module->s);
    if (o->rollout >= 0 && o->rollout != row.id)
        return is_another(&row, module, o, e);
    if (row.phase == GR_PHASE_HEALTHY)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "rollout %" PRId64 " of %s ended as Healthy: there is nothing to try "
                            "again",
                            row.id, module->s);
    return retry_row(m, &row, o, e);
}
