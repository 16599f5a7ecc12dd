// Owns the text form of an operator's order. Must stay pure: what an order does is the rollout's
// business.
#include "state/order.h"
#include "base/json.h"
#include "state/canonical.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ORDER_BYTES_MAX 4096u

const char *gr_order_verb_name(enum gr_order_verb v)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_ORDER_VERBS(X)
#undef X
    };
    return (unsigned)v < GR_COUNT(names) ? names[v] : "?";
}

static int parse_verb(const char *text, enum gr_order_verb *ret, struct gr_error *e)
{
    for (unsigned v = 0; v < GR_ORDER_VERB_COUNT; v++)
        if (strcmp(gr_order_verb_name((enum gr_order_verb)v), text) == 0) {
            *ret = (enum gr_order_verb)v;
            return 0;
        }
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "verb: expected promote, pause, resume, abort or retry, found \"%.32s\"; "
                        "write the intent again with one of these",
                        text);
}

static int take_text(const cJSON *j, const char *field, char *buf, size_t cap, struct gr_error *e)
{
    const char *text = "";
    int k = gr_json_string(j, "", field, GR_JSON_OPTIONAL, &text, e);
    if (k == 0 && strlen(text) >= cap)
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "%s: expected at most %zu bytes, found %zu; shorten it", field, cap - 1,
                         strlen(text));
    if (k == 0)
        memcpy(buf, text, strlen(text) + 1);
    return k;
}

static int decode(const cJSON *j, struct gr_order *o, struct gr_error *e)
{
    static const char *const fields[] = {"verb", "rollout",         "step",    "actor", "reason",
                                         "full", "over_bad_stable", "one_way", "at",    NULL};
    const char *verb = "", *at = "";
    uint64_t rollout = 0, step = 0;
    int k = gr_json_check_fields(j, "", fields, e);
    if (k == 0)
        k = gr_json_string(j, "", "verb", GR_JSON_REQUIRED, &verb, e);
    if (k == 0)
        k = parse_verb(verb, &o->verb, e);
    if (k == 0)
        k = gr_json_uint(j, "", "rollout", GR_JSON_REQUIRED, 0, INT64_MAX, &rollout, e);
    if (k == 0)
        k = gr_json_uint(j, "", "step", GR_JSON_REQUIRED, 0, INT32_MAX, &step, e);
    if (k == 0)
        k = gr_json_bool(j, "", "full", GR_JSON_OPTIONAL, &o->full, e);
    if (k == 0)
        k = gr_json_bool(j, "", "over_bad_stable", GR_JSON_OPTIONAL, &o->over_bad_stable, e);
    if (k == 0)
        k = gr_json_bool(j, "", "one_way", GR_JSON_OPTIONAL, &o->one_way, e);
    if (k == 0)
        k = gr_json_string(j, "", "at", GR_JSON_OPTIONAL, &at, e);
    if (k == 0)
        k = take_text(j, "actor", o->actor, sizeof o->actor, e);
    if (k == 0)
        k = take_text(j, "reason", o->reason, sizeof o->reason, e);
    o->rollout = (int64_t)rollout;
    o->step = (int64_t)step;
    return k;
}

int gr_order_parse(const char *bytes, size_t len, struct gr_order *ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *j = NULL;
    struct gr_order o = {0};
    int k = gr_json_parse(bytes, len, ORDER_BYTES_MAX, &j, e);
    if (k == 0)
        k = decode(j, &o, e);
    if (k == 0)
        *ret = o;
    return k;
}

char *gr_order_format(const struct gr_order *o, const char *at)
{
    GR_AUTO_JSON cJSON *j = cJSON_CreateObject();
    bool ok = j && cJSON_AddStringToObject(j, "verb", gr_order_verb_name(o->verb)) &&
              cJSON_AddNumberToObject(j, "rollout", (double)o->rollout) &&
              cJSON_AddNumberToObject(j, "step", (double)o->step) &&
              (!o->full || cJSON_AddTrueToObject(j, "full")) &&
              (!o->over_bad_stable || cJSON_AddTrueToObject(j, "over_bad_stable")) &&
              (!o->one_way || cJSON_AddTrueToObject(j, "one_way")) &&
              (!o->actor[0] || cJSON_AddStringToObject(j, "actor", o->actor)) &&
              (!o->reason[0] || cJSON_AddStringToObject(j, "reason", o->reason)) &&
              (!at || cJSON_AddStringToObject(j, "at", at));
    return ok ? gr_canonical_format(j, ORDER_BYTES_MAX) : NULL;
}
