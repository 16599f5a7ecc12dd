// Keeps every sample: exact quantiles need no buckets, and a run is bounded.
#include "samples.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t bench_due_nsec(uint64_t start_nsec, uint64_t rate, uint64_t i)
{
    return start_nsec + i / rate * 1000000000u + i % rate * 1000000000u / rate;
}

int bench_record_init(struct bench_record *r, size_t cap)
{
    memset(r, 0, sizeof *r);
    if (cap == 0 || cap > BENCH_SAMPLES_MAX)
        return -E2BIG;
    r->samples = malloc(cap * sizeof *r->samples);
    r->late_nsec = malloc(cap * sizeof *r->late_nsec);
    if (!r->samples || !r->late_nsec) {
        bench_record_done(r);
        return -ENOMEM;
    }
    memset(r->samples, 0xff, cap * sizeof *r->samples);
    memset(r->late_nsec, 0xff, cap * sizeof *r->late_nsec);
    r->cap = cap;
    return 0;
}

void bench_record_done(struct bench_record *r)
{
    free(r->samples);
    free(r->late_nsec);
    memset(r, 0, sizeof *r);
}

void bench_record_sent(struct bench_record *r, uint64_t due_nsec, uint64_t sent_nsec)
{
    if (r->n_late < r->cap)
        r->late_nsec[r->n_late++] = sent_nsec > due_nsec ? sent_nsec - due_nsec : 0;
}

void bench_record_answered(struct bench_record *r, uint64_t due_nsec, uint64_t read_nsec)
{
    if (r->n < r->cap)
        r->samples[r->n++] =
            (struct bench_sample){due_nsec, read_nsec > due_nsec ? read_nsec - due_nsec : 0};
}

int bench_record_window(struct bench_record *r, const char *line)
{
    struct bench_window w;
    char rest;
    if (sscanf(line, "window %" SCNu64 " %" SCNu64 "%c", &w.begin_nsec, &w.end_nsec, &rest) != 2 ||
        w.end_nsec <= w.begin_nsec)
        return -EINVAL;
    if (r->n_windows == BENCH_WINDOWS_MAX)
        return -E2BIG;
    r->windows[r->n_windows++] = w;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t bench_quantile(uint64_t *values, size_t n, unsigned permyriad)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof *values, by_value);
    size_t rank = (n * permyriad + 9999) / 10000;
    return values[rank > 0 ? rank - 1 : 0];
}

static bool meets_a_window(const struct bench_record *r, const struct bench_sample *s)
{
    for (size_t i = 0; i < r->n_windows; i++)
        if (s->due_nsec < r->windows[i].end_nsec &&
            s->due_nsec + s->latency_nsec >= r->windows[i].begin_nsec)
            return true;
    return false;
}

int bench_quantiles(const struct bench_record *r, enum bench_where where,
                    struct bench_quantiles *ret)
{
    uint64_t *values = malloc((r->n ? r->n : 1) * sizeof *values);
    if (!values)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (where == BENCH_ALL || meets_a_window(r, &r->samples[i]) == (where == BENCH_INSIDE))
            values[n++] = r->samples[i].latency_nsec;
    *ret = (struct bench_quantiles){
        .n = n,
        .p50_usec = (double)bench_quantile(values, n, 5000) / 1e3,
        .p99_usec = (double)bench_quantile(values, n, 9900) / 1e3,
        .p999_usec = (double)bench_quantile(values, n, 9990) / 1e3,
        .max_usec = n ? (double)values[n - 1] / 1e3 : 0,
    };
    free(values);
    return 0;
}

static int print_quantiles(const struct bench_record *r, enum bench_where where, const char *name,
                           FILE *f)
{
    struct bench_quantiles q;
    int k = bench_quantiles(r, where, &q);
    if (k == 0)
        fprintf(f,
                "\"%s\":{\"n\":%zu,\"p50_usec\":%.1f,\"p99_usec\":%.1f,\"p999_usec\":%.1f,"
                "\"max_usec\":%.1f},",
                name, q.n, q.p50_usec, q.p99_usec, q.p999_usec, q.max_usec);
    return k;
}

int bench_record_print(const struct bench_record *r, FILE *f)
{
    int k = print_quantiles(r, BENCH_ALL, "all", f);
    if (k == 0 && r->n_windows > 0)
        k = print_quantiles(r, BENCH_INSIDE, "inside", f);
    if (k == 0 && r->n_windows > 0)
        k = print_quantiles(r, BENCH_OUTSIDE, "outside", f);
    if (k == 0)
        fprintf(f, "\"late_p99_usec\":%.1f",
                (double)bench_quantile(r->late_nsec, r->n_late, 9900) / 1e3);
    return k;
}
