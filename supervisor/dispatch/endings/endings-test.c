// What becomes of a module that aborts, asserts or exits, and of one that does so where nothing can
// be jumped out of.
#include "dispatch/endings/endings.h"
#include "dispatch/testmodules/dying.h"

static const struct {
    const char *how, *detail;
    enum gr_fault_kind kind;
} endings[] = {
    {"abort", "abort()", GR_FAULT_ABORT},
    {"assert", "assertion 'crash_zero == 1' failed", GR_FAULT_ASSERT},
    {"exit", "exit(3)", GR_FAULT_EXIT},
    {"_exit", "_exit(3)", GR_FAULT_EXIT},
    {"_Exit", "_Exit(3)", GR_FAULT_EXIT},
    {"quick_exit", "quick_exit(3)", GR_FAULT_EXIT},
    {"pthread_exit", "pthread_exit()", GR_FAULT_EXIT},
};

static void check_ending(struct fixture *f, size_t i, const char *object)
{
    assert_int_equal(f->last_kind, endings[i].kind);
    assert_int_equal(f->last_signal, 0);
    if (!strstr(f->last_detail, endings[i].detail))
        fail_msg("\"%s\" is told as \"%s\"", endings[i].how, f->last_detail);
    assert_memory_equal(f->last_frame, object, strlen(object));
}

static void test_endings_end_the_call(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    struct gr_counters c;
    assert_int_equal(gr_guard_install(f->d), 0);
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    for (size_t n = 0; n < 2 * GR_COUNT(endings); n++) {
        size_t i = n % GR_COUNT(endings);
        assert_int_equal(call_text(f, PROBE, "Crash", endings[i].how, answer), GRAYLING_INTERNAL);
        assert_int_equal(f->faults, n + 1);
        check_ending(f, i, "1.so+0x");
        assert_int_equal(call_text(f, PROBE, "Crash", "", answer), GRAYLING_OK);
    }
    gr_stats_read(f->stats, 1, &c);
    assert_int_equal(c.faults, 2 * GR_COUNT(endings));
    assert_int_equal(c.faults_by[GR_FAULT_SIGNAL], 0);
    assert_int_equal(c.faults_by[GR_FAULT_ABORT], 2);
    assert_int_equal(c.faults_by[GR_FAULT_ASSERT], 2);
    assert_int_equal(c.faults_by[GR_FAULT_EXIT], 10);
}

static const char *const faults[] = {"null",  "jump", "divide",    "illegal",
                                     "stack", "bus",  "lost-stack"};

static void check_rescued(struct fixture *f, const char *how)
{
    struct gr_response r;
    struct grayling_request q = request_to(PROBE, "Try", how, strlen(how));
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    if (r.code != GRAYLING_OK || !r.rescued || strcmp(r.version, "1.0.0") != 0)
        fail_msg("%s: code %d by %s", how, r.code, r.version);
    gr_response_done(f->d, &r);
    q = request_to(PROBE, "Crash", how, strlen(how)); // declared as not idempotent
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    if (r.code != GRAYLING_INTERNAL || r.rescued || strcmp(r.version, "2.0.0") != 0)
        fail_msg("%s, once: code %d by %s", how, r.code, r.version);
    gr_response_done(f->d, &r);
}

// However a call ends: by another version where that may be, else with internal.
static void test_each_is_answered_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    route(f, "probe", load_module(f, "probe-2.0.0"), load_module(f, "probe-1.0.0"));
    for (size_t i = 0; i < GR_COUNT(faults); i++)
        check_rescued(f, faults[i]);
    for (size_t i = 0; i < GR_COUNT(endings); i++)
        check_rescued(f, endings[i].how);
    assert_int_equal(f->faults, 2 * (GR_COUNT(faults) + GR_COUNT(endings)));
}

// Every way there is, one call below: the callee's, and the caller goes on.
static void test_endings_of_a_callee(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    assert_int_equal(gr_guard_install(f->d), 0);
    struct gr_instance *probe = load_module(f, "probe-1.0.0"), *peer = load_module(f, "peer-1.0.0");
    route(f, "probe", probe, NULL);
    route(f, "peer", peer, NULL);
    for (size_t i = 0; i < GR_COUNT(faults); i++) {
        assert_int_equal(call_text(f, PROBE, "Relay", faults[i], answer), GRAYLING_INTERNAL);
        assert_int_equal(f->last_kind, GR_FAULT_SIGNAL);
        assert_memory_equal(f->last_frame, "2.so+0x", 7);
    }
    for (size_t i = 0; i < GR_COUNT(endings); i++) {
        assert_int_equal(call_text(f, PROBE, "Relay", endings[i].how, answer), GRAYLING_INTERNAL);
        check_ending(f, i, "2.so+0x");
    }
    assert_int_equal(f->faults, GR_COUNT(faults) + GR_COUNT(endings));
    assert_int_equal(call_text(f, PROBE, "Relay", "", answer), GRAYLING_OK);
    route(f, "probe", NULL, NULL);
    route(f, "peer", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, probe, SECOND), 0); // the caller is sound
    assert_int_equal(gr_instance_unload(f->d, peer, SECOND), -EBUSY);
}

