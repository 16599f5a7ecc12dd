// Owns what the simulated versions do. Must never know how they are judged.
#include "world.h"
#include <math.h>

#define BODY                                                                                       \
    {                                                                                              \
        0.95, 10, 0.3                                                                              \
    }
#define SLOW_PATH                                                                                  \
    {                                                                                              \
        0.05, 40, 0.2                                                                              \
    }
#define USUAL                                                                                      \
    {                                                                                              \
        BODY, SLOW_PATH                                                                            \
    }

const struct phase phases[] = {{5, 0.05}, {15, 0.25}, {MINUTES, 0.5}};
const unsigned n_phases = GR_COUNT(phases);

const struct world worlds[] = {
    {.name = "nothing wrong, 0.5 % errors",
     .stable_errors = 0.005,
     .candidate_errors = 0.005,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "nothing wrong, no errors", .stable = USUAL, .candidate = USUAL},
    {.name = "nothing wrong, shared outage",
     .stable_errors = 0.005,
     .candidate_errors = 0.005,
     .stable = USUAL,
     .candidate = USUAL,
     .outage = {18, 21, 0.3, 32}},
    {.name = "just at the limit, 0.5 % -> 1 %",
     .stable_errors = 0.005,
     .candidate_errors = 0.01,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "+1 % errors, 0.5 % -> 1.5 %",
     .faulty = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.015,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "+2 % errors, 0.5 % -> 2.5 %",
     .faulty = true,
     .must_find = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.025,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "+2 % errors from minute 18 on",
     .faulty = true,
     .must_find = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.025,
     .turns_minute = 18,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "errors from zero, 0 -> 2 %",
     .faulty = true,
     .must_find = true,
     .candidate_errors = 0.02,
     .stable = USUAL,
     .candidate = USUAL},
    {.name = "p99 +30 %, p50 equal",
     .faulty = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.005,
     .stable = USUAL,
     .candidate = {BODY, {0.05, 52, 0.2}},
     .hurt_mode = 1},
    {.name = "p99 +60 %, p50 equal",
     .faulty = true,
     .must_find = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.005,
     .stable = USUAL,
     .candidate = {BODY, {0.05, 64, 0.2}},
     .hurt_mode = 1},
    {.name = "bimodal: 8 % at 30 ms, p99 equal",
     .faulty = true,
     .must_find = true,
     .stable_errors = 0.005,
     .candidate_errors = 0.005,
     .stable = USUAL,
     .candidate = {{0.87, 10, 0.3}, SLOW_PATH, {0.08, 30, 0.1}},
     .hurt_mode = 2},
};
const unsigned n_worlds = GR_COUNT(worlds);

// --- random numbers: xoshiro256** by Blackman and Vigna, seeded by splitmix64 -----------

void random_seed(struct random *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        r->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

double random_share(struct random *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return (double)(result >> 11) * 0x1p-53;
}

// --- latencies --------------------------------------------------------------------------

static double share_below(const struct mode *m, double nsec)
{
    double z = (log(nsec / 1e6) - log(m->median_msec)) / m->sigma;
    return 0.5 * erfc(-z * M_SQRT1_2);
}

void latencies_mix(struct latencies *l, const struct mode *modes, unsigned n)
{
    double share[GR_HISTOGRAM_BUCKETS] = {0};
    for (unsigned k = 0; k < n; k++) {
        double before = 0;
        for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
            double below = b == GR_HISTOGRAM_BUCKETS - 1
                               ? 1
                               : share_below(&modes[k], (double)gr_histogram_upper_nsec(b) + 0.5);
            share[b] += modes[k].weight * (below - before) * GR_HISTOGRAM_BUCKETS;
            before = below;
        }
    }
    // pair each bucket that has too little with one that has too much
    for (unsigned done = 0; done < GR_HISTOGRAM_BUCKETS; done++) {
        l->below[done] = share[done];
        l->alias[done] = (uint16_t)done;
    }
    for (unsigned round = 0; round < 2 * GR_HISTOGRAM_BUCKETS; round++) {
        unsigned least = GR_HISTOGRAM_BUCKETS, most = 0;
        for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
            if (l->alias[b] == b && l->below[b] < 1 &&
                (least == GR_HISTOGRAM_BUCKETS || l->below[b] < l->below[least]))
                least = b;
            if (l->below[b] > l->below[most])
                most = b;
        }
        if (least == GR_HISTOGRAM_BUCKETS || l->below[most] <= 1)
            break;
        l->alias[least] = (uint16_t)most;
        l->below[most] -= 1 - l->below[least];
    }
}

unsigned latencies_draw(const struct latencies *l, struct random *r)
{
    double x = random_share(r) * GR_HISTOGRAM_BUCKETS;
    unsigned b = (unsigned)x;
    return x - b < l->below[b] ? b : l->alias[b];
}

// --- canaries ---------------------------------------------------------------------------

void canary_prepare(struct canary *c, const struct world *w)
{
    *c = (struct canary){.world = w};
    latencies_mix(&c->stable, w->stable, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct mode alone = w->candidate[i];
        if (alone.weight <= 0)
            continue;
        alone.weight = 1;
        latencies_mix(&c->candidate[i], &alone, 1);
    }
}

void canary_begin(struct canary *c, uint64_t seed)
{
    random_seed(&c->random, seed);
    c->requests = 0;
    c->owed = random_share(&c->random);
}

static unsigned bucket_of(const struct latencies *l, struct random *r, unsigned slower)
{
    unsigned b = latencies_draw(l, r) + slower;
    return b < GR_HISTOGRAM_BUCKETS ? b : GR_HISTOGRAM_BUCKETS - 1;
}

struct answer canary_next(struct canary *c)
{
    const struct world *w = c->world;
    unsigned minute = (unsigned)(c->requests++ / REQUESTS_PER_MINUTE), p = 0, mode = 0;
    while (p + 1 < n_phases && minute >= phases[p].until_minute)
        p++;
    struct answer a = {0};
    c->owed += phases[p].weight;
    a.of_candidate = c->owed >= 1;
    c->owed -= a.of_candidate;
    bool out = minute >= w->outage.from_minute && minute < w->outage.until_minute;
    bool turned = a.of_candidate && minute >= w->turns_minute;
    double errors = out ? w->outage.error_share : turned ? w->candidate_errors : w->stable_errors;
    unsigned slower = out ? w->outage.slower_buckets : 0;
    a.bad = random_share(&c->random) < errors;
    if (!a.of_candidate) {
        a.bucket = bucket_of(&c->stable, &c->random, slower);
        return a;
    }
    for (double x = random_share(&c->random); mode < 2 && x >= w->candidate[mode].weight; mode++)
        x -= w->candidate[mode].weight;
    if (w->candidate[mode].weight <= 0) // rounding at the end of the shares
        mode = 0;
    a.bucket = bucket_of(&c->candidate[mode], &c->random, slower);
    a.hurt = w->hurt_mode ? mode == w->hurt_mode : a.bad;
    return a;
}
