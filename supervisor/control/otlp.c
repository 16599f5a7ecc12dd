// Builds spans as JSON values; 64-bit numbers are strings, as protobuf's JSON mapping asks.
#include "control/otlp.h"
#include "base/code.h"
#include "base/digest.h"
#include "dispatch/stats.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define KIND_INTERNAL 1
#define KIND_SERVER 2
#define STATUS_ERROR 2

static bool add_text(cJSON *attributes, const char *key, const char *value)
{
    cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(attributes, o)) {
        cJSON_Delete(o);
        return false;
    }
    cJSON *v = cJSON_AddStringToObject(o, "key", key) ? cJSON_AddObjectToObject(o, "value") : NULL;
    return v && cJSON_AddStringToObject(v, "stringValue", value);
}

static bool add_number(cJSON *attributes, const char *key, int64_t n)
{
    char text[24];
    cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(attributes, o)) {
        cJSON_Delete(o);
        return false;
    }
    snprintf(text, sizeof text, "%" PRId64, n);
    cJSON *v = cJSON_AddStringToObject(o, "key", key) ? cJSON_AddObjectToObject(o, "value") : NULL;
    return v && cJSON_AddStringToObject(v, "intValue", text);
}

static bool add_time(cJSON *span, const char *field, int64_t usec)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 "000", usec);
    return cJSON_AddStringToObject(span, field, text) != NULL;
}

static bool add_error(cJSON *span, const char *message)
{
    cJSON *status = cJSON_AddObjectToObject(span, "status");
    return status && cJSON_AddNumberToObject(status, "code", STATUS_ERROR) &&
           (!message || cJSON_AddStringToObject(status, "message", message));
}

// --- requests
// ---------------------------------------------------------------------------------------

struct request { // borrowed from the message
    const char *trace, *span, *parent, *module, *version, *interface, *method, *request_id;
    uint64_t began_usec, took_usec, code;
    bool candidate, rescued;
};

static bool is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static bool read_request(const cJSON *m, struct request *q)
{
    const struct {
        const char *field, **at;
    } texts[] = {{"trace", &q->trace},     {"span", &q->span},
                 {"parent", &q->parent},   {"module", &q->module},
                 {"version", &q->version}, {"interface", &q->interface},
                 {"method", &q->method},   {"request_id", &q->request_id}};
    int r = cJSON_IsObject(m) ? 0 : -1;
    for (size_t i = 0; r == 0 && i < GR_COUNT(texts); i++)
        r = gr_json_string(m, "", texts[i].field, GR_JSON_REQUIRED, texts[i].at, NULL);
    if (r == 0)
        r = gr_json_uint(m, "", "began_usec", GR_JSON_REQUIRED, 0, INT64_MAX >> 10, &q->began_usec,
                         NULL);
    if (r == 0)
        r = gr_json_uint(m, "", "took_usec", GR_JSON_REQUIRED, 0, INT64_MAX >> 11, &q->took_usec,
                         NULL);
    if (r == 0)
        r = gr_json_uint(m, "", "code", GR_JSON_REQUIRED, 0, UINT16_MAX, &q->code, NULL);
    if (r == 0)
        r = gr_json_bool(m, "", "candidate", GR_JSON_REQUIRED, &q->candidate, NULL);
    if (r == 0)
        r = gr_json_bool(m, "", "rescued", GR_JSON_REQUIRED, &q->rescued, NULL);
    return r == 0 && is_hex(q->trace, GR_OTLP_TRACE_ID - 1) &&
           is_hex(q->span, GR_OTLP_SPAN_ID - 1) && is_hex(q->parent, GR_OTLP_SPAN_ID - 1);
}

static bool add_request_attributes(cJSON *o, const struct request *q)
{
    cJSON *a = cJSON_AddArrayToObject(o, "attributes");
    bool ok = a && add_text(a, "rpc.system", "connect_rpc") &&
              add_text(a, "rpc.service", q->interface) && add_text(a, "rpc.method", q->method) &&
              add_text(a, "grayling.request_id", q->request_id);
    if (ok && q->code)
        ok = add_text(a, "rpc.connect_rpc.error_code", gr_code_name((unsigned)q->code));
    if (ok && *q->module)
        ok = add_text(a, "grayling.module", q->module) &&
             add_text(a, "grayling.version", q->version) &&
             add_text(a, "grayling.role", q->candidate ? "candidate" : "stable");
    if (ok && q->rescued)
        ok = add_text(a, "grayling.rescued", "1");
    return ok;
}

