// Going back because a person says so: abort of a rollout, undo of a release. Both answer with what
// the desired state has to become, since it would drift forward again otherwise.
#include "base/limits.h"
#include "base/log.h"
#include "control/json-add.h"
#include "control/manager-internal.h"
#include "state/passage.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gr_rollout *gr_manager_newest_open(struct gr_manager *m, const struct gr_name *module)
{
    for (size_t i = m->n_rollouts; i-- > 0;)
        if (gr_rollout_names(m->rollouts[i], module))
            return m->rollouts[i];
    return NULL;
}

// --- the answer
// -----------------------------------------------------------------------------------

static bool add_version(cJSON *o, const char *key, const struct gr_desired *d)
{
    char hash[GR_DIGEST_TEXT_MAX];
    cJSON *v = d ? cJSON_AddObjectToObject(o, key) : cJSON_AddNullToObject(o, key);
    return v && (!d || (cJSON_AddStringToObject(v, "version", d->version.text) &&
                        cJSON_AddStringToObject(v, "hash", gr_digest_format(&d->digest, hash))));
}

// The document agrees to a loss of state when this order does, whatever it said then.
static cJSON *document_of(const struct gr_desired *d, const struct gr_order *o) // d NULL: null
{
    char *text GR_AUTO_FREE = d ? gr_desired_format(d) : NULL;
    cJSON *j = text ? cJSON_Parse(text) : NULL;
    if (!d)
        return cJSON_CreateNull();
    cJSON_DeleteItemFromObjectCaseSensitive(j, "one_way");
    return gr_json_whole(j, j && (!o->one_way || cJSON_AddTrueToObject(j, "one_way")));
}

static bool add_documents(cJSON *o, const struct gr_name *module, const struct gr_desired *to,
                          const struct gr_rollout_row *row, const struct gr_order *order)
{
    cJSON *all = cJSON_AddObjectToObject(o, "documents");
    bool ok = all && gr_json_add(o, "document", document_of(to, order)) &&
              gr_json_add(all, module->s, document_of(to, order));
    for (size_t i = 0; ok && row && i < row->n; i++)
        if (!gr_name_equal(&row->members[i].module, module))
            ok = gr_json_add(all, row->members[i].module.s,
                             document_of(row->members[i].from, order));
    return ok;
}

// `row`: the rollout that is taken back, or, without an id, who else goes back; NULL: nobody.
static int answer(const struct gr_name *module, const struct gr_desired *from,
                  const struct gr_desired *to, const struct gr_rollout_row *row,
                  const struct gr_order *order, cJSON **ret, struct gr_error *e)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "module", module->s) &&
              (!row || !row->id || gr_json_add_int(o, "rollout", row->id)) &&
              add_version(o, "from", from) && add_version(o, "to", to) &&
              gr_json_add_text(o, "message", NULL) && add_documents(o, module, to, row, order);
    *ret = gr_json_whole(o, ok);
    return *ret ? 0 : gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

static const struct gr_rollout_member *member_of(const struct gr_rollout_row *row,
                                                 const struct gr_name *module)
{
    size_t i = 0;
    while (!gr_name_equal(&row->members[i].module, module))
        i++;
    return &row->members[i];
}

// --- a rollout in progress
// ------------------------------------------------------------------------

int gr_manager_abort(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     cJSON **ret, struct gr_error *e)
{
    struct gr_rollout *r = gr_manager_newest_open(m, module);
    cJSON *said = NULL;
    if (!r) // which says what became of the last one
        return gr_manager_steer(m, module, o, e);
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_rollout_member *mem = member_of(row, module);
    int k = answer(module, mem->to, mem->from, row, o, &said, e);
    if (k == 0)
        k = gr_rollout_steer(r, o, e);
    if (k < 0)
        cJSON_Delete(said);
    else
        *ret = said;
    return k;
}

