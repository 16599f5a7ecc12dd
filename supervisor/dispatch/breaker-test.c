// Every transition of the breaker, and what it must never do whatever happens in whatever order.
#include "dispatch/breaker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEC UINT64_C(1000000)

static const struct gr_breaker_policy policy = {
    .faults = 3, .window_usec = 60 * SEC, .backoff_usec = 5 * SEC};

static struct gr_breaker opened_at(uint64_t now)
{
    struct gr_breaker b = {0};
    assert_false(gr_breaker_fault(&b, &policy, now - 2, false));
    assert_false(gr_breaker_fault(&b, &policy, now - 1, false));
    assert_true(gr_breaker_fault(&b, &policy, now, false));
    return b;
}

static void test_three_faults_in_a_minute_open_it(void **state)
{
    (void)state;
    struct gr_breaker b = {0};
    assert_int_equal(gr_breaker_ask(&b, 0), GR_BREAKER_PASS);
    assert_false(gr_breaker_fault(&b, &policy, 100 * SEC, false));
    assert_false(gr_breaker_fault(&b, &policy, 130 * SEC, false));
    assert_false(gr_breaker_fault(&b, &policy, 160 * SEC, false)); // the first is a minute old
    assert_int_equal(gr_breaker_recent(&b, &policy, 160 * SEC), 2);
    assert_int_equal(gr_breaker_ask(&b, 160 * SEC), GR_BREAKER_PASS);
    assert_true(gr_breaker_fault(&b, &policy, 189 * SEC, false));
    assert_int_equal(gr_breaker_state(&b, 189 * SEC), GR_BREAKER_OPEN);
    assert_int_equal(gr_breaker_left_usec(&b, 190 * SEC), 4 * SEC);
    assert_int_equal(gr_breaker_ask(&b, 194 * SEC - 1), GR_BREAKER_REFUSE);
    assert_false(gr_breaker_fault(&b, &policy, 190 * SEC, false)); // it had begun before
    assert_int_equal(gr_breaker_left_usec(&b, 190 * SEC), 4 * SEC);
}

static void test_one_probe_decides(void **state)
{
    (void)state;
    struct gr_breaker b = opened_at(100 * SEC);
    assert_int_equal(gr_breaker_state(&b, 105 * SEC), GR_BREAKER_HALF_OPEN);
    assert_int_equal(gr_breaker_ask(&b, 105 * SEC), GR_BREAKER_PROBE);
    assert_int_equal(gr_breaker_ask(&b, 106 * SEC), GR_BREAKER_REFUSE); // one at a time
    gr_breaker_probe_ended(&b, 106 * SEC);
    assert_int_equal(gr_breaker_state(&b, 106 * SEC), GR_BREAKER_CLOSED);
    assert_int_equal(gr_breaker_ask(&b, 106 * SEC), GR_BREAKER_PASS);
    // a fresh start: it takes three again
    assert_false(gr_breaker_fault(&b, &policy, 107 * SEC, false));
    assert_false(gr_breaker_fault(&b, &policy, 108 * SEC, false));
    assert_true(gr_breaker_fault(&b, &policy, 109 * SEC, false));
    assert_int_equal(gr_breaker_left_usec(&b, 109 * SEC), 10 * SEC); // but it is not forgotten
}

static void test_backoff_doubles_and_fades(void **state)
{
    (void)state;
    struct gr_breaker b = opened_at(100 * SEC);
    uint64_t now = 100 * SEC, expected = 5 * SEC;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(gr_breaker_left_usec(&b, now), expected);
        now += expected;
        assert_int_equal(gr_breaker_ask(&b, now), GR_BREAKER_PROBE);
        assert_true(gr_breaker_fault(&b, &policy, now, true));
        expected =
            expected * 2 < GR_BREAKER_BACKOFF_USEC_MAX ? expected * 2 : GR_BREAKER_BACKOFF_USEC_MAX;
    }
    now += expected;
    assert_int_equal(gr_breaker_ask(&b, now), GR_BREAKER_PROBE);
    gr_breaker_probe_ended(&b, now);
    now += policy.window_usec; // well for a whole window
    for (unsigned i = 0; i < 3; i++)
        (void)gr_breaker_fault(&b, &policy, now, false);
    assert_int_equal(gr_breaker_left_usec(&b, now), 5 * SEC);
}