cJSON *gr_otlp_request(const cJSON *span)
{
    struct request q = {0};
    char name[600];
    if (!read_request(span, &q))
        return NULL;
    snprintf(name, sizeof name, "%s/%s", q.interface, q.method);
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "traceId", q.trace) &&
              cJSON_AddStringToObject(o, "spanId", q.span) &&
              (strspn(q.parent, "0") == GR_OTLP_SPAN_ID - 1 ||
               cJSON_AddStringToObject(o, "parentSpanId", q.parent)) &&
              cJSON_AddStringToObject(o, "name", name) &&
              cJSON_AddNumberToObject(o, "kind", KIND_SERVER) &&
              add_time(o, "startTimeUnixNano", (int64_t)q.began_usec) &&
              add_time(o, "endTimeUnixNano", (int64_t)(q.began_usec + q.took_usec)) &&
              add_request_attributes(o, &q) &&
              (!gr_code_is_server_error((int32_t)q.code) || add_error(o, NULL));
    return ok ? gr_steal(o) : NULL;
}

// --- rollouts
// ---------------------------------------------------------------------------------------

// Ids that every host, and every start, finds anew.
static int derive(const char *what, const struct gr_otlp_step *s, bool of_instance, char *ret,
                  size_t len)
{
    char text[400];
    struct gr_digest d;
    struct gr_hasher *h = NULL;
    int n = snprintf(text, sizeof text, "grayling %s %s %" PRId64 " %s", what, s->service,
                     s->row->id, of_instance ? s->instance : "");
    int r = gr_hasher_new(&h);
    if (r == 0)
        r = gr_hasher_update(h, text, (size_t)n);
    if (r == 0)
        r = gr_hasher_finish(h, &d);
    gr_hasher_free(h);
    for (size_t i = 0; r == 0 && i * 2 + 2 < len; i++)
        snprintf(ret + i * 2, 3, "%02x", d.bytes[i]);
    return r;
}

static bool add_members(cJSON *a, const struct gr_rollout_row *row)
{
    cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(a, o)) {
        cJSON_Delete(o);
        return false;
    }
    cJSON *v = cJSON_AddStringToObject(o, "key", "grayling.members")
                   ? cJSON_AddObjectToObject(o, "value")
                   : NULL;
    cJSON *list = v ? cJSON_AddObjectToObject(v, "arrayValue") : NULL;
    cJSON *values = list ? cJSON_AddArrayToObject(list, "values") : NULL;
    for (size_t i = 0; values && i < row->n; i++) {
        char text[GR_NAME_MAX + GR_VERSION_MAX + 16];
        const struct gr_rollout_member *m = &row->members[i];
        snprintf(text, sizeof text, "%s %s", m->module.s, m->to ? m->to->version.text : "removed");
        cJSON *one = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(values, one)) {
            cJSON_Delete(one);
            return false;
        }
        if (!cJSON_AddStringToObject(one, "stringValue", text))
            return false;
    }
    return values != NULL;
}

static bool add_rollout_attributes(cJSON *o, const struct gr_otlp_step *s)
{
    cJSON *a = cJSON_AddArrayToObject(o, "attributes");
    bool ok = a && add_number(a, "grayling.rollout", s->row->id) &&
              add_text(a, "grayling.phase", gr_phase_name(s->phase)) && add_members(a, s->row);
    if (ok && !s->whole && (s->phase == GR_PHASE_PROGRESSING || s->phase == GR_PHASE_PAUSED))
        ok = add_number(a, "grayling.step", s->step + 1);
    if (ok && s->whole && s->row->reason)
        ok = add_text(a, "grayling.reason", gr_reason_name(s->row->reason));
    return ok;
}

