// JSON with one spelling only: members sorted by key, numbers as short as they stay exact, no
// blanks. So that two documents are equal when their texts are.
#pragma once
#include "base/buf.h"
#include <cjson/cJSON.h>

// Fails: -ENOMEM; -E2BIG when the buffer's cap would be passed (content is then cut).
GR_MUST_CHECK int gr_canonical_append(struct gr_buf *b, const cJSON *j);
// Caller frees. NULL: out of memory, or longer than `max`.
char *gr_canonical_format(const cJSON *j, size_t max);
