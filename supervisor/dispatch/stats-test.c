// The segment as its two sides see it: a writer's mapping and a reader's mapping of one descriptor.
#include "dispatch/stats-layout.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

struct sides {
    struct gr_stats *supervisor, *worker;
    int fd;
};

static int setup(void **state)
{
    struct sides *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    assert_int_equal(gr_stats_new(&s->supervisor, &s->fd), 0);
    assert_int_equal(gr_stats_map(s->fd, &s->worker), 0);
    gr_stats_bind(s->supervisor, 3, "pay", "1.0.0");
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct sides *s = *state;
    gr_stats_free(s->worker);
    gr_stats_free(s->supervisor);
    close(s->fd);
    free(s);
    return 0;
}

static void test_counts_of_rows_add_up(void **state)
{
    struct sides *s = *state;
    for (unsigned i = 0; i < 3; i++) {
        unsigned row;
        assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
        assert_int_equal(row, i);
        gr_stats_record(&s->worker->seg->rows[3][row], 0, 1000, false, false);
        gr_stats_record(&s->worker->seg->rows[3][row], 13, 2000, true, true);
        gr_stats_record(&s->worker->seg->rows[3][row], 5, 10, false, false);
    }
    struct gr_counters c;
    gr_stats_read(s->supervisor, 3, &c);
    assert_int_equal(gr_counters_total(&c), 9);
    assert_int_equal(gr_counters_server_errors(&c), 3);
    assert_int_equal(c.timeouts, 3);
    assert_int_equal(c.latency_sum_nsec, 3 * 3010);
    assert_int_equal(c.latency.count[gr_histogram_bucket(1000)], 3);
}

static void test_bind_starts_from_zero(void **state)
{
    struct sides *s = *state;
    unsigned row;
    assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
    gr_stats_record(&s->worker->seg->rows[3][row], 0, 1000, false, false);
    gr_stats_record(&s->worker->seg->rows[4][row], 0, 1000, false, false);
    gr_stats_count(s->worker, 3, "charged", 1);
    gr_stats_bind(s->supervisor, 3, "pay", "1.1.0");
    struct gr_counters c;
    struct gr_module_counter own[1];
    gr_stats_read(s->supervisor, 3, &c);
    assert_int_equal(gr_counters_total(&c), 0);
    assert_int_equal(gr_stats_counters(s->supervisor, 3, own, 1), 0);
    gr_stats_read(s->supervisor, 4, &c); // the neighbour keeps its own
    assert_int_equal(gr_counters_total(&c), 1);
}

static void test_in_call_tells_the_innermost_version(void **state)
{
    struct sides *s = *state;
    unsigned row;
    struct gr_in_call in[4];
    struct gr_counters c;
    assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
    struct gr_stats_inside *inside = &s->worker->seg->inside[row];
    static const char names[2][64] = {"a.B/Charge", "a.B/Refund"};
    gr_stats_bind(s->supervisor, 7, "auth", "1.0.0");
    gr_stats_name_methods(s->worker, 7, names, 2);
    gr_stats_enter(inside, "an id that is longer than thirty-nine bytes is cut", 77);
    gr_stats_push(inside, 0, 3, 0, 0);
    gr_stats_push(inside, 1, 7, 1, 0);
    assert_int_equal(gr_stats_in_calls(s->supervisor, in, 4), 1);
    assert_int_equal(in[0].slot, 7);
    assert_int_equal(in[0].pid, getpid());
    assert_int_equal(in[0].started_mono_usec, 77);
    assert_string_equal(in[0].method, "a.B/Refund");
    assert_string_equal(in[0].request_id, "an id that is longer than thirty-nine b");
    gr_stats_read(s->supervisor, 3, &c);
    assert_int_equal(c.in_flight, 1); // the caller is inside as well
    gr_stats_pop(inside, 0);
    assert_int_equal(gr_stats_in_calls(s->supervisor, in, 4), 0);
    gr_stats_read(s->supervisor, 3, &c);
    assert_int_equal(c.in_flight, 0);
}

