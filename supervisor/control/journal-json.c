// Renders history, events and plans.
#include "control/journal-json.h"
#include "base/json.h"
#include "control/json-add.h"

static cJSON *release(const struct gr_desired *d)
{
    char digest[GR_DIGEST_TEXT_MAX];
    if (!d)
        return cJSON_CreateNull();
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(
        o, o && cJSON_AddStringToObject(o, "version", d->version.text) &&
               cJSON_AddStringToObject(o, "hash", gr_digest_format(&d->digest, digest)));
}

static cJSON *member(const struct gr_rollout_member *m)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && cJSON_AddStringToObject(o, "module", m->module.s) &&
                                gr_json_add(o, "from", release(m->from)) &&
                                gr_json_add(o, "to", release(m->to)) &&
                                gr_json_add_text(o, "reason", gr_reason_name(m->reason)) &&
                                gr_json_add_text(o, "message", m->message) &&
                                gr_json_add_text(o, "actor", m->to ? m->to->actor : NULL) &&
                                gr_json_add_text(o, "why", m->to ? m->to->reason : NULL));
}

cJSON *gr_rollout_row_to_json(const struct gr_rollout_row *r)
{
    cJSON *o = cJSON_CreateObject(), *members = NULL;
    bool ok = o && gr_json_add_int(o, "rollout", r->id) &&
              cJSON_AddStringToObject(o, "phase", gr_phase_name(r->phase)) &&
              gr_json_add_text(o, "reason", gr_reason_name(r->reason)) &&
              gr_json_add_text(o, "message", r->message) &&
              gr_json_add_time(o, "created", r->created) &&
              gr_json_add_time(o, "updated", r->updated) &&
              (members = cJSON_AddArrayToObject(o, "modules"));
    for (size_t i = 0; ok && i < r->n; i++)
        ok = gr_json_push(members, member(&r->members[i]));
    return gr_json_whole(o, ok);
}

cJSON *gr_event_row_to_json(const struct gr_event_row *ev)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && gr_json_add_int(o, "seq", ev->seq) &&
                                gr_json_add_time(o, "at", ev->at) &&
                                gr_json_add_text(o, "module", ev->module) &&
                                gr_json_add_text(o, "version", ev->version) &&
                                gr_json_add_int(o, "rollout", ev->rollout) &&
                                gr_json_add_text(o, "phase", ev->phase) &&
                                gr_json_add_text(o, "reason", ev->reason) &&
                                gr_json_add_text(o, "message", ev->message));
}

static const char *kind_name(enum gr_plan_kind k)
{
    switch (k) {
    case GR_PLAN_DEPLOY:
        return "deploy";
    case GR_PLAN_REPLACE:
        return "replace";
    case GR_PLAN_RECONFIGURE:
        return "reconfigure";
    case GR_PLAN_REMOVE:
        return "remove";
    case GR_PLAN_REFUSE:
        break;
    }
    return "refuse";
}

static cJSON *item(const struct gr_plan_item *i, size_t group)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && cJSON_AddNumberToObject(o, "group", (double)group) &&
                                cJSON_AddStringToObject(o, "module", i->module.s) &&
                                cJSON_AddStringToObject(o, "kind", kind_name(i->kind)) &&
                                gr_json_add(o, "from", release(i->from)) &&
                                gr_json_add(o, "to", release(i->to)) &&
                                gr_json_add_text(o, "reason", gr_reason_name(i->refusal.reason)) &&
                                gr_json_add_text(o, "message", i->refusal.message) &&
                                cJSON_AddBoolToObject(o, "one_way", i->one_way) &&
                                gr_json_add_text(o, "state", i->passage));
}

static cJSON *rollout(const struct gr_plan *p, size_t group)
{
    cJSON *o = cJSON_CreateObject(), *modules = NULL;
    bool ok = o && cJSON_AddNumberToObject(o, "group", (double)group) &&
              cJSON_AddNumberToObject(o, "rollout", (double)p->rollout) &&
              cJSON_AddBoolToObject(o, "refused", p->refused) &&
              gr_json_add_text(o, "waits", p->waits ? p->waits : "") &&
              (modules = cJSON_AddArrayToObject(o, "modules"));
    for (size_t i = 0; ok && i < p->n; i++)
        ok = gr_json_push(modules, cJSON_CreateString(p->items[i].module.s));
    return gr_json_whole(o, ok);
}

static cJSON *warning(const struct gr_plan_warning *w)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && cJSON_AddStringToObject(o, "module", w->module.s) &&
                                cJSON_AddStringToObject(o, "message", w->text));
}

cJSON *gr_plans_to_json(const struct gr_plans *p)
{
    GR_AUTO_FREE char *text = gr_plans_format(p);
    cJSON *o = cJSON_CreateObject(), *rollouts = NULL, *items = NULL, *warnings = NULL;
    bool refused = false;
    for (size_t i = 0; i < p->n; i++)
        refused |= p->plans[i].refused;
    bool ok = o && cJSON_AddBoolToObject(o, "refused", refused) &&
              gr_json_add_text(o, "text", text) &&
              (rollouts = cJSON_AddArrayToObject(o, "rollouts")) &&
              (items = cJSON_AddArrayToObject(o, "items")) &&
              (warnings = cJSON_AddArrayToObject(o, "warnings"));
    for (size_t i = 0; ok && i < p->n_warnings; i++)
        ok = gr_json_push(warnings, warning(&p->warnings[i]));
    for (size_t i = 0; ok && i < p->n; i++) {
        ok = gr_json_push(rollouts, rollout(&p->plans[i], i + 1));
        for (size_t k = 0; ok && k < p->plans[i].n; k++)
            ok = gr_json_push(items, item(&p->plans[i].items[k], i + 1));
    }
    return gr_json_whole(o, ok);
}
