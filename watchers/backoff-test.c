// The ceiling of the back-off doubles up to its end, and a wait never passes it.
#include "watchers/backoff.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// after its needs
#include <cmocka.h>

static void the_ceiling_doubles_and_ends(void **state)
{
    (void)state;
    assert_int_equal(gr_backoff_ceiling_usec(0), 100000);
    assert_int_equal(gr_backoff_ceiling_usec(3), 800000);
    assert_int_equal(gr_backoff_ceiling_usec(7), 10000000);
    assert_int_equal(gr_backoff_ceiling_usec(UINT_MAX), 10000000);
}

static void a_wait_stays_below_the_ceiling(void **state)
{
    (void)state;
    struct gr_backoff b = {0};
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(b.failures, i);
        assert_true(gr_backoff_next_usec(&b, 2) <= gr_backoff_ceiling_usec(i < 2 ? 0 : i - 2));
    }
    b.failures = UINT_MAX;
    assert_true(gr_backoff_next_usec(&b, 0) <= 10000000);
    assert_true(b.failures == UINT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ceiling_doubles_and_ends),
        cmocka_unit_test(a_wait_stays_below_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
