// Which calls are for another thread, in whose name, and that what was decided about a request
// stays decided while it waits.
#include "dispatch/testmodules/fixture.h"

#define ROLLOUT 991

struct room {
    unsigned asked, slot;
    bool full;
};

static bool reserve(void *userdata, unsigned slot)
{
    struct room *r = userdata;
    r->asked++;
    r->slot = slot;
    return !r->full;
}

static struct grayling_request version_of(const char *interface_name)
{
    return request_to(interface_name, "Version", "", 0);
}

static struct gr_counters counters(const struct fixture *f, const struct gr_instance *i)
{
    struct gr_counters c;
    gr_stats_read(f->stats, gr_instance_slot(i), &c);
    return c;
}

// Runs what has a place, and expects this version to answer.
static void assert_run(struct fixture *f, const char *interface_name, const struct gr_place *p,
                       const char *version, bool candidate)
{
    struct grayling_request q = version_of(interface_name);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call_placed(f->t, &q, p, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_OK);
    assert_string_equal(r.version, version);
    assert_int_equal(r.candidate, candidate);
    gr_response_done(f->d, &r);
}

static void test_who_runs_inline_runs_here(void **state)
{
    struct fixture *f = *state;
    struct room room = {0};
    struct gr_place p = {.reserve = reserve, .userdata = &room};
    struct grayling_request q = version_of(PEER), lost = version_of("com.example.nobody.None");
    struct gr_response r;
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_OK);
    gr_response_done(f->d, &r);
    assert_int_equal(gr_dispatch_place(f->t, &lost, &p, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_UNIMPLEMENTED);
    assert_int_equal(room.asked, 0);
}

static void test_who_blocks_or_calls_who_blocks_is_placed(void **state)
{
    struct fixture *f = *state;
    struct room room = {0};
    struct gr_place p = {.reserve = reserve, .userdata = &room};
    struct gr_instance *peer = load_module(f, "peer-7.0.0"), *probe = load_module(f, "probe-1.0.0");
    struct grayling_request q = version_of(PEER), through = version_of(PROBE);
    struct gr_response r;
    route(f, "peer", peer, NULL);
    route(f, "probe", probe, NULL);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PLACED);
    assert_true(room.slot == gr_instance_slot(peer) && p.slot == room.slot);
    struct gr_counters c = counters(f, peer);
    assert_int_equal(gr_counters_total(&c), 0);
    assert_run(f, PEER, &p, "7.0.0", false);
    assert_int_equal(gr_dispatch_place(f->t, &through, &p, &r), GR_CALL_PLACED);
    assert_true(room.asked == 2 && p.slot == gr_instance_slot(probe));
    assert_run(f, PROBE, &p, "1.0.0", false);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL); // nobody blocks any more
    assert_int_equal(gr_dispatch_place(f->t, &through, &p, &r), GR_CALL_DONE);
    gr_response_done(f->d, &r);
    assert_int_equal(gr_instance_unload(f->d, peer, SECOND), 0); // what has a place holds nothing
}

static void test_no_room_is_an_answer(void **state)
{
    struct fixture *f = *state;
    struct room room = {.full = true};
    struct gr_place p = {.reserve = reserve, .userdata = &room};
    struct gr_instance *peer = load_module(f, "peer-7.0.0");
    struct grayling_request q = version_of(PEER);
    struct gr_response r;
    route(f, "peer", peer, NULL);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_DONE);
    assert_true(r.code == GRAYLING_RESOURCE_EXHAUSTED && r.payload.size == 0 && !r.rescued);
    assert_string_equal(r.module, "peer");
    assert_string_equal(r.version, "7.0.0");
    assert_non_null(strstr(r.message, "no more calls may wait"));
    gr_response_done(f->d, &r);
    struct gr_counters c = counters(f, peer);
    assert_true(c.requests[GRAYLING_RESOURCE_EXHAUSTED] == 1 && gr_counters_total(&c) == 1);
    assert_true(gr_counters_server_errors(&c) == 0 && c.faults == 0);
}

static struct gr_gray *half(void)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    struct gr_gray_spec spec = {.rollout = ROLLOUT, .weight_permyriad = 5000};
    if (gr_gray_new(&spec, NULL, &g, &e) < 0)
        fail_msg("%s", e.message);
    return g;
}

static void try_out(struct fixture *f, struct gr_instance *stable, struct gr_instance *candidate,
                    struct gr_gray *g)
{
    struct gr_swap_result result;
    struct gr_change c = {.module = "peer", .stable = stable, .candidate = candidate, .gray = g};
    if (gr_dispatch_route(f->d, &c, 1, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
}

// The candidate alone blocks: stable's requests are placed as well, so that both are measured
// alike.
static void test_a_request_keeps_its_cohort(void **state)
{
    struct fixture *f = *state;
    struct gr_instance *stable = load_module(f, "peer-1.0.0"), *next = load_module(f, "peer-7.0.0");
    struct gr_gray *g = half();
    struct room room = {0};
    struct gr_place places[10];
    unsigned candidates = 0;
    try_out(f, stable, next, g);
    for (int i = 0; i < 10; i++) {
        struct grayling_request q = version_of(PEER);
        struct gr_response r;
        places[i] = (struct gr_place){.reserve = reserve, .userdata = &room};
        for (int again = 0; again < 2; again++) // as after a closed gate
            assert_int_equal(gr_dispatch_place(f->t, &q, &places[i], &r), GR_CALL_PLACED);
        assert_int_equal(places[i].rollout, ROLLOUT);
        assert_int_equal(places[i].slot, gr_instance_slot(places[i].candidate ? next : stable));
        candidates += places[i].candidate;
    }
    assert_int_equal(candidates, 5);
    for (int i = 9; i >= 0; i--) // in another order, and without a turn of their own
        assert_run(f, PEER, &places[i], places[i].candidate ? "7.0.0" : "1.0.0",
                   places[i].candidate);
    try_out(f, stable, NULL, NULL); // the rollout is over
    for (int i = 0; i < 10; i++)
        assert_run(f, PEER, &places[i], "1.0.0", false);
    gr_gray_unref(g);
}

static void test_a_closed_gate_is_closed_at_both_ends(void **state)
{
    struct fixture *f = *state;
    static const char *const peer[] = {"peer"};
    struct room room = {0};
    struct gr_place p = {.reserve = reserve, .userdata = &room};
    struct grayling_request q = version_of(PEER);
    struct gr_response r;
    route(f, "peer", load_module(f, "peer-7.0.0"), NULL);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PLACED);
    assert_int_equal(gr_dispatch_freeze(f->d, peer, 1, SECOND, &f->e), 0); // it waits for nobody
    assert_int_equal(gr_dispatch_call_placed(f->t, &q, &p, &r), GR_CALL_PARKED);
    assert_int_equal(gr_dispatch_place(f->t, &q, &p, &r), GR_CALL_PARKED);
    assert_int_equal(room.asked, 1);
    gr_dispatch_thaw(f->d, peer, 1);
    assert_run(f, PEER, &p, "7.0.0", false);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_who_runs_inline_runs_here),
        TEST(test_who_blocks_or_calls_who_blocks_is_placed),
        TEST(test_no_room_is_an_answer),
        TEST(test_a_request_keeps_its_cohort),
        TEST(test_a_closed_gate_is_closed_at_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
