// Owns the arithmetic of verdicts. Must stay pure.
#include "rollout/analysis.h"
#include <math.h>

const char *gr_verdict_name(enum gr_verdict v)
{
    static const char *const names[] = {"Inconclusive", "Successful", "Failed", "Error"};
    return (unsigned)v < GR_COUNT(names) ? names[v] : "?";
}

// log of the mean over p uniform in (limit, 1) of p^k (1-p)^(n-k), relative to the value at
// `limit`. Trapezoids in the log domain over a grid that is fine around the likelihood's peak.
static double log_mixture_ratio(double k, double n, double limit)
{
    enum { POINTS = 512 };
    double peak = n > 0 ? k / n : 0;
    double width = sqrt(fmax(peak * (1 - peak), 1 / (n + 1)) / (n + 1)) * 12;
    double low = fmax(limit, fmin(peak - width, 1)),
           high = fmin(1, fmax(peak + width, limit + width));
    if (low >= high)
        low = limit;
    double base = k * log(limit) + (n - k) * log1p(-limit);
    double largest = -INFINITY, terms[POINTS + 1];
    for (int i = 0; i <= POINTS; i++) {
        double p = low + (high - low) * ((double)i / POINTS);
        // the ends of the unit interval carry no mass unless k or n-k is zero
        double t = (k > 0 ? k * log(p) : 0) +
                   (n - k > 0 ? (n - k) * log1p(-fmin(p, 1 - 1e-15)) : 0) - base;
        terms[i] = t + (i == 0 || i == POINTS ? log(0.5) : 0);
        largest = fmax(largest, terms[i]);
    }
    double sum = 0;
    for (int i = 0; i <= POINTS; i++)
        sum += exp(terms[i] - largest);
    // uniform density 1/(1-limit) on the part that was integrated; the rest is left out, which can
    // only lower the evidence
    return largest + log(sum * (high - low) / POINTS / (1 - limit));
}

struct gr_error_verdict gr_analyse_errors(struct gr_error_sample candidate,
                                          struct gr_error_sample baseline,
                                          const struct gr_analysis *a)
{
    struct gr_error_verdict v = {
        .verdict = GR_VERDICT_INCONCLUSIVE, .candidate = candidate, .baseline = baseline};
    if (candidate.errors > candidate.requests || baseline.errors > baseline.requests) {
        v.verdict = GR_VERDICT_ERROR;
        return v;
    }
    double share = baseline.requests ? (double)baseline.errors / (double)baseline.requests : 0;
    v.limit = share + a->error_rate_max_increase;
    if (a->error_rate_max_increase < 0 || v.limit >= 1)
        return v; // the gate is off, or nothing could be worse
    v.limit = fmax(v.limit, 1e-6);
    double log_e = log_mixture_ratio((double)candidate.errors, (double)candidate.requests, v.limit);
    v.evidence = exp(fmin(log_e, 700));
    if (log_e >= -log(a->alpha))
        v.verdict = GR_VERDICT_FAILED;
    else if (candidate.requests >= a->min_requests)
        v.verdict = GR_VERDICT_SUCCESSFUL;
    return v;
}
