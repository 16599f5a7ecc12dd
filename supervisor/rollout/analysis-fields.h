// The numbers of the analysis as JSON, by tables: one place says which member has which name, and
// formatting, parsing and comparing follow it. Private to the analysis.
#pragma once
#include "base/json.h"
#include "rollout/analysis.h"

enum gr_field_kind {
    GR_FIELD_U64,
    GR_FIELD_DOUBLE,
    GR_FIELD_BOOL,
    GR_FIELD_UNSIGNED,
    GR_FIELD_VERDICT, // by name
    GR_FIELD_GATE,
    GR_FIELD_REASON,
    GR_FIELD_HISTOGRAM, // [[bucket, count], ...] of the buckets that hold something
    GR_FIELD_OBJECT     // by a table of its own
};
struct gr_field {
    const char *name;
    enum gr_field_kind kind;
    size_t offset;
    size_t count; // more than one: an array; of objects too
    size_t size;  // of one object
    const struct gr_field *members;
    uint64_t max; // of a U64; 0: none
};
#define GR_FIELD_END                                                                               \
    {                                                                                              \
        0                                                                                          \
    }

// Appends `{...}`. A double that JSON cannot hold (none, infinite, beyond 2^53) becomes a string.
GR_MUST_CHECK int gr_fields_format(const struct gr_field *f, const void *base, struct gr_buf *text);
// Every member is required and no other is allowed. Fails: -EINVAL DocumentInvalid with the path;
// `base` is undefined then.
GR_MUST_CHECK int gr_fields_parse(const struct gr_field *f, const cJSON *object, const char *path,
                                  void *base, struct gr_error *e);
// 0: every number has the same bits. Fails: -EBADE, with the first difference.
GR_MUST_CHECK int gr_fields_compare(const struct gr_field *f, const void *stored, const void *now,
                                    const char *path, struct gr_error *e);
