// What the dashboard shows of a module beside the control socket's answer.
#include "base/json.h"
#include "control/board.h"
#include "control/json-add.h"
#include "control/view-json.h"
#include <math.h>
#include <string.h>

static bool add_number(cJSON *o, const char *name, double x) // JSON has no infinity
{
    return isfinite(x) ? cJSON_AddNumberToObject(o, name, x) : cJSON_AddNullToObject(o, name);
}

// The fields are those of the stored record (analysis-record.c).
static bool add_gate(cJSON *gates, const char *name, const struct gr_gate_verdict *g)
{
    cJSON *o = cJSON_AddObjectToObject(gates, name);
    return o && cJSON_AddStringToObject(o, "verdict", gr_verdict_name(g->verdict)) &&
           gr_json_add_uint(o, "candidate_n", g->candidate_n) &&
           gr_json_add_uint(o, "stable_n", g->stable_n) &&
           add_number(o, "candidate", g->candidate) && add_number(o, "stable", g->stable) &&
           add_number(o, "estimate", g->estimate) && add_number(o, "low", g->low) &&
           add_number(o, "high", g->high) && add_number(o, "limit", g->limit) &&
           add_number(o, "evidence", g->evidence) &&
           add_number(o, "evidence_limit", g->evidence_limit);
}

static bool add_gates(cJSON *o, const struct gr_verdict_record *r)
{
    cJSON *gates = cJSON_AddObjectToObject(o, "gates");
    bool ok = gates;
    for (unsigned i = 0; ok && r && i < GR_GATE_COUNT; i++)
        if (r->verdict.gates[i].enabled)
            ok = add_gate(gates, gr_gate_name((enum gr_gate)i), &r->verdict.gates[i]);
    return ok;
}

// Where it came from, for everybody who may look: without what may be a secret.
static bool add_source(cJSON *o, const char *url)
{
    const char *rest = url ? strstr(url, "://") : NULL;
    if (!rest)
        return cJSON_AddNullToObject(o, "source");
    rest += strlen("://");
    size_t scheme = (size_t)(rest - url), host = strcspn(rest, "/?#");
    for (size_t i = host; i-- > 0;)
        if (rest[i] == '@') {
            rest += i + 1;
            break;
        }
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_STREAM_SAY_BYTES);
    return gr_buf_append(&text, url, scheme) == 0 &&
           gr_buf_append(&text, rest, strcspn(rest, "?#")) == 0 &&
           cJSON_AddStringToObject(o, "source", text.data);
}

static cJSON *interface_json(const struct gr_contract_interface *in)
{
    cJSON *o = cJSON_CreateObject(), *methods = NULL;
    bool ok = o && cJSON_AddStringToObject(o, "name", in->name) &&
              cJSON_AddStringToObject(o, "version", in->version.text) &&
              (methods = cJSON_AddArrayToObject(o, "methods"));
    for (size_t i = 0; ok && i < in->n_methods; i++)
        ok = gr_json_push(methods, cJSON_CreateString(in->methods[i].name));
    return gr_json_whole(o, ok);
}

static bool add_contract(cJSON *o, const struct gr_contract *c)
{
    if (!c)
        return cJSON_AddNullToObject(o, "contract");
    cJSON *j = cJSON_AddObjectToObject(o, "contract"), *provides = NULL, *requires = NULL;
    bool ok = j && cJSON_AddNumberToObject(j, "abi_major", c->abi_major) &&
              cJSON_AddNumberToObject(j, "abi_minor", c->abi_minor) &&
              cJSON_AddBoolToObject(j, "state", c->has_state) &&
              (provides = cJSON_AddArrayToObject(j, "provides")) &&
              (requires = cJSON_AddArrayToObject(j, "requires"));
    for (size_t i = 0; ok && i < c->n_provides; i++)
        ok = gr_json_push(provides, interface_json(&c->provides[i]));
    for (size_t i = 0; ok && i < c->n_requires; i++) {
        cJSON *need = cJSON_CreateObject();
        ok = gr_json_push(
            requires,
            gr_json_whole(need,
                          need && cJSON_AddStringToObject(need, "name", c->requires[i].interface) &&
                              cJSON_AddStringToObject(need, "range", c->requires[i].range.text)));
    }
    return ok;
}

static bool add_release(cJSON *module, const char *name, const struct gr_view_version *v)
{
    cJSON *o = cJSON_GetObjectItem(module, name);
    const struct gr_desired *d = v->release;
    return !v->present ||
           (add_source(o, d && d->n_sources ? d->sources[0] : NULL) &&
            gr_json_add_text(o, "actor", d ? d->actor : NULL) &&
            gr_json_add_text(o, "why", d ? d->reason : NULL) && add_contract(o, v->contract));
}

cJSON *gr_board_module_json(const struct gr_view_module *m)
{
    cJSON *o = gr_view_module_to_json(m);
    return gr_json_whole(o, o && add_gates(o, m->verdict) && add_release(o, "stable", &m->stable) &&
                                add_release(o, "candidate", &m->candidate) &&
                                add_release(o, "previous", &m->previous));
}
