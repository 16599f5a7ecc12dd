// What the gates say together: every kind of end, every broken measurement, and that judging after
// each request says the same as judging when a block is closed.
#include "rollout/analysis-fixture.h"
#include "rollout/analysis-internal.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct looks {
    struct gr_analysis_state state;
    struct gr_analysis_input in;
    struct gr_analysis_verdict verdict;
};

static struct looks begin(void)
{
    struct looks l = {.in = fixture_input()};
    gr_analysis_begin(&l.state);
    return l;
}

static enum gr_verdict look(struct looks *l)
{
    gr_analysis_judge(&l->state, &l->in, &l->verdict);
    return l->verdict.verdict;
}

// n looks with 20 requests of the candidate and 80 of stable; `every` look brings an error to each.
static enum gr_verdict serve(struct looks *l, unsigned n, unsigned candidate_every,
                             unsigned stable_every, double candidate_msec, double stable_msec)
{
    enum gr_verdict v = GR_VERDICT_INCONCLUSIVE;
    for (unsigned i = 1; i <= n && v != GR_VERDICT_FAILED; i++) {
        fixture_serve(&l->in.candidate, 20, candidate_every && i % candidate_every == 0,
                      candidate_msec);
        fixture_serve(&l->in.stable, 80, stable_every && i % stable_every == 0, stable_msec);
        v = look(l);
    }
    return v;
}

static void as_good_as_stable_is_successful(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    assert_int_equal(serve(&l, 9, 0, 0, 10, 10), GR_VERDICT_INCONCLUSIVE); // 180 requests
    assert_int_equal(serve(&l, 60, 0, 0, 10, 10), GR_VERDICT_SUCCESSFUL);
    assert_int_equal(l.verdict.gate, GR_GATE_COUNT);
    assert_int_equal(l.verdict.reason, GR_REASON_NONE);
    assert_int_equal(l.verdict.findings, 0);
    const struct gr_gate_verdict *g = &l.verdict.gates[GR_GATE_ERRORS];
    assert_true(g->enabled && g->low < 0 && g->estimate == 0 && g->high > 0 && g->high < 0.02);
    g = &l.verdict.gates[GR_GATE_LATENCY_P99];
    assert_true(g->enabled && g->low <= 1 && g->estimate == 1 && g->high >= 1);
}

static void errors_fail_also_when_stable_has_none(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(serve(&l, 200, 1, 0, 10, 10), GR_VERDICT_FAILED); // 5 %
    assert_int_equal(l.verdict.gate, GR_GATE_ERRORS);
    assert_int_equal(l.verdict.reason, GR_REASON_ERROR_RATE_REGRESSED);
    assert_true(l.in.candidate.requests < 600);
    assert_true(l.verdict.gates[GR_GATE_ERRORS].evidence >=
                l.verdict.gates[GR_GATE_ERRORS].evidence_limit);
    // it stays failed whatever comes
    fixture_serve(&l.in.candidate, 1000, 0, 10);
    fixture_serve(&l.in.stable, 1000, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
}

static void over_the_limit_without_proof_is_undecided(void **state)
{
    (void)state;
    struct looks l = begin();
    l.in.limits.latency_p99_max_ratio = -1;
    serve(&l, 30, 15, 0, 10, 10); // 2 of 600: 0.33 % is allowed
    fixture_serve(&l.in.candidate, 100, 2, 10);
    fixture_serve(&l.in.stable, 400, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE); // 4 of 700: 0.57 %
    assert_int_equal(l.verdict.gate, GR_GATE_ERRORS);
    assert_true(l.verdict.gates[GR_GATE_ERRORS].estimate > 0.005);
}

static void latency_fails(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(serve(&l, 400, 0, 0, 14, 10), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_LATENCY_REGRESSED);
    struct looks faster = begin();
    assert_int_equal(serve(&faster, 100, 0, 0, 7, 10), GR_VERDICT_SUCCESSFUL);
}

// Twice as slow in a few microseconds is nobody's concern; the same ratio in milliseconds is.
static void microseconds_are_no_regression(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(serve(&l, 300, 0, 0, 0.010, 0.005), GR_VERDICT_SUCCESSFUL);
    l = begin();
    assert_int_equal(serve(&l, 300, 0, 0, 10, 5), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_LATENCY_REGRESSED);
    l = begin(); // 5 us beside 205 us: past the slack
    assert_int_equal(serve(&l, 300, 0, 0, 0.205, 0.005), GR_VERDICT_FAILED);
}

static void the_budget_and_a_crash_need_no_statistics(void **state)
{
    (void)state;
    struct looks l = begin();
    l.in.harm_bad_responses = 3;
    fixture_serve(&l.in.candidate, 3, 2, 10);
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    l.in.candidate.errors = 3;
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_HARM_BUDGET_SPENT);

    l = begin();
    fixture_serve(&l.in.candidate, 3, 0, 10);
    l.in.candidate.crashes = 1;
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_CRASHED);
    l.in.crashes_allowed = 1;
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
}

