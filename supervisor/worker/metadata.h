// A request's header fields as a module sees them: names in lower case, in the order of the wire.
// The mark of a shadow is ours to give: a client's is left out.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <grayling/module.h>
#include <microhttpd.h>
#include <stdbool.h>

struct gr_metadata { // values are the connection's own; names are copied into `names`
    struct grayling_header list[GR_HEADERS_MAX];
    uint32_t n, left_out;
    size_t used;
    char names[GR_HEADER_BYTES_MAX];
};
// Fails: -E2BIG over one of the two caps.
GR_MUST_CHECK int gr_metadata_read(struct MHD_Connection *c, struct gr_metadata *ret);
// The trace context among them.
struct gr_metadata_trace {
    uint32_t n, first; // fields named traceparent; where the first is, if any
    bool any;          // one of traceparent and tracestate is there
};
struct gr_metadata_trace gr_metadata_find_trace(const struct gr_metadata *m);
// Leaves out traceparent and tracestate.
void gr_metadata_drop_trace(struct gr_metadata *m);
// The one traceparent that was found becomes this one (borrowed), or it is added. false: there is
// no room.
GR_MUST_CHECK bool gr_metadata_put_traceparent(struct gr_metadata *m,
                                               const struct gr_metadata_trace *found,
                                               const char *text);
// The first of that name (lower case), or NULL.
const char *gr_metadata_find(const struct gr_metadata *m, const char *name);
