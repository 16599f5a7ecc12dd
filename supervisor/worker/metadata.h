// A request's header fields as a module sees them: names in lower case, in the order of the wire.
// The mark of a shadow is ours to give: a client's is left out.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <grayling/module.h>
#include <microhttpd.h>

struct gr_metadata { // values are the connection's own; names are copied into `names`
    struct grayling_header list[GR_HEADERS_MAX];
    uint32_t n, left_out;
    size_t used;
    char names[GR_HEADER_BYTES_MAX];
};
// Fails: -E2BIG over one of the two caps.
GR_MUST_CHECK int gr_metadata_read(struct MHD_Connection *c, struct gr_metadata *ret);
// The first of that name (lower case), or NULL.
const char *gr_metadata_find(const struct gr_metadata *m, const char *name);