static void assert_error(const struct looks *l)
{
    struct looks copy = *l;
    assert_int_equal(look(&copy), GR_VERDICT_ERROR);
    assert_int_equal(copy.verdict.reason, GR_REASON_NONE);
    assert_memory_equal(&copy.state, &l->state, sizeof l->state); // untouched
}

static void a_broken_measurement_is_an_error(void **state)
{
    (void)state;
    struct looks good = begin(), l;
    serve(&good, 50, 0, 0, 10, 10);
    l = good;
    l.in.measured = false;
    assert_error(&l);
    l = good;
    l.in.limits.error_rate_max_increase = NAN;
    assert_error(&l);
    l = good;
    l.in.sla_error_rate = INFINITY;
    assert_error(&l);
    l = good;
    l.in.limits.alpha = 0;
    assert_error(&l);
    l = good;
    l.in.candidate.errors = l.in.candidate.requests + 1;
    assert_error(&l);
    l = good;
    l.in.stable.requests -= 10; // backwards
    assert_error(&l);
    l = good;
    memset(&l.in.candidate, 0, sizeof l.in.candidate); // reset
    assert_error(&l);
    l = good;
    l.in.candidate.requests += 1000; // that have no latency
    assert_error(&l);
    l = good;
    l.in.stable.latency.count[100] += 2000; // that nobody asked for
    assert_error(&l);
    l = good;
    l.in.candidate.latency.count[7] = UINT64_MAX;
    assert_error(&l);
    l = good;
    l.in.slope[0].low = NAN;
    assert_error(&l);
}

static void nobody_asks_is_undecided(void **state)
{
    (void)state;
    struct looks l = begin();
    for (unsigned i = 0; i < 50; i++) {
        fixture_serve(&l.in.stable, 100, 0, 10);
        assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    }
    // and so is a candidate that nothing can be compared with
    l = begin();
    for (unsigned i = 0; i < 50; i++) {
        fixture_serve(&l.in.candidate, 100, 0, 10);
        assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    }
}

static void a_bad_stable_is_found_and_rolls_nothing_back(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(serve(&l, 300, 0, 1, 10, 10), GR_VERDICT_SUCCESSFUL); // stable: 1.25 %
    assert_int_equal(l.verdict.findings, GR_FINDING_STABLE_WORSE);

    l = begin(); // both break the promise of 0.1 %
    l.in.sla_error_rate = 0.001;
    assert_int_equal(serve(&l, 300, 4, 1, 10, 10), GR_VERDICT_INCONCLUSIVE);
    assert_true(l.verdict.findings & GR_FINDING_STABLE_VIOLATES);
    assert_true(l.verdict.findings & GR_FINDING_BOTH_BAD);
    assert_int_equal(l.verdict.gate, GR_GATE_SLA_ERRORS);

    l = begin(); // both are worse than before, the candidate is the worst: going back helps
    fixture_serve(&l.in.reference, 100000, 0, 10);
    assert_int_equal(serve(&l, 1000, 1, 1, 10, 10), GR_VERDICT_FAILED); // 5 % and 1.25 %
    assert_int_equal(l.verdict.gate, GR_GATE_ERRORS);
    assert_false(l.verdict.findings & GR_FINDING_BOTH_BAD);

    l = begin(); // only the candidate breaks it
    l.in.sla_error_rate = 0.001;
    l.in.limits.error_rate_max_increase = 0.5;
    assert_int_equal(serve(&l, 300, 2, 0, 10, 10), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.gate, GR_GATE_SLA_ERRORS);

    l = begin(); // the promise on latency
    l.in.sla_p99_usec = 20000;
    assert_int_equal(serve(&l, 300, 0, 0, 10, 10), GR_VERDICT_INCONCLUSIVE);
    assert_true(l.verdict.findings & GR_FINDING_BOTH_BAD);
}

