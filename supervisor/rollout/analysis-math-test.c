// The elementary functions agree with the C library's, and give exactly these bits on every
// processor.
#include "rollout/analysis-internal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_near(double x, double y, double tolerance)
{
    if (!(fabs(x - y) <= tolerance * fmax(1, fabs(y))))
        fail_msg("%.17g, expected %.17g", x, y);
}

static void logarithm_agrees(void **state)
{
    (void)state;
    for (double x = 1e-300; x < 1e300; x *= 1.37)
        assert_near(gr_exact_log(x), log(x), 2e-15);
    for (double x = 0.5; x < 2; x += 0.000123)
        assert_near(gr_exact_log(x), log(x), 2e-15);
    assert_true(gr_exact_log(1) == 0);
    assert_true(gr_exact_log(0) < -1e4);
}

static void exponential_agrees(void **state)
{
    (void)state;
    for (double x = -690; x < 690; x += 0.3137)
        assert_true(fabs(gr_exact_exp(x) / exp(x) - 1) < 1e-14);
    assert_true(gr_exact_exp(0) == 1);
    assert_true(gr_exact_exp(-1e9) == 0);
    assert_true(isfinite(gr_exact_exp(1e9)) && gr_exact_exp(1e9) > 1e300);
}

static void log_gamma_agrees(void **state)
{
    (void)state;
    for (double x = 0.5; x < 1e7; x = x * 1.1 + 0.5)
        assert_near(gr_exact_lgamma(x), lgamma(x), 1e-13);
}

// Constants from one run; another processor or compiler that gives other bits would break replays.
static void the_bits_are_these(void **state)
{
    (void)state;
    assert_true(gr_exact_log(3) == 0x1.193ea7aad030bp+0);
    assert_true(gr_exact_log(0.0123) == -0x1.197b635f81342p+2);
    assert_true(gr_exact_exp(-4.2) == 0x1.eb600403a9684p-7);
    assert_true(gr_exact_lgamma(12.5) == 0x1.2bbfe32d3aa7cp+4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithm_agrees),
        cmocka_unit_test(exponential_agrees),
        cmocka_unit_test(log_gamma_agrees),
        cmocka_unit_test(the_bits_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
