// Calls, swaps, gates and pins, each seen from outside through dispatch.h.
#include "dispatch/testmodules/fixture.h"
#include <errno.h>
#include <pthread.h>

// --- calls -------------------------------------------------------------------------------------

static void test_unknown_route(void **state)
{
    struct fixture *f = *state;
    struct grayling_request q = request_to("com.example.none.None", "Nothing", "", 0);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_UNIMPLEMENTED);
    assert_string_equal(r.module, "");
    assert_string_equal(r.message, "no module here provides com.example.none.None/Nothing");
    gr_response_done(f->d, &r);
}

static void test_load_call_swap_unload(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    struct gr_instance *one = load_module(f, "probe-1.0.0");
    route(f, "probe", one, NULL);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "1.0.0");
    assert_int_equal(gr_instance_unload(f->d, one, SECOND), -EINVAL); // still routed

    struct gr_instance *two = load_module(f, "probe-2.0.0");
    route(f, "probe", two, NULL);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "2.0.0");
    assert_int_equal(gr_instance_unload(f->d, one, SECOND), 0);
    assert_string_equal(f->last_log, "destroyed");

    route(f, "probe", NULL, NULL);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_UNIMPLEMENTED);
    assert_int_equal(gr_instance_unload(f->d, two, SECOND), 0);
    assert_int_equal(gr_dispatch_pinned(f->d), 0);
}

static void test_failure_is_told(void **state)
{
    struct fixture *f = *state;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    struct grayling_request q = request_to(PROBE, "Fail", "", 0);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_NOT_FOUND);
    assert_string_equal(r.message, "asked to fail");
    assert_string_equal(r.module, "probe");
    assert_string_equal(r.version, "1.0.0");
    gr_response_done(f->d, &r);
}

static void test_deadline_that_has_passed_runs_nothing(void **state)
{
    struct fixture *f = *state;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    struct grayling_request q = request_to(PROBE, "Version", "", 0);
    q.deadline_usec = 1;
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_DEADLINE_EXCEEDED);
    gr_response_done(f->d, &r);
}

// --- module to module --------------------------------------------------------------------------

static void test_relay(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(call_text(f, PROBE, "Relay", "", answer),
                     GRAYLING_UNIMPLEMENTED); // optional and absent
    route(f, "peer", load_module(f, "peer-2.0.0"), NULL);
    assert_int_equal(call_text(f, PROBE, "Relay", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "1.0.0+2.0.0");
    assert_int_equal(call_text(f, PROBE, "Deep", "", answer), GRAYLING_RESOURCE_EXHAUSTED);
    assert_int_equal(call_text(f, PROBE, "Undeclared", "", answer), GRAYLING_UNIMPLEMENTED);
}

static void test_one_interface_has_one_provider(void **state)
{
    struct fixture *f = *state;
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    struct gr_change change = {.module = "rival", .stable = load_module(f, "rival-1.0.0")};
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, SECOND, &result, &f->e), -EINVAL);
    assert_int_equal(f->e.reason, GR_REASON_CONTRACT_INCOMPATIBLE);
    assert_non_null(strstr(f->e.message, "peer"));
    char answer[64];
    assert_int_equal(call_text(f, PEER, "Version", "", answer), GRAYLING_OK);
}

// --- pins --------------------------------------------------------------------------------------

static void test_response_pins_its_version(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *one = load_module(f, "probe-1.0.0");
    unsigned slot = gr_instance_slot(one);
    assert_true(slot > 0);
    route(f, "probe", one, NULL);
    struct grayling_request q = request_to(PROBE, "Take", "", 0);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_memory_equal(r.payload.data, "taken", 5);
    route(f, "probe", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, one, 0), -EBUSY);
    assert_int_equal(gr_dispatch_pinned(f->d), 1);
    gr_response_done(f->d, &r); // release() of a pinned version still works
}

static void test_nodelete_is_pinned(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *i = load_module(f, "peer-3.0.0");
    assert_int_equal(gr_instance_unload(f->d, i, SECOND), -EBUSY);
    assert_int_equal(gr_dispatch_pinned(f->d), 1);
}

// The module of the next test leaks on purpose; nothing of dispatch's own comes by this way.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:host_alloc";
}

static void test_leak_is_told(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *i;
    assert_int_equal(load_configured(f, "probe-1.0.0", "{\"x\":\"leak\"}", &i), 0);
    assert_int_equal(gr_instance_unload(f->d, i, SECOND), 0);
    assert_string_equal(f->last_log, "destroy() left 100 bytes of the host's memory allocated");
}

// --- a call that does not end ------------------------------------------------------------------

static void test_freeze_timeout_names_the_culprit(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    struct holder h;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    start_holder(&h, f, PROBE);
    struct gr_change change = {.module = "probe", .stable = load_module(f, "probe-2.0.0")};
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, 1000, &result, &f->e), -ETIMEDOUT);
    assert_int_equal(f->e.reason, GR_REASON_FREEZE_TIMEOUT);
    assert_non_null(strstr(f->e.message, "module probe, method com.example.probe.Probe/Hold"));
    assert_non_null(strstr(f->e.message, "request \"the-stuck-one\""));
    assert_non_null(strstr(f->e.message, "thread 1"));
    assert_int_equal(call_text(f, PROBE, "Version", "", answer),
                     GRAYLING_OK); // gates are open, on the old table
    assert_string_equal(answer, "1.0.0");
    release_holder(&h);
    assert_memory_equal(h.response.payload.data, "1.0.0", 5);
    gr_response_done(f->d, &h.response);
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, SECOND, &result, &f->e), 0);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "2.0.0");
}

