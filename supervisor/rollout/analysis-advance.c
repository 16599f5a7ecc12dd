// Takes the counters of a look into the state: which requests ran side by side, when a block is
// closed, what its bets pay. Must never judge.
//
// A block is closed at the first look with GR_BLOCK_REQUESTS of both versions. That depends on
// counts of requests and on the looks, never on how requests ended, as the bet needs it.
#include "rollout/analysis-internal.h"

#define ALPHA_MIN 1e-12
#define EXACT_MAX (UINT64_C(1) << 53) // beyond, a count is no exact double
// Counters of a look are not read in one instant: so many requests may be counted in one place
// only.
#define SKEW_MAX (2 * GR_THREADS_MAX)
#define GUESS_REQUESTS 200.0 // weight and share of the guess that stands for an unknown version
#define GUESS_SHARE 0.001

void gr_analysis_begin(struct gr_analysis_state *s)
{
    *s = (struct gr_analysis_state){0};
    gr_bet_begin(&s->errors);
    gr_bet_begin(&s->errors_stable);
    for (unsigned i = 0; i < GR_TAILS; i++)
        gr_bet_begin(&s->tails[i].bet);
    gr_bet_begin(&s->tail_stable.bet);
}

// --- what cannot be ---------------------------------------------------------------------

static bool is_arm_sound(const struct gr_arm_sample *a)
{
    uint64_t latencies = 0;
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++) {
        if (a->latency.count[i] > EXACT_MAX)
            return false;
        latencies += a->latency.count[i];
    }
    if (a->requests > EXACT_MAX || latencies > EXACT_MAX || a->errors > a->requests ||
        a->crashes > EXACT_MAX)
        return false;
    uint64_t skew = SKEW_MAX + a->requests / 20;
    return latencies <= a->requests + skew && a->requests <= latencies + skew;
}

static bool is_number(double x)
{
    return x - x == 0;
}

static bool are_limits_sound(const struct gr_analysis_input *in)
{
    const struct gr_analysis *l = &in->limits;
    bool ok = l->alpha >= ALPHA_MIN && l->alpha < 1 && is_number(l->error_rate_max_increase) &&
              is_number(l->latency_p99_max_ratio) && is_number(in->sla_error_rate) &&
              l->error_rate_max_increase <= 1 && in->sla_error_rate <= 1 &&
              in->sla_p99_usec <= EXACT_MAX / 1000 && l->min_requests <= EXACT_MAX &&
              in->harm_bad_responses <= EXACT_MAX && in->crashes_allowed <= EXACT_MAX;
    for (unsigned i = 0; i < GR_COUNT(in->slope); i++) {
        const struct gr_slope *s = &in->slope[i];
        ok = ok && is_number(in->slope_limit[i]) && is_number(s->per_request) &&
             is_number(s->low) && is_number(s->high) && s->points <= EXACT_MAX;
    }
    return ok;
}

bool gr_analysis_is_sound(const struct gr_analysis_state *s, const struct gr_analysis_input *in)
{
    const struct gr_arm_sample *c = &in->candidate, *b = &in->stable;
    return in->measured && are_limits_sound(in) && is_arm_sound(c) && is_arm_sound(b) &&
           is_arm_sound(&in->reference) && c->requests >= s->candidate_seen.requests &&
           c->errors >= s->candidate_seen.errors && b->requests >= s->stable_seen.requests &&
           b->errors >= s->stable_seen.errors &&
           gr_latency_total(&c->latency) >= s->candidate_latencies &&
           gr_latency_total(&b->latency) >= s->stable_latencies;
}

// --- blocks -----------------------------------------------------------------------------

static struct gr_pair plus(struct gr_pair a, struct gr_pair b)
{
    return (struct gr_pair){a.requests + b.requests, a.errors + b.errors};
}

// Both versions' latencies of this look, and all that is known of stable's.
struct sums {
    struct gr_latency_sums candidate, stable, known;
};

// A version's share of errors as known before the block: what it has shown, and a little of a
// guess.
static double guess(struct gr_pair shown, const struct gr_arm_sample *reference)
{
    double n = (double)shown.requests + (double)(reference ? reference->requests : 0);
    double k = (double)shown.errors + (double)(reference ? reference->errors : 0);
    return (k + GUESS_REQUESTS * GUESS_SHARE) / (n + GUESS_REQUESTS);
}

// Squares of the distance to the guess, of one version's requests in a block.
static double spread_of(struct gr_pair p, double share)
{
    return (double)p.errors * (1 - share) * (1 - share) +
           (double)(p.requests - p.errors) * share * share;
}

