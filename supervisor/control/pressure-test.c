// When memory pressure replaces a worker: the sequences of measurements, faults and time.
#include "base/limits.h"
#include "control/pressure.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define HIGH (GR_PRESSURE_HIGH_PERMYRIAD + 1)
#define BETWEEN GR_PRESSURE_LOW_PERMYRIAD
#define LOW (GR_PRESSURE_LOW_PERMYRIAD - 1)

struct world {
    struct gr_pressure p;
    uint64_t now_usec;
};

// So many measurements, a look apart; the last move.
static enum gr_pressure_move look(struct world *w, unsigned times, unsigned permyriad, bool faults)
{
    enum gr_pressure_move move = GR_PRESSURE_WAIT;
    for (unsigned i = 0; i < times; i++) {
        assert_int_equal(move, GR_PRESSURE_WAIT); // only the last one may do something
        w->now_usec += GR_PRESSURE_LOOK_USEC;
        move = gr_pressure_note(&w->p, w->now_usec, permyriad, faults);
    }
    return move;
}

static void sustained_pressure_with_faults_replaces(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED - 1, HIGH, true), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, 1, HIGH, true), GR_PRESSURE_REPLACE);
}

static void a_peak_does_not(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED - 1, HIGH, true), GR_PRESSURE_WAIT);
        assert_int_equal(look(&w, 1, GR_PRESSURE_HIGH_PERMYRIAD, true), GR_PRESSURE_WAIT);
    }
}

static void neither_of_the_two_alone_does(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    assert_int_equal(look(&w, 1000, HIGH, false), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, 1000, GR_PRESSURE_HIGH_PERMYRIAD, true), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED, HIGH, true), GR_PRESSURE_REPLACE);
}

static void one_that_did_not_help_is_not_repeated(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED, HIGH, true), GR_PRESSURE_REPLACE);
    gr_pressure_another_worker(&w.p);
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED, HIGH, true), GR_PRESSURE_UNHELPED);
    assert_int_equal(look(&w, 100000, HIGH, true), GR_PRESSURE_WAIT); // more than a day
    assert_int_equal(look(&w, 100000, BETWEEN, true), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, 100, HIGH, true), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, 1, LOW, true), GR_PRESSURE_WAIT); // from here on it may again
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED, HIGH, true), GR_PRESSURE_REPLACE);
}

// Measurements until the next replacement, of a worker that is below the low mark at first.
static uint64_t until_replaced(struct world *w)
{
    uint64_t begin = w->now_usec;
    gr_pressure_another_worker(&w->p);
    (void)look(w, 1, LOW, true);
    while (look(w, 1, HIGH, true) == GR_PRESSURE_WAIT)
        ;
    return w->now_usec - begin;
}

static void each_one_forbids_the_next_for_longer(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    (void)until_replaced(&w);
    uint64_t expected = GR_PRESSURE_BACKOFF_USEC;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t waited = until_replaced(&w);
        assert_in_range(waited, expected, expected + GR_PRESSURE_LOOK_USEC);
        expected *= 2;
        if (expected > GR_PRESSURE_BACKOFF_USEC_MAX)
            expected = GR_PRESSURE_BACKOFF_USEC_MAX;
    }
    assert_int_equal(expected, GR_PRESSURE_BACKOFF_USEC_MAX);
    w.now_usec += 2 * GR_PRESSURE_BACKOFF_USEC_MAX; // it is well for so long: all is forgotten
    assert_in_range(until_replaced(&w), 0, (GR_PRESSURE_SUSTAINED + 1) * GR_PRESSURE_LOOK_USEC);
    uint64_t waited = until_replaced(&w);
    assert_in_range(waited, GR_PRESSURE_BACKOFF_USEC,
                    GR_PRESSURE_BACKOFF_USEC + GR_PRESSURE_LOOK_USEC);
}

static void what_another_worker_held_does_not_count(void **state)
{
    struct world w = {.now_usec = 1};
    (void)state;
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED - 1, HIGH, true), GR_PRESSURE_WAIT);
    gr_pressure_another_worker(&w.p);
    assert_int_equal(look(&w, GR_PRESSURE_SUSTAINED - 1, HIGH, true), GR_PRESSURE_WAIT);
    assert_int_equal(look(&w, 1, HIGH, true), GR_PRESSURE_REPLACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sustained_pressure_with_faults_replaces),
        cmocka_unit_test(a_peak_does_not),
        cmocka_unit_test(neither_of_the_two_alone_does),
        cmocka_unit_test(one_that_did_not_help_is_not_repeated),
        cmocka_unit_test(each_one_forbids_the_next_for_longer),
        cmocka_unit_test(what_another_worker_held_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
