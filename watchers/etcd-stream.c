// See etcd-stream.h. Keeps nesting only; whether an object is sound JSON is judged by its parser.
#include "watchers/etcd-stream.h"
#include <errno.h>

void gr_etcd_stream_done(struct gr_etcd_stream *s)
{
    gr_buf_done(&s->object);
}

void gr_etcd_stream_clear(struct gr_etcd_stream *s)
{
    gr_buf_clear(&s->object);
    s->depth = 0;
    s->in_string = s->escaped = false;
}

bool gr_etcd_stream_is_whole(const struct gr_etcd_stream *s)
{
    return s->depth == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void step_in_string(struct gr_etcd_stream *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == '"')
        s->in_string = false;
}

// True when `c` ends the outermost object.
static bool step(struct gr_etcd_stream *s, char c)
{
    if (s->in_string) {
        step_in_string(s, c);
        return false;
    }
    if (c == '"')
        s->in_string = true;
    else if (c == '{' || c == '[')
        s->depth++;
    else if (c == '}' || c == ']')
        s->depth--;
    return s->depth == 0;
}

int gr_etcd_stream_feed(struct gr_etcd_stream *s, const char *bytes, size_t len,
                        gr_etcd_stream_object on_object, void *userdata)
{
    size_t from = 0; // first byte that is not in s->object yet
    for (size_t i = 0; i < len; i++) {
        if (s->depth == 0 && is_blank(bytes[i])) {
            from = i + 1;
            continue;
        }
        if (s->depth == 0 && bytes[i] != '{')
            return -EBADMSG;
        if (!step(s, bytes[i]))
            continue;
        int r = gr_buf_append(&s->object, bytes + from, i + 1 - from);
        if (r >= 0)
            r = on_object(userdata, s->object.data, s->object.len);
        if (r < 0)
            return r;
        from = i + 1;
        gr_buf_clear(&s->object);
    }
    return from < len ? gr_buf_append(&s->object, bytes + from, len - from) : 0;
}
