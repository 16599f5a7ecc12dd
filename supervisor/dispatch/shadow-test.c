// Shadows, seen from outside through dispatch.h: which requests are chosen, what a shadow runs, and
// what it leaves no trace of.
#include "dispatch/testmodules/fixture.h"

#define ROLLOUT 8812

static void try_out(struct fixture *f, const struct gr_change *changes, size_t n)
{
    struct gr_swap_result result;
    if (gr_dispatch_route(f->d, changes, n, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
}

static struct gr_gray *gray(unsigned weight, unsigned shadow)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    struct gr_gray_spec spec = {
        .rollout = ROLLOUT, .weight_permyriad = weight, .shadow_permyriad = shadow};
    if (gr_gray_new(&spec, NULL, &g, &e) < 0)
        fail_msg("%s", e.message);
    return g;
}

struct pair { // both halves of a batch in both versions
    struct gr_instance *probe[2], *peer[2];
};

// In the test itself: cmocka has put handlers of its own in place before it.
static struct pair try_out_batch(struct fixture *f, unsigned weight, unsigned shadow)
{
    assert_int_equal(gr_guard_install(f->d), 0);
    struct pair p = {{load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0")},
                     {load_module(f, "peer-1.0.0"), load_module(f, "peer-2.0.0")}};
    struct gr_gray *g = gray(weight, shadow);
    const struct gr_change changes[] = {
        {.module = "probe", .stable = p.probe[0], .candidate = p.probe[1], .gray = g},
        {.module = "peer", .stable = p.peer[0], .candidate = p.peer[1], .gray = g}};
    try_out(f, changes, 2);
    gr_gray_unref(g);
    return p;
}

static struct gr_counters counters(const struct fixture *f, const struct gr_instance *i)
{
    struct gr_counters c;
    gr_stats_read(f->stats, gr_instance_slot(i), &c);
    return c;
}

static struct grayling_request request(const char *method, const char *payload)
{
    return request_to(PROBE, method, payload, strlen(payload));
}

static struct gr_shadow_turn ask(struct fixture *f, const char *method, const char *payload)
{
    struct grayling_request q = request(method, payload);
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    gr_response_done(f->d, &r);
    return r.shadow;
}

// A shadow that runs; its answer as text.
static int32_t shadow(struct fixture *f, const char *method, const char *payload,
                      enum gr_shadow_role role, char text[64])
{
    struct grayling_request q = request(method, payload);
    struct gr_response r;
    assert_true(gr_dispatch_shadow(f->t, &q, ROLLOUT, role, &r));
    snprintf(text, 64, "%.*s", (int)r.payload.size, (const char *)r.payload.data);
    assert_false(r.rescued || r.shadow.chosen);
    int32_t code = r.code;
    gr_response_done(f->d, &r);
    return code;
}

// --- who is chosen -----------------------------------------------------------------------------

static void test_the_share_is_exact(void **state)
{
    struct fixture *f = *state;
    static const unsigned shares[] = {0, 1, 333, 2500, 10000};
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0");
    for (size_t s = 0; s < GR_COUNT(shares); s++) {
        unsigned chosen = 0, noise = 0;
        struct gr_gray *g = gray(0, shares[s]);
        struct gr_change c = {.module = "probe", .stable = one, .candidate = two, .gray = g};
        try_out(f, &c, 1);
        gr_gray_unref(g);
        for (int i = 0; i < 10000; i++) {
            struct gr_shadow_turn t = ask(f, "Version", "");
            assert_true(!t.chosen || t.rollout == ROLLOUT);
            chosen += t.chosen;
            noise += t.chosen && t.noise;
        }
        assert_int_equal(chosen, shares[s]);
        assert_int_equal(noise, (chosen + GR_SHADOW_NOISE_EVERY - 1) / GR_SHADOW_NOISE_EVERY);
    }
}

static void test_only_what_stable_answered_is_chosen(void **state)
{
    struct fixture *f = *state;
    struct pair p = try_out_batch(f, 5000, 10000);
    unsigned chosen = 0;
    for (int i = 0; i < 1000; i++)
        chosen += ask(f, "Version", "").chosen;
    assert_int_equal(chosen, 500); // the other half was the candidate's own
    assert_int_equal(counters(f, p.probe[1]).requests[0], 500);
}

static void test_what_may_not_be_run_twice_is_not_chosen(void **state)
{
    struct fixture *f = *state;
    (void)try_out_batch(f, 0, 10000);
    assert_true(ask(f, "Version", "").chosen);
    assert_true(ask(f, "Fail", "").chosen); // the module's own error
    assert_false(ask(f, "VisitOnce", "a").chosen);
    assert_false(ask(f, "Crash", "null").chosen);
    struct grayling_request q = request("Version", "");
    struct gr_response r;
    q.deadline_usec = 1; // passed before any version ran
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_DEADLINE_EXCEEDED);
    assert_false(r.shadow.chosen);
}

// --- what runs ---------------------------------------------------------------------------------

static void test_a_shadow_is_one_view_and_no_request(void **state)
{
    struct fixture *f = *state;
    char text[64];
    struct pair p = try_out_batch(f, 0, 10000);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(shadow(f, "Visit", "a b", GR_SHADOW_CANDIDATE, text), GRAYLING_OK);
        assert_string_equal(text, "2.0.0+2.0.0+2.0.0");
        assert_int_equal(shadow(f, "Visit", "a b", GR_SHADOW_NOISE, text), GRAYLING_OK);
        assert_string_equal(text, "1.0.0+1.0.0+1.0.0");
    }
    for (int i = 0; i < 2; i++) {
        struct gr_counters c = counters(f, p.probe[i]), peer = counters(f, p.peer[i]);
        assert_int_equal(gr_counters_total(&c) + gr_counters_total(&peer), 0);
        assert_int_equal(c.latency_sum_nsec, 0);
        assert_int_equal(c.in_flight, 0);
    }
}

