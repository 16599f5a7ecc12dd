// Cuts a stream of JSON objects into objects, whatever the chunks are: by nesting, not by line end,
// so that a last object without one counts as well (FACTS-ETCD, traps 5 and 6). Pure.
#pragma once
#include "base/buf.h"
#include "base/limits.h"
#include <stdbool.h>

struct gr_etcd_stream {
    struct gr_buf object; // what came of the present object
    unsigned depth;
    bool in_string, escaped;
};
#define GR_ETCD_STREAM ((struct gr_etcd_stream){.object = GR_BUF(GR_ETCD_LINE_MAX)})
void gr_etcd_stream_done(struct gr_etcd_stream *s);
void gr_etcd_stream_clear(struct gr_etcd_stream *s); // for a new connection
// A whole object, NUL-terminated, borrowed; negative ends the feeding. Must not touch the stream.
typedef int (*gr_etcd_stream_object)(void *userdata, const char *text, size_t len);
// Fails: -EBADMSG (something between objects, unbalanced nesting), -E2BIG (object over
// GR_ETCD_LINE_MAX), -ENOMEM, or what the callback said.
GR_MUST_CHECK int gr_etcd_stream_feed(struct gr_etcd_stream *s, const char *bytes, size_t len,
                                      gr_etcd_stream_object on_object, void *userdata);
// True between objects; false: the stream broke off inside of one.
bool gr_etcd_stream_is_whole(const struct gr_etcd_stream *s);
