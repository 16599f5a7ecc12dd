// Spans of sampled requests on their way to the supervisor, which exports them: a bounded queue
// that no request waits for, emptied by the main thread.
#pragma once
#include "base/clock.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/version.h"
#include "worker/connect.h"
#include "worker/traceparent.h"
#include "worker/wire.h"

struct gr_span {                  // of one request: from its head to its answer
    struct gr_traceparent parent; // span_id all zeros: the trace begins here
    char span_id[GR_SPAN_ID_HEX + 1];
    struct gr_wall began;
    uint64_t took_usec;
    int32_t code; // GRAYLING_*
    bool candidate, rescued;
    char module[GR_NAME_MAX + 1], version[GR_VERSION_MAX + 1]; // "" nobody answered
    char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1];
    char request_id[GR_REQUEST_ID_MAX + 1];
};

struct gr_spans;
// `sample`: of 2^32 traces that begin here so many are recorded. `changed_fd` (eventfd, borrowed)
// wakes the main thread before the queue is full.
GR_MUST_CHECK int gr_spans_new(uint32_t sample, int changed_fd, struct gr_spans **ret);
// No request may be under way. NULL is fine.
void gr_spans_free(struct gr_spans *s);
// Is a trace that begins here, and drew this number, to be recorded?
bool gr_spans_sample(const struct gr_spans *s, uint64_t draw);
// Any thread. Copies; a span that has no place, or is one too many since the last tick, is counted:
// who sends requests decides whether they are recorded, and must not keep the supervisor busy.
void gr_spans_add(struct gr_spans *s, const struct gr_span *span);
// The main thread, once a second.
void gr_spans_tick(struct gr_spans *s, struct gr_wire *w);
// The main thread: sends what there is, as far as the supervisor takes it at once; the rest is
// counted as lost.
void gr_spans_flush(struct gr_spans *s, struct gr_wire *w);
