// Prints trees as text, exactly: every whole number to 2^53 with all its digits, every other one so
// that reading it gives the same value. cJSON's own printer rounds what needs more than 15 digits.
#pragma once
#include "base/buf.h"
#include <cjson/cJSON.h>
#include <stdint.h>

enum gr_json_style {
    GR_JSON_COMPACT, // no blanks
    GR_JSON_SORTED,  // no blanks, members sorted by key: equal values have equal texts
    GR_JSON_PRETTY,  // indented, for people
};
// Fails: -ENOMEM; -E2BIG when the buffer's cap would be passed (content is then cut).
GR_MUST_CHECK int gr_json_print(struct gr_buf *b, const cJSON *j, enum gr_json_style style);
