// Spans as OTLP's JSON has them, https://opentelemetry.io/docs/specs/otlp/
// (ExportTraceServiceRequest; names of attributes after OpenTelemetry's semantic conventions where
// there is one). Pure.
#pragma once
#include "base/clock.h"
#include "base/json.h"
#include "state/journal.h"

#define GR_OTLP_TRACE_ID 33 // hex, with NUL
#define GR_OTLP_SPAN_ID 17

// One of a worker's spans (base/channel.h, "spans"). NULL: malformed, or out of memory.
cJSON *gr_otlp_request(const cJSON *span);

struct gr_otlp_step { // a stay of a rollout in one phase and step; or, with the phase it ended in,
                      // the whole of it
    const struct gr_rollout_row *row;
    enum gr_phase phase;
    int64_t step;
    bool whole;
    struct gr_wall began, ended;
    const char *service, *instance;
};
// All hosts of a service have one trace of a rollout, in which each host's rollout is one span and
// its stays are below it. NULL: out of memory.
cJSON *gr_otlp_rollout(const struct gr_otlp_step *s);

// The text of a request with these spans (NULL: out of memory). Whose they are is told once.
char *gr_otlp_export(const char *service, const char *instance, const char *version,
                     cJSON *const *spans, size_t n, size_t *ret_len);
// How many spans the collector says that it did not take ("partialSuccess" of its answer).
uint64_t gr_otlp_rejected(const char *body, size_t len);
