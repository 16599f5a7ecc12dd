// The breaker as calls meet it: when it opens, who answers then, what a probe does, and how it
// reaches the next worker.
#include "dispatch/testmodules/fixture.h"

#define BACKOFF_USEC (3600 * SECOND) // nothing is half-open by the passing of time here

struct told {
    unsigned n, slot, recent;
    enum gr_breaker_state state;
};

static struct told told;

static void on_breaker(void *userdata, unsigned slot, enum gr_breaker_state state, unsigned recent,
                       uint64_t left_usec)
{
    (void)userdata, (void)left_usec;
    told = (struct told){told.n + 1, slot, recent, state};
}

static struct fixture *fixture_with(void **state, uint64_t backoff_usec)
{
    struct fixture *f = *state;
    told = (struct told){0};
    gr_thread_detach(f->t);
    gr_dispatch_free(f->d);
    struct gr_dispatch_options o = {
        .stats = f->stats,
        .max_threads = 8,
        .on_log = fixture_on_log,
        .on_fault = fixture_on_fault,
        .on_breaker = on_breaker,
        .breaker = {.faults = 3, .window_usec = 3600 * SECOND, .backoff_usec = backoff_usec},
        .userdata = f};
    assert_int_equal(gr_dispatch_new(&o, &f->d, &f->e), 0);
    assert_int_equal(gr_guard_install(f->d), 0);
    assert_int_equal(gr_thread_attach(f->d, &f->t), 0);
    return f;
}

static void ask(struct fixture *f, const char *interface_name, const char *method,
                const char *payload, struct gr_response *r)
{
    struct grayling_request q = request_to(interface_name, method, payload, strlen(payload));
    assert_int_equal(gr_dispatch_call(f->t, &q, r), GR_CALL_DONE);
}

static void break_it(struct fixture *f, const char *interface_name)
{
    char answer[64];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(call_text(f, interface_name, "Crash", "null", answer), GRAYLING_INTERNAL);
}

static struct gr_breaker breaker(struct fixture *f, unsigned slot)
{
    struct gr_breaker b;
    gr_stats_breaker(f->stats, slot, &b);
    return b;
}

static void test_open_answers_unavailable(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    struct gr_response r;
    struct gr_counters c;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    break_it(f, PROBE);
    assert_true(told.n == 1 && told.slot == 1 && told.recent == 3);
    assert_int_equal(told.state, GR_BREAKER_OPEN);
    ask(f, PROBE, "Version", "", &r);
    assert_int_equal(r.code, GRAYLING_UNAVAILABLE);
    assert_string_equal(r.module, "probe");
    assert_string_equal(r.version, "1.0.0");
    assert_non_null(strstr(r.message, "breaker"));
    gr_response_done(f->d, &r);
    gr_stats_read(f->stats, 1, &c);
    assert_int_equal(c.faults, 3);
    assert_int_equal(c.requests[GRAYLING_UNAVAILABLE], 1);
    assert_int_equal(f->faults, 3);
}

static void test_callers_meet_the_callees_breaker(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    char answer[64];
    struct gr_response r;
    struct gr_counters probe, peer;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    break_it(f, PEER);
    ask(f, PROBE, "Relay", "", &r);
    assert_int_equal(r.code, GRAYLING_UNAVAILABLE);
    assert_string_equal(r.message, PEER "/Version: the module failed too often: its breaker is "
                                        "open, try again later");
    gr_response_done(f->d, &r);
    gr_stats_read(f->stats, 1, &probe);
    gr_stats_read(f->stats, 2, &peer);
    assert_int_equal(peer.requests[GRAYLING_UNAVAILABLE], 1); // counted where it was refused
    assert_int_equal(peer.nested[GRAYLING_UNAVAILABLE], 1);
    assert_int_equal(gr_counters_nested(&probe), 0);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK); // the caller is well
}

