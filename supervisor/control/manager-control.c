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
    if (r == 0) {
        gr_manager_note_passages(m, &mixed, *ret);
        gr_manager_note_locks(m, &mixed, *ret);
        r = gr_manager_note_pooling(m, wishes, &mixed, *ret);
    }
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "the plan could not be made: %s",
                                strerror(-r))
                 : 0;
}

static int op_steer(void *u, const struct gr_name *module, const struct gr_order *o,
                    struct gr_error *e)
{
    return gr_manager_steer(u, module, o, e);
}

static int op_abort(void *u, const struct gr_name *module, const struct gr_order *o, cJSON **ret,
                    struct gr_error *e)
{
    return gr_manager_abort(u, module, o, ret, e);
}

static int op_undo(void *u, const char *module, const char *to, const struct gr_order *o,
                   cJSON **ret, struct gr_error *e)
{
    return gr_manager_undo(u, module, to, o, ret, e);
}

static int op_lift(void *u, const struct gr_digest *digest, const char *actor, const char *reason,
                   struct gr_error *e)
{
    return gr_manager_lift(u, digest, actor, reason, e);
}

int gr_manager_check_state(struct gr_manager *m, struct gr_error *e)
{
    for (size_t i = 0; i < m->table.n; i++)
        if (gr_manager_holds_state(m, &m->table.rows[i]))
            return gr_error_set(e, -EPERM, GR_REASON_STATE_HANDOVER_FAILED,
                                "the worker is not replaced: it holds the state of %s, which no "
                                "other worker can take over; expected an order that agrees to lose "
                                "it: grayctl worker replace --one-way",
                                m->table.rows[i].module.s);
    return 0;
}

static int op_replace(void *u, const char *actor, const char *reason, bool one_way,
                      struct gr_error *e)
{
    struct gr_manager *m = u;
    if (m->replace_wanted)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "the worker is being replaced already (%s)", m->replace_why);
    int k = one_way ? 0 : gr_manager_check_state(m, e);
    if (k < 0)
        return k;
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
    gr_intents_accept_rewind(m->intents);
    gr_quarantine_accept_rewind(m->quarantine);
    return 0;
}

static int op_leave_safe_mode(void *u, const char *actor, const char *reason, struct gr_error *e)
{
    return gr_manager_leave_safe_mode(u, actor, reason, e);
}

static int op_profile(void *u, unsigned hz, uint64_t usec, uint64_t *ret_id, struct gr_error *e)
{
    struct gr_manager *m = u;
    if (!m->active)
        return gr_error_set_retryable(e, -EAGAIN, GR_REASON_NONE,
                                      "no worker serves at this moment; ask again in a second");
    return gr_profiles_begin(&m->profiles, m->active->worker, hz, usec, ret_id, e);
}

static int op_profiled(void *u, uint64_t id, char **ret, size_t *ret_len, struct gr_error *e)
{
    const struct gr_manager *m = u;
    return gr_profiles_take(&m->profiles, id, ret, ret_len, e);
}

static void op_reachable(void *u)
{
    gr_manager_tell(u, GR_MSG_CONTROL_BACK, GR_LOG_NOTICE, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    "the control socket is open, now that there is room for it");
    gr_manager_changed(u);
}

void gr_manager_control_ops(struct gr_manager *m, struct gr_control_ops *ret)
{
    *ret = (struct gr_control_ops){.view = op_view,
                                   .journal = op_journal,
                                   .config = op_config,
                                   .plan = op_plan,
                                   .undo = op_undo,
                                   .steer = op_steer,
                                   .abort = op_abort,
                                   .lift = op_lift,
                                   .replace_worker = op_replace,
                                   .freeze = op_freeze,
                                   .thaw = op_thaw,
                                   .accept_rewind = op_accept_rewind,
                                   .leave_safe_mode = op_leave_safe_mode,
                                   .profile = op_profile,
                                   .profiled = op_profiled,
                                   .reachable = op_reachable,
                                   .userdata = m};
}
