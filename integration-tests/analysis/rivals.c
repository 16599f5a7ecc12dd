// Owns the rivals' rules, told in docs/ANALYSIS.md. Must judge by nothing but what a minute showed.
#include "rivals.h"
#include <math.h>
#include <stdlib.h>

static double p99(const struct gr_histogram *h)
{
    return (double)gr_histogram_quantile_nsec(h, 0.99);
}

static double share(const struct rival_minute *m)
{
    return m->requests ? (double)m->errors / (double)m->requests : 0;
}

// --- (a) a fixed-horizon two-proportion z-test, looked at every minute ------------------

static double z_score(double k, double n, double l, double m)
{
    double pooled = (k + l) / (n + m), sd = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m));
    return sd > 0 ? (k / n - l / m) / sd : 0;
}

static void slower_than(const struct gr_histogram *h, uint64_t nsec, double *count, double *total)
{
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
        *total += (double)h->count[b];
        if (gr_histogram_upper_nsec(b) > nsec)
            *count += (double)h->count[b];
    }
}

// One-sided, half of alpha for errors and half for the share slower than stable's p99.
bool rival_z_test(const struct rival_view *v, double alpha)
{
    const struct rival_minute *c = &v->candidate_all, *s = &v->stable_all;
    double slow_c = 0, slow_s = 0, all_c = 0, all_s = 0;
    uint64_t at = gr_histogram_quantile_nsec(&s->latency, 0.99);
    slower_than(&s->latency, at, &slow_s, &all_s);
    slower_than(&c->latency, at, &slow_c, &all_c);
    double errors =
        z_score((double)c->errors, (double)c->requests, (double)s->errors, (double)s->requests);
    double worst = fmax(errors, z_score(slow_c, all_c, slow_s, all_s));
    return 0.5 * erfc(worst * M_SQRT1_2) < alpha / 2;
}

// --- (b) Mann-Whitney over the minutes' values, as Kayenta's default judge --------------

#define CONFIDENCE_Z 2.3263 // 98 %, two-sided
#define TOLERANCE 0.25
#define MINUTES_MIN 10
#define MINUTES_BETWEEN 5

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Hodges-Lehmann shift of candidate against stable and the lower end of its interval, by order
// statistics of all differences; High when that end lies above a quarter of the shift.
static bool is_high(const double *c, const double *s, unsigned n)
{
    static double differences[MINUTES * MINUTES];
    size_t all = (size_t)n * n;
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            differences[i * n + j] = c[i] - s[j];
    qsort(differences, all, sizeof *differences, ascending);
    double sd = sqrt((double)all * (2.0 * n + 1) / 12);
    double rank = floor((double)all / 2 - CONFIDENCE_Z * sd);
    double low = rank >= 1 ? differences[(size_t)rank - 1] : -INFINITY;
    double shift = (differences[(all - 1) / 2] + differences[all / 2]) / 2;
    return low > TOLERANCE * fabs(shift);
}

bool rival_mann_whitney(const struct rival_view *v)
{
    double c[MINUTES], s[MINUTES];
    if (v->minutes < MINUTES_MIN || v->minutes % MINUTES_BETWEEN != 0)
        return false;
    for (unsigned i = 0; i < v->minutes; i++) {
        c[i] = share(&v->candidate[i]);
        s[i] = share(&v->stable[i]);
    }
    return is_high(c, s, v->minutes) || is_high(v->candidate_p99, v->stable_p99, v->minutes);
}

// --- (c) plain thresholds, as Flagger's canary analysis ---------------------------------

#define ERRORS_MAX 0.01
#define FAILED_CHECKS_MAX 5

bool rival_threshold(const struct rival_view *v, double stable_p99_nsec)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < v->minutes; i++)
        failed +=
            share(&v->candidate[i]) > ERRORS_MAX || v->candidate_p99[i] > 1.2 * stable_p99_nsec;
    return failed >= FAILED_CHECKS_MAX;
}

// --- what they see ----------------------------------------------------------------------

void rival_note(struct rival_view *v, bool of_candidate, bool bad, unsigned bucket)
{
    struct rival_minute *now = of_candidate ? &v->candidate[v->minutes] : &v->stable[v->minutes];
    struct rival_minute *all = of_candidate ? &v->candidate_all : &v->stable_all;
    now->requests++;
    now->errors += bad;
    now->latency.count[bucket]++;
    all->requests++;
    all->errors += bad;
    all->latency.count[bucket]++;
}

void rival_end_minute(struct rival_view *v)
{
    v->candidate_p99[v->minutes] = p99(&v->candidate[v->minutes].latency);
    v->stable_p99[v->minutes] = p99(&v->stable[v->minutes].latency);
    v->minutes++;
}