static void name_of(const struct gr_otlp_step *s, char *name, size_t len)
{
    const char *module = s->row->n ? s->row->members[0].module.s : "";
    const char *more = s->row->n > 1 ? " and others" : "";
    if (s->whole)
        snprintf(name, len, "rollout of %s%s", module, more);
    else if (s->phase == GR_PHASE_PROGRESSING || s->phase == GR_PHASE_PAUSED)
        snprintf(name, len, "%s, step %" PRId64, gr_phase_name(s->phase), s->step + 1);
    else
        snprintf(name, len, "%s", gr_phase_name(s->phase));
}

cJSON *gr_otlp_rollout(const struct gr_otlp_step *s)
{
    char trace[GR_OTLP_TRACE_ID], whole[GR_OTLP_SPAN_ID], own[GR_OTLP_SPAN_ID], name[128];
    uint64_t draw = 0;
    if (derive("trace", s, false, trace, sizeof trace) < 0 ||
        derive("rollout", s, true, whole, sizeof whole) < 0 ||
        getrandom(&draw, sizeof draw, 0) != sizeof draw)
        return NULL;
    snprintf(own, sizeof own, "%016" PRIx64, draw | 1);
    name_of(s, name, sizeof name);
    bool bad = s->whole && (s->phase == GR_PHASE_ROLLED_BACK || s->phase == GR_PHASE_REJECTED);
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "traceId", trace) &&
              cJSON_AddStringToObject(o, "spanId", s->whole ? whole : own) &&
              (s->whole || cJSON_AddStringToObject(o, "parentSpanId", whole)) &&
              cJSON_AddStringToObject(o, "name", name) &&
              cJSON_AddNumberToObject(o, "kind", KIND_INTERNAL) &&
              add_time(o, "startTimeUnixNano", s->began.usec) &&
              add_time(o, "endTimeUnixNano", s->ended.usec) && add_rollout_attributes(o, s) &&
              (!bad || add_error(o, s->row->message));
    return ok ? gr_steal(o) : NULL;
}

// --- the whole
// --------------------------------------------------------------------------------------

static cJSON *add_object(cJSON *parent, const char *list)
{
    cJSON *array = cJSON_AddArrayToObject(parent, list), *o = cJSON_CreateObject();
    if (array && cJSON_AddItemToArray(array, o))
        return o;
    cJSON_Delete(o);
    return NULL;
}

char *gr_otlp_export(const char *service, const char *instance, const char *version,
                     cJSON *const *spans, size_t n, size_t *ret_len)
{
    GR_AUTO_JSON cJSON *root = cJSON_CreateObject();
    cJSON *whose = add_object(root, "resourceSpans");
    cJSON *resource = whose ? cJSON_AddObjectToObject(whose, "resource") : NULL;
    cJSON *a = resource ? cJSON_AddArrayToObject(resource, "attributes") : NULL;
    if (!a || !add_text(a, "service.name", service) ||
        !add_text(a, "service.instance.id", instance))
        return NULL;
    cJSON *by = add_object(whose, "scopeSpans");
    cJSON *scope = by ? cJSON_AddObjectToObject(by, "scope") : NULL;
    cJSON *list = scope ? cJSON_AddArrayToObject(by, "spans") : NULL;
    if (!list || !cJSON_AddStringToObject(scope, "name", "grayling") ||
        !cJSON_AddStringToObject(scope, "version", version))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!cJSON_AddItemReferenceToArray(list, spans[i]))
            return NULL;
    char *text = cJSON_PrintUnformatted(root);
    if (text)
        *ret_len = strlen(text);
    return text;
}

uint64_t gr_otlp_rejected(const char *body, size_t len)
{
    GR_AUTO_JSON cJSON *root = cJSON_ParseWithLength(body, len);
    const cJSON *partial = cJSON_GetObjectItemCaseSensitive(root, "partialSuccess");
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(partial, "rejectedSpans");
    uint64_t rejected = 0;
    if (cJSON_IsString(n) && sscanf(n->valuestring, "%10" SCNu64, &rejected) == 1)
        return rejected;
    return cJSON_IsNumber(n) && n->valuedouble > 0 && n->valuedouble < 1e9
               ? (uint64_t)n->valuedouble
               : 0;
}
