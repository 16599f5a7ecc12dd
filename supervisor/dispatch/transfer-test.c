// State under the freeze, seen from outside: it arrives, it stays where it was when a hook fails,
// crashes or does not return, and a batch hands over all or nothing.
#include "dispatch/testmodules/keep.h"
#include <errno.h>

// In the test itself: cmocka has put handlers of its own in place before it.
static struct fixture *guarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    return f;
}

struct two { // versions of one module, each with orders of its own
    struct keeper_orders orders[2];
    struct gr_instance *version[2];
};

// The first one in force, with a count of 3.
static void load_two(struct fixture *f, struct two *t)
{
    t->version[0] = load_keeper(f, "keeper-1.0.0", &t->orders[0]);
    t->version[1] = load_keeper(f, "keeper-2.0.0", &t->orders[1]);
    must_exchange(f, "keeper", t->version[0]);
    add(f, KEEPER, 3);
}

static void must_unload(struct fixture *f, struct gr_instance *i)
{
    assert_int_equal(gr_instance_unload(f->d, i, 60 * SECOND), 0);
}

// --- there and back ----------------------------------------------------------------------------

static void test_there_and_back(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct gr_swap_result result;
    load_two(f, &t);
    assert_int_equal(t.orders[0].exports, 0); // nobody was there before it
    assert_int_equal(exchange(f, "keeper", t.version[1], &result), 0);
    assert_int_equal(result.handed, 1);
    assert_int_equal(result.state_bytes, sizeof(uint64_t));
    assert_true(result.handover_usec <= result.freeze_usec);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    add(f, KEEPER, 2);
    must_exchange(f, "keeper", t.version[0]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 5); // and not 3 + 5: import replaces
    assert_int_equal(exchange(f, "keeper", t.version[0], &result), 0);
    assert_int_equal(result.handed, 0); // to itself there is nothing to hand over
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t.orders[i].exports, 1);
        assert_int_equal(t.orders[i].releases, 1);
    }
    struct gr_worker_gauges g;
    gr_stats_gauges(f->stats, &g);
    assert_int_equal(g.handovers_ok, 2);
    assert_int_equal(g.handovers_failed, 0);
    must_unload(f, t.version[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 5);
}

// --- a hook that fails -------------------------------------------------------------------------

static void fail_once(struct fixture *f, struct two *t, bool import, enum keeper_act act,
                      const char *words)
{
    struct gr_swap_result result;
    unsigned exports = t->orders[0].exports;
    atomic_store(import ? &t->orders[1].on_import : &t->orders[0].on_export, act);
    assert_true(exchange(f, "keeper", t->version[1], &result) < 0);
    assert_sentence(f, words);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    assert_int_equal(t->orders[0].exports, exports + 1);
}

static void test_a_hook_that_refuses(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    load_two(f, &t);
    fail_once(f, &t, false, KEEPER_FAIL,
              "asked to hand the state of module keeper from version 1.0.0 to 2.0.0, but "
              "export_state() of the old version returned code 14 where 0 is expected");
    assert_int_equal(t.orders[0].releases, 0); // nothing was given
    fail_once(f, &t, false, KEEPER_SCHEMA, "says schema 77 where its contract says 1");
    fail_once(f, &t, true, KEEPER_FAIL, "import_state() of the new version returned code 14");
    assert_int_equal(t.orders[0].releases, 2);
    assert_int_equal(t.orders[1].imports, 1);
    must_exchange(f, "keeper", t.version[1]); // the same instance, once more
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    struct gr_worker_gauges g;
    gr_stats_gauges(f->stats, &g);
    assert_int_equal(g.handovers_failed, 3);
    assert_int_equal(gr_dispatch_pinned(f->d), 0);
}

static void test_an_export_that_crashes(void **state)
{
    struct fixture *f = guarded(state);
    struct two t = {0};
    load_two(f, &t);
    fail_once(f, &t, false, KEEPER_CRASH,
              "export_state() of the old version crashed with signal 11 at 1.so+0x");
    assert_non_null(strstr(f->last_log, "export_state() crashed with signal 11"));
    must_exchange(f, "keeper", t.version[1]); // it may be sound the next time
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    assert_int_equal(gr_instance_unload(f->d, t.version[0], SECOND), -EBUSY);
}

