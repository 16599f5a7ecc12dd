// Seeded canaries for the simulation: what a stable version and a candidate answer, request by
// request. No clock: a minute is a number of requests.
#pragma once
#include "dispatch/stats.h"

struct random {
    uint64_t s[4];
};
void random_seed(struct random *r, uint64_t seed);
double random_share(struct random *r); // 0 <= x < 1

// A latency distribution over histogram buckets, drawn from in constant time.
struct latencies {
    double below[GR_HISTOGRAM_BUCKETS]; // Walker's alias method
    uint16_t alias[GR_HISTOGRAM_BUCKETS];
};
struct mode {
    double weight, median_msec, sigma; // lognormal
};
void latencies_mix(struct latencies *l, const struct mode *modes, unsigned n);
unsigned latencies_draw(const struct latencies *l, struct random *r);

#define REQUESTS_PER_MINUTE 1200
#define MINUTES 30
struct phase {
    unsigned until_minute;
    double weight; // the candidate's
};
// What happens to both versions alike: an outage of something they share.
struct outage {
    unsigned from_minute, until_minute;
    double error_share;
    unsigned slower_buckets; // 16 of them are twice the latency
};
struct world {
    const char *name;
    bool faulty, must_find; // the second: far enough beyond the limits for the traffic of a canary
    double stable_errors, candidate_errors;
    unsigned turns_minute; // until then the candidate fails as stable does
    struct mode stable[3], candidate[3];
    unsigned hurt_mode; // of the candidate: requests of it are the harm; 0: bad responses are
    struct outage outage;
};
extern const struct world worlds[];
extern const unsigned n_worlds;
extern const struct phase phases[];
extern const unsigned n_phases;

struct answer {
    bool of_candidate, bad, hurt;
    unsigned bucket;
};
struct canary {
    const struct world *world;
    struct random random;
    struct latencies stable, candidate[3]; // the candidate's by mode, so that harm can be told
    uint64_t requests;
    double owed; // share of a request that the candidate is behind its weight
};
void canary_prepare(struct canary *c, const struct world *w);
void canary_begin(struct canary *c, uint64_t seed);
struct answer canary_next(struct canary *c);
