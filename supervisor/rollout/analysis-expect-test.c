// What is computed before or beside a rollout: expected harm, strategies that judge nothing, growth
// of resources.
#include "rollout/analysis.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct gr_harm_question usual = {.stable_error_rate = 0.005,
                                              .candidate_error_rate = 0.025,
                                              .max_increase = 0.005,
                                              .alpha = 0.01,
                                              .candidate_share = 0.05};

static void harm_is_expected(void **state)
{
    (void)state;
    struct gr_harm_expectation e = gr_harm_expect(&usual);
    assert_true(e.requests > 500 && e.requests < 2000 && !e.by_budget);
    assert_true(fabs(e.bad_responses - 0.025 * e.requests) < 1e-9);
    assert_true(fabs(e.total_requests - 20 * e.requests) < 1e-6);

    struct gr_harm_question q = usual;
    q.harm_bad_responses = 10;
    e = gr_harm_expect(&q);
    assert_true(e.by_budget && e.requests == 400 && e.bad_responses == 10);

    q = usual; // a fault within the limit is not found
    q.candidate_error_rate = 0.008;
    assert_true(gr_harm_expect(&q).requests < 0);
    q.max_increase = -1; // no gate
    q.candidate_error_rate = 0.5;
    assert_true(gr_harm_expect(&q).requests < 0);
    q.harm_bad_responses = 10;
    assert_true(gr_harm_expect(&q).by_budget);

    q = usual; // all fail: one block
    q.candidate_error_rate = 1;
    assert_true(gr_harm_expect(&q).requests == GR_BLOCK_REQUESTS);
    q.candidate_share = 0;
    assert_true(gr_harm_expect(&q).requests < 0);
    q.candidate_share = NAN;
    assert_true(gr_harm_expect(&q).requests < 0);
    q.candidate_share = 1; // nothing left to compare with is slow, and no crash
    assert_true(isfinite(gr_harm_expect(&q).requests));
}

static struct gr_strategy strategy_with(double increase, double ratio, double alpha, uint64_t min)
{
    return (struct gr_strategy){.analysis = {.error_rate_max_increase = increase,
                                             .latency_p99_max_ratio = ratio,
                                             .alpha = alpha,
                                             .min_requests = min}};
}

static void assert_refused(struct gr_strategy s, const char *field)
{
    struct gr_error e = {0};
    assert_int_equal(gr_analysis_check(&s, &e), -EINVAL);
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    assert_ptr_equal(strstr(e.message, field), e.message);
    assert_non_null(strstr(e.message, "expected"));
    assert_non_null(strstr(e.message, "found"));
}

static void strategies_that_judge_nothing_are_refused(void **state)
{
    (void)state;
    struct gr_error e;
    struct gr_strategy s = strategy_with(0.005, 1.2, 0.01, 200);
    assert_int_equal(gr_analysis_check(&s, &e), 0);
    s = strategy_with(-1, 1.2, 0.01, 200);
    assert_int_equal(gr_analysis_check(&s, &e), 0);
    s = strategy_with(0, -1, 0.5, 1);
    assert_int_equal(gr_analysis_check(&s, &e), 0);
    assert_refused(strategy_with(-1, -1, 0.01, 200), "strategy.analysis:");
    assert_refused(strategy_with(1, -1, 0.01, 200), "strategy.analysis.error_rate.max_increase:");
    assert_refused(strategy_with(NAN, 1.2, 0.01, 200), "strategy.analysis.error_rate");
    assert_refused(strategy_with(0.005, NAN, 0.01, 200), "strategy.analysis.latency_p99");
    assert_refused(strategy_with(0.005, 0.9, 0.01, 200), "strategy.analysis.latency_p99");
    assert_refused(strategy_with(0.005, 1e9, 0.01, 200), "strategy.analysis.latency_p99");
    assert_refused(strategy_with(0.005, 1.2, 0, 200), "strategy.analysis.alpha");
    assert_refused(strategy_with(0.005, 1.2, NAN, 200), "strategy.analysis.alpha");
    assert_refused(strategy_with(0.005, 1.2, 0.9, 200), "strategy.analysis.alpha");
    assert_refused(strategy_with(0.005, 1.2, 0.01, 0), "strategy.analysis.min_requests");
}

static uint64_t next(uint64_t *s) // xorshift64*, so that a failure can be repeated
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545F4914F6CDD1D);
}

static double noise(uint64_t *s) // about normal, by twelve uniforms
{
    double x = -6;
    for (unsigned i = 0; i < 12; i++)
        x += (double)(next(s) >> 11) * 0x1p-53;
    return x;
}

static void growth_is_found_and_noise_is_not(void **state)
{
    (void)state;
    enum { POINTS = 200 };
    struct gr_slope_point leak[POINTS], flat[POINTS];
    uint64_t seed = 20261126;
    unsigned alarms = 0;
    for (unsigned run = 0; run < 200; run++) {
        bool alarmed = false;
        struct gr_slope s = {0};
        for (unsigned i = 0; i < POINTS; i++) {
            double x = 100.0 * i, y = 50e6 + 1e5 * noise(&seed);
            flat[i] = (struct gr_slope_point){x, y};
            leak[i] = (struct gr_slope_point){x, y + 2048 * x};
            assert_int_equal(gr_slope_fit(flat, i + 1, 0.05, &s), 0);
            alarmed |= s.low > 0; // at every point
        }
        alarms += alarmed;
        assert_int_equal(gr_slope_fit(leak, POINTS, 0.01, &s), 0);
        assert_true(s.low > 2000 && s.low < 2048 && s.high > 2040 && s.high < 2100);
        assert_int_equal(s.points, POINTS);
    }
    // 2.5 % of 200 are 5; 15 would be an accident of one in ten thousand
    assert_true(alarms <= 15);
}

static void too_few_points_bound_nothing(void **state)
{
    (void)state;
    const struct gr_slope_point p[] = {{0, 1}, {100, 2}, {200, 3}, {300, 4}, {NAN, 1}};
    struct gr_slope s;
    assert_int_equal(gr_slope_fit(p, 3, 0.01, &s), 0);
    assert_true(fabs(s.per_request - 0.01) < 1e-15 && s.low < -1e14 && s.high > 1e14);
    assert_int_equal(gr_slope_fit(NULL, 0, 0.01, &s), 0);
    assert_true(s.points == 0 && s.per_request == 0);
    assert_int_equal(gr_slope_fit(p, 5, 0.01, &s), -EINVAL);
    assert_int_equal(gr_slope_fit(p, 3, 0, &s), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harm_is_expected),
        cmocka_unit_test(strategies_that_judge_nothing_are_refused),
        cmocka_unit_test(growth_is_found_and_noise_is_not),
        cmocka_unit_test(too_few_points_bound_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
