// Reads foreign JSON into cJSON trees, only after the strict scan, and takes checked values out of
// them.
#include "base/json.h"
#include "base/clock.h"
#include "base/json-path.h"
#include "base/json-scan.h"
#include "base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 // 2^53, the largest number that the scan lets through

int gr_json_parse(const char *bytes, size_t len, size_t max_bytes, cJSON **ret, struct gr_error *e)
{
    if (len > max_bytes)
        return gr_error_set(e, -E2BIG, GR_REASON_DOCUMENT_INVALID,
                            "the document has %zu bytes, at most %zu are allowed", len, max_bytes);
    int r = gr_json_scan(bytes, len, e);
    if (r < 0)
        return r;
    static pthread_mutex_t parser =
        PTHREAD_MUTEX_INITIALIZER; // cJSON keeps its last error in a global
    pthread_mutex_lock(&parser);
    cJSON *tree = cJSON_ParseWithLengthOpts(bytes, len, NULL, false);
    pthread_mutex_unlock(&parser);
    if (!tree)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "out of memory while a document was read");
    *ret = tree;
    return 0;
}

static const char *type_name(const cJSON *j)
{
    switch (j->type & 0xff) {
    case cJSON_Object:
        return "an object";
    case cJSON_Array:
        return "a list";
    case cJSON_String:
        return "a string";
    case cJSON_Number:
        return "a number";
    case cJSON_True:
    case cJSON_False:
        return "true or false";
    default:
        return "null";
    }
}

static struct gr_json_path path_of(const char *path, const char *field)
{
    struct gr_json_path p;
    gr_json_path_start(&p, path);
    gr_json_path_key(&p, field, strlen(field));
    return p;
}

static int refuse_type(const char *path, const char *expected, const cJSON *actual,
                       struct gr_error *e)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s: expected %s, found %s",
                        *path ? path : "the document", expected, type_name(actual));
}

static int refuse_unknown(const char *path, const char *field, const char *const *allowed,
                          struct gr_error *e)
{
    struct gr_json_path p = path_of(path, field);
    GR_AUTO_BUF struct gr_buf list = GR_BUF(GR_MESSAGE_MAX);
    for (size_t i = 0; allowed[i]; i++)
        if (gr_buf_printf(&list, "%s%s", i ? ", " : "", allowed[i]) < 0)
            break; // the sentence is cut at that length anyway
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s: unknown field; allowed here: %s", p.text,
                        list.len ? list.data : "none");
}

int gr_json_check_fields(const cJSON *object, const char *path, const char *const *allowed,
                         struct gr_error *e)
{
    if (!cJSON_IsObject(object))
        return refuse_type(path, "an object", object, e);
    for (const cJSON *member = object->child; member; member = member->next) {
        size_t i = 0;
        while (allowed[i] && strcmp(allowed[i], member->string) != 0)
            i++;
        if (!allowed[i])
            return refuse_unknown(path, member->string, allowed, e);
    }
    return 0;
}

const cJSON *gr_json_get(const cJSON *object, const char *field)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, field) : NULL;
}

// 1: *ret is there and has one of the types in the mask; 0: optional and absent.
static int find(const cJSON *object, const char *path, const char *field, int required, int types,
                const char *expected, const cJSON **ret, struct gr_error *e)
{
    const cJSON *member = gr_json_get(object, field);
    struct gr_json_path p = path_of(path, field);
    if (!member && !required)
        return 0;
    if (!member)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: required, but missing; expected %s", p.text, expected);
    if (!(member->type & types))
        return refuse_type(p.text, expected, member, e);
    *ret = member;
    return 1;
}

int gr_json_string(const cJSON *object, const char *path, const char *field, int required,
                   const char **ret, struct gr_error *e)
{
    const cJSON *member;
    int r = find(object, path, field, required, cJSON_String, "a string", &member, e);
    if (r <= 0)
        return r;
    *ret = member->valuestring;
    return 0;
}

int gr_json_uint(const cJSON *object, const char *path, const char *field, int required,
                 uint64_t min, uint64_t max, uint64_t *ret, struct gr_error *e)
{
    const cJSON *member;
    int r = find(object, path, field, required, cJSON_Number, "a whole number", &member, e);
    if (r <= 0)
        return r;
    double v = member->valuedouble;
    bool whole = v >= 0 && v <= EXACT_MAX && v == (double)(uint64_t)v;
    if (!whole || (uint64_t)v < min || (uint64_t)v > max)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: expected a whole number from %" PRIu64 " to %" PRIu64
                            ", found %.17g",
                            path_of(path, field).text, min, max, v);
    *ret = (uint64_t)v;
    return 0;
}

int gr_json_double(const cJSON *object, const char *path, const char *field, int required,
                   double min, double max, double *ret, struct gr_error *e)
{
    const cJSON *member;
    int r = find(object, path, field, required, cJSON_Number, "a number", &member, e);
    if (r <= 0)
        return r;
    double v = member->valuedouble;
    if (!(v >= min && v <= max))
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: expected a number from %g to %g, found %.17g",
                            path_of(path, field).text, min, max, v);
    *ret = v;
    return 0;
}

int gr_json_bool(const cJSON *object, const char *path, const char *field, int required, bool *ret,
                 struct gr_error *e)
{
    const cJSON *member;
    int r =
        find(object, path, field, required, cJSON_True | cJSON_False, "true or false", &member, e);
    if (r <= 0)
        return r;
    *ret = cJSON_IsTrue(member);
    return 0;
}

int gr_json_duration(const cJSON *object, const char *path, const char *field, int required,
                     uint64_t *ret_usec, struct gr_error *e)
{
    const cJSON *member;
    int r = find(object, path, field, required, cJSON_String, "a duration such as \"50ms\"",
                 &member, e);
    if (r <= 0)
        return r;
    r = gr_duration_parse(member->valuestring, ret_usec);
    if (r == 0)
        return 0;
    char shown[GR_SHOWN_MAX];
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s: %s is %s; expected one such as \"50ms\", \"10s\", \"1h30m\"",
                        path_of(path, field).text,
                        gr_utf8_show(member->valuestring, strlen(member->valuestring), shown),
                        r == -ERANGE ? "a duration too long to count" : "no duration");
}

char *gr_json_format(const cJSON *j)
{
    return cJSON_PrintUnformatted(j);
}
