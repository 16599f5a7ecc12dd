// A candidate beside the stable version, seen from outside through dispatch.h: who sees it, what
// happens to what it breaks, and exchanges that nobody waits for.
#include "dispatch/testmodules/fixture.h"
#include <errno.h>

#define ROLLOUT 8812
#define SALT 77

// --- set-up ------------------------------------------------------------------------------------

static struct gr_gray *gray_of(int64_t rollout, unsigned weight, const char *sticky,
                               const char *match)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    struct gr_gray_spec spec = {.rollout = rollout,
                                .salt = SALT,
                                .weight_permyriad = weight,
                                .sticky = sticky,
                                .match_json = match};
    if (gr_gray_new(&spec, NULL, &g, &e) < 0)
        fail_msg("%s", e.message);
    return g;
}

static struct gr_gray *gray(unsigned weight)
{
    return gray_of(ROLLOUT, weight, NULL, NULL);
}

static void must_route(struct fixture *f, const struct gr_change *changes, size_t n)
{
    struct gr_swap_result result;
    if (gr_dispatch_route(f->d, changes, n, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
    assert_int_equal(result.freeze_usec, 0);
}

// Puts a candidate of one module beside a stable version (NULL: none). The table keeps the gray.
static void try_out(struct fixture *f, const char *module, struct gr_instance *stable,
                    struct gr_instance *candidate, struct gr_gray *g)
{
    struct gr_change c = {.module = module, .stable = stable, .candidate = candidate, .gray = g};
    must_route(f, &c, 1);
    gr_gray_unref(g);
}

// In the test itself: cmocka has put handlers of its own in place before it.
static struct fixture *guarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    return f;
}

struct pair { // both halves of a batch in both versions
    struct gr_instance *probe[2], *peer[2];
};

static struct pair try_out_batch(struct fixture *f, unsigned weight)
{
    struct pair p = {{load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0")},
                     {load_module(f, "peer-1.0.0"), load_module(f, "peer-2.0.0")}};
    struct gr_gray *g = gray(weight);
    const struct gr_change changes[] = {
        {.module = "probe", .stable = p.probe[0], .candidate = p.probe[1], .gray = g},
        {.module = "peer", .stable = p.peer[0], .candidate = p.peer[1], .gray = g}};
    must_route(f, changes, 2);
    gr_gray_unref(g);
    return p;
}

struct seen { // what a caller sees of one answer
    int32_t code;
    bool candidate, rescued;
    char text[64], version[GR_VERSION_MAX + 1], message[256];
};

static struct seen ask_with(struct fixture *f, const char *interface_name, const char *method_name,
                            const char *payload, const struct grayling_header *header)
{
    struct grayling_request q = request_to(interface_name, method_name, payload, strlen(payload));
    struct gr_response r;
    q.headers = header;
    q.n_headers = header != NULL;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    struct seen s = {.code = r.code, .candidate = r.candidate, .rescued = r.rescued};
    snprintf(s.text, sizeof(s.text), "%.*s", (int)r.payload.size, (const char *)r.payload.data);
    snprintf(s.version, sizeof(s.version), "%s", r.version);
    snprintf(s.message, sizeof(s.message), "%s", r.message);
    gr_response_done(f->d, &r);
    return s;
}

static struct seen ask(struct fixture *f, const char *interface_name, const char *method_name,
                       const char *payload)
{
    return ask_with(f, interface_name, method_name, payload, NULL);
}

static void expect(const struct seen *s, bool candidate, const char *version, const char *text)
{
    if (s->code != GRAYLING_OK)
        fail_msg("code %d: %s", s->code, s->message);
    assert_int_equal(s->candidate, candidate);
    assert_string_equal(s->version, version);
    assert_string_equal(s->text, text);
}

static struct gr_counters counters(const struct fixture *f, const struct gr_instance *i)
{
    struct gr_counters c;
    gr_stats_read(f->stats, gr_instance_slot(i), &c);
    return c;
}

// --- who sees it -------------------------------------------------------------------------------

static void test_the_share_is_the_weight(void **state)
{
    struct fixture *f = guarded(state);
    static const unsigned weights[] = {0, 1, 2500, 10000};
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0");
    for (size_t w = 0; w < GR_COUNT(weights); w++) {
        unsigned n = 0;
        try_out(f, "probe", one, two, gray(weights[w]));
        for (int i = 0; i < 10000; i++) {
            struct seen s = ask(f, PROBE, "Version", "");
            n += s.candidate;
            expect(&s, s.candidate, s.candidate ? "2.0.0" : "1.0.0",
                   s.candidate ? "2.0.0" : "1.0.0");
        }
        assert_int_equal(n, weights[w]);
    }
    struct gr_counters c = counters(f, two);
    assert_int_equal(gr_counters_total(&c), 12501);
}

static void test_sticky_and_rules(void **state)
{
    struct fixture *f = guarded(state);
    try_out(f, "probe", load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0"),
            gray_of(ROLLOUT, 5000, "header:x-user-id",
                    "[{\"path\":true,\"exact\":\"/" PROBE "/Fail\",\"to\":\"stable\"},"
                    "{\"header\":\"x-user-id\",\"exact\":\"tester\"}]"));
    for (int user = 0; user < 100; user++) {
        char key[16];
        int len = snprintf(key, sizeof(key), "%d", user);
        struct grayling_header h = {"x-user-id", key};
        bool member = gr_gray_bucket(SALT, key, (size_t)len) < 5000;
        for (int again = 0; again < 3; again++) {
            struct seen s = ask_with(f, PROBE, "Version", "", &h);
            expect(&s, member, member ? "2.0.0" : "1.0.0", member ? "2.0.0" : "1.0.0");
        }
    }
    struct grayling_header tester = {"x-user-id", "tester"};
    assert_true(ask_with(f, PROBE, "Version", "", &tester).candidate);
    assert_false(ask_with(f, PROBE, "Fail", "", &tester).candidate);
}

static void test_a_pattern_given_up_is_counted(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_worker_gauges gauges;
    struct grayling_header costly = {"x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"};
    try_out(f, "probe", load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0"),
            gray_of(ROLLOUT, 0, NULL, "[{\"header\":\"x\",\"regex\":\"(a+)+$\"}]"));
    for (int i = 0; i < 3; i++)
        assert_false(ask_with(f, PROBE, "Version", "", &costly).candidate);
    gr_stats_gauges(f->stats, &gauges);
    assert_int_equal(gauges.patterns_given_up, 3);
}

static void test_a_batch_shares_one_decision(void **state)
{
    struct fixture *f = guarded(state);
    unsigned n = 0;
    try_out_batch(f, 5000);
    for (int i = 0; i < 1000; i++) {
        struct seen s = ask(f, PROBE, "Visit", "a b c");
        n += s.candidate;
        expect(&s, s.candidate, s.candidate ? "2.0.0" : "1.0.0",
               s.candidate ? "2.0.0+2.0.0+2.0.0+2.0.0" : "1.0.0+1.0.0+1.0.0+1.0.0");
    }
    assert_int_equal(n, 500); // one turn for each request, not for each call
}

static void test_a_rule_sees_the_request_that_came_in(void **state)
{
    struct fixture *f = guarded(state);
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    try_out(f, "peer", load_module(f, "peer-1.0.0"), load_module(f, "peer-2.0.0"),
            gray_of(ROLLOUT, 0, NULL,
                    "[{\"path\":true,\"exact\":\"/" PROBE "/Visit\"},"
                    "{\"path\":true,\"prefix\":\"/" PEER "\",\"to\":\"stable\"}]"));
    struct seen s = ask(f, PROBE, "Visit", "a");
    expect(&s, false, "1.0.0", "1.0.0+2.0.0");
    s = ask(f, PROBE, "Relay", "");
    expect(&s, false, "1.0.0", "1.0.0+1.0.0");
}

static void test_rollouts_are_decided_apart(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_gray *all = gray_of(1, 10000, NULL, NULL), *none = gray_of(2, 0, NULL, NULL);
    const struct gr_change changes[] = {{.module = "probe",
                                         .stable = load_module(f, "probe-1.0.0"),
                                         .candidate = load_module(f, "probe-2.0.0"),
                                         .gray = all},
                                        {.module = "peer",
                                         .stable = load_module(f, "peer-1.0.0"),
                                         .candidate = load_module(f, "peer-2.0.0"),
                                         .gray = none}};
    must_route(f, changes, 2);
    gr_gray_unref(all);
    gr_gray_unref(none);
    struct seen s = ask(f, PROBE, "Visit", "a");
    expect(&s, true, "2.0.0", "2.0.0+1.0.0");
}

static void test_a_new_weight_holds_for_the_whole_batch(void **state)
{
    struct fixture *f = guarded(state);
    struct pair p = try_out_batch(f, 10000);
    struct seen s = ask(f, PROBE, "Visit", "a");
    expect(&s, true, "2.0.0", "2.0.0+2.0.0");
    try_out(f, "probe", p.probe[0], p.probe[1], gray(0)); // names one half only
    s = ask(f, PROBE, "Visit", "a");
    expect(&s, false, "1.0.0", "1.0.0+1.0.0");
    s = ask(f, PEER, "Version", "");
    expect(&s, false, "1.0.0", "1.0.0");
}

// --- methods that only one of them has ---------------------------------------------------------

static void test_methods_of_one_version_only(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *old = load_module(f, "peer-1.0.0"), *later = load_module(f, "peer-6.0.0");
    try_out(f, "peer", old, later, gray(10000));
    struct seen s = ask(f, PEER, "Fresh", "");
    expect(&s, true, "6.0.0", "fresh");
    assert_int_equal(ask(f, PEER, "Crash", "").code, GRAYLING_INTERNAL); // stable has it
    try_out(f, "peer", old, later, gray(0));
    s = ask(f, PEER, "Fresh", "");
    assert_int_equal(s.code, GRAYLING_UNIMPLEMENTED);
    assert_string_equal(s.version, "");
    s = ask(f, PEER, "Version", "");
    expect(&s, false, "1.0.0", "1.0.0");
}

static void test_a_first_deployment_has_no_stable(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *first = load_module(f, "peer-1.0.0");
    try_out(f, "peer", NULL, first,
            gray_of(ROLLOUT, 0, NULL, "[{\"header\":\"x-canary\",\"exact\":\"1\"}]"));
    struct grayling_header canary = {"x-canary", "1"};
    struct seen s = ask_with(f, PEER, "Version", "", &canary);
    expect(&s, true, "1.0.0", "1.0.0");
    s = ask(f, PEER, "Version", "");
    assert_int_equal(s.code, GRAYLING_UNAVAILABLE);
    assert_string_equal(s.message, "the module has no stable version yet");
    s = ask_with(f, PEER, "Crash", "", &canary); // nobody to answer again
    assert_int_equal(s.code, GRAYLING_INTERNAL);
    route(f, "peer", first, NULL); // promoted
    s = ask(f, PEER, "Version", "");
    expect(&s, false, "1.0.0", "1.0.0");
}

// --- what a candidate breaks -------------------------------------------------------------------

static void test_stable_answers_for_a_faulted_candidate(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0");
    try_out(f, "probe", one, two, gray(10000));
    struct seen s = ask(f, PROBE, "Try", "null");
    expect(&s, false, "1.0.0", "1.0.0");
    assert_true(s.rescued);
    struct gr_counters c = counters(f, two), stable = counters(f, one);
    assert_true(c.faults == 1 && c.rescued == 1 && c.requests[GRAYLING_INTERNAL] == 1);
    assert_true(stable.faults == 0 && stable.rescued == 0 && stable.requests[0] == 1);
    s = ask(f, PROBE, "Crash", "null"); // not idempotent
    assert_true(s.code == GRAYLING_INTERNAL && !s.rescued && s.candidate);
    assert_string_equal(s.message, "the module failed while it answered this request");
    assert_int_equal(f->faults, 2);
}

static void test_what_stable_breaks_goes_to_its_rescue(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_gray *g = gray(10000);
    struct gr_instance *two = load_module(f, "probe-2.0.0");
    struct gr_change c = {.module = "probe",
                          .stable = two,
                          .rescue = load_module(f, "probe-1.0.0"),
                          .candidate = load_module(f, "probe-2.0.0"),
                          .gray = g};
    must_route(f, &c, 1);
    gr_gray_unref(g);
    struct seen s = ask(f, PROBE, "Try", "null"); // both 2.0.0 crash, one after the other
    expect(&s, false, "1.0.0", "1.0.0");
    assert_true(s.rescued);
    assert_int_equal(f->faults, 2);
    assert_int_equal(counters(f, two).rescued, 1);
    assert_int_equal(counters(f, c.candidate).rescued, 0);
}

// probe has run as candidate when the candidate of peer fails: stable peer under it would be a mix.
static void test_a_broken_batch_is_answered_whole_by_stable(void **state)
{
    struct fixture *f = guarded(state);
    struct pair p = try_out_batch(f, 10000);
    struct seen s = ask(f, PROBE, "Visit", "a crash b");
    expect(&s, false, "1.0.0", "1.0.0+1.0.0+1.0.0+1.0.0");
    assert_true(s.rescued);
    assert_string_equal(s.message, "");
    assert_int_equal(counters(f, p.peer[1]).faults, 1);
    assert_int_equal(counters(f, p.peer[1]).rescued, 1);
    assert_int_equal(counters(f, p.probe[1]).faults, 0);
    s = ask(f, PROBE, "VisitOnce", "a crash b");
    assert_true(s.code == GRAYLING_INTERNAL && !s.rescued);
    s = ask(f, PROBE, "Visit", "a"); // the next request is new
    expect(&s, true, "2.0.0", "2.0.0+2.0.0");
}

// guide belongs to neither half. It met probe's candidate before peer's fails.
static void test_a_broken_batch_below_a_caller_of_neither(void **state)
{
    struct fixture *f = guarded(state);
    try_out_batch(f, 10000);
    route(f, "guide", load_module(f, "guide-1.0.0"), NULL);
    struct seen s = ask(f, GUIDE, "Walk", "");
    expect(&s, false, "1.0.0", "2.0.0+2.0.0");
    s = ask(f, GUIDE, "Walk", "crash");
    expect(&s, false, "1.0.0", "1.0.0+1.0.0");
    assert_true(s.rescued);
    s = ask(f, GUIDE, "WalkOnce", "crash");
    assert_int_equal(s.code, GRAYLING_INTERNAL);
}

// One module alone mixes nothing: its failed call is answered where it was made, and the request
// stays with stable.
static void test_a_single_candidate_is_rescued_where_it_failed(void **state)
{
    struct fixture *f = guarded(state);
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    try_out(f, "peer", load_module(f, "peer-1.0.0"), load_module(f, "peer-2.0.0"), gray(10000));
    struct seen s = ask(f, PROBE, "VisitOnce", "a crash b");
    expect(&s, false, "1.0.0", "1.0.0+2.0.0+1.0.0+1.0.0");
    assert_false(s.rescued); // probe itself answered
}

// --- exchanges ---------------------------------------------------------------------------------

static void test_route_waits_for_nobody(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0");
    struct holder h;
    try_out(f, "probe", one, two, gray(10000));
    start_holder(&h, f, PROBE); // inside the candidate
    struct gr_change out = {.module = "probe", .stable = one};
    must_route(f, &out, 1);
    struct seen s = ask(f, PROBE, "Version", "");
    expect(&s, false, "1.0.0", "1.0.0");
    release_holder(&h);
    assert_memory_equal(h.response.payload.data, "2.0.0", 5); // its table had the candidate
    gr_response_done(f->d, &h.response);
    assert_int_equal(gr_instance_unload(f->d, two, 10 * SECOND), 0);
}

static void test_a_routed_candidate_is_not_unloaded(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0");
    try_out(f, "probe", one, two, gray(1));
    assert_int_equal(gr_instance_unload(f->d, two, 0), -EINVAL);
    route(f, "probe", two, one); // promoted under freeze, the former stable as its rescue
    struct seen s = ask(f, PROBE, "Version", "");
    expect(&s, false, "2.0.0", "2.0.0");
    s = ask(f, PROBE, "Try", "null");
    expect(&s, false, "1.0.0", "1.0.0");
    assert_true(s.rescued);
}

static void refuse(struct fixture *f, const struct gr_change *changes, size_t n, const char *part)
{
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_route(f->d, changes, n, &result, &f->e), -EINVAL);
    if (!strstr(f->e.message, part))
        fail_msg("%s", f->e.message);
    assert_int_equal(gr_dispatch_swap(f->d, changes, n, SECOND, &result, &f->e), -EINVAL);
}

static void test_what_is_no_change_is_refused(void **state)
{
    struct fixture *f = guarded(state);
    struct gr_instance *one = load_module(f, "probe-1.0.0"), *two = load_module(f, "probe-2.0.0"),
                       *peer = load_module(f, "peer-1.0.0"), *other = load_module(f, "peer-2.0.0");
    struct gr_gray *g = gray(1), *h = gray(2);
    struct gr_change c = {.module = "probe", .stable = one, .candidate = two};
    refuse(f, &c, 1, "a candidate without a rule");
    c = (struct gr_change){.module = "probe", .stable = one, .gray = g};
    refuse(f, &c, 1, "a rollout without its candidate");
    c = (struct gr_change){.module = "probe", .stable = one, .candidate = one, .gray = g};
    refuse(f, &c, 1, "two roles");
    c = (struct gr_change){.module = "probe", .stable = one, .candidate = peer, .gray = g};
    refuse(f, &c, 1, "contract says module peer");
    const struct gr_change both[] = {
        {.module = "probe", .stable = one, .candidate = two, .gray = g},
        {.module = "peer", .stable = peer, .candidate = other, .gray = h}};
    refuse(f, both, 2, "rollout 8812 by two different rules");
    assert_int_equal(ask(f, PROBE, "Version", "").code, GRAYLING_UNIMPLEMENTED); // nothing changed
    gr_gray_unref(g);
    gr_gray_unref(h);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_the_share_is_the_weight),
        WITH_FIXTURE(test_sticky_and_rules),
        WITH_FIXTURE(test_a_pattern_given_up_is_counted),
        WITH_FIXTURE(test_a_batch_shares_one_decision),
        WITH_FIXTURE(test_a_rule_sees_the_request_that_came_in),
        WITH_FIXTURE(test_rollouts_are_decided_apart),
        WITH_FIXTURE(test_a_new_weight_holds_for_the_whole_batch),
        WITH_FIXTURE(test_methods_of_one_version_only),
        WITH_FIXTURE(test_a_first_deployment_has_no_stable),
        WITH_FIXTURE(test_stable_answers_for_a_faulted_candidate),
        WITH_FIXTURE(test_what_stable_breaks_goes_to_its_rescue),
        WITH_FIXTURE(test_a_broken_batch_is_answered_whole_by_stable),
        WITH_FIXTURE(test_a_broken_batch_below_a_caller_of_neither),
        WITH_FIXTURE(test_a_single_candidate_is_rescued_where_it_failed),
        WITH_FIXTURE(test_route_waits_for_nobody),
        WITH_FIXTURE(test_a_routed_candidate_is_not_unloaded),
        WITH_FIXTURE(test_what_is_no_change_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
