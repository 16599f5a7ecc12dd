// Each span is a block of its own, so that a cell of the queue is one pointer.
#include "worker/spans.h"
#include "worker/shadow-queue.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define WAKE_EVERY (GR_SHADOW_QUEUE_MAX / 4)

struct gr_spans {
    struct gr_shadow_queue queue;
    uint32_t sample;
    int changed_fd;
    _Atomic uint64_t added; // since the last tick
    _Atomic uint64_t lost;
    uint64_t lost_told;
};

int gr_spans_new(uint32_t sample, int changed_fd, struct gr_spans **ret)
{
    struct gr_spans *s = aligned_alloc(_Alignof(struct gr_spans), sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct gr_spans){.sample = sample, .changed_fd = changed_fd};
    gr_shadow_queue_init(&s->queue);
    *ret = s;
    return 0;
}

void gr_spans_free(struct gr_spans *s)
{
    if (!s)
        return;
    for (void *span; (span = gr_shadow_queue_take(&s->queue));)
        free(span);
    free(s);
}

bool gr_spans_sample(const struct gr_spans *s, uint64_t draw)
{
    return (draw & UINT32_MAX) < s->sample || s->sample == UINT32_MAX;
}

void gr_spans_add(struct gr_spans *s, const struct gr_span *span)
{
    uint64_t before = atomic_fetch_add_explicit(&s->added, 1, memory_order_relaxed);
    struct gr_span *copy = before < GR_SPANS_SECOND_MAX ? malloc(sizeof *copy) : NULL;
    if (copy)
        *copy = *span;
    if (!copy || !gr_shadow_queue_put(&s->queue, copy)) {
        free(copy);
        atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
        return;
    }
    if (before % WAKE_EVERY == WAKE_EVERY - 1)
        (void)!eventfd_write(s->changed_fd, 1);
}

static bool add_span(cJSON *list, const struct gr_span *span)
{
    cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    return cJSON_AddStringToObject(o, "trace", span->parent.trace_id) &&
           cJSON_AddStringToObject(o, "span", span->span_id) &&
           cJSON_AddStringToObject(o, "parent", span->parent.span_id) &&
           gr_json_add_int(o, "began_usec", span->began.usec) &&
           gr_json_add_uint(o, "took_usec", span->took_usec) &&
           gr_json_add_int(o, "code", span->code) &&
           cJSON_AddStringToObject(o, "module", span->module) &&
           cJSON_AddStringToObject(o, "version", span->version) &&
           cJSON_AddBoolToObject(o, "candidate", span->candidate) &&
           cJSON_AddBoolToObject(o, "rescued", span->rescued) &&
           cJSON_AddStringToObject(o, "interface", span->interface_name) &&
           cJSON_AddStringToObject(o, "method", span->method_name) &&
           cJSON_AddStringToObject(o, "request_id", span->request_id);
}

// Takes at most GR_SPANS_MESSAGE_MAX spans into one message; NULL: there is nothing to say.
static cJSON *next_message(struct gr_spans *s, uint64_t *ret_n)
{
    uint64_t lost = atomic_load_explicit(&s->lost, memory_order_relaxed), told = s->lost_told;
    struct gr_span *span = gr_shadow_queue_take(&s->queue);
    *ret_n = 0;
    if (!span && lost == told)
        return NULL;
    cJSON *m = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(m, "spans");
    bool whole = list && cJSON_AddStringToObject(m, "type", "spans") &&
                 gr_json_add_uint(m, "lost", lost - told);
    for (; span; span = *ret_n < GR_SPANS_MESSAGE_MAX ? gr_shadow_queue_take(&s->queue) : NULL) {
        whole = whole && add_span(list, span);
        ++*ret_n;
        free(span);
    }
    if (whole) {
        s->lost_told = lost;
        return m;
    }
    cJSON_Delete(m);
    atomic_fetch_add_explicit(&s->lost, *ret_n, memory_order_relaxed);
    return NULL;
}

void gr_spans_flush(struct gr_spans *s, struct gr_wire *w)
{
    uint64_t n, told = s->lost_told;
    for (cJSON *m; (m = next_message(s, &n)); told = s->lost_told)
        if (!gr_wire_offer(w, m)) {
            s->lost_told = told;
            atomic_fetch_add_explicit(&s->lost, n, memory_order_relaxed);
            return;
        }
}

void gr_spans_tick(struct gr_spans *s, struct gr_wire *w)
{
    gr_spans_flush(s, w);
    atomic_store_explicit(&s->added, 0, memory_order_relaxed);
}
