// Buckets cover every value once, in order, within the promised error.
#include "dispatch/stats.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

static void test_every_bucket_holds_its_upper_bound(void **state)
{
    (void)state;
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
        uint64_t upper = gr_histogram_upper_nsec(b);
        assert_int_equal(gr_histogram_bucket(upper), b);
        if (b + 1 < GR_HISTOGRAM_BUCKETS)
            assert_int_equal(gr_histogram_bucket(upper + 1), b + 1);
    }
}

static void test_relative_error(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < UINT64_C(1) << 40; v = v * 5 / 4 + 1) {
        uint64_t upper = gr_histogram_upper_nsec(gr_histogram_bucket(v));
        assert_true(upper >= v);
        assert_true((upper - v) * 16 <= v);
    }
}

static void test_values_beyond_the_end_collect_in_the_last_bucket(void **state)
{
    (void)state;
    assert_int_equal(gr_histogram_bucket(UINT64_MAX), GR_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(gr_histogram_bucket(UINT64_C(1) << 42), GR_HISTOGRAM_BUCKETS - 1);
}

static void test_quantiles(void **state)
{
    (void)state;
    static struct gr_histogram h;
    assert_int_equal(gr_histogram_quantile_nsec(&h, 0.5), 0);
    for (unsigned v = 1; v <= 10; v++)
        h.count[gr_histogram_bucket(v)]++;
    assert_int_equal(gr_histogram_quantile_nsec(&h, 0.0), 1);
    assert_int_equal(gr_histogram_quantile_nsec(&h, 0.5), 5);
    assert_int_equal(gr_histogram_quantile_nsec(&h, 0.99), 10);
    assert_int_equal(gr_histogram_quantile_nsec(&h, 1.0), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bucket_holds_its_upper_bound),
        cmocka_unit_test(test_relative_error),
        cmocka_unit_test(test_values_beyond_the_end_collect_in_the_last_bucket),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
