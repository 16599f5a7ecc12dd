// Evidence by betting between two versions that run side by side: a test martingale over blocks of
// requests. Must not assume that shares stay the same from block to block, nor that traffic is
// split evenly or always alike.
//
// Within a block of n requests of the suspect and m of the other, let x, y be 1 for a bad response,
// and bet, with numbers fixed before the block:
//
//     prod over suspect (1 + a (x - c - excess)) * prod over other (1 - a n/m (y - c))
//
// Whatever the other's share q is: when the suspect's share p is at most q + excess, the logarithm
// of the expectation, n log(1 + a (p - c - excess)) + m log(1 - a (n/m) (q - c)), is at most
// n a (q - c) - n a (q - c) = 0, so that the product is an e-variable and the running product a
// test supermartingale; it passes 1/alpha with a probability of at most alpha (Ville 1939) at
// whatever moment one looks. It is the block-wise e-variable of Turner, Ly and Gruenwald ("Generic
// e-variables for exact sequential k-sample tests", 2024; "Safe 2x2 tests"), in betting form
// (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"),
// extended by `excess`. Since p and q may differ in every block, an outage that both versions share
// convicts nobody, also when the weights have changed meanwhile.
//
// Which a and c are best depends on the unknown shares, so that the capital is split over
// strategies, each the best one for some odds ratio, and one that holds cash; after each block a
// falling part of all capital is spread anew (fixed share: Herbster and Warmuth 1998; the falling
// rate as in Koolen and de Rooij 2013), so that a version that turns bad late is found too.
// Spreading happens before the next block and changes nothing in the argument.
#include "rollout/analysis-internal.h"

#define SPREAD 0.25 // part of the capital that is spread anew while the requests double
#define SPREAD_AFTER 500.0
#define CASH 0.5
#define STAKE_MAX 0.95 // of the capital on one event, so that no strategy is ever ruined
#define SHARE_MIN 1e-6
#define SHARE_MAX 0.999

// Odds ratios between "just over the limit" and the suspect's share that the strategies are best
// for.
static const double odds[GR_BET_STRATEGIES] = {1, 1.25, 1.6, 2.2, 3.5, 7, 20, 80, 400};

struct stake {
    double on_bad, on_good;       // factors of the suspect's requests
    double other_bad, other_good; // ... of the other's
};

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

// The share c that the other would have, were the limit just kept: for small shares the root of
// ratio c (p - excess - c) = (c - q) (c + excess), which is the pooled share when excess is 0.
static double null_share(double p, double q, double excess, double ratio)
{
    double b = excess - q - ratio * (p - excess), a = 1 + ratio;
    return (-b + __builtin_sqrt(b * b + 4 * a * q * excess)) / (2 * a);
}

// false: no bet, the limit leaves no room above it.
static bool make_stake(double odds_ratio, double q, double excess, double ratio, struct stake *ret)
{
    double limit = q + excess;
    if (limit >= SHARE_MAX)
        return false;
    double o = odds_ratio * limit / (1 - limit), p = clamp(o / (1 + o), 0, SHARE_MAX);
    double c = clamp(null_share(p, q, excess, ratio), q, p - excess), at = c + excess;
    if (p <= at || at <= 0)
        return false;
    double a = (p - at) / (at * (1 - at));
    a = clamp(a, 0, STAKE_MAX / at);
    a = clamp(a, 0, STAKE_MAX / (ratio * (1 - c)));
    *ret = (struct stake){.on_bad = 1 + a * (1 - at),
                          .on_good = 1 - a * at,
                          .other_bad = 1 - a * ratio * (1 - c),
                          .other_good = 1 + a * ratio * c};
    return true;
}

void gr_bet_begin(struct gr_bet *b)
{
    b->capital[0] = CASH;
    for (int i = 1; i < GR_BET_STRATEGIES; i++)
        b->capital[i] = (1 - CASH) / (GR_BET_STRATEGIES - 1);
}

double gr_bet_evidence(const struct gr_bet *b)
{
    double sum = 0;
    for (int i = 0; i < GR_BET_STRATEGIES; i++)
        sum += b->capital[i];
    return sum < GR_EVIDENCE_MAX ? sum : GR_EVIDENCE_MAX;
}

static double log_times(uint64_t n, double factor)
{
    return n ? (double)n * gr_exact_log(factor) : 0;
}

static double pay_out(const struct stake *s, const struct gr_block *block)
{
    const struct gr_pair *x = &block->suspect, *y = &block->other;
    return gr_exact_exp(
        log_times(x->errors, s->on_bad) + log_times(x->requests - x->errors, s->on_good) +
        log_times(y->errors, s->other_bad) + log_times(y->requests - y->errors, s->other_good));
}

void gr_bet_block(struct gr_bet *b, const struct gr_block *block, double excess, double share,
                  uint64_t before)
{
    double n = (double)block->suspect.requests, ratio = n / (double)block->other.requests;
    double q = clamp(share, SHARE_MIN, SHARE_MAX), sum = b->capital[0];
    for (int i = 1; i < GR_BET_STRATEGIES; i++) {
        struct stake s;
        if (make_stake(odds[i], q, excess, ratio, &s))
            b->capital[i] *= pay_out(&s, block);
        if (b->capital[i] > GR_EVIDENCE_MAX)
            b->capital[i] = GR_EVIDENCE_MAX;
        sum += b->capital[i];
    }
    double spread = SPREAD * n / ((double)before + n + SPREAD_AFTER);
    struct gr_bet fresh;
    gr_bet_begin(&fresh);
    for (int i = 0; i < GR_BET_STRATEGIES; i++)
        b->capital[i] = (1 - spread) * b->capital[i] + spread * sum * fresh.capital[i];
}

double gr_bet_growth(double suspect_share, double other_share, double excess, double ratio)
{
    double best = 0, q = clamp(other_share, SHARE_MIN, SHARE_MAX);
    for (int i = 1; i < GR_BET_STRATEGIES; i++) {
        struct stake s;
        if (!make_stake(odds[i], q, excess, ratio, &s))
            continue;
        double g = suspect_share * gr_exact_log(s.on_bad) +
                   (1 - suspect_share) * gr_exact_log(s.on_good) +
                   (other_share * gr_exact_log(s.other_bad) +
                    (1 - other_share) * gr_exact_log(s.other_good)) /
                       ratio;
        if (g > best)
            best = g;
    }
    return best;
}

// The same strategies against one fixed limit; the capital is then a function of the counts alone.
// Against every share up to the limit each factor 1 + a (x - limit) expects at most 1.
double gr_share_evidence(struct gr_pair p, double limit)
{
    double q = clamp(limit, SHARE_MIN, 1), sum = 0;
    if (q >= SHARE_MAX)
        return 0;
    for (int i = 1; i < GR_BET_STRATEGIES; i++) {
        double o = odds[i] * q / (1 - q), alternative = clamp(o / (1 + o), 0, SHARE_MAX);
        double x = (double)p.errors * gr_exact_log(alternative / q) +
                   (double)(p.requests - p.errors) * gr_exact_log((1 - alternative) / (1 - q));
        sum += gr_exact_exp(x);
    }
    sum /= GR_BET_STRATEGIES - 1;
    return sum < GR_EVIDENCE_MAX ? sum : GR_EVIDENCE_MAX;
}
