// Response buffers: one allocation for each, copied into or wrapped around the module's own, and
// given back once.
#include "dispatch/internal.h"
#include <string.h>

struct gr_answer *gr_answer_copy(struct grayling_bytes payload)
{
    struct gr_answer *a = malloc(sizeof(*a) + payload.size);
    if (!a)
        return NULL;
    *a = (struct gr_answer){.data = a->copy, .size = payload.size};
    if (payload.size)
        memcpy(a->copy, payload.data, payload.size);
    return a;
}

struct gr_answer *gr_answer_place(struct grayling_bytes payload, void *room)
{
    struct gr_answer *a = malloc(sizeof(*a));
    if (!a)
        return NULL;
    *a = (struct gr_answer){.data = room, .size = payload.size};
    if (payload.size)
        memmove(room, payload.data, payload.size);
    return a;
}

struct gr_answer *gr_answer_take(struct grayling_bytes payload, grayling_release_fn release,
                                 void *owner, struct gr_held *held)
{
    struct gr_answer *a = malloc(sizeof(*a));
    if (!a)
        return NULL;
    *a = (struct gr_answer){.data = payload.data,
                            .size = payload.size,
                            .release = release,
                            .owner = owner,
                            .held = held};
    atomic_fetch_add_explicit(&held->n, 1, memory_order_relaxed);
    return a;
}

void gr_answer_free(struct gr_dispatch *d, struct gr_answer *a)
{
    if (!a)
        return;
    if (a->held) {
        if (a->release)
            a->release(a->owner, a->data, a->size);
        atomic_fetch_sub(&a->held->n, 1);
        gr_leave_notify(d);
    }
    free(a);
}

void gr_response_done(struct gr_dispatch *d, struct gr_response *r)
{
    gr_answer_free(d, r->private_);
    r->private_ = NULL;
    r->payload = (struct grayling_bytes){0};
}