static void test_zero_faults_never_open_it(void **state)
{
    (void)state;
    struct gr_breaker_policy never = policy;
    struct gr_breaker b = {0};
    never.faults = 0;
    for (unsigned i = 0; i < 1000; i++)
        assert_false(gr_breaker_fault(&b, &never, i, false));
    assert_int_equal(gr_breaker_ask(&b, 1000), GR_BREAKER_PASS);
}

static void test_handed_over(void **state)
{
    (void)state;
    struct gr_breaker b = opened_at(100 * SEC);
    assert_int_equal(gr_breaker_ask(&b, 105 * SEC), GR_BREAKER_PROBE);
    struct gr_breaker next = gr_breaker_handed_over(&b);
    assert_int_equal(gr_breaker_state(&next, 104 * SEC), GR_BREAKER_OPEN);
    assert_int_equal(gr_breaker_ask(&next, 105 * SEC), GR_BREAKER_PROBE); // its own
    struct gr_breaker two = {0};
    (void)gr_breaker_fault(&two, &policy, 10 * SEC, false);
    (void)gr_breaker_fault(&two, &policy, 11 * SEC, false);
    two = gr_breaker_handed_over(&two);
    assert_true(gr_breaker_fault(&two, &policy, 12 * SEC, false)); // the third, wherever it was
}

// What a broken process may have left in the segment.
static void test_any_words_are_taken(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < 100000; i++) {
        struct gr_breaker b;
        uint64_t *word = (uint64_t *)&b, now;
        for (size_t w = 0; w < sizeof(b) / sizeof(*word); w++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            word[w] = w % 3 == i % 3 ? x % 4 : x;
        }
        now = x;
        if (gr_breaker_ask(&b, now) == GR_BREAKER_PROBE)
            gr_breaker_probe_ended(&b, now);
        else
            (void)gr_breaker_fault(&b, &policy, now, i % 2 != 0);
        assert_true(gr_breaker_left_usec(&b, now) == 0 ||
                    gr_breaker_state(&b, now) == GR_BREAKER_OPEN);
        assert_true(gr_breaker_recent(&b, &policy, now) <= GR_BREAKER_FAULTS_MAX);
    }
}

// Seeded walks: while it is open nothing passes, half-open one passes, and it closes by a probe
// only.
static void test_walks(void **state)
{
    (void)state;
    uint64_t x = 42;
    struct gr_breaker b = {0};
    uint64_t now = 1;
    bool probing = false;
    for (unsigned i = 0; i < 200000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        now += x % (3 * SEC);
        enum gr_breaker_state before = gr_breaker_state(&b, now);
        enum gr_breaker_answer a = gr_breaker_ask(&b, now);
        assert_int_equal(a == GR_BREAKER_PASS, before == GR_BREAKER_CLOSED);
        assert_true(a != GR_BREAKER_PROBE || (before == GR_BREAKER_HALF_OPEN && !probing));
        probing |= a == GR_BREAKER_PROBE;
        if (probing && x % 3 == 0) {
            probing = false;
            if (x % 2)
                assert_true(gr_breaker_fault(&b, &policy, now, true));
            else
                gr_breaker_probe_ended(&b, now);
            assert_int_equal(gr_breaker_state(&b, now),
                             x % 2 ? GR_BREAKER_OPEN : GR_BREAKER_CLOSED);
        } else if (a == GR_BREAKER_PASS && x % 5 == 0) {
            unsigned recent = gr_breaker_recent(&b, &policy, now);
            assert_int_equal(gr_breaker_fault(&b, &policy, now, false), recent + 1 >= 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_faults_in_a_minute_open_it),
        cmocka_unit_test(test_one_probe_decides),
        cmocka_unit_test(test_backoff_doubles_and_fades),
        cmocka_unit_test(test_zero_faults_never_open_it),
        cmocka_unit_test(test_handed_over),
        cmocka_unit_test(test_any_words_are_taken),
        cmocka_unit_test(test_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