static void an_outage_of_both_is_told(void **state)
{
    (void)state;
    struct looks l = begin();
    fixture_serve(&l.in.reference, 100000, 100, 10);
    assert_int_equal(serve(&l, 50, 0, 0, 10, 10), GR_VERDICT_SUCCESSFUL);
    for (unsigned i = 0; i < 50; i++) {
        fixture_serve(&l.in.candidate, 50, 15, 10);
        fixture_serve(&l.in.stable, 50, 15, 10);
        assert_int_not_equal(look(&l), GR_VERDICT_FAILED);
    }
    assert_int_equal(l.verdict.verdict, GR_VERDICT_INCONCLUSIVE);
    assert_int_equal(l.verdict.findings, GR_FINDING_STABLE_DEGRADED | GR_FINDING_BOTH_BAD);
}

static void the_first_deployment_is_judged(void **state)
{
    (void)state;
    struct looks l = begin();
    l.in.has_stable = l.in.concurrent = false;
    fixture_serve(&l.in.candidate, 199, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    fixture_serve(&l.in.candidate, 500, 1, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    assert_true(l.verdict.gates[GR_GATE_ERRORS_ALONE].enabled);
    assert_false(l.verdict.gates[GR_GATE_ERRORS].enabled);
    fixture_serve(&l.in.candidate, 500, 40, 10);
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.gate, GR_GATE_ERRORS_ALONE);

    l = begin(); // its promise replaces the comparison
    l.in.has_stable = l.in.concurrent = false;
    l.in.sla_error_rate = 0.1;
    l.in.sla_p99_usec = 50000;
    fixture_serve(&l.in.candidate, 1000, 50, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    assert_false(l.verdict.gates[GR_GATE_ERRORS_ALONE].enabled);
    fixture_serve(&l.in.candidate, 100, 0, 60);
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.gate, GR_GATE_SLA_P99);

    l = begin(); // only latency is asked for, and there is nothing to compare with
    l.in.has_stable = l.in.concurrent = false;
    l.in.limits.error_rate_max_increase = -1;
    fixture_serve(&l.in.candidate, 1000, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
}

static void the_bake_is_held_against_what_was(void **state)
{
    (void)state;
    struct looks l = begin();
    assert_int_equal(serve(&l, 100, 0, 10, 10, 10), GR_VERDICT_SUCCESSFUL);
    l.in.concurrent = false;
    fixture_serve(&l.in.candidate, 5000, 6, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    assert_true(l.verdict.gates[GR_GATE_ERRORS_ALONE].enabled);
    assert_true(l.verdict.gates[GR_GATE_ERRORS].enabled);
    fixture_serve(&l.in.candidate, 3000, 150, 10);
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.gate, GR_GATE_ERRORS_ALONE);

    l = begin(); // too short a time side by side holds nobody for ever
    serve(&l, 2, 0, 0, 10, 10);
    l.in.concurrent = false;
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE); // 40 requests
    fixture_serve(&l.in.candidate, 3000, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    assert_false(l.verdict.gates[GR_GATE_ERRORS].enabled);
    assert_false(l.verdict.gates[GR_GATE_LATENCY_P99].enabled);

    l = begin(); // no steps at all: everything is held against before
    l.in.concurrent = false;
    fixture_serve(&l.in.reference, 10000, 100, 10);
    fixture_serve(&l.in.candidate, 3000, 30, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    assert_false(l.verdict.gates[GR_GATE_ERRORS].enabled);
    assert_false(l.verdict.gates[GR_GATE_LATENCY_P99].enabled);

    l = begin(); // little is known of before: it does not excuse everything
    l.in.concurrent = false;
    fixture_serve(&l.in.reference, 12, 0, 10);
    fixture_serve(&l.in.candidate, 3000, 0, 10);
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    fixture_serve(&l.in.candidate, 3000, 90, 10);
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_ERROR_RATE_REGRESSED);
}

static void resources_are_judged_when_measured(void **state)
{
    (void)state;
    struct looks l = begin();
    serve(&l, 60, 0, 0, 10, 10);
    l.in.slope_limit[0] = 100;
    assert_int_equal(look(&l), GR_VERDICT_INCONCLUSIVE);
    assert_int_equal(l.verdict.gate, GR_GATE_MEMORY);
    l.in.slope[0] = (struct gr_slope){50, 10, -5, 25};
    assert_int_equal(look(&l), GR_VERDICT_SUCCESSFUL);
    l.in.slope[0] = (struct gr_slope){50, 2048, 1900, 2200};
    assert_int_equal(look(&l), GR_VERDICT_FAILED);
    assert_int_equal(l.verdict.reason, GR_REASON_RESOURCE_LEAK);
}

static void alpha_is_split_and_never_exceeded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct gr_analysis_input in = fixture_input();
        in.has_stable = i & 1;
        if (i & 2)
            in.limits.error_rate_max_increase = -1;
        if (i & 4)
            in.limits.latency_p99_max_ratio = -1;
        if (i & 8)
            in.sla_error_rate = 0.01;
        if (i & 16)
            in.sla_p99_usec = 1000;
        if (i & 32)
            in.slope_limit[1] = 0;
        double sum = 0;
        for (unsigned g = 0; g < GR_GATE_COUNT; g++)
            sum += gr_analysis_level(&in, (enum gr_gate)g);
        assert_true(sum < in.limits.alpha * (1 + 1e-12));
        assert_true(sum == 0 || sum > in.limits.alpha * (1 - 1e-12));
    }
}

