// Evidence: the bets are fair (checked by counting out every outcome of small blocks), a shared
// outage convicts nobody, a fault is found also late and also when stable has no error at all.
#include "rollout/analysis-internal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static double binomial(unsigned n, unsigned k, double p)
{
    double c = 1;
    for (unsigned i = 0; i < k; i++)
        c = c * (n - i) / (i + 1);
    return c * pow(p, k) * pow(1 - p, n - k);
}

// Expected capital after one block, over all outcomes.
static double expected(unsigned n, unsigned m, double p, double q, double excess, double guess)
{
    double sum = 0;
    for (unsigned k = 0; k <= n; k++)
        for (unsigned l = 0; l <= m; l++) {
            struct gr_bet b;
            gr_bet_begin(&b);
            struct gr_block block = {{n, k}, {m, l}};
            gr_bet_block(&b, &block, excess, guess, 0);
            sum += binomial(n, k, p) * binomial(m, l, q) * gr_bet_evidence(&b);
        }
    return sum;
}

static void no_bet_wins_on_average_while_the_limit_is_kept(void **state)
{
    (void)state;
    static const unsigned sizes[][2] = {{1, 1}, {3, 2}, {2, 9}, {12, 1}, {16, 48}};
    static const double shares[] = {0, 0.001, 0.02, 0.3, 0.9};
    static const double excesses[] = {0, 0.005, 0.1};
    unsigned n = 0;
    for (size_t s = 0; s < GR_COUNT(sizes); s++)
        for (size_t q = 0; q < GR_COUNT(shares); q++)
            for (size_t x = 0; x < GR_COUNT(excesses); x++)
                for (size_t g = 0; g < GR_COUNT(shares); g++, n++) {
                    double p = fmin(1, shares[q] + excesses[x]);
                    double e =
                        expected(sizes[s][0], sizes[s][1], p, shares[q], excesses[x], shares[g]);
                    if (!(e <= 1 + 1e-12))
                        fail_msg("n %u m %u q %g excess %g guess %g: expected %.15g", sizes[s][0],
                                 sizes[s][1], shares[q], excesses[x], shares[g], e);
                    // better than the limit: never more
                    assert_true(expected(sizes[s][0], sizes[s][1], p / 2, shares[q], excesses[x],
                                         shares[g]) <= e + 1e-12);
                }
    assert_int_equal(n, 375);
}

static void a_bet_wins_on_average_when_it_is_not(void **state)
{
    (void)state;
    assert_true(expected(16, 48, 0.1, 0.005, 0.005, 0.005) > 1.5);
    assert_true(expected(16, 48, 0.1, 0, 0.005, 0.001) > 1.5);
}

static double evidence_of(unsigned blocks, struct gr_block block, double excess, double guess)
{
    struct gr_bet b;
    gr_bet_begin(&b);
    for (unsigned i = 0; i < blocks; i++)
        gr_bet_block(&b, &block, excess, guess, (uint64_t)i * block.suspect.requests);
    return gr_bet_evidence(&b);
}

static void errors_from_zero_convict(void **state)
{
    (void)state;
    assert_true(evidence_of(20, (struct gr_block){{50, 1}, {950, 0}}, 0.005, 0.0005) > 250);
    assert_true(evidence_of(100, (struct gr_block){{50, 0}, {950, 0}}, 0.005, 0.0005) < 1);
}

static void what_both_suffer_convicts_nobody(void **state)
{
    (void)state;
    struct gr_bet b;
    gr_bet_begin(&b);
    double most = 0;
    for (unsigned i = 0; i < 200; i++) { // quiet, 5 % candidate; then an outage at 50 %
        struct gr_block quiet = {{50, 0}, {950, 2}}, outage = {{500, 150}, {500, 150}};
        gr_bet_block(&b, i < 150 ? &quiet : &outage, 0.005, 0.002, (uint64_t)i * 50);
        most = fmax(most, gr_bet_evidence(&b));
    }
    assert_true(most < 3);
    // the totals of the two would convict
    assert_true(gr_pair_evidence((struct gr_pair){32500, 7500}, (struct gr_pair){167500, 7800},
                                 0.005) > 1e6);
}

static void a_late_fault_is_found(void **state)
{
    (void)state;
    struct gr_bet b;
    gr_bet_begin(&b);
    uint64_t before = 0;
    struct gr_block good = {{50, 0}, {150, 1}}, bad = {{50, 3}, {150, 1}};
    for (unsigned i = 0; i < 400; i++, before += 50)
        gr_bet_block(&b, &good, 0.005, 0.005, before);
    assert_true(gr_bet_evidence(&b) < 1);
    unsigned blocks = 0;
    for (; gr_bet_evidence(&b) < 250 && blocks < 100; blocks++, before += 50)
        gr_bet_block(&b, &bad, 0.005, 0.005, before);
    assert_true(blocks < 20); // one thousand requests, after twenty thousand good ones
}

static void a_fixed_limit_is_fair(void **state)
{
    (void)state;
    static const double limits[] = {0.001, 0.01, 0.3};
    for (size_t i = 0; i < GR_COUNT(limits); i++) {
        double sum = 0;
        for (unsigned k = 0; k <= 40; k++)
            sum +=
                binomial(40, k, limits[i]) * gr_share_evidence((struct gr_pair){40, k}, limits[i]);
        if (!(sum <= 1 + 1e-12 && sum > 0.5)) // it stops at GR_EVIDENCE_MAX, which costs a little
            fail_msg("limit %g: expected %.17g", limits[i], sum);
    }
    assert_true(gr_share_evidence((struct gr_pair){1000, 30}, 0.01) > 1000);
    assert_true(gr_share_evidence((struct gr_pair){1000, 10}, 0.01) < 3);
    assert_true(gr_share_evidence((struct gr_pair){10, 10}, 1) == 0); // nothing is worse
}

static void totals_are_fair(void **state)
{
    (void)state;
    for (double q = 0; q < 0.8; q += 0.09) {
        double sum = 0;
        for (unsigned k = 0; k <= 20; k++)
            for (unsigned l = 0; l <= 30; l++)
                sum += binomial(20, k, q + 0.1) * binomial(30, l, q) *
                       gr_pair_evidence((struct gr_pair){20, k}, (struct gr_pair){30, l}, 0.1);
        assert_true(sum <= 1 + 1e-12);
    }
    // few requests of the past are not taken for the truth: nothing of ten, then 3 of 100
    assert_true(gr_pair_evidence((struct gr_pair){100, 3}, (struct gr_pair){10, 0}, 0.005) < 20);
    assert_true(gr_pair_evidence((struct gr_pair){1000, 60}, (struct gr_pair){100000, 0}, 0.005) >
                1000);
}

static void growth_tells_how_soon(void **state)
{
    (void)state;
    double two = gr_bet_growth(0.025, 0.005, 0.005, 0.05),
           one = gr_bet_growth(0.015, 0.005, 0.005, 0.05);
    assert_true(two > 2 * one && one > 0);
    assert_true(gr_bet_growth(0.01, 0.005, 0.005, 0.05) < 1e-9); // the limit is kept
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bet_wins_on_average_while_the_limit_is_kept),
        cmocka_unit_test(a_bet_wins_on_average_when_it_is_not),
        cmocka_unit_test(errors_from_zero_convict),
        cmocka_unit_test(what_both_suffer_convicts_nobody),
        cmocka_unit_test(a_late_fault_is_found),
        cmocka_unit_test(a_fixed_limit_is_fair),
        cmocka_unit_test(totals_are_fair),
        cmocka_unit_test(growth_tells_how_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
