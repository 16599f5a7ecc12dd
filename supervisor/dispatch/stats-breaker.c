// The breaker's words in the statistics segment. Whoever holds the version's state writes: the
// supervisor until the worker serves, the worker from then on.
#include "dispatch/stats-layout.h"
#include "dispatch/stats.h"

void gr_stats_breaker_read(const struct gr_stats_breaker *s, struct gr_breaker *ret)
{
    uint64_t words[GR_STATS_BREAKER_WORDS];
    for (unsigned i = 0; i < GR_STATS_BREAKER_WORDS; i++)
        words[i] = atomic_load_explicit(&s->words[i], memory_order_relaxed);
    memcpy(ret, words, sizeof(*ret));
}

void gr_stats_breaker_write(struct gr_stats_breaker *s, const struct gr_breaker *b)
{
    uint64_t words[GR_STATS_BREAKER_WORDS];
    memcpy(words, b, sizeof(words));
    for (unsigned i = 0; i < GR_STATS_BREAKER_WORDS; i++)
        atomic_store_explicit(&s->words[i], words[i], memory_order_relaxed);
}

void gr_stats_breaker(const struct gr_stats *s, unsigned slot, struct gr_breaker *ret)
{
    gr_stats_breaker_read(&s->seg->slots[slot].breaker, ret);
}

void gr_stats_set_breaker(struct gr_stats *s, unsigned slot, const struct gr_breaker *b)
{
    gr_stats_breaker_write(&s->seg->slots[slot].breaker, b);
}
