// Owns what operators may ask of the manager through the control socket.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct gr_view *op_view(void *u)
{
    return gr_manager_view(u);
}
static struct gr_journal *op_journal(void *u)
{
    return ((struct gr_manager *)u)->journal;
}

static const char *op_config(void *u)
{
    struct gr_manager *m = u;
    free(m->config_text);
    m->config_text = gr_config_format(m->config);
    return m->config_text ? m->config_text : "";
}

// The documents given stand in for their keys; all others stay as the last snapshot has them.
static int op_plan(void *u, const struct gr_wishes *wishes, struct gr_plans **ret,
                   struct gr_error *e)
{
    struct gr_manager *m = u;
    struct gr_wishes mixed = {.revision = m->now.revision + 1,
                              .cluster_id = m->now.cluster_id,
                              .n_gone = m->now.n_gone,
                              .gone = m->now.gone};
    struct gr_wish *all GR_AUTO_FREE = calloc(m->now.n + wishes->n + 1, sizeof *all);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0, k = 0; i < m->now.n || k < wishes->n;) { // both are sorted by module
        int c = i == m->now.n    ? 1
                : k == wishes->n ? -1
                                 : strcmp(m->now.wishes[i].module.s, wishes->wishes[k].module.s);
        all[mixed.n] = c < 0 ? m->now.wishes[i] : wishes->wishes[k];
        if (c >= 0) // all that is given would be one transaction
            all[mixed.n].mod_revision = mixed.revision;
        mixed.n++;
        i += c <= 0;
        k += c >= 0;
    }
    mixed.wishes = all;
    int r = gr_manager_make_plans(m, &m->now, &mixed, ret);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "the plan could not be made: %s",
                                strerror(-r))
                 : 0;
}

static void add_version(cJSON *o, const char *key, const struct gr_desired *d)
{
    char hash[GR_DIGEST_TEXT_MAX];
    cJSON *v = d ? cJSON_AddObjectToObject(o, key) : cJSON_AddNullToObject(o, key);
    if (d && v) {
        cJSON_AddStringToObject(v, "version", d->version.text);
        cJSON_AddStringToObject(v, "hash", gr_digest_format(&d->digest, hash));
    }
}

static int undo_answer(const struct gr_name *module, const struct gr_desired *from,
                       const struct gr_desired *to, cJSON **ret)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "module", module->s);
    add_version(o, "from", from);
    add_version(o, "to", to);
    char *text GR_AUTO_FREE = to ? gr_desired_format(to) : NULL;
    cJSON_AddItemToObject(o, "document", text ? cJSON_Parse(text) : cJSON_CreateNull());
    *ret = o;
    return 0;
}

static int undo_baking(struct gr_manager *m, const struct gr_committed *row, const char *actor,
                       const char *reason)
{
    for (size_t i = 0; i < m->n_rollouts; i++) {
        struct gr_rollout *r = m->rollouts[i];
        const struct gr_rollout_row *rr = gr_rollout_row(r);
        for (size_t k = 0; k < rr->n; k++)
            if (gr_name_equal(&rr->members[k].module, &row->module)) {
                struct gr_error why = {0};
                gr_error_set(&why, -ECANCELED, GR_REASON_OPERATOR_ABORT,
                             "%s took rollout %" PRId64 " back: %s",
                             actor && *actor ? actor : "an operator", rr->id,
                             reason && *reason ? reason : "no reason was given");
                gr_rollout_fail(r, k, &why);
                return 1;
            }
    }
    return 0;
}

// A release of this module that history knows under that version.
static int find_release(struct gr_manager *m, const struct gr_name *module, const char *version,
                        struct gr_desired **ret, struct gr_error *e)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_history(m->journal, module->s, GR_EVENTS_MAX, &rows, &n, e);
    for (size_t i = 0; k == 0 && i < n; i++) {
        for (size_t j = 0; j < rows[i].n; j++) {
            struct gr_rollout_member *mem = &rows[i].members[j];
            struct gr_desired *d =
                mem->to && rows[i].phase == GR_PHASE_HEALTHY ? mem->to : mem->from;
            if (!*ret && d && gr_name_equal(&mem->module, module) &&
                strcmp(d->version.text, version) == 0)
                k = gr_desired_copy(d, ret);
        }
    }
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    if (k == 0 && !*ret)
        k = gr_error_set(e, -ENOENT, GR_REASON_NONE,
                         "version %s of %s was never healthy here; expected one that `grayctl "
                         "history %s` lists as Healthy",
                         version, module->s, module->s);
    return k;
}

