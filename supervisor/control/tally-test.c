// Counts are found by module, and never grow without a cap.
#include "base/limits.h"
#include "control/tally.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct gr_name name(unsigned n)
{
    struct gr_name m;
    snprintf(m.s, sizeof m.s, "m%u", n);
    return m;
}

static void test_each_module_has_its_own(void **state)
{
    struct gr_tallies t = {0};
    const struct gr_name a = name(1), b = name(2), c = name(3);
    (void)state;
    gr_tallies_open(&t, &a)->swaps = 1;
    gr_tallies_open(&t, &b)->swaps = 2;
    gr_tallies_open(&t, &a)->rollbacks[GR_REASON_CRASHED]++;
    assert_int_equal(gr_tallies_find(&t, &a)->swaps, 1);
    assert_int_equal(gr_tallies_find(&t, &a)->rollbacks[GR_REASON_CRASHED], 1);
    assert_int_equal(gr_tallies_find(&t, &b)->swaps, 2);
    assert_null(gr_tallies_find(&t, &c));
    assert_int_equal(t.n, 2);
    gr_tallies_done(&t);
}

static void test_the_oldest_goes(void **state)
{
    struct gr_tallies t = {0};
    const struct gr_name first = name(0), second = name(1), last = name(GR_TALLIES_MAX);
    (void)state;
    for (unsigned i = 0; i < GR_TALLIES_MAX; i++) {
        const struct gr_name m = name(i);
        gr_tallies_open(&t, &m)->swaps = i + 1;
    }
    gr_tallies_open(&t, &first)->swaps_failed = 1; // counted again: it stays
    gr_tallies_open(&t, &last)->swaps = 7;
    assert_int_equal(t.n, GR_TALLIES_MAX);
    assert_int_equal(gr_tallies_find(&t, &first)->swaps, 1);
    assert_null(gr_tallies_find(&t, &second));
    assert_int_equal(gr_tallies_find(&t, &last)->swaps, 7);
    gr_tallies_done(&t);
}

static void test_ways_back_add_up(void **state)
{
    struct gr_tallies t = {0};
    (void)state;
    gr_tallies_add_back(&t, 2000);
    gr_tallies_add_back(&t, 3000);
    assert_int_equal(t.back_sum_nsec, 5000000);
    assert_int_equal(t.back.count[gr_histogram_bucket(2000000)], 1);
    assert_int_equal(t.back.count[gr_histogram_bucket(3000000)], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_module_has_its_own),
        cmocka_unit_test(test_the_oldest_goes),
        cmocka_unit_test(test_ways_back_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
