// Owns the text form of numbers that must come back bit for bit. Must not know what they mean.
#include "rollout/analysis-fields.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0
#define PATH_MAX_BYTES 128
#define MEMBERS_MAX 40

static const void *at(const void *base, const struct gr_field *f, size_t i)
{
    static const size_t sizes[] = {[GR_FIELD_U64] = sizeof(uint64_t),
                                   [GR_FIELD_DOUBLE] = sizeof(double),
                                   [GR_FIELD_BOOL] = sizeof(bool),
                                   [GR_FIELD_UNSIGNED] = sizeof(unsigned),
                                   [GR_FIELD_VERDICT] = sizeof(enum gr_verdict),
                                   [GR_FIELD_GATE] = sizeof(enum gr_gate),
                                   [GR_FIELD_REASON] = sizeof(enum gr_reason),
                                   [GR_FIELD_HISTOGRAM] = sizeof(struct gr_histogram)};
    size_t size = f->kind == GR_FIELD_OBJECT ? f->size : sizes[f->kind];
    return (const char *)base + f->offset + i * size;
}

// --- text out ---------------------------------------------------------------------------

static int format_double(double x, struct gr_buf *text)
{
    if (isnan(x))
        return gr_buf_printf(text, "\"nan\"");
    return fabs(x) <= EXACT_MAX ? gr_buf_printf(text, "%.17g", x)
                                : gr_buf_printf(text, "\"%a\"", x);
}

static int format_u64(uint64_t x, struct gr_buf *text)
{
    return (double)x < EXACT_MAX ? gr_buf_printf(text, "%" PRIu64, x)
                                 : gr_buf_printf(text, "\"%" PRIu64 "\"", x);
}

static int format_histogram(const struct gr_histogram *h, struct gr_buf *text)
{
    int k = gr_buf_printf(text, "[");
    const char *comma = "";
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS && k == 0; b++) {
        if (h->count[b] == 0)
            continue;
        k = gr_buf_printf(text, "%s[%u,", comma, b);
        if (k == 0)
            k = format_u64(h->count[b], text);
        if (k == 0)
            k = gr_buf_printf(text, "]");
        comma = ",";
    }
    return k < 0 ? k : gr_buf_printf(text, "]");
}

static int format_one(const struct gr_field *f, const void *value, struct gr_buf *text)
{
    switch (f->kind) {
    case GR_FIELD_U64:
        return format_u64(*(const uint64_t *)value, text);
    case GR_FIELD_DOUBLE:
        return format_double(*(const double *)value, text);
    case GR_FIELD_BOOL:
        return gr_buf_printf(text, "%s", *(const bool *)value ? "true" : "false");
    case GR_FIELD_UNSIGNED:
        return gr_buf_printf(text, "%u", *(const unsigned *)value);
    case GR_FIELD_VERDICT:
        return gr_buf_printf(text, "\"%s\"", gr_verdict_name(*(const enum gr_verdict *)value));
    case GR_FIELD_GATE:
        return gr_buf_printf(text, "\"%s\"", gr_gate_name(*(const enum gr_gate *)value));
    case GR_FIELD_REASON:
        return gr_buf_printf(text, "\"%s\"", gr_reason_name(*(const enum gr_reason *)value));
    case GR_FIELD_HISTOGRAM:
        return format_histogram(value, text);
    case GR_FIELD_OBJECT:
        return gr_fields_format(f->members, value, text);
    }
    return -EINVAL;
}

int gr_fields_format(const struct gr_field *f, const void *base, struct gr_buf *text)
{
    int k = gr_buf_printf(text, "{");
    for (const char *comma = ""; f->name && k == 0; f++, comma = ",") {
        k = gr_buf_printf(text, "%s\"%s\":%s", comma, f->name, f->count > 1 ? "[" : "");
        for (size_t i = 0; i < f->count && k == 0; i++) {
            if (i > 0)
                k = gr_buf_printf(text, ",");
            if (k == 0)
                k = format_one(f, at(base, f, i), text);
        }
        if (k == 0 && f->count > 1)
            k = gr_buf_printf(text, "]");
    }
    return k < 0 ? k : gr_buf_printf(text, "}");
}

