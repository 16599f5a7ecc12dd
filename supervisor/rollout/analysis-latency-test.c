// Latency: whole buckets only ever spare the suspect, intervals hold the truth, a second mode
// shows.
#include "rollout/analysis-internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void put(struct gr_histogram *h, uint64_t nsec, uint64_t n)
{
    h->count[gr_histogram_bucket(nsec)] += n;
}

static void only_whole_buckets_are_beyond(void **state)
{
    (void)state;
    for (uint64_t limit = 1; limit < UINT64_C(1) << 40; limit = limit * 9 / 8 + 1) {
        struct gr_histogram h = {{0}};
        put(&h, limit, 1); // its bucket may hold smaller ones
        assert_int_equal(gr_latency_beyond(&h, (double)limit), 0);
        put(&h, limit * 2 + 2, 1);
        assert_int_equal(gr_latency_beyond(&h, (double)limit), 1);
    }
    struct gr_histogram h = {{0}};
    put(&h, UINT64_MAX, 5);
    assert_int_equal(gr_latency_beyond(&h, 1e300), 0);
}

static struct gr_histogram usual(void) // 1 % beyond 20 ms
{
    struct gr_histogram h = {{0}};
    for (uint64_t i = 0; i < 100; i++)
        put(&h, 5000000 + i * 100000, 99);
    for (uint64_t i = 0; i < 100; i++)
        put(&h, 20000000 + i * 200000, 1);
    return h;
}

static void thresholds_lie_near_their_level(void **state)
{
    (void)state;
    static const double levels[GR_TAILS] = {0.01, 0.5, 0.25, 0.1, 0.04};
    struct gr_histogram h = usual(), none = {{0}};
    struct gr_latency_sums sums, zero;
    gr_latency_add_up(&h, NULL, &sums);
    gr_latency_add_up(&none, NULL, &zero);
    for (unsigned i = 0; i < GR_TAILS; i++) {
        struct gr_tail t = {0};
        gr_tail_open(&t, i, &sums, &sums, &zero, 1.2);
        assert_true(t.set);
        assert_true(t.share > levels[i] / 1.7 && t.share < levels[i] * 1.7);
        // what counts as slow is surely slower than the multiple
        double x = (double)gr_histogram_upper_nsec((unsigned)t.fast_bucket);
        assert_true((double)gr_histogram_upper_nsec((unsigned)t.slow_bucket - 1) + 1 > 1.2 * x);
        assert_int_equal(t.fast_base, sums.from[t.fast_bucket + 1]);
    }
    struct gr_tail t = {0};
    gr_tail_open(&t, 0, &zero, &zero, &sums, 1.2);
    assert_false(t.set); // nothing known, no threshold
}

static void one_bucket_for_all_is_no_trap(void **state)
{
    (void)state;
    struct gr_histogram h = {{0}};
    put(&h, 1000000, 1000);
    struct gr_latency_sums sums;
    gr_latency_add_up(&h, NULL, &sums);
    struct gr_tail t = {0};
    gr_tail_open(&t, 0, &sums, &sums, &sums, 1.2);
    assert_true(t.set && t.fast_bucket == gr_histogram_bucket(1000000));
    put(&h, UINT64_MAX, 1000);
    gr_latency_add_up(&h, NULL, &sums);
    gr_tail_open(&t, 1, &sums, &sums, &sums, 1000);
    assert_true(t.set && t.slow_bucket <= GR_HISTOGRAM_BUCKETS);
}

static void the_interval_holds_the_p99(void **state)
{
    (void)state;
    struct gr_histogram h = usual(), few = {{0}};
    uint64_t low, high;
    gr_latency_p99_interval(&h, 0.01, &low, &high);
    assert_true(low > 5000000 && low <= 20000000);
    assert_true(high >= 20000000 && high < 35000000);
    put(&few, 1000, 100);
    gr_latency_p99_interval(&few, 0.01, &low, &high);
    assert_true(high == UINT64_MAX); // a hundred cannot bound a p99
}

static void a_second_mode_shows_as_excess(void **state)
{
    (void)state;
    struct gr_histogram stable = usual(), candidate = usual();
    double excess, radius;
    gr_latency_excess(&candidate, &stable, 1.2, 0.01, &excess, &radius);
    assert_true(excess < 0.001 && radius > 0.01 && radius < 0.1);
    for (uint64_t i = 0; i < 30; i++) { // a tenth moves to 18 ms, within the p99
        candidate.count[gr_histogram_bucket(6000000 + i * 100000)] -= 33;
        put(&candidate, 18000000, 33);
    }
    gr_latency_excess(&candidate, &stable, 1.2, 0.01, &excess, &radius);
    assert_true(excess > 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_buckets_are_beyond),
        cmocka_unit_test(thresholds_lie_near_their_level),
        cmocka_unit_test(one_bucket_for_all_is_no_trap),
        cmocka_unit_test(the_interval_holds_the_p99),
        cmocka_unit_test(a_second_mode_shows_as_excess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
