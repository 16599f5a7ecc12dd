// Reads foreign JSON into cJSON trees, only after the strict scan, and takes checked values out of
// them.
#include "base/json.h"
#include "base/clock.h"
#include "base/json-path.h"
#include "base/json-print.h"
#include "base/json-scan.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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
    bool whole = v >= 0 && v <= GR_JSON_EXACT_MAX && v == (double)(uint64_t)v;
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

// --- writing -------------------------------------------------------------------------------------

cJSON *gr_json_add_uint(cJSON *object, const char *field, uint64_t n)
{
    char digits[24];
    if (n <= (uint64_t)GR_JSON_EXACT_MAX)
        return cJSON_AddNumberToObject(object, field, (double)n);
    snprintf(digits, sizeof digits, "%" PRIu64, n);
    return cJSON_AddStringToObject(object, field, digits);
}

cJSON *gr_json_add_int(cJSON *object, const char *field, int64_t n)
{
    char digits[24];
    if (n >= 0)
        return gr_json_add_uint(object, field, (uint64_t)n);
    if (n >= -(int64_t)GR_JSON_EXACT_MAX)
        return cJSON_AddNumberToObject(object, field, (double)n);
    snprintf(digits, sizeof digits, "%" PRId64, n);
    return cJSON_AddStringToObject(object, field, digits);
}

bool gr_json_read_int(const cJSON *j, int64_t *ret)
{
    if (cJSON_IsString(j)) {
        char *end;
        errno = 0;
        long long n = strtoll(j->valuestring, &end, 10);
        if (errno || end == j->valuestring || *end || j->valuestring[0] <= ' ')
            return false;
        *ret = n;
        return true;
    }
    double v = cJSON_IsNumber(j) ? j->valuedouble : NAN;
    if (!(fabs(v) <= GR_JSON_EXACT_MAX) || v != floor(v))
        return false;
    *ret = (int64_t)v;
    return true;
}

static char *format(const cJSON *j, enum gr_json_style style)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_JSON_TEXT_BYTES_MAX);
    return j && gr_json_print(&b, j, style) == 0 ? gr_buf_take(&b, NULL) : NULL;
}

char *gr_json_format(const cJSON *j)
{
    return format(j, GR_JSON_COMPACT);
}

char *gr_json_format_pretty(const cJSON *j)
{
    return format(j, GR_JSON_PRETTY);
}