// `to` NULL: what was there before it.
static int undo_rollout(struct gr_rollout *r, const struct gr_name *module,
                        const struct gr_desired *to, const struct gr_order *o, cJSON **ret,
                        struct gr_error *e)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_rollout_member *mem = member_of(row, module);
    struct gr_error why = {0};
    cJSON *said = NULL;
    int k = answer(module, mem->to, to ? to : mem->from, row, o, &said, e);
    if (k == 0)
        k = gr_rollout_steer(r, o, &why);
    if (k == -EALREADY) { // on its way back: there is nothing to do but to say so
        cJSON *text = cJSON_CreateString(why.message);
        bool ok = text && cJSON_ReplaceItemInObjectCaseSensitive(said, "message", text);
        k = ok ? 0 : gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    } else if (k < 0) {
        *e = why;
    }
    if (k < 0)
        cJSON_Delete(said);
    else
        *ret = said;
    return k;
}

// --- a release that is in force
// -------------------------------------------------------------------

bool gr_manager_differs(const struct gr_manager *m, const struct gr_name *module,
                        const struct gr_desired **ret)
{
    const struct gr_committed *row = gr_manager_row(m, module);
    const struct gr_desired *wish = gr_manager_wish(m, module);
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_names(m->rollouts[i], module))
            return false;
    if (!row || !wish || gr_desired_same_release(wish, row->release))
        return false;
    *ret = wish;
    return true;
}

typedef const struct gr_desired *choose(const struct gr_rollout_row *row,
                                        const struct gr_rollout_member *mem, const void *what);

// The newest release of the module in history that `fits` chooses. 0 with *ret NULL: none.
static int search(struct gr_manager *m, const struct gr_name *module, choose *fits,
                  const void *what, struct gr_desired **ret, struct gr_error *e)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_history(m->journal, module->s, GR_EVENTS_MAX, &rows, &n, e);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; k == 0 && !*ret && j < rows[i].n; j++) {
            const struct gr_rollout_member *mem = &rows[i].members[j];
            const struct gr_desired *d =
                gr_name_equal(&mem->module, module) ? fits(&rows[i], mem, what) : NULL;
            if (d)
                k = gr_desired_copy(d, ret);
        }
        gr_rollout_row_done(&rows[i]);
    }
    free(rows);
    return k;
}

static const struct gr_desired *of_version(const struct gr_rollout_row *row,
                                           const struct gr_rollout_member *mem, const void *version)
{
    const struct gr_desired *d = mem->to && row->phase == GR_PHASE_HEALTHY ? mem->to : mem->from;
    return d && strcmp(d->version.text, version) == 0 ? d : NULL;
}

static const struct gr_desired *before_it(const struct gr_rollout_row *row,
                                          const struct gr_rollout_member *mem, const void *release)
{
    const struct gr_desired *d = row->phase == GR_PHASE_HEALTHY ? mem->from : NULL;
    return d && !gr_desired_same_release(d, release) ? d : NULL;
}

static int find_version(struct gr_manager *m, const struct gr_name *module, const char *version,
                        struct gr_desired **ret, struct gr_error *e)
{
    int k = search(m, module, of_version, version, ret, e);
    if (k == 0 && !*ret)
        k = gr_error_set(e, -ENOENT, GR_REASON_NONE,
                         "version %s of %s was never healthy here; expected one that `grayctl "
                         "history %s` lists as Healthy",
                         version, module->s, module->s);
    return k;
}

static int find_before(struct gr_manager *m, const struct gr_committed *row,
                       struct gr_desired **ret, struct gr_error *e)
{
    const struct gr_told *told = gr_manager_told(m, &row->module);
    const struct gr_desired *other;
    if ((told && (told->phase == GR_PHASE_REJECTED || told->phase == GR_PHASE_ROLLED_BACK)) ||
        gr_manager_differs(m, &row->module, &other))
        return gr_desired_copy(row->release, ret); // it is right; the desired state has to follow
    if (row->last_good && !gr_desired_same_release(row->last_good, row->release))
        return gr_desired_copy(row->last_good, ret);
    int k = search(m, &row->module, before_it, row->release, ret, e);
    if (k == 0 && !*ret)
        k = gr_error_set(e, -ENOENT, GR_REASON_NONE,
                         "%s %s has no version before it here; expected one. Name it: "
                         "grayctl undo %s --to VERSION",
                         row->module.s, row->release->version.text, row->module.s);
    return k;
}

// --- and those that it is locked with
// --------------------------------------------------------------

