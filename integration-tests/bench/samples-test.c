// What the clients say about their samples: due times, quantiles, windows.
#include "samples.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_due_times_do_not_drift(void **state)
{
    (void)state;
    assert_int_equal(bench_due_nsec(7, 3, 0), 7);
    assert_int_equal(bench_due_nsec(7, 3, 1), 7 + 333333333);
    assert_int_equal(bench_due_nsec(7, 3, 3), 7 + 1000000000);
    assert_int_equal(bench_due_nsec(0, 8000, 8000u * 3600), 3600 * 1000000000ull);
}

static void test_quantile_is_the_nearest_rank(void **state)
{
    (void)state;
    uint64_t v[200];
    for (size_t i = 0; i < 200; i++)
        v[i] = (i * 77 + 13) % 200 + 1; // 1..200 in disorder
    assert_int_equal(bench_quantile(v, 200, 5000), 100);
    assert_int_equal(bench_quantile(v, 200, 9900), 198);
    assert_int_equal(bench_quantile(v, 200, 9990), 200);
    assert_int_equal(bench_quantile(v, 200, 10000), 200);
    assert_int_equal(bench_quantile(v, 200, 0), 1);
    assert_int_equal(bench_quantile(v, 1, 9900), 1);
    assert_int_equal(bench_quantile(v, 0, 9900), 0);
}

static void test_windows_divide_the_samples(void **state)
{
    (void)state;
    static struct bench_record r;
    struct bench_quantiles q;
    assert_int_equal(bench_record_init(&r, 5), 0);
    bench_record_answered(&r, 1000, 2000);  // before
    bench_record_answered(&r, 1000, 10000); // ends inside: the window is where it was slow
    bench_record_answered(&r, 15000, 16000);
    bench_record_answered(&r, 20000, 23000); // the window's end is not in it
    bench_record_answered(&r, 9000, 40000);  // all around it
    bench_record_answered(&r, 9000, 40000);  // over the cap: dropped
    assert_int_equal(bench_record_window(&r, "window 10000 20000"), 0);
    assert_int_equal(bench_quantiles(&r, BENCH_ALL, &q), 0);
    assert_int_equal(q.n, 5);
    assert_true(q.max_usec == 31.0);
    assert_int_equal(bench_quantiles(&r, BENCH_INSIDE, &q), 0);
    assert_int_equal(q.n, 3);
    assert_true(q.p50_usec == 9.0 && q.max_usec == 31.0);
    assert_int_equal(bench_quantiles(&r, BENCH_OUTSIDE, &q), 0);
    assert_int_equal(q.n, 2);
    assert_true(q.p50_usec == 1.0 && q.max_usec == 3.0);
    bench_record_done(&r);
}

static void test_a_clock_before_due_is_no_latency(void **state)
{
    (void)state;
    static struct bench_record r;
    assert_int_equal(bench_record_init(&r, 1), 0);
    bench_record_sent(&r, 100, 90);
    bench_record_answered(&r, 100, 90);
    assert_int_equal(r.late_nsec[0], 0);
    assert_int_equal(r.samples[0].latency_nsec, 0);
    bench_record_done(&r);
}

static void test_refused(void **state)
{
    (void)state;
    static struct bench_record r;
    static const char *const bad[] = {"",           "window 1",     "window 2 1",
                                      "window 1 1", "window 1 2 3", "Window 1 2"};
    assert_int_equal(bench_record_init(&r, 0), -E2BIG);
    assert_int_equal(bench_record_init(&r, BENCH_SAMPLES_MAX + 1), -E2BIG);
    assert_int_equal(bench_record_init(&r, 1), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bench_record_window(&r, bad[i]), -EINVAL);
    for (size_t i = 0; i < BENCH_WINDOWS_MAX; i++)
        assert_int_equal(bench_record_window(&r, "window 1 2"), 0);
    assert_int_equal(bench_record_window(&r, "window 1 2"), -E2BIG);
    bench_record_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_times_do_not_drift),
        cmocka_unit_test(test_quantile_is_the_nearest_rank),
        cmocka_unit_test(test_windows_divide_the_samples),
        cmocka_unit_test(test_a_clock_before_due_is_no_latency),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
