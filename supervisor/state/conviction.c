// See conviction.h. The bytes are another host's, or whoever else can write to etcd.
#include "state/conviction.h"
#include "base/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONVICTION_BYTES_MAX (16u * 1024)

static int take_text(const cJSON *j, const char *field, bool required, char *buf, size_t cap,
                     struct gr_error *e)
{
    const char *text = "";
    if (!required && cJSON_IsNull(gr_json_get(j, field)))
        return 0;
    int k = gr_json_string(j, "", field, required, &text, e);
    if (k == 0 && strlen(text) >= cap)
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "%s: expected at most %zu bytes, found %zu; shorten it", field, cap - 1,
                         strlen(text));
    if (k == 0)
        memcpy(buf, text, strlen(text) + 1);
    return k;
}

// Without a time it is as old as can be.
static int take_time(const cJSON *j, struct gr_wall *ret, struct gr_error *e)
{
    char text[GR_WALL_TEXT_MAX + 1] = "";
    int k = take_text(j, "at", GR_JSON_OPTIONAL, text, sizeof text, e);
    if (k < 0 || !*text)
        return k;
    if (gr_wall_parse(text, ret) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "at: expected a time like 2026-11-24T05:06:07Z, found \"%s\"", text);
    return 0;
}

static int take_lift(const cJSON *j, struct gr_lift *ret, struct gr_error *e)
{
    const cJSON *lifted = gr_json_get(j, "lifted");
    if (!lifted || cJSON_IsNull(lifted))
        return 0;
    if (!cJSON_IsObject(lifted))
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "lifted: expected an object with actor, reason and at");
    int k = take_text(lifted, "actor", GR_JSON_OPTIONAL, ret->actor, sizeof ret->actor, e);
    if (k == 0)
        k = take_text(lifted, "reason", GR_JSON_REQUIRED, ret->reason, sizeof ret->reason, e);
    if (k == 0)
        k = take_time(lifted, &ret->at, e);
    if (k == 0 && ret->at.usec <= 0)
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "lifted.at: expected the time of the lift");
    return k;
}

static int decode(const cJSON *j, struct gr_conviction *c, struct gr_lift *lift, struct gr_error *e)
{
    char module[GR_NAME_MAX + 1] = "", reason[32] = "";
    int k = take_text(j, "module", GR_JSON_REQUIRED, module, sizeof module, e);
    if (k == 0 && gr_name_parse(module, strlen(module), &c->module) < 0)
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "module: expected a module's name, found \"%s\"", module);
    if (k == 0)
        k = take_text(j, "reason", GR_JSON_REQUIRED, reason, sizeof reason, e);
    if (k == 0 && (gr_reason_parse(reason, &c->reason) < 0 || c->reason == GR_REASON_NONE))
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "reason: expected one of the stable reasons, found \"%s\"", reason);
    if (k == 0)
        k = take_text(j, "version", GR_JSON_OPTIONAL, c->version, sizeof c->version, e);
    if (k == 0)
        k = take_text(j, "evidence", GR_JSON_OPTIONAL, c->evidence, sizeof c->evidence, e);
    if (k == 0)
        k = take_text(j, "instance", GR_JSON_OPTIONAL, c->instance, sizeof c->instance, e);
    if (k == 0)
        k = take_time(j, &c->at, e);
    return k < 0 ? k : take_lift(j, lift, e);
}

int gr_conviction_parse(const struct gr_digest *digest, const char *bytes, size_t len,
                        struct gr_conviction *ret, struct gr_lift *ret_lift, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *j = NULL;
    struct gr_conviction c = {.digest = *digest};
    struct gr_lift lift = {0};
    int k = gr_json_parse(bytes, len, CONVICTION_BYTES_MAX, &j, e);
    if (k == 0 && !cJSON_IsObject(j))
        k = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "expected an object");
    if (k == 0)
        k = decode(j, &c, &lift, e);
    if (k < 0)
        return k;
    *ret = c;
    *ret_lift = lift;
    return 0;
}