// What `other` was when `module` was `target`, as one rollout of both tells; NULL: none does.
static const struct gr_desired *companion(const struct gr_rollout_row *row,
                                          const struct gr_name *module,
                                          const struct gr_desired *target,
                                          const struct gr_name *other)
{
    const struct gr_rollout_member *mine = NULL, *theirs = NULL;
    for (size_t i = 0; i < row->n; i++) {
        if (gr_name_equal(&row->members[i].module, module))
            mine = &row->members[i];
        if (gr_name_equal(&row->members[i].module, other))
            theirs = &row->members[i];
    }
    if (!mine || !theirs)
        return NULL;
    if (row->phase == GR_PHASE_HEALTHY && mine->to && gr_desired_same_release(mine->to, target))
        return theirs->to;
    return mine->from && gr_desired_same_release(mine->from, target) ? theirs->from : NULL;
}

// Members of a lock go back together, or the way back would wait for them. The newest rollout of
// both says what they go back to; else they stay, and the desired state says so with the same
// transaction. Owns: ret->members by the caller.
static int put_companions(struct gr_manager *m, const struct gr_name *module,
                          const struct gr_desired *target, struct gr_rollout_row *ret,
                          struct gr_error *e)
{
    const struct gr_committed *others[GR_MODULES_MAX];
    struct gr_rollout_row *rows = NULL;
    size_t n_rows = 0, n = gr_manager_locked_with(m, module, target, others);
    int k = 0;
    if (n)
        k = gr_journal_history(m->journal, module->s, GR_EVENTS_MAX, &rows, &n_rows, e);
    ret->members = n ? calloc(n, sizeof *ret->members) : NULL;
    if (n && !ret->members)
        k = -ENOMEM;
    for (size_t i = 0; k == 0 && i < n; i++) {
        const struct gr_desired *d = NULL;
        for (size_t r = 0; !d && r < n_rows; r++)
            d = companion(&rows[r], module, target, &others[i]->module);
        ret->members[i].module = others[i]->module;
        k = gr_desired_copy(d ? d : others[i]->release, &ret->members[i].from);
        ret->n = i + 1;
    }
    for (size_t i = 0; i < n_rows; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    return k;
}

// --- on this host alone
// --------------------------------------------------------------------------------

// As it was, but without steps: it was judged when it was released.
static int plain_copy(const struct gr_desired *d, const struct gr_order *o, struct gr_desired **ret)
{
    int k = gr_desired_copy(d, ret);
    if (k < 0)
        return k;
    struct gr_strategy *s = &(*ret)->strategy;
    free(gr_steal(s->steps));
    free(gr_steal(s->match_json));
    free(gr_steal(s->shadow_ignore_json));
    s->n_steps = 0;
    (*ret)->one_way |= o->one_way;
    return 0;
}

static int plan_member(struct gr_manager *m, const struct gr_name *module,
                       const struct gr_desired *to, const struct gr_order *o,
                       struct gr_desired **ret_copy, struct gr_plan_item *ret, struct gr_error *e)
{
    const struct gr_committed *row = gr_manager_row(m, module);
    const struct gr_conviction *c = gr_manager_conviction(m, &to->digest);
    if (c && !(row && gr_desired_same_release(row->release, to)))
        return gr_error_set(e, -EKEYREJECTED, GR_REASON_QUARANTINED,
                            "undo of %s to %s is refused: its digest is quarantined (%s: %.300s). "
                            "Name another version, or lift it: grayctl quarantine lift",
                            module->s, to->version.text, gr_reason_name(c->reason), c->evidence);
    int k = plain_copy(to, o, ret_copy);
    *ret = (struct gr_plan_item){.kind = row ? GR_PLAN_REPLACE : GR_PLAN_DEPLOY,
                                 .module = *module,
                                 .to = *ret_copy,
                                 .from = row ? row->release : NULL};
    return k;
}

static int begin_here(struct gr_manager *m, const struct gr_name *module,
                      const struct gr_desired *target, const struct gr_rollout_row *others,
                      const struct gr_order *o, struct gr_error *e)
{
    struct gr_desired *copies[GR_MODULES_MAX + 1] = {0};
    struct gr_plan_item *items GR_AUTO_FREE = calloc(others->n + 1, sizeof *items);
    struct gr_plan plan = {.undo = o, .n = others->n + 1, .items = items};
    int k = items ? plan_member(m, module, target, o, &copies[0], &items[0], e) : -ENOMEM;
    for (size_t i = 0; k == 0 && i < others->n; i++)
        k = plan_member(m, &others->members[i].module, others->members[i].from, o, &copies[i + 1],
                        &items[i + 1], e);
    if (k == 0)
        k = gr_journal_newest_rollout(m->journal, &plan.rollout, e);
    plan.rollout = gr_manager_next_id(m, plan.rollout);
    if (k == 0)
        k = gr_manager_begin(m, &plan, 0, e);
    if (k == 0) {
        char text[GR_MESSAGE_MAX];
        snprintf(text, sizeof text, "%s ordered undo to %s on this host alone%s%.500s",
                 o->actor[0] ? o->actor : "an operator", target->version.text,
                 o->reason[0] ? ": " : "", o->reason);
        gr_manager_tell(m, GR_MSG_STEERED, GR_LOG_INFO, module->s, target->version.text,
                        plan.rollout, NULL, GR_REASON_NONE, text);
        gr_manager_advance(m);
    }
    for (size_t i = 0; i <= others->n; i++)
        gr_desired_free(copies[i]);
    return k;
}

// The rollout that follows would be refused: better said before anything is written.
static int undo_release(struct gr_manager *m, const struct gr_committed *row,
                        const struct gr_desired *target, const struct gr_order *o, cJSON **ret,
                        struct gr_error *e)
{
    struct gr_passage p;
    const struct gr_contract *to = gr_manager_contract(m, target);
    gr_passage_find(gr_manager_contract(m, row->release), to, &p);
    if (p.handover == GR_HANDOVER_IMPOSSIBLE && !o->one_way)
        return gr_error_set(e, -EPERM, GR_REASON_STATE_HANDOVER_FAILED,
                            "undo of %s is not done: %s; expected an order that agrees to that: "
                            "grayctl undo %s --one-way",
                            row->module.s, p.why, row->module.s);
    GR_CLEANUP(gr_rollout_row_done) struct gr_rollout_row others = {0};
    if (o->local && gr_desired_same_release(row->release, target))
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "%s %s serves already on this host. The desired state is made to say "
                            "so by grayctl undo %s without --local",
                            row->module.s, target->version.text, row->module.s);
    int k = put_companions(m, &row->module, target, &others, e);
    if (k == 0)
        k = answer(&row->module, row->release, target, &others, o, ret, e);
    if (k < 0 || !o->local)
        return k;
    const struct gr_name module = row->module; // the row may move when the rollout begins
    k = begin_here(m, &module, target, &others, o, e);
    if (k < 0)
        cJSON_Delete(gr_steal(*ret));
    return k;
}

