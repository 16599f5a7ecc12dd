// JSON from outside: a strict pre-scan (RFC 8259, UTF-8, duplicate keys, NUL, depth, numbers,
// size), then cJSON. Only case-sensitive look-ups; every complaint names the field's path
// ("strategy.steps[2].weight").
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <cjson/cJSON.h>
#include <stdint.h>

// Any number beyond 2^53 is refused, in whatever form, because some reader would round it.
// Fails: -EINVAL with reason DocumentInvalid, path and byte offset; -E2BIG over max_bytes; -ENOMEM.
GR_MUST_CHECK int gr_json_parse(const char *bytes, size_t len, size_t max_bytes, cJSON **ret,
                                struct gr_error *e);
static inline void gr_json_freep(cJSON **j)
{
    cJSON_Delete(*j);
}
#define GR_AUTO_JSON GR_CLEANUP(gr_json_freep)

// Refuses members of `object` not in the NULL-terminated list; also refuses a non-object. `path` is
// the object's own ("" at top).
GR_MUST_CHECK int gr_json_check_fields(const cJSON *object, const char *path,
                                       const char *const *allowed, struct gr_error *e);
// Required or optional members. Optional and absent: returns 0, *ret untouched. Present with
// another type: -EINVAL, path named.
#define GR_JSON_REQUIRED 1
#define GR_JSON_OPTIONAL 0
GR_MUST_CHECK int gr_json_string(const cJSON *object, const char *path, const char *field,
                                 int required, const char **ret, struct gr_error *e);
GR_MUST_CHECK int gr_json_uint(const cJSON *object, const char *path, const char *field,
                               int required, uint64_t min, uint64_t max, uint64_t *ret,
                               struct gr_error *e);
GR_MUST_CHECK int gr_json_double(const cJSON *object, const char *path, const char *field,
                                 int required, double min, double max, double *ret,
                                 struct gr_error *e);
GR_MUST_CHECK int gr_json_bool(const cJSON *object, const char *path, const char *field,
                               int required, bool *ret, struct gr_error *e);
GR_MUST_CHECK int gr_json_duration(const cJSON *object, const char *path, const char *field,
                                   int required, uint64_t *ret_usec, struct gr_error *e);
// Member of any type, or NULL.
const cJSON *gr_json_get(const cJSON *object, const char *field);

// Doubles, which is what readers of JSON keep, hold every whole number to 2^53 and round beyond.
#define GR_JSON_EXACT_MAX 9007199254740992.0
// A whole number as itself to 2^53, and beyond it as a string of its digits, so that nobody rounds
// it (RFC 7493 §2.2; etcd's gateway writes all 64-bit numbers so). NULL: out of memory.
cJSON *gr_json_add_uint(cJSON *object, const char *field, uint64_t n);
cJSON *gr_json_add_int(cJSON *object, const char *field, int64_t n);
// Reads back either form. false: neither; *ret is untouched.
bool gr_json_read_int(const cJSON *j, int64_t *ret);
// Caller frees. NULL: out of memory, or longer than GR_JSON_TEXT_BYTES_MAX. Numbers are exact.
char *gr_json_format(const cJSON *j);        // compact
char *gr_json_format_pretty(const cJSON *j); // for people
