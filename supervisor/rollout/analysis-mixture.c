// Evidence and bounds from totals alone, for versions that did not run side by side, and for the
// intervals that are shown. What is here assumes that each version's own share stays what it is.
#include "rollout/analysis-internal.h"

#define GOLDEN 0.6180339887498949
#define SEARCH_STEPS 64
// How the belief is split between "the suspect alone tells", "the other alone tells" and both.
#define WEIGHT_SUSPECT 0.45
#define WEIGHT_OTHER 0.10

// Beta-binomial mixture with Beta(1/2, 1/2) (Robbins 1970; the constant-free form of Lindon and
// Malek 2022, "Anytime-valid inference for multinomial count data"): a martingale when p is the
// share.
double gr_mixture_log(double k, double n, double p)
{
    if (n <= 0)
        return 0;
    double log_pi = 1.1447298858494002;
    double mixture =
        gr_exact_lgamma(k + 0.5) + gr_exact_lgamma(n - k + 0.5) - gr_exact_lgamma(n + 1) - log_pi;
    double at = (k > 0 ? k * gr_exact_log(p) : 0) + (n > k ? (n - k) * gr_exact_log(1 - p) : 0);
    return mixture - at;
}

// The mean of three martingales, each of which holds for the true pair of shares: of the suspect,
// of the other and their product. It is convex in the pair, so that its least value over all pairs
// that keep the limit lies where suspect = other + excess and golden section finds it.
static double mean_at(struct gr_pair s, struct gr_pair o, double suspect, double other)
{
    double a = gr_mixture_log((double)s.errors, (double)s.requests, suspect);
    double b = gr_mixture_log((double)o.errors, (double)o.requests, other);
    return WEIGHT_SUSPECT * gr_exact_exp(a) + WEIGHT_OTHER * gr_exact_exp(b) +
           (1 - WEIGHT_SUSPECT - WEIGHT_OTHER) * gr_exact_exp(a + b);
}

double gr_pair_evidence(struct gr_pair suspect, struct gr_pair other, double excess)
{
    double p = suspect.requests ? (double)suspect.errors / (double)suspect.requests : 0;
    double q = other.requests ? (double)other.errors / (double)other.requests : 0;
    if (p <= q + excess)
        return mean_at(suspect, other, p, q);
    double low = q, high = p - excess;
    double x = high - GOLDEN * (high - low), y = low + GOLDEN * (high - low);
    double at_x = mean_at(suspect, other, x + excess, x),
           at_y = mean_at(suspect, other, y + excess, y);
    for (int i = 0; i < SEARCH_STEPS; i++) {
        if (at_x < at_y) {
            high = y;
            y = x;
            at_y = at_x;
            x = high - GOLDEN * (high - low);
            at_x = mean_at(suspect, other, x + excess, x);
        } else {
            low = x;
            x = y;
            at_x = at_y;
            y = low + GOLDEN * (high - low);
            at_y = mean_at(suspect, other, y + excess, y);
        }
    }
    double least = at_x < at_y ? at_x : at_y;
    return least < GR_EVIDENCE_MAX ? least : GR_EVIDENCE_MAX;
}

// Empirical Bernstein bound for a sum of increments of at most 1, uniform over time (Howard,
// Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence
// sequences", theorem 4 with the polynomial stitched boundary (10), eta 2, s 1.4, m 1, c 1).
double gr_difference_radius(double variance, double alpha)
{
    double v = variance < 1 ? 1 : variance;
    double k1 = 1.4355, k2 = 1.2072, zeta = 5.1881; // rounded up; zeta(1.4) / (log 2)^1.4
    double l = 1.4 * gr_exact_log(gr_exact_log(2 * v)) + gr_exact_log(zeta * 2 / alpha);
    return k1 * __builtin_sqrt(v * l) + k2 * l;
}
