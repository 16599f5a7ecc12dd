// Which faults end a call and which end the process. The second kind runs in a child: this program
// again, with an argument.
#include "dispatch/testmodules/dying.h"

static struct fixture *guarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    return f;
}

// --- contained ---------------------------------------------------------------------------------

static void test_faults_in_module_text_end_the_call(void **state)
{
    static const char *const kinds[] = {"null",  "jump", "divide",    "illegal",
                                        "stack", "bus",  "lost-stack"};
    struct fixture *f = guarded(state);
    char answer[64];
    struct gr_instance *probe = load_module(f, "probe-1.0.0");
    route(f, "probe", probe, NULL);
    for (unsigned i = 0; i < 2 * GR_COUNT(kinds);
         i++) { // each one twice: the second fault must find a sound guard
        const char *kind = kinds[i % GR_COUNT(kinds)];
        if (call_text(f, PROBE, "Crash", kind, answer) != GRAYLING_INTERNAL)
            fail_msg("\"%s\" did not crash", kind);
        assert_int_equal(f->faults, i + 1);
        assert_memory_equal(f->last_frame, "1.so+0x", 7);
        assert_int_equal(f->last_kind, GR_FAULT_SIGNAL);
        assert_int_equal(strlen(f->last_build_id), 40);
        assert_int_equal(call_text(f, PROBE, "Crash", "", answer), GRAYLING_OK);
        assert_string_equal(answer, "alive");
    }
    route(f, "probe", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, probe, SECOND), -EBUSY); // for ever
    assert_int_equal(gr_dispatch_pinned(f->d), 1);
}

static void test_fault_of_a_callee_is_the_callees(void **state)
{
    struct fixture *f = guarded(state);
    char answer[64];
    struct gr_instance *probe = load_module(f, "probe-1.0.0"), *peer = load_module(f, "peer-1.0.0");
    route(f, "probe", probe, NULL);
    route(f, "peer", peer, NULL);
    assert_int_equal(call_text(f, PROBE, "Relay", "crash", answer),
                     GRAYLING_INTERNAL); // as the callee's code
    assert_memory_equal(f->last_frame, "2.so+0x", 7);
    assert_int_equal(call_text(f, PROBE, "Relay", "", answer), GRAYLING_OK);
    route(f, "probe", NULL, NULL);
    route(f, "peer", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, probe, SECOND), 0); // the caller is sound
    assert_int_equal(gr_instance_unload(f->d, peer, SECOND), -EBUSY);
}

static void test_rescue_answers_idempotent_calls(void **state)
{
    struct fixture *f = guarded(state);
    route(f, "probe", load_module(f, "probe-2.0.0"), load_module(f, "probe-1.0.0"));
    struct grayling_request q = request_to(PROBE, "Try", "null", 4);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_OK);
    assert_true(r.rescued);
    assert_string_equal(r.version, "1.0.0");
    assert_string_equal(r.message, "");
    assert_memory_equal(r.payload.data, "1.0.0", 5);
    gr_response_done(f->d, &r);
    q = request_to(PROBE, "Crash", "null", 4); // declared as not idempotent
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_INTERNAL);
    assert_false(r.rescued);
    assert_string_equal(r.version, "2.0.0");
    gr_response_done(f->d, &r);
}

// --- fatal -------------------------------------------------------------------------------------

static void test_faults_elsewhere_end_the_process_with_evidence(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        int signal;
    } kinds[] = {{"libc", SIGSEGV}, {"abort", SIGABRT}};
    for (size_t i = 0; i < GR_COUNT(kinds); i++) {
        int status;
        struct gr_evidence ev;
        struct gr_in_call in;
        run_child(kinds[i].how, &status, &ev, &in);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), kinds[i].signal);
        assert_int_equal(ev.signal, kinds[i].signal);
        assert_int_equal(ev.slot, 1); // by a frame of the module below libc's
        assert_string_equal(ev.method, PROBE "/Crash");
        assert_string_equal(ev.request_id, "request-1");
        assert_true(in.faulted);
        assert_int_equal(in.slot, 1);
        bool module_frame = false;
        for (uint32_t n = 0; n < ev.n_frames; n++)
            module_frame |= ev.frame_slot[n] == 1;
        assert_true(module_frame);
    }
}

static void test_the_hosts_own_fault_blames_nobody(void **state)
{
    (void)state;
    int status;
    struct gr_evidence ev;
    struct gr_in_call in;
    run_child("host", &status, &ev, &in);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_int_equal(ev.slot, -1);
    assert_string_equal(ev.method, "");
    assert_int_equal(ev.address, 8);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return die_inside(argv[1], 3);
    self_path = argv[0];
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_faults_in_module_text_end_the_call),
        WITH_FIXTURE(test_fault_of_a_callee_is_the_callees),
        WITH_FIXTURE(test_rescue_answers_idempotent_calls),
        cmocka_unit_test(test_faults_elsewhere_end_the_process_with_evidence),
        cmocka_unit_test(test_the_hosts_own_fault_blames_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