// The difference that is shown: each block's difference of shares, weighted by the smaller of both
// counts, so that no request weighs more than one.
static void add_difference(struct gr_analysis_state *s, double candidate_guess, double stable_guess)
{
    double n = (double)s->candidate_open.requests, m = (double)s->stable_open.requests;
    double w = n < m ? n : m;
    s->difference += w * ((double)s->candidate_open.errors / n - (double)s->stable_open.errors / m);
    s->difference_weight += w;
    s->difference_variance += spread_of(s->candidate_open, candidate_guess) * (w / n) * (w / n) +
                              spread_of(s->stable_open, stable_guess) * (w / m) * (w / m);
}

// An error may be counted a look later than its request; what a block cannot hold waits for the
// next.
static uint64_t take_late(struct gr_pair *p)
{
    uint64_t late = p->errors > p->requests ? p->errors - p->requests : 0;
    p->errors -= late;
    return late;
}

static void close_block(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                        const struct sums *sums)
{
    uint64_t candidate_late = take_late(&s->candidate_open),
             stable_late = take_late(&s->stable_open);
    double candidate_guess = guess(s->candidate_paired, NULL);
    double stable_guess = guess(s->stable_paired, &in->reference);
    uint64_t candidate_before = s->candidate_paired.requests,
             stable_before = s->stable_paired.requests;
    add_difference(s, candidate_guess, stable_guess);
    double excess = in->limits.error_rate_max_increase;
    if (excess >= 0) {
        struct gr_block up = {s->candidate_open, s->stable_open},
                        down = {s->stable_open, s->candidate_open};
        gr_bet_block(&s->errors, &up, excess, stable_guess, candidate_before);
        gr_bet_block(&s->errors_stable, &down, excess, candidate_guess, stable_before);
    }
    for (unsigned i = 0; i < GR_TAILS; i++)
        gr_tail_close(&s->tails[i], &sums->stable, &sums->candidate, candidate_before);
    gr_tail_close(&s->tail_stable, &sums->candidate, &sums->stable, stable_before);
    s->candidate_paired = plus(s->candidate_paired, s->candidate_open);
    s->stable_paired = plus(s->stable_paired, s->stable_open);
    s->candidate_open = (struct gr_pair){0, candidate_late};
    s->stable_open = (struct gr_pair){0, stable_late};
    s->blocks++;
}

static void open_tails(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                       const struct sums *sums)
{
    double ratio = in->limits.latency_p99_max_ratio;
    if (ratio < 0)
        return;
    for (unsigned i = 0; i < GR_TAILS; i++)
        gr_tail_open(&s->tails[i], i, &sums->known, &sums->stable, &sums->candidate, ratio);
    gr_tail_open(&s->tail_stable, 0, &sums->candidate, &sums->candidate, &sums->stable, ratio);
}

static struct gr_pair grown(const struct gr_arm_sample *now, struct gr_pair seen)
{
    return (struct gr_pair){now->requests - seen.requests, now->errors - seen.errors};
}

void gr_analysis_advance(struct gr_analysis_state *s, const struct gr_analysis_input *in)
{
    struct gr_pair c = grown(&in->candidate, s->candidate_seen),
                   b = grown(&in->stable, s->stable_seen);
    struct sums sums;
    gr_latency_add_up(&in->candidate.latency, NULL, &sums.candidate);
    gr_latency_add_up(&in->stable.latency, NULL, &sums.stable);
    gr_latency_add_up(&in->stable.latency, &in->reference.latency, &sums.known);
    bool reopen = s->looks == 0;
    s->candidate_open = plus(s->candidate_open, c);
    if (in->concurrent) {
        s->stable_open = plus(s->stable_open, b);
        if (s->candidate_open.requests >= GR_BLOCK_REQUESTS &&
            s->stable_open.requests >= GR_BLOCK_REQUESTS) {
            close_block(s, in, &sums);
            reopen = true;
        }
    } else { // a block that is open lost its other half
        s->alone = plus(s->alone, s->candidate_open);
        s->candidate_open = s->stable_open = (struct gr_pair){0};
        reopen = true;
    }
    if (reopen)
        open_tails(s, in, &sums);
    s->candidate_seen = (struct gr_pair){in->candidate.requests, in->candidate.errors};
    s->stable_seen = (struct gr_pair){in->stable.requests, in->stable.errors};
    s->candidate_latencies = sums.candidate.from[0];
    s->stable_latencies = sums.stable.from[0];
    s->looks++;
}
