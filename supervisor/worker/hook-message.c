// Order and answer side by side.
#include "worker/hook-message.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const ends[GR_HOOK_ENDS] = {
    [GR_HOOK_DONE] = "done",       [GR_HOOK_CODE] = "code",
    [GR_HOOK_CRASHED] = "crashed", [GR_HOOK_RELEASE_CRASHED] = "release-crashed",
    [GR_HOOK_WRONG] = "wrong",
};

static bool add_label(cJSON *m, const struct gr_parcel_label *l)
{
    return gr_json_add_uint(m, "schema", l->schema) && gr_json_add_uint(m, "size", l->size) &&
           gr_json_add_uint(m, "object", l->object);
}

// Any number that can be written; who uses it looks at it.
static bool read_label(const cJSON *m, struct gr_parcel_label *ret)
{
    uint64_t schema = 0;
    const uint64_t most = UINT64_C(1) << 53;
    struct gr_parcel_label l = {0};
    if (gr_json_uint(m, "", "schema", GR_JSON_REQUIRED, 0, UINT32_MAX, &schema, NULL) < 0 ||
        gr_json_uint(m, "", "size", GR_JSON_REQUIRED, 0, most, &l.size, NULL) < 0 ||
        gr_json_uint(m, "", "object", GR_JSON_REQUIRED, 0, most, &l.object, NULL) < 0)
        return false;
    l.schema = (uint32_t)schema;
    *ret = l;
    return true;
}

cJSON *gr_hook_order(const struct gr_state_hook *h, uint64_t id)
{
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(m, "type", h->import ? "import" : "export") ||
        !gr_json_add_uint(m, "id", id) || (h->import && !add_label(m, &h->label)))
        return NULL;
    return gr_steal(m);
}

cJSON *gr_hook_answer(const struct gr_state_hook *h, uint64_t id)
{
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(m, "type", "hooked") || !gr_json_add_uint(m, "id", id) ||
        !cJSON_AddStringToObject(m, "end", ends[h->end]) ||
        !cJSON_AddNumberToObject(m, "code", h->code) ||
        !cJSON_AddStringToObject(m, "what", h->what) || !add_label(m, &h->label))
        return NULL;
    return gr_steal(m);
}

bool gr_hook_read_order(const cJSON *m, struct gr_state_hook *ret, uint64_t *ret_id)
{
    const char *type = "";
    (void)!gr_json_string(m, "", "type", GR_JSON_REQUIRED, &type, NULL);
    *ret = (struct gr_state_hook){.import = strcmp(type, "import") == 0, .fd = -1};
    return (ret->import || strcmp(type, "export") == 0) &&
           gr_json_uint(m, "", "id", GR_JSON_REQUIRED, 1, UINT32_MAX, ret_id, NULL) == 0 &&
           (!ret->import || read_label(m, &ret->label));
}

static bool read_end(const cJSON *m, struct gr_state_hook *h)
{
    const char *name = "", *what = "";
    double code = 0;
    if (gr_json_string(m, "", "end", GR_JSON_REQUIRED, &name, NULL) < 0 ||
        gr_json_string(m, "", "what", GR_JSON_REQUIRED, &what, NULL) < 0 ||
        gr_json_double(m, "", "code", GR_JSON_REQUIRED, INT32_MIN, INT32_MAX, &code, NULL) < 0 ||
        !read_label(m, &h->label))
        return false;
    h->code = (int32_t)code;
    snprintf(h->what, sizeof h->what, "%s", what);
    for (unsigned i = 0; i < GR_HOOK_ENDS; i++)
        if (strcmp(ends[i], name) == 0) {
            h->end = (enum gr_hook_end)i;
            return true;
        }
    return false;
}

int gr_hook_read_answer(const cJSON *m, uint64_t id, struct gr_state_hook *h)
{
    uint64_t of = 0;
    struct gr_state_hook read = *h;
    (void)!gr_json_uint(m, "", "id", GR_JSON_REQUIRED, 1, UINT32_MAX, &of, NULL);
    if (of != id)
        return -ENOENT;
    if (!read_end(m, &read))
        return -EPROTO;
    if (h->import)
        read.label = h->label;
    *h = read;
    return 0;
}