// --- text in ----------------------------------------------------------------------------

static int refuse(struct gr_error *e, const char *path, const char *expected)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "verdict record, %s: expected %s; the record was not written by this "
                        "program or has been changed",
                        path, expected);
}

static int parse_double(const cJSON *v, double *ret)
{
    char *end;
    if (cJSON_IsNumber(v)) {
        *ret = v->valuedouble;
        return 0;
    }
    if (!cJSON_IsString(v))
        return -EINVAL;
    double x = strtod(v->valuestring, &end);
    if (*end || end == v->valuestring || fabs(x) <= EXACT_MAX)
        return -EINVAL;
    *ret = x;
    return 0;
}

static int parse_u64(const cJSON *v, uint64_t *ret)
{
    if (cJSON_IsNumber(v)) {
        if (!(v->valuedouble >= 0 && v->valuedouble < EXACT_MAX) ||
            v->valuedouble != floor(v->valuedouble))
            return -EINVAL;
        *ret = (uint64_t)v->valuedouble;
        return 0;
    }
    char again[24];
    if (!cJSON_IsString(v))
        return -EINVAL;
    uint64_t x = strtoull(v->valuestring, NULL, 10);
    snprintf(again, sizeof again, "%" PRIu64, x);
    if (strcmp(again, v->valuestring) != 0 || (double)x < EXACT_MAX)
        return -EINVAL;
    *ret = x;
    return 0;
}

static int parse_histogram(const cJSON *v, struct gr_histogram *h)
{
    const cJSON *entry;
    uint64_t next = 0;
    if (!cJSON_IsArray(v))
        return -EINVAL;
    *h = (struct gr_histogram){{0}};
    cJSON_ArrayForEach(entry, v)
    {
        uint64_t bucket, count;
        if (!cJSON_IsArray(entry) || cJSON_GetArraySize(entry) != 2 ||
            parse_u64(entry->child, &bucket) < 0 || parse_u64(entry->child->next, &count) < 0 ||
            bucket < next || bucket >= GR_HISTOGRAM_BUCKETS || count == 0)
            return -EINVAL;
        h->count[bucket] = count;
        next = bucket + 1;
    }
    return 0;
}

static int parse_verdict(const cJSON *v, enum gr_verdict *ret)
{
    for (unsigned i = 0; i <= GR_VERDICT_ERROR && cJSON_IsString(v); i++)
        if (strcmp(v->valuestring, gr_verdict_name((enum gr_verdict)i)) == 0) {
            *ret = (enum gr_verdict)i;
            return 0;
        }
    return -EINVAL;
}

static int parse_gate(const cJSON *v, enum gr_gate *ret)
{
    if (!cJSON_IsString(v))
        return -EINVAL;
    if (strcmp(v->valuestring, gr_gate_name(GR_GATE_COUNT)) != 0)
        return gr_gate_parse(v->valuestring, ret);
    *ret = GR_GATE_COUNT;
    return 0;
}