static void test_the_version_before_answers(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    struct gr_response r;
    route(f, "probe", load_module(f, "probe-2.0.0"), load_module(f, "probe-1.0.0"));
    break_it(f, PROBE);
    ask(f, PROBE, "Crash", "", &r); // not idempotent, and nothing has run
    assert_int_equal(r.code, GRAYLING_OK);
    assert_true(r.rescued);
    assert_string_equal(r.version, "1.0.0");
    gr_response_done(f->d, &r);
}

// probe and peer came together, peer's breaker is open, and guide asks both: all of the batch
// answers as it was, also what may not be asked twice when nothing of the batch has run; else
// nobody.
static void test_a_batch_is_never_mixed(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    struct gr_response r;
    struct gr_swap_result result;
    const struct gr_change changes[] = {
        {.module = "probe",
         .stable = load_module(f, "probe-2.0.0"),
         .rescue = load_module(f, "probe-1.0.0"),
         .batch = 7},
        {.module = "peer",
         .stable = load_module(f, "peer-2.0.0"),
         .rescue = load_module(f, "peer-1.0.0"),
         .batch = 7},
        {.module = "guide", .stable = load_module(f, "guide-1.0.0")}};
    assert_int_equal(gr_dispatch_swap(f->d, changes, GR_COUNT(changes), 5 * SECOND, &result, &f->e),
                     0);
    break_it(f, PEER);
    static const struct {
        const char *interface_name, *method, *answer; // NULL: unavailable
    } cases[] = {
        {GUIDE, "Walk", "1.0.0+1.0.0"}, // probe 2.0.0 had run: the request begins again
        {GUIDE, "WalkOnce", NULL},      // ... which it may not
        {PEER, "Version", "1.0.0"},     // nothing has run
        {PROBE, "Version", "2.0.0"},    // nothing of it is broken
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        ask(f, cases[i].interface_name, cases[i].method, "", &r);
        if (r.code != (cases[i].answer ? GRAYLING_OK : GRAYLING_UNAVAILABLE))
            fail_msg("%s: code %d, %s", cases[i].method, r.code, r.message);
        if (cases[i].answer) {
            assert_int_equal(r.payload.size, strlen(cases[i].answer));
            assert_memory_equal(r.payload.data, cases[i].answer, r.payload.size);
        }
        gr_response_done(f->d, &r);
    }
    assert_int_equal(f->faults, 3); // none of it ran what is broken
}

static bool has_room(void *userdata, unsigned slot)
{
    unsigned *asked = userdata;
    *asked = slot;
    return true;
}

// Calls for the pool: in the share of the version that answers, and nowhere when none does.
static void test_a_call_for_the_pool_does_not_wait_to_be_refused(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    struct gr_instance *next = load_module(f, "peer-7.0.0"), *before = load_module(f, "peer-1.0.0");
    unsigned asked = 0;
    struct gr_place p = {.reserve = has_room, .userdata = &asked};
    struct grayling_request q = request_to(PEER, "Version", "", 0);
    struct gr_response r;
    struct gr_counters c;
    route(f, "peer", next, before);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PLACED);
    assert_int_equal(asked, gr_instance_slot(next));
    break_it(f, PEER);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PLACED);
    assert_int_equal(asked, gr_instance_slot(before));
    assert_int_equal(gr_dispatch_call_placed(f->t, &q, &p, &r), GR_CALL_DONE);
    assert_true(r.code == GRAYLING_OK && r.rescued);
    gr_response_done(f->d, &r);
    route(f, "peer", next, NULL); // nobody is left
    asked = 0;
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_DONE);
    assert_true(r.code == GRAYLING_UNAVAILABLE && strstr(r.message, "breaker is open"));
    assert_string_equal(r.version, "7.0.0");
    gr_response_done(f->d, &r);
    gr_stats_read(f->stats, gr_instance_slot(next), &c);
    assert_true(asked == 0 && c.requests[GRAYLING_UNAVAILABLE] == 2); // its own, and the rescued
}