static void test_stuck_call_holds_back_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct holder h;
    struct gr_instance *solo = load_module(f, "solo-1.0.0"), *peers[4];
    peers[0] = load_module(f, "peer-1.0.0");
    route(f, "solo", solo, NULL);
    route(f, "peer", peers[0], NULL);
    start_holder(&h, f, SOLO); // pins a table that names peer, but cannot reach it
    for (int i = 1; i < 4; i++) {
        peers[i] = load_module(f, i % 2 ? "peer-2.0.0" : "peer-1.0.0");
        route(f, "peer", peers[i], NULL);
        assert_int_equal(gr_instance_unload(f->d, peers[i - 1], 10 * SECOND), 0);
    }
    assert_int_equal(gr_dispatch_pinned(f->d), 0);
    release_holder(&h); // asks its pinned table once more on the way out
    assert_int_equal(h.response.code, GRAYLING_OK);
    gr_response_done(f->d, &h.response);
    route(f, "solo", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, solo, 10 * SECOND), 0);
}

static void test_modules_come_and_go(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    struct gr_instance *probe = load_module(f, "probe-1.0.0");
    for (int i = 0; i < 3; i++) {
        struct gr_instance *peer = load_module(f, "peer-1.0.0");
        const struct gr_change in[] = {{.module = "peer", .stable = peer},
                                       {.module = "probe", .stable = probe}};
        const struct gr_change out[] = {{.module = "probe"}, {.module = "peer"}};
        struct gr_swap_result result;
        assert_int_equal(gr_dispatch_swap(f->d, in, 2, SECOND, &result, &f->e), 0);
        assert_int_equal(call_text(f, PROBE, "Relay", "", answer), GRAYLING_OK);
        assert_int_equal(gr_dispatch_swap(f->d, out, 2, SECOND, &result, &f->e), 0);
        assert_int_equal(gr_instance_unload(f->d, peer, SECOND), 0);
    }
}

// --- parking -----------------------------------------------------------------------------------

struct parked {
    struct gr_waiter waiter;
    struct fixture *f;
};

static void on_resume(struct gr_waiter *w)
{
    ((struct parked *)w)->f->resumed++;
}

static void test_frozen_module_parks_requests(void **state)
{
    struct fixture *f = *state;
    const char *const modules[] = {"peer"};
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    assert_int_equal(gr_dispatch_freeze(f->d, modules, 1, SECOND, &f->e), 0);

    struct grayling_request to_probe =
        request_to(PROBE, "Version", "", 0); // reaches peer, so it waits too
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &to_probe, &r), GR_CALL_PARKED);
    struct parked p = {.waiter = {.resume = on_resume}, .f = f};
    assert_int_equal(gr_dispatch_park(f->d, &to_probe, &p.waiter), 0);

    route(f, "peer", load_module(f, "peer-2.0.0"),
          NULL); // a swap under an operators' freeze leaves the freeze in force
    assert_int_equal(f->resumed, 1);
    assert_int_equal(gr_dispatch_call(f->t, &to_probe, &r), GR_CALL_PARKED);
    assert_int_equal(gr_dispatch_park(f->d, &to_probe, &p.waiter), 0);

    gr_dispatch_thaw(f->d, modules, 1);
    assert_int_equal(f->resumed, 2);
    char answer[64];
    assert_int_equal(call_text(f, PROBE, "Relay", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "1.0.0+2.0.0");
    assert_int_equal(gr_dispatch_park(f->d, &to_probe, &p.waiter), -EAGAIN);
}

static void test_unconcerned_module_does_not_park(void **state)
{
    struct fixture *f = *state;
    const char *const modules[] = {"probe"}, *const unknown[] = {"nobody"};
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    assert_int_equal(gr_dispatch_freeze(f->d, modules, 1, SECOND, &f->e), 0);
    assert_int_equal(call_text(f, PEER, "Version", "", answer), GRAYLING_OK);
    gr_dispatch_thaw(f->d, modules, 1);
    assert_int_equal(gr_dispatch_freeze(f->d, unknown, 1, SECOND, &f->e), -ENOENT);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_unknown_route),
        WITH_FIXTURE(test_load_call_swap_unload),
        WITH_FIXTURE(test_failure_is_told),
        WITH_FIXTURE(test_deadline_that_has_passed_runs_nothing),
        WITH_FIXTURE(test_relay),
        WITH_FIXTURE(test_one_interface_has_one_provider),
        WITH_FIXTURE(test_response_pins_its_version),
        WITH_FIXTURE(test_nodelete_is_pinned),
        WITH_FIXTURE(test_leak_is_told),
        WITH_FIXTURE(test_freeze_timeout_names_the_culprit),
        WITH_FIXTURE(test_stuck_call_holds_back_nothing_else),
        WITH_FIXTURE(test_modules_come_and_go),
        WITH_FIXTURE(test_frozen_module_parks_requests),
        WITH_FIXTURE(test_unconcerned_module_does_not_park),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