// A turn of another rollout that a shadow's own call meets is not drawn: real requests get them
// all.
static void test_a_shadow_draws_no_turn(void **state)
{
    struct fixture *f = *state;
    char text[64];
    struct gr_gray *half = NULL, *g = gray(0, 10000);
    struct gr_gray_spec spec = {.rollout = 1, .weight_permyriad = 5000};
    assert_int_equal(gr_gray_new(&spec, NULL, &half, &f->e), 0);
    const struct gr_change changes[] = {{.module = "probe",
                                         .stable = load_module(f, "probe-1.0.0"),
                                         .candidate = load_module(f, "probe-2.0.0"),
                                         .gray = g},
                                        {.module = "peer",
                                         .stable = load_module(f, "peer-1.0.0"),
                                         .candidate = load_module(f, "peer-2.0.0"),
                                         .gray = half}};
    try_out(f, changes, 2);
    gr_gray_unref(g);
    gr_gray_unref(half);
    unsigned candidate = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(shadow(f, "Visit", "a", GR_SHADOW_CANDIDATE, text), GRAYLING_OK);
        assert_string_equal(text, "2.0.0+1.0.0");
        assert_int_equal(call_text(f, PEER, "Version", "", text), GRAYLING_OK);
        candidate += text[0] == '2';
    }
    assert_int_equal(candidate, 50);
}

static void test_side_effects_are_refused(void **state)
{
    struct fixture *f = *state;
    char text[64];
    struct pair p = try_out_batch(f, 0, 10000);
    // Relay with a payload calls the Crash of its peer, which is not declared idempotent
    struct grayling_request q = request("VisitOnce", "a");
    struct gr_response r;
    assert_false(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_CANDIDATE, &r));
    assert_int_equal(shadow(f, "Relay", "x", GR_SHADOW_CANDIDATE, text), GRAYLING_UNAVAILABLE);
    assert_int_equal(shadow(f, "Relay", "x", GR_SHADOW_NOISE, text), GRAYLING_UNAVAILABLE);
    assert_int_equal(f->faults, 0); // a real request does get there
    assert_int_equal(call_text(f, PROBE, "Relay", "x", text), GRAYLING_INTERNAL);
    assert_int_equal(f->faults, 1);
    assert_int_equal(counters(f, p.peer[0]).faults, 1);
}

static void test_a_fault_is_the_candidates_and_nobody_answers_for_it(void **state)
{
    struct fixture *f = *state;
    char text[64];
    struct pair p = try_out_batch(f, 0, 10000);
    assert_int_equal(shadow(f, "Try", "null", GR_SHADOW_CANDIDATE, text), GRAYLING_INTERNAL);
    assert_int_equal(f->faults, 1);
    struct gr_counters c = counters(f, p.probe[1]), stable = counters(f, p.probe[0]);
    assert_true(c.faults == 1 && c.rescued == 0);
    assert_int_equal(gr_counters_total(&c) + gr_counters_total(&stable) + stable.faults, 0);
    // a callee that crashes
    assert_int_equal(shadow(f, "Visit", "a crash", GR_SHADOW_CANDIDATE, text), GRAYLING_INTERNAL);
    assert_int_equal(counters(f, p.peer[1]).faults, 1);
    // the thread is as good as before
    assert_int_equal(shadow(f, "Visit", "a", GR_SHADOW_NOISE, text), GRAYLING_OK);
    assert_int_equal(call_text(f, PROBE, "Version", "", text), GRAYLING_OK);
}