static void test_a_probe_of_the_pool_has_room(void **state)
{
    struct fixture *f = fixture_with(state, 0);
    unsigned asked = 0;
    struct gr_place p = {.reserve = has_room, .userdata = &asked};
    struct grayling_request q = request_to(PEER, "Version", "", 0);
    struct gr_response r;
    route(f, "peer", load_module(f, "peer-7.0.0"), NULL);
    break_it(f, PEER); // half-open at once
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PLACED);
    assert_int_equal(told.n, 1);
    assert_int_equal(gr_dispatch_call_placed(f->t, &q, &p, &r), GR_CALL_DONE);
    assert_true(r.code == GRAYLING_OK && told.n == 2 && told.state == GR_BREAKER_CLOSED);
    gr_response_done(f->d, &r);
}

static void test_a_probe_closes_it(void **state)
{
    struct fixture *f = fixture_with(state, 0);
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    break_it(f, PROBE); // half-open at once
    assert_int_equal(call_text(f, PROBE, "Crash", "null", answer), GRAYLING_INTERNAL);
    assert_int_equal(told.n, 2); // opened again by the probe
    assert_int_equal(breaker(f, 1).times_opened, 2);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_true(told.n == 3 && told.state == GR_BREAKER_CLOSED);
    break_it(f, PROBE); // it takes three again
    assert_int_equal(told.n, 4);
}

static void test_one_probe_at_a_time(void **state)
{
    struct fixture *f = fixture_with(state, 0);
    char answer[64];
    struct holder h;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    break_it(f, PROBE);
    start_holder(&h, f, PROBE); // it is the probe, and stays inside
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_UNAVAILABLE);
    release_holder(&h);
    assert_int_equal(h.response.code, GRAYLING_UNAVAILABLE); // its own call below met it too
    gr_response_done(f->d, &h.response);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
}

static void test_the_next_worker_takes_it_up(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(call_text(f, PROBE, "Crash", "null", answer), GRAYLING_INTERNAL);
    assert_int_equal(call_text(f, PROBE, "Crash", "null", answer), GRAYLING_INTERNAL);
    struct gr_breaker b = gr_breaker_handed_over(&(struct gr_breaker){0});
    gr_stats_breaker(f->stats, 1, &b);
    gr_stats_bind(f->stats, 2, "probe", "1.0.0");
    gr_stats_set_breaker(f->stats, 2, &b);
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(told.n, 0);
    assert_int_equal(call_text(f, PROBE, "Crash", "null", answer), GRAYLING_INTERNAL);
    assert_true(told.n == 1 && told.slot == 2); // the third, wherever the others were
    gr_stats_bind(f->stats, 2, "probe", "1.0.1");
    assert_int_equal(breaker(f, 2).n_faults, 0); // another version begins anew
}

static void count_broken(void *userdata, const char *module, const char *version,
                         enum gr_breaker_state state, uint64_t left_usec)
{
    assert_string_equal(module, "probe");
    assert_string_equal(version, "1.0.0");
    assert_int_equal(state, GR_BREAKER_OPEN);
    assert_true(left_usec > 0 && left_usec <= BACKOFF_USEC);
    ++*(unsigned *)userdata;
}

static void test_health_names_it(void **state)
{
    struct fixture *f = fixture_with(state, BACKOFF_USEC);
    unsigned n = 0;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    gr_dispatch_each_broken(f->d, count_broken, &n);
    assert_int_equal(n, 0);
    break_it(f, PROBE);
    gr_dispatch_each_broken(f->d, count_broken, &n);
    assert_int_equal(n, 1);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_open_answers_unavailable),
        WITH_FIXTURE(test_callers_meet_the_callees_breaker),
        WITH_FIXTURE(test_the_version_before_answers),
        WITH_FIXTURE(test_a_batch_is_never_mixed),
        WITH_FIXTURE(test_a_call_for_the_pool_does_not_wait_to_be_refused),
        WITH_FIXTURE(test_a_probe_of_the_pool_has_room),
        WITH_FIXTURE(test_a_probe_closes_it),
        WITH_FIXTURE(test_one_probe_at_a_time),
        WITH_FIXTURE(test_the_next_worker_takes_it_up),
        WITH_FIXTURE(test_health_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
