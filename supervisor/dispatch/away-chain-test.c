// What a version in another process calls of others: in the request's view, as deep as any chain,
// and no longer than it may take itself.
#include "dispatch/testmodules/far.h"

// In the request's own view, with its deadline, header fields and name.
static void its_module_calls_others(void **state)
{
    (void)state;
    const struct grayling_header traced = {"traceparent", "00-1-2-01"};
    struct grayling_request q = {.struct_size = sizeof(q),
                                 .interface_name = FACE,
                                 .method_name = "First",
                                 .n_headers = 1,
                                 .headers = &traced,
                                 .payload = {"callme", 6},
                                 .deadline_usec = gr_mono_now().usec + 900000,
                                 .request_id = "r-2"};
    struct gr_response r;
    attach();
    add_near();
    assert_int_equal(gr_dispatch_call(t.seat, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_OK);
    assert_int_equal(r.payload.size, 7);
    assert_memory_equal(r.payload.data, "near:me", 7);
    gr_response_done(t.d, &r);
    assert_true(t.seen_deadline_usec == q.deadline_usec && t.seen_headers == 1);
    assert_string_equal(t.request_id, "r-2");
    assert_true(t.seat->bound_nsec == 0);
    struct gr_counters c;
    gr_stats_read(t.d->stats, NEAR_SLOT, &c);
    assert_true(gr_counters_total(&c) == 1);
}

static void what_others_say_is_passed_on(void **state)
{
    (void)state;
    attach();
    struct gr_response r = call("First", "callx", 5);
    assert_int_equal(r.code, GRAYLING_UNIMPLEMENTED); // nobody provides it
    assert_non_null(strstr(r.message, NEAR "/Ask was not called: no module here provides it"));
    add_near();
    r = call("First", "callfail", 8);
    assert_int_equal(r.code, GRAYLING_NOT_FOUND);
    assert_string_equal(r.message, NEAR "/Ask: near cannot");
    r = call("First", "miss", 4);
    assert_int_equal(r.code, GRAYLING_UNIMPLEMENTED);
    struct gr_counters c = counters();
    assert_true(c.faults == 0 && c.in_flight == 0);
}

// Each process's module calls the one here, which calls it: as deep as calls may go, and no deeper.
static void chains_have_an_end(void **state)
{
    (void)state;
    attach();
    add_near();
    struct gr_response r = call("First", "callback", 8);
    assert_int_equal(r.code, GRAYLING_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(r.message, "modules deep already"));
    assert_int_equal(t.deepest, GR_CALL_DEPTH_MAX - 1);
    r = call("First", "callme", 6);
    assert_int_equal(r.code, GRAYLING_OK);
    gr_response_done(t.d, &r);
}

// Responses that wait for slow clients have most slots, and the chain would need one more.
static void a_chain_finds_the_ring_full(void **state)
{
    (void)state;
    struct gr_response held[GR_RING_HELD_MAX];
    attach();
    add_near();
    for (unsigned i = 0; i < GR_RING_HELD_MAX; i++) {
        held[i] = call("First", "pong", 4);
        assert_non_null(held[i].release); // it lies in the ring
    }
    struct gr_response r = call("First", "callback", 8);
    assert_int_equal(r.code, GRAYLING_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(r.message, "as many calls are inside the module's process as it may"));
    assert_int_equal(t.deepest, 3); // two of them were inside
    struct gr_counters c = counters();
    assert_true(c.faults == 0 && c.in_flight == 0);
    for (unsigned i = 0; i < GR_RING_HELD_MAX; i++)
        gr_response_done(t.d, &held[i]);
    r = call("First", "callback", 8);
    assert_non_null(strstr(r.message, "modules deep already"));
}

// What it calls has no more time than itself, though its own method may take ten seconds; and of
// the two it is the one that does not return who is to blame.
static void who_is_called_is_bound_by_the_caller(void **state)
{
    (void)state;
    attach();
    add_near();
    struct gr_response r = call("Second", "calllate", 8);
    assert_int_equal(r.code, GRAYLING_DEADLINE_EXCEEDED);
    const uint64_t deadline_nsec = 20000000, grace_nsec = 20000000;
    assert_true(t.seen_bound_nsec > 0 && t.seen_due_nsec == t.seen_bound_nsec);
    assert_true(t.seen_due_nsec <= t.seen_at_nsec + deadline_nsec + grace_nsec);
    assert_int_equal(atomic_load(&t.faults), 1);
    assert_int_equal(t.blamed, NEAR_SLOT);
    assert_int_equal(t.kind, GR_FAULT_TIMEOUT);
    assert_int_equal(atomic_load(&t.overdue), 0); // the process has done nothing
    assert_true(t.seat->bound_nsec == 0);
    struct gr_counters c = counters();
    assert_true(c.faults == 0 && c.in_flight == 0);
    gr_stats_read(t.d->stats, NEAR_SLOT, &c);
    assert_true(c.faults_by[GR_FAULT_TIMEOUT] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(its_module_calls_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_say_is_passed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chains_have_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chain_finds_the_ring_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_called_is_bound_by_the_caller, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