static void test_an_import_that_crashes(void **state)
{
    struct fixture *f = guarded(state);
    struct two t = {0};
    struct gr_swap_result result;
    load_two(f, &t);
    fail_once(f, &t, true, KEEPER_CRASH,
              "import_state() of the new version crashed with signal 11 at 2.so+0x");
    assert_int_equal(t.orders[0].releases, 1);
    assert_int_equal(exchange(f, "keeper", t.version[1], &result), -EINVAL);
    assert_sentence(f, "load it anew");
    assert_int_equal(gr_instance_unload(f->d, t.version[1], SECOND), -EBUSY);
    t.version[1] = load_keeper(f, "keeper-2.0.0", &t.orders[1]);
    must_exchange(f, "keeper", t.version[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
}

static void test_a_release_that_crashes(void **state)
{
    struct fixture *f = guarded(state);
    struct two t = {0};
    struct gr_swap_result result;
    load_two(f, &t);
    t.orders[0].shares = 1; // so that the crash loses no memory
    atomic_store(&t.orders[0].on_release, KEEPER_CRASH);
    assert_int_equal(exchange(f, "keeper", t.version[1], &result), -EFAULT);
    assert_sentence(f, "release() of the old version crashed");
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
}

// --- a hook that does not return ---------------------------------------------------------------

static void overrun_and_go_on(struct fixture *f, struct two *t, const struct stuck *s,
                              const char *words)
{
    struct gr_swap_result result;
    overrun(f, t->version[1], s);
    assert_sentence(f, words);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4); // the old one goes on meanwhile
    assert_true(gr_dispatch_is_astray(f->d));
    assert_int_equal(exchange(f, "keeper", t->version[1], &result), -EBUSY);
    assert_sentence(f, "a hook of an earlier try has not returned yet");
}

static void test_an_export_that_overruns(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct stuck s;
    load_two(f, &t);
    make_stuck(&s, &t.orders[0]);
    atomic_store(&t.orders[0].on_export, KEEPER_HANG);
    overrun_and_go_on(
        f, &t, &s,
        "export_state() of the old version was still running at the end of the freeze budget");
    let_go(&s);
    must_unload(f, t.version[1]); // waits for the thread
    assert_int_equal(t.orders[1].imports, 0);
    assert_int_equal(t.orders[0].releases, 1); // of what nobody wanted any more
    t.version[1] = load_keeper(f, "keeper-2.0.0", &t.orders[1]);
    must_exchange(f, "keeper", t.version[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 4);
    close_stuck(&s);
}

static void test_an_import_that_overruns(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct stuck s;
    load_two(f, &t);
    make_stuck(&s, &t.orders[1]);
    atomic_store(&t.orders[1].on_import, KEEPER_HANG);
    overrun_and_go_on(f, &t, &s, "import_state() of the new version was still running");
    unsigned before = t.orders[0].releases; // it still reads
    assert_int_equal(before, t.orders[0].exports - 1);
    let_go(&s);
    must_unload(f, t.version[1]);
    assert_int_equal(t.orders[0].releases, before + 1);
    assert_int_equal(gr_dispatch_pinned(f->d), 0);
    close_stuck(&s);
}

static void test_a_hook_that_outlives_all(void **state)
{
    struct fixture *f = *state;
    static struct two t; // the hook uses both to its end
    static struct stuck s;
    load_two(f, &t);
    make_stuck(&s, &t.orders[1]);
    atomic_store(&t.orders[1].on_import, KEEPER_HANG);
    overrun_and_go_on(f, &t, &s, "import_state() of the new version was still running");
    assert_int_equal(gr_instance_unload(f->d, t.version[1], 0), -EBUSY);
    assert_int_equal(gr_dispatch_pinned(f->d), 1);
    // the hook comes back to a host that was given up: fixture_teardown() must leave it something
    gr_thread_detach(f->t);
    gr_dispatch_free(f->d);
    t.orders[0].entered = s.entered[1];
    t.orders[0].go = s.go[0];
    atomic_store(&t.orders[0].on_release, KEEPER_HANG);
    let_go(&s);
    await_stuck(&s); // in release() now
    let_go(&s);
    assert_int_equal(gr_dispatch_new(&(struct gr_dispatch_options){.max_threads = 1}, &f->d, &f->e),
                     0);
    assert_int_equal(gr_thread_attach(f->d, &f->t), 0);
}

// --- a batch -----------------------------------------------------------------------------------

static void test_a_batch_hands_over_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct keeper_orders sound = {0}, fails = {0};
    struct gr_instance *keeper[] = {load_keeper(f, "keeper-1.0.0", &sound),
                                    load_keeper(f, "keeper-2.0.0", &sound)};
    struct gr_instance *hoard[] = {load_keeper(f, "hoard-1.0.0", &sound),
                                   load_keeper(f, "hoard-2.0.0", &fails)};
    must_exchange(f, "keeper", keeper[0]);
    must_exchange(f, "hoard", hoard[0]);
    add(f, KEEPER, 3);
    add(f, HOARD, 5);
    const struct gr_change both[] = {{.module = "keeper", .stable = keeper[1]},
                                     {.module = "hoard", .stable = hoard[1]}};
    struct gr_swap_result result;
    atomic_store(&fails.on_import, KEEPER_FAIL);
    assert_true(gr_dispatch_swap(f->d, both, 2, 60 * SECOND, &result, &f->e) < 0);
    assert_sentence(f, "asked to hand the state of module hoard from version 1.0.0 to 2.0.0");
    add(f, KEEPER, 1);
    assert_int_equal(number_of(f, KEEPER, "Get"), 4);
    assert_int_equal(number_of(f, HOARD, "Get"), 5);
    // keeper 2.0.0 has taken the state for nothing: without an import it must not come into force
    struct gr_change alone = {.module = "keeper", .stable = NULL};
    assert_int_equal(gr_dispatch_swap(f->d, &alone, 1, 60 * SECOND, &result, &f->e), 0);
    assert_int_equal(exchange(f, "keeper", keeper[1], &result), -EINVAL);
    assert_sentence(f, "an earlier import_state() of it came to nothing");
    must_exchange(f, "keeper", keeper[0]);
    assert_int_equal(gr_dispatch_swap(f->d, both, 2, 60 * SECOND, &result, &f->e), 0);
    assert_int_equal(result.handed, 2);
    assert_int_equal(number_of(f, KEEPER, "Get"), 4);
    assert_int_equal(number_of(f, HOARD, "Get"), 5);
}

// --- what cannot be handed over ----------------------------------------------------------------

static void test_a_one_way_door(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct gr_swap_result result;
    load_two(f, &t);
    struct gr_instance *other = load_keeper(f, "keeper-3.0.0", &t.orders[1]);
    assert_true(exchange(f, "keeper", other, &result) < 0);
    assert_sentence(f, "schema");
    struct gr_change agreed = {.module = "keeper", .stable = other, .one_way = true};
    assert_int_equal(gr_dispatch_swap(f->d, &agreed, 1, 60 * SECOND, &result, &f->e), 0);
    assert_int_equal(result.handed, 0);
    assert_int_equal(t.orders[0].exports, 0);
    assert_int_equal(number_of(f, KEEPER, "Get"), 0);
}

static void test_no_way_around_the_freeze(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct gr_swap_result result;
    load_two(f, &t);
    struct gr_change change = {.module = "keeper", .stable = t.version[1]};
    assert_int_equal(gr_dispatch_route(f->d, &change, 1, &result, &f->e), -EINVAL);
    assert_non_null(strstr(f->e.message, "ask for a swap"));
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
}

static void test_hooks_are_required(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *i;
    assert_true(load_configured(f, "keeper-4.0.0", "{}", &i) < 0);
    assert_int_equal(f->e.reason, GR_REASON_NOT_A_MODULE);
    assert_non_null(strstr(f->e.message, "lacks export_state() or import_state()"));
}

// --- who answers -------------------------------------------------------------------------------

static void test_no_rescue_from_stale_state(void **state)
{
    struct fixture *f = guarded(state);
    struct two t = {0};
    char answer[64];
    load_two(f, &t);
    struct gr_change change = {.module = "keeper", .stable = t.version[1], .rescue = t.version[0]};
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, 60 * SECOND, &result, &f->e), 0);
    add(f, KEEPER, 1);
    assert_int_equal(call_text(f, KEEPER, "Try", "", answer), GRAYLING_INTERNAL);
    assert_int_equal(f->faults, 1);
    assert_int_equal(number_of(f, KEEPER, "Get"), 4);
}

