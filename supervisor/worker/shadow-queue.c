// A ring whose cells carry the position they are ready for (D. Vyukov, "Bounded MPMC queue", 2010):
// a position is taken by one compare-and-swap, and given on by one store to its cell.
#include "worker/shadow-queue.h"
#include <stddef.h>

_Static_assert((GR_SHADOW_QUEUE_MAX & (GR_SHADOW_QUEUE_MAX - 1)) == 0,
               "positions wrap around with the counter");

void gr_shadow_queue_init(struct gr_shadow_queue *q)
{
    atomic_init(&q->head, 0);
    atomic_init(&q->tail, 0);
    for (uint64_t i = 0; i < GR_SHADOW_QUEUE_MAX; i++) {
        atomic_init(&q->cells[i].turn, i);
        q->cells[i].item = NULL;
    }
}

// The cell whose turn is position + `ready`, with its position taken from `counter`; NULL: none is
// ready.
static struct gr_shadow_cell *claim(struct gr_shadow_queue *q, _Atomic uint64_t *counter,
                                    uint64_t ready, uint64_t *ret_position)
{
    uint64_t position = atomic_load_explicit(counter, memory_order_relaxed);
    for (;;) {
        struct gr_shadow_cell *c = &q->cells[position % GR_SHADOW_QUEUE_MAX];
        uint64_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);
        int64_t ahead = (int64_t)(turn - (position + ready));
        if (ahead < 0)
            return NULL;
        if (ahead > 0) {
            position = atomic_load_explicit(counter, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(counter, &position, position + 1,
                                                         memory_order_relaxed,
                                                         memory_order_relaxed)) {
            *ret_position = position;
            return c;
        }
    }
}

bool gr_shadow_queue_put(struct gr_shadow_queue *q, void *item)
{
    uint64_t position;
    struct gr_shadow_cell *c = claim(q, &q->head, 0, &position);
    if (!c)
        return false;
    c->item = item;
    atomic_store_explicit(&c->turn, position + 1, memory_order_release);
    return true;
}

void *gr_shadow_queue_take(struct gr_shadow_queue *q)
{
    uint64_t position;
    struct gr_shadow_cell *c = claim(q, &q->tail, 1, &position);
    if (!c)
        return NULL;
    void *item = c->item;
    atomic_store_explicit(&c->turn, position + GR_SHADOW_QUEUE_MAX, memory_order_release);
    return item;
}
