// The error gate: detects, holds, and does not cry wolf more often than alpha when looked at after
// every request (seeded simulation).
#include "rollout/analysis.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct gr_analysis defaults = {.error_rate_max_increase = 0.005,
                                            .latency_p99_max_ratio = 1.2,
                                            .alpha = 0.01,
                                            .min_requests = 200};

static uint64_t next(uint64_t *s) // xorshift64*, so that a failure can be repeated
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545F4914F6CDD1D);
}
static bool coin(uint64_t *s, double p)
{
    return (double)(next(s) >> 11) / 9007199254740992.0 < p;
}

static void errors_from_zero_are_found(void **state)
{
    (void)state;
    struct gr_error_sample base = {100000, 0};
    struct gr_error_verdict v =
        gr_analyse_errors((struct gr_error_sample){500, 20}, base, &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_FAILED);
    v = gr_analyse_errors((struct gr_error_sample){500, 1}, base, &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_SUCCESSFUL);
    assert_true(v.evidence < 100);
}

static void few_requests_are_undecided(void **state)
{
    (void)state;
    struct gr_error_verdict v = gr_analyse_errors((struct gr_error_sample){10, 0},
                                                  (struct gr_error_sample){0, 0}, &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_INCONCLUSIVE);
    v = gr_analyse_errors((struct gr_error_sample){0, 0}, (struct gr_error_sample){0, 0},
                          &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_INCONCLUSIVE);
    // ten of ten need no more requests
    v = gr_analyse_errors((struct gr_error_sample){10, 10}, (struct gr_error_sample){0, 0},
                          &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_FAILED);
}

static void impossible_numbers_are_an_error(void **state)
{
    (void)state;
    struct gr_error_verdict v = gr_analyse_errors((struct gr_error_sample){10, 11},
                                                  (struct gr_error_sample){0, 0}, &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_ERROR);
}

static void as_bad_as_the_baseline_is_no_regression(void **state)
{
    (void)state;
    struct gr_error_verdict v = gr_analyse_errors((struct gr_error_sample){1000, 100},
                                                  (struct gr_error_sample){1000, 100}, &defaults);
    assert_int_equal(v.verdict, GR_VERDICT_SUCCESSFUL);
}

static void the_larger_the_worse(void **state)
{
    (void)state;
    double before = 0;
    for (uint64_t k = 10; k < 200; k += 10) {
        struct gr_error_verdict v = gr_analyse_errors((struct gr_error_sample){2000, k},
                                                      (struct gr_error_sample){0, 0}, &defaults);
        assert_true(v.evidence >= before);
        before = v.evidence;
    }
    assert_true(before > 1e6);
}

static void looking_often_keeps_alpha(void **state)
{
    (void)state;
    uint64_t seed = 20261124;
    unsigned runs = 200, alarms = 0;
    for (unsigned r = 0; r < runs; r++) {
        struct gr_error_sample c = {0, 0};
        for (unsigned i = 0; i < 1000; i++) {
            c.requests++;
            c.errors += coin(&seed, 0.005); // exactly at the limit: the worst case
            if (gr_analyse_errors(c, (struct gr_error_sample){0, 0}, &defaults).verdict ==
                GR_VERDICT_FAILED) {
                alarms++;
                break;
            }
        }
    }
    // alpha is 0.01: 2 expected at most of 200; eight would be a one in a thousand accident of an
    // honest test
    assert_true(alarms < 8);
}

static void two_per_cent_is_found_soon(void **state)
{
    (void)state;
    uint64_t seed = 7;
    unsigned found = 0;
    for (unsigned r = 0; r < 100; r++) {
        struct gr_error_sample c = {0, 0};
        while (c.requests < 3000) {
            c.requests++;
            c.errors += coin(&seed, 0.03);
            if (gr_analyse_errors(c, (struct gr_error_sample){0, 0}, &defaults).verdict ==
                GR_VERDICT_FAILED) {
                found++;
                break;
            }
        }
    }
    assert_true(found >= 98);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_from_zero_are_found),
        cmocka_unit_test(few_requests_are_undecided),
        cmocka_unit_test(impossible_numbers_are_an_error),
        cmocka_unit_test(as_bad_as_the_baseline_is_no_regression),
        cmocka_unit_test(the_larger_the_worse),
        cmocka_unit_test(looking_often_keeps_alpha),
        cmocka_unit_test(two_per_cent_is_found_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
