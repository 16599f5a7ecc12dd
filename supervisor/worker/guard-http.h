// The header guard: judges the head of an HTTP/1 request by the bytes that were received, and knows
// which framings two readers could understand differently (RFC 9112 §2 to §7 and §11). Pure.
//
// libmicrohttpd parses in place: the strings that it hands out lie in the connection's receive
// buffer, in the order of the wire, separated by the delimiters that it wrote over with NUL. So the
// head is sound only if method, target, version, names and values tile it without a gap: whatever
// the library skipped, cut or joined leaves bytes that nobody accounts for.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_head_field {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};
struct gr_head {     // every pointer lies in [raw, raw + raw_len) or the head is refused
    const char *raw; // first byte of the method ...
    size_t raw_len;  // ... to the last of the empty line
    const char *target;
    size_t target_len;
    const char *version;
    const struct gr_head_field *fields;
    size_t n_fields;
};
struct gr_framing { // how the body is delimited
    bool chunked, has_length;
    uint64_t length;
};

// NULL: sound, and *ret is filled. Otherwise the sentence that says what is doubtful (static).
const char *gr_guard_head(const struct gr_head *h, struct gr_framing *ret);
// The same for the request target, which must be looked at before the library unescapes it.
const char *gr_guard_target(const char *target, size_t len);
