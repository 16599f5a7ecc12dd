// Writes the worker's table as orders of its channel: `swap` and `route`.
#include "base/json.h"
#include "control/manager-internal.h"
#include <inttypes.h>
#include <stdio.h>

cJSON *gr_table_order(const char *type, int64_t table, uint64_t budget_usec)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "type", type);
    gr_json_add_int(o, "table", table);
    gr_json_add_uint(o, "budget_usec", budget_usec);
    cJSON_AddArrayToObject(o, "set");
    cJSON_AddArrayToObject(o, "remove");
    cJSON_AddArrayToObject(o, "rollouts");
    return o;
}

// A place with nothing in it is a removal.
void gr_table_add_place(cJSON *order, const struct gr_place *p)
{
    if (p->stable < 0 && p->candidate < 0) {
        cJSON_AddItemToArray(cJSON_GetObjectItem(order, "remove"), cJSON_CreateString(p->module.s));
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "module", p->module.s);
    cJSON_AddNumberToObject(o, "stable", p->stable);
    cJSON_AddNumberToObject(o, "rescue", p->previous);
    if (p->one_way)
        cJSON_AddTrueToObject(o, "one_way");
    if (p->batch)
        gr_json_add_int(o, "batch", p->batch);
    if (p->candidate >= 0) {
        cJSON_AddNumberToObject(o, "candidate", p->candidate);
        gr_json_add_int(o, "rollout", p->rollout);
    }
    cJSON_AddNumberToObject(o, "harm", p->harm);
    cJSON_AddItemToArray(cJSON_GetObjectItem(order, "set"), o);
}

void gr_table_add_rollout(cJSON *order, const struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_strategy *s = gr_rollout_ladder(r);
    char salt[17];
    snprintf(salt, sizeof salt, "%016" PRIx64, row->gray.salt);
    cJSON *o = cJSON_CreateObject();
    gr_json_add_int(o, "rollout", row->id);
    cJSON_AddStringToObject(o, "salt", salt);
    cJSON_AddNumberToObject(o, "weight", row->gray.weight_permyriad);
    cJSON_AddNumberToObject(o, "shadow", row->gray.shadow_permyriad);
    cJSON_AddStringToObject(o, "sticky", s ? s->sticky : "");
    // a version that failed and waits for a person is shown to nobody, not by a rule either
    if (s && s->match_json && row->gray.hold != GR_HOLD_FAILURE)
        cJSON_AddItemToObject(o, "match", cJSON_Parse(s->match_json));
    if (s && s->shadow_ignore_json)
        cJSON_AddItemToObject(o, "shadow_ignore", cJSON_Parse(s->shadow_ignore_json));
    cJSON_AddItemToArray(cJSON_GetObjectItem(order, "rollouts"), o);
}
