// What latency histograms tell. Buckets are taken conservatively: of the version under suspicion a
// latency counts as slow only when its whole bucket lies beyond, and intervals end at whole
// buckets. Must never interpolate.
//
// The p99 is compared by shares: with x near stable's p99, "candidate's p99 is at most ratio times
// stable's" (or GR_LATENCY_SLACK_NSEC above it, where the ratio of a few microseconds would be
// nobody's concern) says that the candidate's share beyond ratio * x is at most stable's beyond x.
// x is a bucket's edge that was chosen before the block began, among those near the p99 the one
// whose multiple loses least to the candidate's own buckets; so both shares are counts, and the bet
// of analysis-bet.c applies with excess 0. The shape gate does the same at the median and on the
// way to the p99, where a second mode shows that the p99 does not.
#include "rollout/analysis-internal.h"

#define NSEC_MAX 9e18
#define FAR 1.6      // factor that a threshold's share may be off the wanted one
#define KNOWN_MIN 50 // latencies of the fast version, before a threshold can be chosen

static const double levels[GR_TAILS] = {0.01, 0.5, 0.25, 0.1, 0.04};

uint64_t gr_latency_total(const struct gr_histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        n += h->count[i];
    return n;
}

void gr_latency_add_up(const struct gr_histogram *h, const struct gr_histogram *more,
                       struct gr_latency_sums *ret)
{
    uint64_t n = 0;
    ret->from[GR_HISTOGRAM_BUCKETS] = 0;
    for (unsigned i = GR_HISTOGRAM_BUCKETS; i-- > 0;)
        ret->from[i] = n += h->count[i] + (more ? more->count[i] : 0);
}

// How slow a call may be where stable's takes `nsec`.
static double allowed_nsec(double nsec, double ratio)
{
    double by_ratio = ratio * nsec, by_slack = nsec + GR_LATENCY_SLACK_NSEC;
    return by_ratio > by_slack ? by_ratio : by_slack;
}

static double lower_nsec(uint64_t bucket)
{
    return bucket == 0 ? 0 : (double)gr_histogram_upper_nsec((unsigned)bucket - 1) + 1;
}

// First bucket that lies wholly beyond `nsec`; GR_HISTOGRAM_BUCKETS: none does.
static uint64_t bucket_beyond(double nsec)
{
    if (nsec >= NSEC_MAX)
        return GR_HISTOGRAM_BUCKETS;
    uint64_t b = gr_histogram_bucket((uint64_t)nsec);
    while (b < GR_HISTOGRAM_BUCKETS && lower_nsec(b) <= nsec)
        b++;
    return b;
}

uint64_t gr_latency_beyond(const struct gr_histogram *h, double limit_nsec)
{
    uint64_t n = 0;
    for (uint64_t b = bucket_beyond(limit_nsec); b < GR_HISTOGRAM_BUCKETS; b++)
        n += h->count[b];
    return n;
}

// --- thresholds -------------------------------------------------------------------------

// How badly a threshold serves: what its multiple loses to the next whole bucket, and how far its
// share is from the wanted one.
static double loss_of(uint64_t bucket, double share, double level, double ratio)
{
    double wanted = allowed_nsec((double)gr_histogram_upper_nsec((unsigned)bucket), ratio);
    double off = share > level ? share / level : level / share;
    return lower_nsec(bucket_beyond(wanted)) / (wanted + 1) - 1 + 0.02 * (off - 1);
}

