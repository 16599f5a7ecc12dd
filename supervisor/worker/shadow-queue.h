// A bounded queue that nobody waits for: whoever finds it full, or empty, is told so at once. Any
// number of threads at both ends, without a lock, so that a consumer of low priority that loses the
// processor in the middle holds up nobody.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gr_shadow_cell {
    _Atomic uint64_t turn; // position that may write next; one more: that may read
    void *item;
};
struct gr_shadow_queue {
    _Alignas(64) _Atomic uint64_t head; // next to write
    _Alignas(64) _Atomic uint64_t tail; // next to read
    struct gr_shadow_cell cells[GR_SHADOW_QUEUE_MAX];
};
void gr_shadow_queue_init(struct gr_shadow_queue *q);
// false: it is full.
GR_MUST_CHECK bool gr_shadow_queue_put(struct gr_shadow_queue *q, void *item);
// NULL: it is empty, or its first item is just being put.
void *gr_shadow_queue_take(struct gr_shadow_queue *q);