static void test_own_counters(void **state)
{
    struct sides *s = *state;
    struct gr_module_counter own[GR_STATS_COUNTERS + 1];
    gr_stats_count(s->worker, 3, "charged", 2);
    gr_stats_count(s->worker, 3, "charged", 3);
    gr_stats_count(s->worker, 3, "Bad Name", 1);
    for (char name[] = "many_a"; name[5] <= 'z'; name[5]++)
        gr_stats_count(s->worker, 3, name, 1);
    for (char name[] = "more_a"; name[5] <= 'z'; name[5]++)
        gr_stats_count(s->worker, 3, name, 1);
    assert_int_equal(gr_stats_counters(s->supervisor, 3, own, GR_COUNT(own)), GR_STATS_COUNTERS);
    assert_string_equal(own[0].name, "charged");
    assert_int_equal(own[0].value, 5);
}

static void test_rows_of_the_living_are_not_taken(void **state)
{
    struct sides *s = *state;
    unsigned row;
    for (unsigned i = 0; i < GR_STATS_ROWS; i++)
        assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
    assert_int_equal(gr_stats_claim_row(s->worker, &row), -ENOSPC);
    gr_stats_release_row(s->worker, 5);
    assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
    assert_int_equal(row, 5);
    // A process number that nobody can have: its owner is gone.
    atomic_store(&s->worker->seg->inside[9].owner, INT32_MAX);
    assert_int_equal(gr_stats_claim_row(s->worker, &row), 0);
    assert_int_equal(row, 9);
}

static void test_segment_is_sealed_and_checked(void **state)
{
    struct sides *s = *state;
    struct gr_stats *other;
    struct stat st;
    assert_int_equal(ftruncate(s->fd, 4096), -1);
    assert_int_equal(fstat(s->fd, &st), 0);
    int foreign = memfd_create("foreign", MFD_CLOEXEC);
    assert_true(foreign >= 0);
    assert_int_equal(gr_stats_map(foreign, &other), -EPROTO);
    assert_int_equal(ftruncate(foreign, st.st_size), 0);
    assert_int_equal(gr_stats_map(foreign, &other), -EPROTO); // the size, but not the content
    close(foreign);
}

static void test_evidence_survives_until_cleared(void **state)
{
    struct sides *s = *state;
    struct gr_evidence ev;
    assert_false(gr_stats_evidence(s->supervisor, &ev));
    struct gr_stats_evidence *raw = &s->worker->seg->evidence;
    atomic_store(&raw->seq, 1);
    raw->body.signal = 11;
    assert_false(gr_stats_evidence(s->supervisor, &ev)); // half-written
    atomic_store(&raw->seq, 2);
    assert_true(gr_stats_evidence(s->supervisor, &ev));
    assert_int_equal(ev.signal, 11);
    gr_stats_clear_evidence(s->supervisor);
    assert_false(gr_stats_evidence(s->supervisor, &ev));
}

static void test_gauges(void **state)
{
    struct sides *s = *state;
    struct gr_worker_gauges g;
    gr_stats_parked_add(s->worker, 3);
    gr_stats_parked_add(s->worker, -1);
    gr_stats_connections_set(s->worker, 4, 9);
    gr_stats_refused_framing_add(s->worker);
    gr_stats_freeze(s->worker, 120, true);
    gr_stats_freeze(s->worker, 50000, false);
    gr_stats_heartbeat(s->worker);
    gr_stats_gauges(s->supervisor, &g);
    assert_int_equal(g.parked, 2);
    assert_int_equal(g.connections, 4);
    assert_int_equal(g.connections_total, 9);
    assert_int_equal(g.refused_framing, 1);
    assert_int_equal(g.swaps_ok, 1);
    assert_int_equal(g.swaps_failed, 1);
    assert_int_equal(g.freeze_last_usec, 50000);
    assert_int_equal(g.freeze.count[gr_histogram_bucket(120000)], 1);
    assert_true(g.heartbeat_mono_usec > 0);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_counts_of_rows_add_up),
        T(test_bind_starts_from_zero),
        T(test_in_call_tells_the_innermost_version),
        T(test_own_counters),
        T(test_rows_of_the_living_are_not_taken),
        T(test_segment_is_sealed_and_checked),
        T(test_evidence_survives_until_cleared),
        T(test_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
