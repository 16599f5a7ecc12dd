// What an open-loop client measured, and what is said about it: exact quantiles of every latency,
// counted from the moment a request was due and not from the moment it could be sent. Pure but for
// the printing. Shared by the HTTP and the gRPC client, so that both are judged alike.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_SAMPLES_MAX 4000000u
#define BENCH_WINDOWS_MAX 4096u

struct bench_sample {
    uint64_t due_nsec, latency_nsec; // CLOCK_MONOTONIC; due + latency is when the answer was read
};
struct bench_window { // [begin, end)
    uint64_t begin_nsec, end_nsec;
};
struct bench_record {
    struct bench_sample *samples;
    uint64_t *late_nsec; // how long after it was due each request was given to the socket
    size_t n, n_late, cap;
    struct bench_window windows[BENCH_WINDOWS_MAX];
    size_t n_windows;
};
struct bench_quantiles {
    size_t n;
    double p50_usec, p99_usec, p999_usec, max_usec;
};
enum bench_where { BENCH_ALL, BENCH_INSIDE, BENCH_OUTSIDE };

// When request i of an open loop is due.
uint64_t bench_due_nsec(uint64_t start_nsec, uint64_t rate, uint64_t i);
// Memory for `cap` answers, touched, so that no page fault falls into the measurement. Fails:
// -E2BIG over BENCH_SAMPLES_MAX, -ENOMEM.
int bench_record_init(struct bench_record *r, size_t cap);
void bench_record_done(struct bench_record *r);
void bench_record_sent(struct bench_record *r, uint64_t due_nsec, uint64_t sent_nsec);
void bench_record_answered(struct bench_record *r, uint64_t due_nsec, uint64_t read_nsec);
// "window BEGIN_NSEC END_NSEC". Fails: -EINVAL; -E2BIG over BENCH_WINDOWS_MAX.
int bench_record_window(struct bench_record *r, const char *line);
// The smallest value that at least the share `permyriad` of all is not above (nearest rank); 0 of
// nothing. Sorted in place.
uint64_t bench_quantile(uint64_t *values, size_t n, unsigned permyriad);
// A request is inside when its life, from due to answered, meets a window.
int bench_quantiles(const struct bench_record *r, enum bench_where where,
                    struct bench_quantiles *ret);
// The members "all", "inside", "outside" (the latter two only with windows) and "late_p99_usec" of
// a JSON object that the caller opened and closes.
int bench_record_print(const struct bench_record *r, FILE *f);

#ifdef __cplusplus
}
#endif