// Smallest bucket that no more than so many lie above.
static uint64_t bucket_with(const struct gr_latency_sums *known, double above)
{
    uint64_t low = 0, high = GR_HISTOGRAM_BUCKETS - 1;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if ((double)known->from[middle + 1] <= above)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// Chooses the threshold of one level; false while too little is known. When no bucket's share is
// near the wanted one, the first that no more lie beyond.
static bool choose(const struct gr_latency_sums *known, double level, double ratio,
                   uint64_t *ret_bucket, double *ret_share)
{
    double total = (double)known->from[0], least = 0;
    if (total < KNOWN_MIN || total * level < GR_TAIL_BEYOND_MIN)
        return false;
    uint64_t best = bucket_with(known, level * total);
    bool found = false;
    for (uint64_t b = bucket_with(known, FAR * level * total);
         b < GR_HISTOGRAM_BUCKETS && (double)known->from[b + 1] * FAR >= level * total; b++) {
        double loss = loss_of(b, (double)known->from[b + 1] / total, level, ratio);
        if (found && loss >= least)
            continue;
        best = b;
        least = loss;
        found = true;
    }
    *ret_bucket = best;
    *ret_share = ((double)known->from[best + 1] + 0.5) / (total + 1);
    return true;
}

void gr_tail_open(struct gr_tail *t, unsigned level, const struct gr_latency_sums *known,
                  const struct gr_latency_sums *fast, const struct gr_latency_sums *slow,
                  double ratio)
{
    t->set = choose(known, levels[level], ratio, &t->fast_bucket, &t->share);
    if (!t->set)
        return;
    t->slow_bucket = bucket_beyond(
        allowed_nsec((double)gr_histogram_upper_nsec((unsigned)t->fast_bucket), ratio));
    t->fast_base = fast->from[t->fast_bucket + 1];
    t->slow_base = slow->from[t->slow_bucket];
    t->fast_before = fast->from[0];
    t->slow_before = slow->from[0];
}

void gr_tail_close(struct gr_tail *t, const struct gr_latency_sums *fast,
                   const struct gr_latency_sums *slow, uint64_t before)
{
    if (!t->set)
        return;
    uint64_t slow_beyond = slow->from[t->slow_bucket], fast_beyond = fast->from[t->fast_bucket + 1];
    // the counters of a look are not read in one instant: a share over 1 tells nothing
    if (slow->from[0] <= t->slow_before || fast->from[0] <= t->fast_before ||
        slow_beyond < t->slow_base || fast_beyond < t->fast_base)
        return;
    struct gr_block block = {{slow->from[0] - t->slow_before, slow_beyond - t->slow_base},
                             {fast->from[0] - t->fast_before, fast_beyond - t->fast_base}};
    if (block.suspect.errors > block.suspect.requests || block.other.errors > block.other.requests)
        return;
    gr_bet_block(&t->bet, &block, 0, t->share, before);
}

// --- intervals --------------------------------------------------------------------------

// One quantile's confidence sequence: thresholds at which a share of 1 % beyond is refuted by the
// mixture martingale are left out (inversion as in Howard and Ramdas 2022, "Sequential estimation
// of quantiles with applications to A/B testing and best-arm identification", section 3).
void gr_latency_p99_interval(const struct gr_histogram *h, double alpha, uint64_t *ret_low,
                             uint64_t *ret_high)
{
    uint64_t total = gr_latency_total(h), above = total, low = 0, high = UINT64_MAX;
    double n = (double)total, threshold = gr_exact_log(1 / alpha);
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
        if (h->count[b] == 0)
            continue;
        double from = (double)above;
        above -= h->count[b];
        double beyond = (double)above;
        if (beyond > 0.01 * n && gr_mixture_log(beyond, n, 0.01) >= threshold)
            low = gr_histogram_upper_nsec(b) + 1;
        if (from < 0.01 * n && gr_mixture_log(from, n, 0.01) >= threshold) {
            high = (uint64_t)lower_nsec(b);
            break;
        }
        if (above == 0 && gr_mixture_log(0, n, 0.01) >= threshold)
            high = gr_histogram_upper_nsec(b);
    }
    *ret_low = low;
    *ret_high = high;
}

// Time-uniform counterpart of the Dvoretzky-Kiefer-Wolfowitz bound (Howard and Ramdas 2022,
// corollary 2 with A = 0.85).
static double empirical_radius(double n, double alpha)
{
    if (n < 1)
        return 1;
    double r =
        0.85 *
        __builtin_sqrt((gr_exact_log(1 + gr_exact_log(n)) + 0.8 * gr_exact_log(1612 / alpha)) / n);
    return r < 1 ? r : 1;
}

void gr_latency_excess(const struct gr_histogram *slow, const struct gr_histogram *fast,
                       double ratio, double alpha, double *ret_excess, double *ret_radius)
{
    double n = (double)gr_latency_total(slow), m = (double)gr_latency_total(fast), most = 0;
    // suffix sums of the slow one, once, since the thresholds only rise
    uint64_t beyond = gr_latency_total(slow), next = 0, above = gr_latency_total(fast);
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS && n > 0 && m > 0; b++) {
        above -= fast->count[b];
        if (fast->count[b] == 0 && slow->count[b] == 0)
            continue;
        uint64_t from = bucket_beyond(allowed_nsec((double)gr_histogram_upper_nsec(b), ratio));
        while (next < from)
            beyond -= slow->count[next++];
        double excess = (double)beyond / n - (double)above / m;
        if (excess > most)
            most = excess;
    }
    *ret_excess = most;
    *ret_radius = empirical_radius(n, alpha / 2) + empirical_radius(m, alpha / 2);
}
