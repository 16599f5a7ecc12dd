// What is kept of starts, tries, safe mode and lifts comes back after reopening, and no more than
// that.
#include "state/journal.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char dir[64];
static struct gr_journal *journal;
static struct gr_error e;

static void reopen(void)
{
    gr_journal_close(journal);
    assert_int_equal(gr_journal_open(dir, &journal, &e), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/grayling-starts-XXXXXX");
    journal = NULL;
    assert_non_null(mkdtemp(dir));
    reopen();
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    gr_journal_close(journal);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int64_t begin(const char *boot, uint64_t usec)
{
    struct gr_start_row row = {.at = {usec}};
    int64_t number = 0;
    snprintf(row.boot, sizeof row.boot, "%s", boot);
    assert_int_equal(gr_journal_begin_start(journal, &row, &number, &e), 0);
    return number;
}

static void starts_are_told_newest_first(void **state)
{
    struct gr_start_row rows[GR_STARTS_KEPT];
    size_t n = 99;
    (void)state;
    assert_int_equal(gr_journal_starts(journal, rows, &n, &e), 0);
    assert_int_equal(n, 0);
    int64_t first = begin("a", 1), second = begin("b", 2), third = begin("b", 3);
    assert_int_equal(gr_journal_mark_start(journal, first, GR_START_ENDED, &e), 0);
    assert_int_equal(gr_journal_mark_start(journal, second, GR_START_STABLE, &e), 0);
    assert_int_equal(gr_journal_blame_start(journal, third, &e), 0);
    reopen();
    assert_int_equal(gr_journal_starts(journal, rows, &n, &e), 0);
    assert_int_equal(n, 3);
    assert_int_equal(rows[0].number, third);
    assert_int_equal(rows[0].state, GR_START_BEGUN);
    assert_true(rows[0].blamed && !rows[1].blamed && !rows[2].blamed);
    assert_int_equal(rows[1].state, GR_START_STABLE);
    assert_int_equal(rows[2].state, GR_START_ENDED);
    assert_string_equal(rows[2].boot, "a");
    assert_int_equal(rows[1].at.usec, 2);
}

static void old_starts_are_forgotten(void **state)
{
    struct gr_start_row rows[GR_STARTS_KEPT];
    size_t n = 0;
    (void)state;
    for (uint64_t i = 0; i < 3 * GR_STARTS_KEPT; i++)
        begin("a", i);
    assert_int_equal(gr_journal_starts(journal, rows, &n, &e), 0);
    assert_int_equal(n, GR_STARTS_KEPT);
    assert_int_equal(rows[0].at.usec, 3 * GR_STARTS_KEPT - 1);
    assert_int_equal(rows[n - 1].at.usec, 2 * GR_STARTS_KEPT);
}

static void tries_add_up_until_they_are_forgotten(void **state)
{
    const struct gr_digest guilty = {.bytes = {1}}, other = {.bytes = {2}};
    unsigned tries = 0;
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(gr_journal_add_try(journal, &guilty, &tries, &e), 0);
        assert_int_equal(tries, i);
        reopen();
    }
    assert_int_equal(gr_journal_add_try(journal, &other, &tries, &e), 0);
    assert_int_equal(tries, 1);
    assert_int_equal(gr_journal_forget_tries(journal, &guilty, 1, &e), 0);
    assert_int_equal(gr_journal_add_try(journal, &guilty, &tries, &e), 0);
    assert_int_equal(tries, 1);
    assert_int_equal(gr_journal_add_try(journal, &other, &tries, &e), 0);
    assert_int_equal(tries, 2);
}

static void safe_mode_lasts_and_ends(void **state)
{
    struct gr_safe_mode safe = {.since = {1}};
    struct gr_start_row rows[GR_STARTS_KEPT];
    size_t n = 0;
    (void)state;
    assert_int_equal(gr_journal_get_safe_mode(journal, &safe, &e), 0);
    assert_int_equal(safe.since.usec, 0);
    begin("a", 1);
    const struct gr_safe_mode on = {.since = {7}, .why = "five died"};
    assert_int_equal(gr_journal_set_safe_mode(journal, &on, &e), 0);
    reopen();
    assert_int_equal(gr_journal_get_safe_mode(journal, &safe, &e), 0);
    assert_int_equal(safe.since.usec, 7);
    assert_string_equal(safe.why, "five died");
    assert_int_equal(gr_journal_starts(journal, rows, &n, &e), 0);
    assert_true(rows[0].blamed); // it is answered for, and does not count a second time
    assert_int_equal(gr_journal_set_safe_mode(journal, NULL, &e), 0);
    assert_int_equal(gr_journal_get_safe_mode(journal, &safe, &e), 0);
    assert_int_equal(safe.since.usec, 0);
}

static void a_lift_is_kept_until_it_was_told(void **state)
{
    struct gr_conviction c = {.digest = {.bytes = {1}},
                              .version = "1.2.0",
                              .reason = GR_REASON_CRASHED,
                              .evidence = "SIGSEGV",
                              .instance = "host-1",
                              .at = {5}};
    struct gr_lift lift = {.actor = "alice", .reason = "a broken host", .at = {9}};
    GR_AUTO_FREE struct gr_conviction *convictions = NULL;
    GR_AUTO_FREE struct gr_lifted *lifts = NULL, *none = NULL;
    size_t n = 99;
    (void)state;
    strcpy(c.module.s, "pay");
    assert_int_equal(gr_journal_lift(journal, &c.digest, &lift, &e), -ENOENT);
    assert_int_equal(gr_journal_convict(journal, &c, &e), 0);
    assert_int_equal(gr_journal_lift(journal, &c.digest, &lift, &e), 0);
    reopen();
    assert_int_equal(gr_journal_convictions(journal, &convictions, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(gr_journal_lifts(journal, &lifts, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_true(gr_digest_equal(&lifts[0].conviction.digest, &c.digest));
    assert_string_equal(lifts[0].conviction.module.s, "pay");
    assert_string_equal(lifts[0].conviction.evidence, "SIGSEGV");
    assert_string_equal(lifts[0].lift.actor, "alice");
    assert_string_equal(lifts[0].lift.reason, "a broken host");
    assert_int_equal(lifts[0].lift.at.usec, 9);
    assert_int_equal(gr_journal_drop_lift(journal, &c.digest, &e), 0);
    assert_int_equal(gr_journal_lifts(journal, &none, &n, &e), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(starts_are_told_newest_first),          T(old_starts_are_forgotten),
        T(tries_add_up_until_they_are_forgotten), T(safe_mode_lasts_and_ends),
        T(a_lift_is_kept_until_it_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
