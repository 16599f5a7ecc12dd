// Follows the caller's decision to sample; draws only for a trace that begins here.
#include "worker/trace.h"
#include <string.h>

static void decide(struct gr_trace *t, const struct gr_spans *s, const char *text)
{
    uint64_t draw;
    t->decided = true;
    t->known = text && gr_traceparent_parse(text, &t->parent) == 0;
    if (t->known) {
        t->recorded = s && (t->parent.flags & GR_TRACE_SAMPLED);
    } else if (s) {
        gr_traceparent_begin(&t->parent, &draw);
        t->known = t->recorded = gr_spans_sample(s, draw);
    }
    if (!t->recorded)
        return;
    gr_span_id_draw(t->span_id);
    struct gr_traceparent own = t->parent;
    own.flags = GR_TRACE_SAMPLED;
    memcpy(own.span_id, t->span_id, sizeof own.span_id);
    gr_traceparent_format(&own, t->text);
}

void gr_trace_apply(struct gr_trace *t, const struct gr_spans *s, struct gr_metadata *m)
{
    struct gr_metadata_trace found = gr_metadata_find_trace(m);
    const char *text = found.n == 1 ? m->list[found.first].value : NULL;
    if (!t->decided)
        decide(t, s, text);
    bool begins = strspn(t->parent.span_id, "0") == GR_SPAN_ID_HEX;
    if (found.any && (!t->known || begins)) {
        gr_metadata_drop_trace(m);
        found = (struct gr_metadata_trace){0};
    }
    if (t->recorded && !gr_metadata_put_traceparent(m, &found, t->text))
        t->known = t->recorded = false; // no room among the fields
}

const char *gr_trace_response(const struct gr_trace *t, char buf[GR_TRACEPARENT_TEXT_MAX])
{
    if (!t->known)
        return NULL;
    return t->recorded ? strcpy(buf, t->text) : gr_traceparent_format(&t->parent, buf);
}
