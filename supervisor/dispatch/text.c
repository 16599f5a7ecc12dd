// The fixed array of module text ranges. One writer at a time; readers are signal handlers.
#include "dispatch/text.h"

static struct gr_text texts[GR_INSTANCES_MAX];

struct gr_text *gr_text_add(uint64_t start, uint64_t end, uint64_t base, unsigned slot,
                            uint32_t serial, const char *name)
{
    for (size_t i = 0; i < GR_INSTANCES_MAX; i++) {
        struct gr_text *t = &texts[i];
        if (atomic_load_explicit(&t->start, memory_order_relaxed) != 0)
            continue;
        atomic_store_explicit(&t->end, end, memory_order_relaxed);
        atomic_store_explicit(&t->base, base, memory_order_relaxed);
        atomic_store_explicit(&t->slot, (int32_t)slot, memory_order_relaxed);
        atomic_store_explicit(&t->serial, serial, memory_order_relaxed);
        atomic_store_explicit(&t->name, name, memory_order_relaxed);
        atomic_store_explicit(&t->start, start, memory_order_release);
        return t;
    }
    return NULL;
}

void gr_text_remove(struct gr_text *t)
{
    if (t)
        atomic_store_explicit(&t->start, 0, memory_order_release);
}

const struct gr_text *gr_text_find(uint64_t address)
{
    for (size_t i = 0; i < GR_INSTANCES_MAX; i++) {
        const struct gr_text *t = &texts[i];
        uint64_t start = atomic_load_explicit(&t->start, memory_order_acquire);
        if (start != 0 && address >= start &&
            address < atomic_load_explicit(&t->end, memory_order_relaxed))
            return t;
    }
    return NULL;
}