static int op_undo(void *u, const char *module, const char *to, const char *actor,
                   const char *reason, cJSON **ret, struct gr_error *e)
{
    struct gr_manager *m = u;
    struct gr_name name;
    const struct gr_committed *row =
        gr_name_parse(module, strlen(module), &name) == 0 ? gr_manager_row(m, &name) : NULL;
    if (!row)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "module '%s' is not in force here; `grayctl list` shows those that are",
                            module);
    struct gr_desired *from GR_CLEANUP(gr_desired_freep) = NULL,
                            *target GR_CLEANUP(gr_desired_freep) = NULL;
    int k = gr_desired_copy(row->release, &from);
    if (k == 0 && to)
        k = find_release(m, &name, to, &target, e);
    else if (k == 0 && (row->previous || row->last_good))
        k = gr_desired_copy(row->previous ? row->previous : row->last_good, &target);
    if (k < 0)
        return k;
    bool aborted = undo_baking(m, row, actor, reason);
    const struct gr_told *told = gr_manager_told(m, &name);
    bool refused =
        told && (told->phase == GR_PHASE_REJECTED || told->phase == GR_PHASE_ROLLED_BACK);
    if (!to && !aborted && refused) { // what serves is right; only the desired state has to follow
        gr_desired_free(gr_steal(target));
        k = gr_desired_copy(row->release, &target);
    } else if (!to && !aborted && target && gr_desired_same_release(target, from)) {
        gr_desired_free(gr_steal(target)); // nothing bakes: the healthy version before this one
        struct gr_rollout_row *rows = NULL;
        size_t n = 0;
        k = gr_journal_history(m->journal, name.s, GR_EVENTS_MAX, &rows, &n, e);
        for (size_t i = 0; k == 0 && i < n; i++) {
            for (size_t j = 0; j < rows[i].n; j++)
                if (!target && rows[i].phase == GR_PHASE_HEALTHY && rows[i].members[j].from &&
                    gr_name_equal(&rows[i].members[j].module, &name) &&
                    !gr_desired_same_release(rows[i].members[j].from, from))
                    k = gr_desired_copy(rows[i].members[j].from, &target);
        }
        for (size_t i = 0; i < n; i++)
            gr_rollout_row_done(&rows[i]);
        free(rows);
        if (k == 0 && !target)
            return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                                "%s %s has no version before it here; expected one. Name it: "
                                "grayctl undo %s --to VERSION",
                                name.s, from->version.text, name.s);
    }
    return k < 0 ? k : undo_answer(&name, from, target, ret);
}

static int op_steer(void *u, const struct gr_name *module, const struct gr_order *o,
                    struct gr_error *e)
{
    return gr_manager_steer(u, module, o, e);
}

static int op_lift(void *u, const struct gr_digest *digest, const char *actor, const char *reason,
                   struct gr_error *e)
{
    struct gr_manager *m = u;
    int k = gr_journal_pardon(m->journal, digest, actor, reason, e);
    if (k == 0) {
        gr_manager_reload_convictions(m);
        gr_manager_changed(m);
    }
    return k;
}

static int op_replace(void *u, const char *actor, const char *reason, struct gr_error *e)
{
    struct gr_manager *m = u;
    if (m->replace_wanted)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "the worker is being replaced already (%s)", m->replace_why);
    char why[128];
    snprintf(why, sizeof why, "%s asked%s%s", actor && *actor ? actor : "an operator",
             reason && *reason ? ": " : "", reason ? reason : "");
    gr_manager_replace_worker(m, why);
    return 0;
}

static int freeze_or_thaw(struct gr_manager *m, const char *type, const char *const *modules,
                          size_t n, uint64_t for_usec, struct gr_error *e)
{
    if (!m->active)
        return gr_error_set(e, -EAGAIN, GR_REASON_NONE,
                            "no worker serves at this moment; ask again in a second");
    cJSON *msg = cJSON_CreateObject();
    cJSON_AddStringToObject(msg, "type", type);
    cJSON_AddItemToObject(msg, "modules", cJSON_CreateStringArray(modules, (int)n));
    if (for_usec)
        gr_json_add_uint(msg, "for_usec", for_usec);
    return gr_worker_request(m->active->worker, msg, -1, 0, NULL, NULL);
}

static int op_freeze(void *u, const char *const *modules, size_t n, uint64_t for_usec,
                     struct gr_error *e)
{
    return freeze_or_thaw(u, "freeze", modules, n, for_usec, e);
}
static int op_thaw(void *u, const char *const *modules, size_t n, struct gr_error *e)
{
    return freeze_or_thaw(u, "thaw", modules, n, 0, e);
}

static int op_accept_rewind(void *u, const char *actor, const char *reason, struct gr_error *e)
{
    struct gr_manager *m = u;
    if (!m->health.held)
        return gr_error_set(
            e, -EALREADY, GR_REASON_NONE,
            "nothing is held: the source's revision is not behind what was accepted");
    gr_log(GR_LOG_NOTICE, "%s accepted the rewound source: %s",
           actor && *actor ? actor : "an operator", reason ? reason : "");
    gr_source_accept_rewind(m->source);
    return 0;
}

void gr_manager_control_ops(struct gr_manager *m, struct gr_control_ops *ret)
{
    *ret = (struct gr_control_ops){.view = op_view,
                                   .journal = op_journal,
                                   .config = op_config,
                                   .plan = op_plan,
                                   .undo = op_undo,
                                   .steer = op_steer,
                                   .lift = op_lift,
                                   .replace_worker = op_replace,
                                   .freeze = op_freeze,
                                   .thaw = op_thaw,
                                   .accept_rewind = op_accept_rewind,
                                   .userdata = m};
}