// --- what is counted ---------------------------------------------------------------------------

static void test_counters_are_the_candidates_while_the_rollout_is_on(void **state)
{
    struct fixture *f = *state;
    struct pair p = try_out_batch(f, 0, 10000);
    struct grayling_request q = request("Version", ""), lost = request("Nothing", "");
    const struct gr_shadow_counters add = {1, 2, 3, 4, 5, 6};
    gr_dispatch_shadow_count(f->t, &q, ROLLOUT, &add);
    gr_dispatch_shadow_count(f->t, &q, ROLLOUT, &add);
    gr_dispatch_shadow_count(f->t, &q, ROLLOUT + 1, &add);
    gr_dispatch_shadow_count(f->t, &lost, ROLLOUT, &add);
    struct gr_counters c = counters(f, p.probe[1]);
    assert_memory_equal(&c.shadow, (&(struct gr_shadow_counters){2, 4, 6, 8, 10, 12}), sizeof(add));
    assert_int_equal(counters(f, p.probe[0]).shadow.same, 0);
    assert_int_equal(counters(f, p.peer[1]).shadow.same, 0);
    struct gr_change out[] = {{.module = "probe", .stable = p.probe[0]},
                              {.module = "peer", .stable = p.peer[0]}};
    struct gr_response r;
    try_out(f, out, 2);
    assert_false(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_CANDIDATE, &r));
    assert_false(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_NOISE, &r));
    gr_dispatch_shadow_count(f->t, &q, ROLLOUT, &add);
    assert_int_equal(counters(f, p.probe[1]).shadow.same, 2);
    assert_int_equal(gr_instance_unload(f->d, p.probe[1], SECOND), 0);
}

// --- beside exchanges --------------------------------------------------------------------------

static void test_a_closed_gate_stops_it(void **state)
{
    struct fixture *f = *state;
    static const char *const probe[] = {"probe"};
    char text[64];
    struct pair p = try_out_batch(f, 0, 10000);
    struct grayling_request q = request("Version", "");
    struct gr_response r;
    const struct gr_shadow_counters dropped = {.dropped = 1};
    assert_int_equal(gr_dispatch_freeze(f->d, probe, 1, SECOND, &f->e), 0);
    assert_false(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_CANDIDATE, &r));
    gr_dispatch_shadow_count(f->t, &q, ROLLOUT, &dropped); // which calls nobody
    gr_dispatch_thaw(f->d, probe, 1);
    assert_int_equal(counters(f, p.probe[1]).shadow.dropped, 1);
    assert_int_equal(shadow(f, "Version", "", GR_SHADOW_CANDIDATE, text), GRAYLING_OK);
}

// Its answer points into the version, which stays until it is given back.
static void test_an_answer_pins_its_version(void **state)
{
    struct fixture *f = *state;
    struct pair p = try_out_batch(f, 0, 10000);
    struct grayling_request q = request("Take", "");
    struct gr_response r;
    assert_true(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_CANDIDATE, &r));
    struct gr_change out[] = {{.module = "probe", .stable = p.probe[0]},
                              {.module = "peer", .stable = p.peer[0]}};
    try_out(f, out, 2);
    struct gr_module_counter given[1];
    assert_int_equal(gr_stats_counters(f->stats, gr_instance_slot(p.probe[1]), given, 1), 0);
    gr_response_done(f->d, &r);
    assert_int_equal(gr_stats_counters(f->stats, gr_instance_slot(p.probe[1]), given, 1), 1);
    assert_int_equal(gr_instance_unload(f->d, p.probe[1], SECOND), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_share_is_exact),
        TEST(test_only_what_stable_answered_is_chosen),
        TEST(test_what_may_not_be_run_twice_is_not_chosen),
        TEST(test_a_shadow_is_one_view_and_no_request),
        TEST(test_a_shadow_draws_no_turn),
        TEST(test_side_effects_are_refused),
        TEST(test_a_fault_is_the_candidates_and_nobody_answers_for_it),
        TEST(test_counters_are_the_candidates_while_the_rollout_is_on),
        TEST(test_a_closed_gate_stops_it),
        TEST(test_an_answer_pins_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
