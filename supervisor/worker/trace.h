// What becomes of one request's trace context: what modules are told, whether a span is recorded,
// what the client is told.
#pragma once
#include "worker/metadata.h"
#include "worker/spans.h"

struct gr_trace {
    bool decided;
    bool known;    // the request belongs to a trace
    bool recorded; // ... and a span of it is ours to record
    struct gr_traceparent parent;
    char span_id[GR_SPAN_ID_HEX + 1];   // recorded
    char text[GR_TRACEPARENT_TEXT_MAX]; // recorded: traceparent for modules
};
// Decides, the first time; and writes into the metadata what modules are to see, each time. `s`
// NULL: nothing is recorded. A traceparent that is not sound, or is there twice, is none; a
// tracestate without a sound traceparent is left out.
void gr_trace_apply(struct gr_trace *t, const struct gr_spans *s, struct gr_metadata *m);
// For the answer's field `traceresponse` (Trace Context level 2, draft); NULL: none.
const char *gr_trace_response(const struct gr_trace *t, char buf[GR_TRACEPARENT_TEXT_MAX]);