static int parse_one(const struct gr_field *f, const cJSON *v, const char *path, void *value,
                     struct gr_error *e)
{
    uint64_t n;
    switch (f->kind) {
    case GR_FIELD_U64:
        if (parse_u64(v, value) < 0 || (f->max && *(uint64_t *)value > f->max))
            return refuse(e, path, "a count in range");
        return 0;
    case GR_FIELD_UNSIGNED:
        if (parse_u64(v, &n) < 0 || n > UINT32_MAX)
            return refuse(e, path, "a small count");
        *(unsigned *)value = (unsigned)n;
        return 0;
    case GR_FIELD_DOUBLE:
        return parse_double(v, value) < 0 ? refuse(e, path, "a number in its exact form") : 0;
    case GR_FIELD_BOOL:
        if (!cJSON_IsBool(v))
            return refuse(e, path, "true or false");
        *(bool *)value = cJSON_IsTrue(v);
        return 0;
    case GR_FIELD_VERDICT:
        return parse_verdict(v, value) < 0 ? refuse(e, path, "the name of a verdict") : 0;
    case GR_FIELD_GATE:
        return parse_gate(v, value) < 0 ? refuse(e, path, "the name of a gate") : 0;
    case GR_FIELD_REASON:
        return !cJSON_IsString(v) || gr_reason_parse(v->valuestring, value) < 0
                   ? refuse(e, path, "a reason")
                   : 0;
    case GR_FIELD_HISTOGRAM:
        return parse_histogram(v, value) < 0 ? refuse(e, path, "pairs of bucket and count") : 0;
    case GR_FIELD_OBJECT:
        return gr_fields_parse(f->members, v, path, value, e);
    }
    return -EINVAL;
}

static int parse_field(const struct gr_field *f, const cJSON *v, const char *path, void *base,
                       struct gr_error *e)
{
    if (!v)
        return refuse(e, path, "it to be there");
    if (f->count == 1)
        return parse_one(f, v, path, (void *)at(base, f, 0), e);
    if (!cJSON_IsArray(v) || (size_t)cJSON_GetArraySize(v) != f->count)
        return refuse(e, path, "an array of as many entries as this version keeps");
    size_t i = 0;
    for (const cJSON *entry = v->child; entry; entry = entry->next, i++) {
        int k = parse_one(f, entry, path, (void *)at(base, f, i), e);
        if (k < 0)
            return k;
    }
    return 0;
}

int gr_fields_parse(const struct gr_field *f, const cJSON *object, const char *path, void *base,
                    struct gr_error *e)
{
    const char *names[MEMBERS_MAX + 1] = {0};
    for (size_t n = 0; f[n].name && n < MEMBERS_MAX; n++)
        names[n] = f[n].name;
    int k = gr_json_check_fields(object, path, names, e);
    for (; k == 0 && f->name; f++) {
        char inner[PATH_MAX_BYTES];
        snprintf(inner, sizeof inner, "%s%s%s", path, path[0] ? "." : "", f->name);
        k = parse_field(f, gr_json_get(object, f->name), inner, base, e);
    }
    return k;
}

// --- comparison -------------------------------------------------------------------------

static int compare_one(const struct gr_field *f, const void *stored, const void *now,
                       const char *path, struct gr_error *e)
{
    struct gr_buf a GR_AUTO_BUF = GR_BUF(256), b GR_AUTO_BUF = GR_BUF(256);
    if (f->kind == GR_FIELD_OBJECT)
        return gr_fields_compare(f->members, stored, now, path, e);
    int k = format_one(f, stored, &a);
    if (k == 0)
        k = format_one(f, now, &b);
    if (k < 0)
        return k;
    if (strcmp(a.data, b.data) == 0)
        return 0;
    return gr_error_set(e, -EBADE, GR_REASON_INTERNAL,
                        "the verdict does not replay: %s was stored as %s and is %s when computed "
                        "again from the stored numbers; the record has been changed, or the rule "
                        "has, without a new version",
                        path, a.data, b.data);
}

int gr_fields_compare(const struct gr_field *f, const void *stored, const void *now,
                      const char *path, struct gr_error *e)
{
    int k = 0;
    for (; k == 0 && f->name; f++) {
        char inner[PATH_MAX_BYTES];
        for (size_t i = 0; k == 0 && i < f->count; i++) {
            snprintf(inner, sizeof inner, "%s%s%s", path, path[0] ? "." : "", f->name);
            k = compare_one(f, at(stored, f, i), at(now, f, i), inner, e);
        }
    }
    return k;
}
