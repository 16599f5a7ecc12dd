// The strict reading of foreign JSON that comes before cJSON. Private to json.c.
#pragma once
#include "base/error.h"

// Accepts exactly what RFC 8259 allows in UTF-8 without a byte order mark, and moreover refuses:
// duplicate keys, U+0000, lone surrogates, numbers beyond 2^53, depth over GR_JSON_DEPTH_MAX.
// Fails: -EINVAL/DocumentInvalid with path and offset; -ENOMEM. Takes O(n log n) time and memory in
// the order of the document.
GR_MUST_CHECK int gr_json_scan(const char *bytes, size_t len, struct gr_error *e);
