// Log-linear latency histogram: pure arithmetic on buckets, no clock and no shared memory.
// 16 linear buckets under 16 ns, then 16 for each power of two up to 2^41 ns (36 minutes), which is
// where the last one collects.
#include "dispatch/stats.h"
#include <math.h>

#define SUB_BITS 4u
#define SUB_COUNT (1u << SUB_BITS)

unsigned gr_histogram_bucket(uint64_t nsec)
{
    if (nsec < SUB_COUNT)
        return (unsigned)nsec;
    unsigned shift = 63u - (unsigned)__builtin_clzll(nsec) - SUB_BITS;
    unsigned bucket = (shift + 1) * SUB_COUNT + (unsigned)((nsec >> shift) & (SUB_COUNT - 1));
    return bucket < GR_HISTOGRAM_BUCKETS ? bucket : GR_HISTOGRAM_BUCKETS - 1;
}

uint64_t gr_histogram_upper_nsec(unsigned bucket)
{
    if (bucket < SUB_COUNT)
        return bucket;
    unsigned shift = bucket / SUB_COUNT - 1;
    uint64_t first = (uint64_t)(SUB_COUNT + bucket % SUB_COUNT) << shift;
    return first + ((uint64_t)1 << shift) - 1;
}

uint64_t gr_histogram_quantile_nsec(const struct gr_histogram *h, double q)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        total += h->count[i];
    if (total == 0)
        return 0;
    double wanted = ceil(q * (double)total);
    uint64_t below = 0;
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++) {
        below += h->count[i];
        if (below > 0 && (double)below >= wanted)
            return gr_histogram_upper_nsec(i);
    }
    return gr_histogram_upper_nsec(GR_HISTOGRAM_BUCKETS - 1);
}
