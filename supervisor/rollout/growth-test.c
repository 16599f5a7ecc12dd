// Leaks are found, and what only looks like one for a while is not: simulated processes, seeded.
#include "rollout/growth.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ALPHA 0.001
#define WARM_UP 1000

static uint64_t next(uint64_t *s) // splitmix64
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// What a process holds after so many requests, apart from what is in flight.
typedef double holds_fn(double requests);

static double leaks_little(double requests)
{
    return 30 + (double)(uint64_t)(requests * 1.3 / 10000);
}
static double leaks_much(double requests)
{
    return 30 + (double)(uint64_t)(requests / 100);
}
static double is_flat(double requests)
{
    (void)requests;
    return 30;
}
static double fills_a_pool(double requests) // of twenty, within 2,000 requests
{
    return 30 + (requests < 2000 ? (double)(uint64_t)(requests / 100) : 20);
}
static double opens_two_late(double requests)
{
    return 30 + (requests > 20000) + (requests > 90000);
}
static double saw_tooth(double requests) // collected every 1,500 requests
{
    uint64_t r = (uint64_t)requests % 1500;
    return 30 + (double)(r / 100);
}

// The requests after which the lower bound has passed the limit; 0: it never does. A look every
// `step` requests, as of a front door; up to `noise` pieces are in flight whenever one looks.
static uint64_t found_after(holds_fn *holds, unsigned noise, uint64_t requests, double limit,
                            uint64_t *seed)
{
    struct gr_growth g = {0};
    struct gr_slope s;
    for (uint64_t at = 0; at <= requests; at += 100) {
        double value = holds((double)at) + (noise ? (double)(next(seed) % (noise + 1)) : 0);
        gr_growth_note(&g, &(struct gr_usage){.process = 7, .value = {0, (uint64_t)value, 0}}, at,
                       WARM_UP);
        gr_growth_slope(&g, GR_RESOURCE_DESCRIPTORS, ALPHA, &s);
        if (s.low > limit)
            return at;
    }
    return 0;
}

static void leaks_are_found(void **state)
{
    (void)state;
    uint64_t seed = 20261126;
    for (unsigned run = 0; run < 30; run++) {
        uint64_t much = found_after(leaks_much, 6, 10000, 0.5e-4, &seed);
        assert_in_range(much, 2000, 6000);
        // 1.3 per 10,000: four more are a matter of 31,000 requests, in the later half of them
        uint64_t little = found_after(leaks_little, 6, 200000, 0.5e-4, &seed);
        assert_in_range(little, 30000, 200000);
    }
}

static void what_settles_is_not_a_leak(void **state)
{
    static holds_fn *const good[] = {is_flat, fills_a_pool, opens_two_late, saw_tooth};
    (void)state;
    uint64_t seed = 20261127;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        for (unsigned run = 0; run < 20; run++) {
            uint64_t at = found_after(good[i], run % 2 ? 6 : 0, 200000, 0.5e-4, &seed);
            if (at)
                fail_msg("kind %zu, run %u: taken for a leak after %llu requests", i, run,
                         (unsigned long long)at);
        }
}

static void one_is_told_from_another(void **state)
{
    struct gr_growth g = {0};
    struct gr_slope s;
    (void)state;
    gr_growth_slope(&g, GR_RESOURCE_THREADS, ALPHA, &s);
    assert_int_equal(s.points, 0);
    for (uint64_t at = 0; at < 100000; at += 100) {
        struct gr_usage now = {.process = 1, .value = {at * 4096, 30 + at / 100, 9}};
        gr_growth_note(&g, &now, at, WARM_UP);
        gr_growth_slope(&g, GR_RESOURCE_MEMORY, ALPHA, &s);
        assert_true(s.points > 0 && (s.low < 0 || g.n >= GR_GROWTH_POINTS_MIN));
    }
    assert_true(g.n <= GR_GROWTH_POINTS_MAX && g.n > GR_GROWTH_POINTS_MAX / 2);
    assert_true(s.low > 4000 && s.high < 4200);
    gr_growth_slope(&g, GR_RESOURCE_DESCRIPTORS, ALPHA, &s);
    assert_true(s.low > 0.0099 && s.high < 0.0101);
    gr_growth_slope(&g, GR_RESOURCE_THREADS, ALPHA, &s);
    assert_true(s.per_request == 0 && s.low == 0 && s.high == 0);
    // another process under the same counters: it warms up first
    gr_growth_note(&g, &(struct gr_usage){.process = 2}, 100000, WARM_UP);
    assert_int_equal(g.n, 0);
    gr_growth_slope(&g, GR_RESOURCE_DESCRIPTORS, ALPHA, &s);
    assert_true(s.points == 1 && s.per_request == 0 && s.low < -1e14 && s.high > 1e14);
    gr_growth_note(&g, &(struct gr_usage){.process = 2}, 100999, WARM_UP);
    assert_int_equal(g.n, 0);
    gr_growth_note(&g, &(struct gr_usage){.process = 2}, 101000, WARM_UP);
    assert_int_equal(g.n, 1);
}

static void little_memory_is_none(void **state)
{
    struct gr_growth g = {0};
    struct gr_slope s;
    (void)state;
    for (uint64_t at = 0; at <= 6000; at += 100)
        gr_growth_note(&g, &(struct gr_usage){.process = 1, .value = {at * 1000, 0, 0}}, at,
                       WARM_UP);
    gr_growth_slope(&g, GR_RESOURCE_MEMORY, ALPHA, &s); // 2.5 MB in the later half
    assert_true(s.per_request == 0 && s.high == 0);
    for (uint64_t at = 6100; at <= 20000; at += 100)
        gr_growth_note(&g, &(struct gr_usage){.process = 1, .value = {at * 1000, 0, 0}}, at,
                       WARM_UP);
    gr_growth_slope(&g, GR_RESOURCE_MEMORY, ALPHA, &s);
    assert_true(s.low > 990 && s.high < 1010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaks_are_found),
        cmocka_unit_test(what_settles_is_not_a_leak),
        cmocka_unit_test(one_is_told_from_another),
        cmocka_unit_test(little_memory_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