// One look after each request, or only when a block can be closed: the same evidence, bit for bit.
static void looking_after_each_request_changes_nothing(void **state)
{
    (void)state;
    struct looks each = begin(), seldom = begin();
    uint64_t open_candidate = 0, open_stable = 0;
    look(&seldom);
    look(&each);
    for (unsigned i = 0; i < 20000; i++) {
        bool candidate = i % 7 == 0;
        struct looks *both[] = {&each, &seldom};
        for (unsigned k = 0; k < 2; k++)
            fixture_serve(candidate ? &both[k]->in.candidate : &both[k]->in.stable, 1, i % 97 == 0,
                          candidate ? 11 : 10);
        open_candidate += candidate;
        open_stable += !candidate;
        gr_analysis_judge(&each.state, &each.in, &each.verdict);
        if (open_candidate < GR_BLOCK_REQUESTS || open_stable < GR_BLOCK_REQUESTS)
            continue;
        open_candidate = open_stable = 0;
        gr_analysis_judge(&seldom.state, &seldom.in, &seldom.verdict);
        seldom.state.looks = each.state.looks;
        assert_memory_equal(&each.verdict, &seldom.verdict, sizeof each.verdict);
        assert_memory_equal(&each.state, &seldom.state, sizeof each.state);
    }
    assert_true(each.state.blocks > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_stable_is_successful),
        cmocka_unit_test(errors_fail_also_when_stable_has_none),
        cmocka_unit_test(over_the_limit_without_proof_is_undecided),
        cmocka_unit_test(latency_fails),
        cmocka_unit_test(microseconds_are_no_regression),
        cmocka_unit_test(the_budget_and_a_crash_need_no_statistics),
        cmocka_unit_test(a_broken_measurement_is_an_error),
        cmocka_unit_test(nobody_asks_is_undecided),
        cmocka_unit_test(a_bad_stable_is_found_and_rolls_nothing_back),
        cmocka_unit_test(an_outage_of_both_is_told),
        cmocka_unit_test(the_first_deployment_is_judged),
        cmocka_unit_test(the_bake_is_held_against_what_was),
        cmocka_unit_test(resources_are_judged_when_measured),
        cmocka_unit_test(alpha_is_split_and_never_exceeded),
        cmocka_unit_test(looking_after_each_request_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