static void test_no_rescue_of_a_batch_with_state(void **state)
{
    struct fixture *f = guarded(state);
    struct two t = {0};
    char answer[64];
    load_two(f, &t);
    struct gr_instance *peer[] = {load_module(f, "peer-1.0.0"), load_module(f, "peer-2.0.0")};
    must_exchange(f, "peer", peer[0]);
    const struct gr_change both[] = {
        {.module = "keeper", .stable = t.version[1], .rescue = t.version[0], .batch = 9},
        {.module = "peer", .stable = peer[1], .rescue = peer[0], .batch = 9}};
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_swap(f->d, both, 2, 60 * SECOND, &result, &f->e), 0);
    assert_int_equal(call_text(f, PEER, "Version", "crash", answer), GRAYLING_INTERNAL);
    assert_int_equal(call_text(f, PEER, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "2.0.0");
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
}

static void test_a_candidate_that_imported_for_nothing_answers_nobody(void **state)
{
    struct fixture *f = *state;
    struct two t = {0};
    struct gr_swap_result result;
    struct gr_gray *gray = NULL;
    load_two(f, &t);
    struct gr_gray_spec all = {.rollout = 7, .weight_permyriad = GR_GRAY_BUCKETS};
    assert_int_equal(gr_gray_new(&all, NULL, &gray, &f->e), 0);
    struct gr_change trial = {
        .module = "keeper", .stable = t.version[0], .candidate = t.version[1], .gray = gray};
    assert_int_equal(gr_dispatch_route(f->d, &trial, 1, &result, &f->e), 0);
    gr_gray_unref(gray);
    assert_int_equal(number_of(f, KEEPER, "Get"), 0); // the candidate's own
    atomic_store(&t.orders[1].on_import, KEEPER_FAIL);
    assert_true(exchange(f, "keeper", t.version[1], &result) < 0);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    struct grayling_request q = request_to(KEEPER, "Get", "", 0);
    struct gr_response r;
    assert_false(gr_dispatch_shadow(f->t, &q, 7, GR_SHADOW_CANDIDATE, &r));
    must_exchange(f, "keeper", t.version[1]);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_there_and_back),
        WITH_FIXTURE(test_a_hook_that_refuses),
        WITH_FIXTURE(test_an_export_that_crashes),
        WITH_FIXTURE(test_an_import_that_crashes),
        WITH_FIXTURE(test_a_release_that_crashes),
        WITH_FIXTURE(test_an_export_that_overruns),
        WITH_FIXTURE(test_an_import_that_overruns),
        WITH_FIXTURE(test_a_hook_that_outlives_all),
        WITH_FIXTURE(test_a_batch_hands_over_all_or_nothing),
        WITH_FIXTURE(test_a_one_way_door),
        WITH_FIXTURE(test_no_way_around_the_freeze),
        WITH_FIXTURE(test_hooks_are_required),
        WITH_FIXTURE(test_no_rescue_from_stale_state),
        WITH_FIXTURE(test_no_rescue_of_a_batch_with_state),
        WITH_FIXTURE(test_a_candidate_that_imported_for_nothing_answers_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
