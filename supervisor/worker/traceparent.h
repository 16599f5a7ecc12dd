// W3C Trace Context, https://www.w3.org/TR/trace-context/: the field `traceparent` as a value, and
// `traceresponse` of its level 2. Pure but for the random ids.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>

#define GR_TRACE_ID_HEX 32
#define GR_SPAN_ID_HEX 16
#define GR_TRACEPARENT_TEXT_MAX 56 // "00-" 32 "-" 16 "-" 2, and NUL
#define GR_TRACE_SAMPLED 0x01u

struct gr_traceparent {
    char trace_id[GR_TRACE_ID_HEX + 1]; // lower case, not all zeros
    char span_id[GR_SPAN_ID_HEX + 1];   // of the caller; likewise
    uint8_t flags;
};
// Takes version 00 as it is defined, and of versions to come what they promise to keep: the first
// four fields. Fails: -EINVAL (version ff, upper case, all zeros, anything behind version 00).
GR_MUST_CHECK int gr_traceparent_parse(const char *text, struct gr_traceparent *ret);
// In version 00, with the flags that it knows.
const char *gr_traceparent_format(const struct gr_traceparent *t,
                                  char buf[GR_TRACEPARENT_TEXT_MAX]);
// A trace of our own. `ret_draw` is as good as even over all numbers, and the same for everybody
// who looks at the trace's id.
void gr_traceparent_begin(struct gr_traceparent *ret, uint64_t *ret_draw);
// A fresh span id.
void gr_span_id_draw(char ret[GR_SPAN_ID_HEX + 1]);
