// What the callers of a version in another process get while its process answers, hangs, ends, and
// is not there.
#include "dispatch/testmodules/far.h"

static void it_answers(void **state)
{
    (void)state;
    attach();
    struct gr_response r = call("First", "pong", 4);
    assert_int_equal(r.code, GRAYLING_OK);
    assert_int_equal(r.payload.size, 4);
    assert_memory_equal(r.payload.data, "pong", 4);
    assert_string_equal(r.version, "1.0.0");
    gr_response_done(t.d, &r);
    r = call("First", "", 0);
    assert_int_equal(r.code, GRAYLING_OK);
    assert_int_equal(r.payload.size, 0);
    r = call("First", "fail", 4);
    assert_int_equal(r.code, GRAYLING_ABORTED);
    assert_string_equal(r.message, "as asked");
    r = call("First", "code", 4);
    assert_int_equal(r.code, GRAYLING_UNKNOWN);
    r = call("First", "huge", 4);
    assert_int_equal(r.code, GRAYLING_INTERNAL);
    assert_non_null(strstr(r.message, "a size that no response has"));
    struct gr_counters c = counters();
    assert_true(gr_counters_total(&c) == 5 && c.faults == 0 && c.in_flight == 0);
    assert_int_equal(atomic_load(&t.faults), 0);
}

// Slow clients keep the slots of their responses, but never those that calls need.
static void responses_wait_in_the_ring(void **state)
{
    (void)state;
    enum { MANY = 3 * GR_RING_HELD_MAX };
    struct gr_response r[MANY];
    attach();
    for (unsigned i = 0; i < MANY; i++) {
        char payload[8];
        snprintf(payload, sizeof(payload), "n%06u", i);
        r[i] = call("First", payload, 7);
        assert_int_equal(r[i].code, GRAYLING_OK);
    }
    unsigned in_ring = 0;
    for (unsigned i = 0; i < MANY; i++) {
        char payload[8];
        snprintf(payload, sizeof(payload), "n%06u", i);
        assert_memory_equal(r[i].payload.data, payload, 7);
        in_ring += r[i].release != NULL;
        if (i % 2)
            gr_response_done(t.d, &r[i]);
    }
    assert_int_equal(in_ring, GR_RING_HELD_MAX);
    // the process ends under those that are left: they stay readable
    stop_servers();
    gr_away_detach(t.far, NULL);
    for (unsigned i = 0; i < MANY; i += 2) {
        char payload[8];
        snprintf(payload, sizeof(payload), "n%06u", i);
        assert_memory_equal(r[i].payload.data, payload, 7);
        gr_response_done(t.d, &r[i]);
    }
}

static void without_a_process_nobody_waits(void **state)
{
    (void)state;
    struct gr_response r = call("First", "pong", 4);
    assert_int_equal(r.code, GRAYLING_UNAVAILABLE);
    assert_non_null(strstr(r.message, "started anew"));
    attach();
    r = call("First", "pong", 4);
    assert_int_equal(r.code, GRAYLING_OK);
    gr_response_done(t.d, &r);
}

static void past_the_deadline(void **state)
{
    (void)state;
    attach();
    struct gr_response r = call("Second", "hang", 4);
    assert_int_equal(r.code, GRAYLING_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&t.overdue), 1);
    assert_string_equal(t.method, "Second");
    assert_string_equal(t.request_id, "r-1");
    r = call("Second", "hang", 4); // before the process is gone: told once
    assert_int_equal(r.code, GRAYLING_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&t.overdue), 1);
    struct gr_counters c = counters();
    assert_true(c.faults == 1 && c.faults_by[GR_FAULT_TIMEOUT] == 1 && c.timeouts == 2);
    gr_away_detach(t.far, &(struct gr_fault){.slot = SLOT, .kind = GR_FAULT_TIMEOUT});
    assert_int_equal(atomic_load(&t.faults), 1);
    stop_servers();
    attach();
    r = call("Second", "pong", 4);
    assert_int_equal(r.code, GRAYLING_OK);
    gr_response_done(t.d, &r);
}

static void *lose_process(void *arg)
{
    struct gr_counters c;
    do // somebody is inside
        c = counters();
    while (c.in_flight == 0);
    gr_away_detach(t.far, arg);
    return NULL;
}

static void its_end_ends_the_calls(void **state)
{
    (void)state;
    struct gr_fault fault = {.slot = SLOT, .kind = GR_FAULT_ABORT};
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        attach();
        assert_int_equal(pthread_create(&thread, NULL, lose_process, &fault), 0);
        struct gr_response r = call("First", "hang", 4);
        assert_int_equal(r.code, GRAYLING_INTERNAL);
        pthread_join(thread, NULL);
        stop_servers();
    }
    struct gr_counters c = counters();
    assert_true(c.faults == 2 && c.faults_by[GR_FAULT_ABORT] == 2);
    assert_int_equal(atomic_load(&t.faults), 2);
    assert_int_equal(atomic_load(&t.overdue), 0);
    assert_int_equal(t.kind, GR_FAULT_ABORT);
    assert_int_equal(atomic_load(&t.breakers), 1); // two faults open it
    assert_false(atomic_load(&t.far->faulted));    // nothing of it is mapped here
    attach();
    struct gr_response r = call("First", "pong", 4);
    assert_int_equal(r.code, GRAYLING_UNAVAILABLE);
    assert_non_null(strstr(r.message, "breaker is open"));
}

static void nobody_is_blamed(void **state)
{
    (void)state;
    pthread_t thread;
    attach();
    assert_int_equal(pthread_create(&thread, NULL, lose_process, NULL), 0);
    struct gr_response r = call("First", "hang", 4);
    assert_int_equal(r.code, GRAYLING_INTERNAL);
    pthread_join(thread, NULL);
    struct gr_counters c = counters();
    assert_true(c.faults == 0);
    assert_int_equal(atomic_load(&t.faults), 0);
    assert_int_equal(atomic_load(&t.breakers), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(responses_wait_in_the_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_process_nobody_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(past_the_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_end_ends_the_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_is_blamed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