// Somebody looked, and ordered by what was seen.
static int check_seen(struct gr_manager *m, const struct gr_name *name, const struct gr_rollout *r,
                      const struct gr_order *o, struct gr_error *e)
{
    const struct gr_told *told = gr_manager_told(m, name);
    int64_t newest = r ? gr_rollout_row(r)->id : told ? told->rollout : 0;
    if (o->rollout < 0 || o->rollout == newest)
        return 0;
    return gr_error_set(e, -ESTALE, GR_REASON_NONE,
                        "undo names rollout %" PRId64 " of %s; expected %" PRId64
                        ", the newest. Look again, then order",
                        o->rollout, name->s, newest);
}

int gr_manager_undo(struct gr_manager *m, const char *module, const char *to,
                    const struct gr_order *o, cJSON **ret, struct gr_error *e)
{
    struct gr_desired *target GR_CLEANUP(gr_desired_freep) = NULL;
    struct gr_name name;
    bool named = gr_name_parse(module, strlen(module), &name) == 0;
    const struct gr_committed *row = named ? gr_manager_row(m, &name) : NULL;
    struct gr_rollout *r = named ? gr_manager_newest_open(m, &name) : NULL;
    int k = 0;
    if (!row && !r)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "module '%s' is not in force here; `grayctl list` shows those that are",
                            module);
    k = check_seen(m, &name, r, o, e);
    if (k < 0)
        return k;
    if (to)
        k = find_version(m, &name, to, &target, e);
    else if (!r)
        k = find_before(m, row, &target, e);
    if (k < 0)
        return k;
    return r ? undo_rollout(r, &name, target, o, ret, e) : undo_release(m, row, target, o, ret, e);
}
