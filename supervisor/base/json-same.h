// Do two JSON texts say the same? Members have no order, numbers are compared by their value to the
// last digit, whatever its length ("1.50" is "15e-1"; 9007199254740993 is not 9007199254740992),
// texts by their characters ("\u0041" is "A"). What the ignored paths name is left out on both
// sides.
//
// A path begins with "$" and goes down, step by step: ".name" (letters, digits, _ and -),
// "[\"any name\"]", "[7]" (an element), "[*]" (every element or member). "$.items[*].at" is the
// member "at" of everything in "items". An ignored member may be missing on one side; an ignored
// element still counts for the length of its list.
#pragma once
#include "base/json.h"

struct gr_json_ignore; // parsed, immutable

// From a list of paths. *ret is NULL for an empty list. Fails: -EINVAL with DocumentInvalid, the
// sentence begins with `path` ("strategy.shadow_ignore[1]: ...").
GR_MUST_CHECK int gr_json_ignore_parse(const cJSON *list, const char *path,
                                       struct gr_json_ignore **ret, struct gr_error *e);
void gr_json_ignore_free(struct gr_json_ignore *i);

// 1: the same; 0: not, also when one of them is no JSON (RFC 8259 in UTF-8, no member twice, depth
// and values within GR_JSON_DEPTH_MAX and GR_JSON_SAME_VALUES_MAX) and the bytes differ.
// `ignore` may be NULL. Fails: -ENOMEM.
GR_MUST_CHECK int gr_json_same(const char *a, size_t a_len, const char *b, size_t b_len,
                               const struct gr_json_ignore *ignore);