static void test_endings_in_a_hook(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *i = NULL;
    assert_int_equal(gr_guard_install(f->d), 0);
    assert_int_equal(load_configured(f, "probe-1.0.0", "{\"x\":\"init-abort\"}", &i), -EFAULT);
    assert_non_null(strstr(f->e.message, "init() crashed with abort() at 1.so+0x"));
}

// --- where nothing is jumped out of ------------------------------------------------------------

// By whose fault, as far as the evidence itself says.
enum blamed { BY_THREAD = -1, BY_TEXT = 1 };

static void test_others_end_the_process_with_evidence(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        int signal;
        enum blamed slot;
        bool own_thread;
    } deaths[] = {
        {"libc", SIGSEGV, BY_TEXT, false},
        {"copy", SIGSEGV, BY_TEXT, false},
        {"stream", SIGSEGV, BY_TEXT, false}, // a lock of libc's is held
#ifndef __SANITIZE_ADDRESS__
        {"free", SIGABRT, BY_TEXT, false},
        {"heap", SIGABRT, BY_TEXT, false}, // the allocator's is, and glibc's own abort is not ours
#endif
        {"lost-all", SIGSEGV, BY_THREAD, false}, // the handler faults before it has judged
        {"thread-null", SIGSEGV, BY_TEXT, true},
        {"thread-abort", SIGABRT, BY_TEXT, true},
        {"thread-assert", SIGABRT, BY_TEXT, true},
        {"thread-exit", SIGABRT, BY_TEXT, true},
        {"thread-_exit", SIGABRT, BY_TEXT, true},
    };
    for (size_t i = 0; i < GR_COUNT(deaths); i++) {
        int status;
        struct gr_evidence ev;
        struct gr_in_call in;
        run_child(deaths[i].how, &status, &ev, &in);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != deaths[i].signal)
            fail_msg("%s ended the process with status %#x", deaths[i].how, (unsigned)status);
        assert_int_equal(ev.signal, deaths[i].signal);
        assert_int_equal(ev.slot, deaths[i].slot);
        assert_int_equal(ev.thread == -1, deaths[i].own_thread);
        assert_int_equal(in.faulted, !deaths[i].own_thread);
        assert_int_equal(in.slot, 1); // who was inside what is known in any case
        assert_string_equal(in.request_id, "request-1");
    }
}

// The host hears nothing of it, and there is nothing to hold the process: it ends all the same, and
// who was inside what is known.
static void test_a_handler_of_the_module_that_faults(void **state)
{
    (void)state;
    static const char *const ways[] = {"handler", "handler-again"};
    for (size_t i = 0; i < GR_COUNT(ways); i++) {
        int status;
        struct gr_evidence ev;
        struct gr_in_call in;
        assert_false(run_child_to_its_end(ways[i], &status, &ev, &in));
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
            fail_msg("%s ended the process with status %#x", ways[i], (unsigned)status);
        assert_true(in.slot == 1 && !in.faulted);
        assert_string_equal(in.request_id, "request-1");
    }
}

// A module's thread may end itself; what is said on it afterwards is the call's own answer.
static void test_a_thread_of_the_module_may_end(void **state)
{
    struct fixture *f = *state;
    char answer[64];
    assert_int_equal(gr_guard_install(f->d), 0);
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(call_text(f, PROBE, "Crash", "thread-pthread_exit", answer), GRAYLING_OK);
    assert_string_equal(answer, "alive");
    assert_int_equal(f->faults, 0);
}

int main(int argc, char **argv)
{
    gr_endings_install();
    if (argc > 1)
        return die_inside(argv[1], 3);
    self_path = argv[0];
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_endings_end_the_call),
        WITH_FIXTURE(test_each_is_answered_again),
        WITH_FIXTURE(test_endings_of_a_callee),
        WITH_FIXTURE(test_endings_in_a_hook),
        cmocka_unit_test(test_others_end_the_process_with_evidence),
        cmocka_unit_test(test_a_handler_of_the_module_that_faults),
        WITH_FIXTURE(test_a_thread_of_the_module_may_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
