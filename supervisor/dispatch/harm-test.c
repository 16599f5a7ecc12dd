// Harm budgets: the segment by itself, and what dispatch does with one. Exact means that no order
// of events lets one bad answer more through.
#include "dispatch/testmodules/fixture.h"
#include <errno.h>
#include <stdatomic.h>

#define ROLLOUT 8812
#define THREADS 8
#define CALLS 1500 // of each thread

static const struct gr_name probe_name = {"probe"}, peer_name = {"peer"};

// --- the segment -------------------------------------------------------------------------------

static struct gr_harms *harms;
static int harms_fd;

static int make_segment(void **state)
{
    (void)state;
    return gr_harms_new(&harms, &harms_fd);
}

static int drop_segment(void **state)
{
    (void)state;
    gr_harms_free(harms);
    return close(harms_fd);
}

static struct gr_harm *open_budget(int64_t rollout, const struct gr_name *module, uint64_t total)
{
    int number = gr_harms_open(harms, rollout, module, total, 0);
    assert_true(number >= 0);
    return gr_harms_at(harms, (unsigned)number);
}

static void test_all_mappings_count_together(void **state)
{
    (void)state;
    struct gr_harms *other = NULL;
    struct gr_harm *one = open_budget(ROLLOUT, &probe_name, 3);
    assert_int_equal(gr_harms_map(harms_fd, &other), 0);
    struct gr_harm *same = gr_harms_find(other, ROLLOUT, &probe_name);
    assert_non_null(same);
    assert_false(gr_harm_count(same, false));
    assert_true(gr_harm_take(one) && gr_harm_take(same));
    assert_false(gr_harm_take(one));
    gr_harm_give_back(same);
    assert_true(gr_harm_take(one));
    assert_false(gr_harm_count(one, true));
    assert_false(gr_harm_is_spent(same));
    assert_true(gr_harm_count(same, true)); // the third
    assert_true(gr_harm_is_spent(one));
    assert_false(gr_harm_count(one, false)); // it was told once
    assert_true(gr_harm_given(same) == 4);
    assert_int_equal(gr_harm_rollout(same), ROLLOUT);
    assert_string_equal(gr_harm_module(same), "probe");
    gr_harms_free(other);
}

static void test_a_budget_goes_on_where_it_was(void **state)
{
    (void)state;
    struct gr_harm *h = open_budget(ROLLOUT, &probe_name, 5);
    assert_false(gr_harm_count(h, false));
    int number = gr_harms_open(harms, ROLLOUT, &probe_name, 5, 0);
    assert_ptr_equal(gr_harms_at(harms, (unsigned)number), h);
    assert_true(gr_harm_given(h) == 1);
    assert_ptr_not_equal(open_budget(ROLLOUT, &peer_name, 5), h);
    assert_ptr_not_equal(open_budget(ROLLOUT + 1, &probe_name, 5), h);
    // what was journaled counts where nobody remembers more
    number = gr_harms_open(harms, ROLLOUT + 2, &probe_name, 5, 4);
    h = gr_harms_at(harms, (unsigned)number);
    assert_true(gr_harm_take(h));
    assert_false(gr_harm_take(h));
    assert_true(gr_harm_count(h, true));
    h = gr_harms_at(harms, (unsigned)gr_harms_open(harms, ROLLOUT + 3, &probe_name, 5, 7));
    assert_true(gr_harm_is_spent(h));
    assert_false(gr_harm_take(h));
}

static void test_a_number_is_given_again_as_late_as_can_be(void **state)
{
    (void)state;
    int first = gr_harms_open(harms, 1, &probe_name, 1, 0);
    gr_harms_close(harms, 1);
    assert_null(gr_harms_find(harms, 1, &probe_name));
    assert_non_null(gr_harms_at(harms, (unsigned)first)); // an order that is on its way names it
    for (int i = 1; i < GR_HARMS_MAX; i++)
        assert_int_not_equal(gr_harms_open(harms, 1 + i, &probe_name, 1, 0), first);
    assert_int_equal(gr_harms_open(harms, 5000, &probe_name, 1, 0), first);
    assert_int_equal(gr_harms_open(harms, 5001, &probe_name, 1, 0), -ENOSPC);
    assert_null(gr_harms_at(harms, GR_HARMS_MAX));
}

static void test_calls_that_died_keep_nothing(void **state)
{
    (void)state;
    struct gr_harm *h = open_budget(ROLLOUT, &probe_name, 2);
    assert_true(gr_harm_take(h) && gr_harm_take(h));
    assert_false(gr_harm_count(h, true));
    gr_harms_forget_calls(harms);
    assert_true(gr_harm_take(h));
    assert_false(gr_harm_take(h)); // the bad answer stays
}

static void test_what_is_no_segment_is_refused(void **state)
{
    (void)state;
    struct gr_harms *none = NULL;
    struct gr_stats *stats = NULL;
    int fd, pair[2];
    assert_int_equal(gr_stats_new(&stats, &fd), 0);
    assert_int_equal(gr_harms_map(fd, &none), -EPROTO);
    gr_stats_free(stats);
    close(fd);
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(gr_harms_map(pair[0], &none), -EPROTO);
    close(pair[0]);
    close(pair[1]);
    assert_null(none);
    assert_null(gr_harms_at(harms, 7)); // nobody ever opened it
}

// --- dispatch ----------------------------------------------------------------------------------

static _Atomic unsigned told;

static void on_harm(void *userdata, const struct gr_harm *h)
{
    (void)userdata;
    assert_true(gr_harm_is_spent(h));
    atomic_fetch_add(&told, 1);
}

static int setup(void **state)
{
    atomic_store(&told, 0);
    return make_segment(NULL) < 0 ? -1 : fixture_setup_with(state, on_harm);
}

static int teardown(void **state)
{
    return fixture_teardown(state) < 0 ? -1 : drop_segment(NULL);
}

// In the test itself: cmocka has put handlers of its own in place before it.
static struct fixture *guarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    return f;
}

static void must_route(struct fixture *f, const struct gr_change *changes, size_t n)
{
    struct gr_swap_result result;
    if (gr_dispatch_route(f->d, changes, n, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
}

static struct gr_gray *gray(unsigned weight, const char *sticky, const char *match)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    struct gr_gray_spec spec = {.rollout = ROLLOUT,
                                .weight_permyriad = weight,
                                .sticky = sticky,
                                .match_json = match,
                                .shadow_permyriad = GR_GRAY_BUCKETS};
    if (gr_gray_new(&spec, NULL, &g, &e) < 0)
        fail_msg("%s", e.message);
    return g;
}

struct trial {
    struct gr_instance *stable, *candidate;
    struct gr_harm *harm;
};

static void try_out(struct fixture *f, const struct trial *t, struct gr_gray *g)
{
    must_route(f,
               &(struct gr_change){.module = "probe",
                                   .stable = t->stable,
                                   .candidate = t->candidate,
                                   .gray = g,
                                   .harm = t->harm},
               1);
    gr_gray_unref(g);
}

static struct trial trial(struct fixture *f, uint64_t total)
{
    struct trial t = {load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0"),
                      open_budget(ROLLOUT, &probe_name, total)};
    try_out(f, &t, gray(GR_GRAY_BUCKETS, NULL, NULL));
    return t;
}

static struct gr_response ask_with(struct gr_dispatch *d, struct gr_thread *t,
                                   const struct grayling_request *q)
{
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(t, q, &r), GR_CALL_DONE);
    gr_response_done(d, &r);
    return r;
}

static struct gr_response ask(struct fixture *f, const char *method, const char *payload)
{
    struct grayling_request q = request_to(PROBE, method, payload, strlen(payload));
    return ask_with(f->d, f->t, &q);
}

static bool bad(struct fixture *f)
{
    return ask(f, "Fail", "internal").code == GRAYLING_INTERNAL;
}

struct crowd {
    struct fixture *f;
    pthread_barrier_t start;
    _Atomic unsigned bad, good, by_stable, wrong;
};

static void call_many(struct crowd *c, struct gr_thread *t)
{
    pthread_barrier_wait(&c->start);
    struct grayling_request fails = request_to(PROBE, "Fail", "internal", 8),
                            answers = request_to(PROBE, "Version", "", 0);
    for (int i = 0; i < CALLS; i++) {
        struct gr_response r = ask_with(c->f->d, t, i % 2 ? &fails : &answers);
        if (r.candidate)
            atomic_fetch_add(r.code == GRAYLING_INTERNAL && i % 2 ? &c->bad
                             : r.code == GRAYLING_OK              ? &c->good
                                                                  : &c->wrong,
                             1);
        else
            atomic_fetch_add(r.code == GRAYLING_OK ? &c->by_stable : &c->wrong, 1);
    }
}

static void *call_in_a_crowd(void *arg)
{
    struct crowd *c = arg;
    struct gr_thread *t;
    assert_int_equal(gr_thread_attach(c->f->d, &t), 0);
    call_many(c, t);
    gr_thread_detach(t);
    return NULL;
}

static void run_crowd(struct crowd *c)
{
    pthread_t threads[THREADS - 1]; // the fixture's own is the last one
    pthread_barrier_init(&c->start, NULL, THREADS);
    for (size_t i = 0; i < GR_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_in_a_crowd, c), 0);
    call_many(c, c->f->t);
    for (size_t i = 0; i < GR_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c->start);
}

static void test_exactly_so_many_from_all_threads(void **state)
{
    static const unsigned totals[] = {1, 5, 50, 2000};
    struct fixture *f = *state;
    struct trial t = {load_module(f, "probe-1.0.0"), load_module(f, "probe-2.0.0"), NULL};
    for (size_t i = 0; i < GR_COUNT(totals); i++) {
        struct crowd c = {.f = f};
        atomic_store(&told, 0);
        t.harm = open_budget(100 + (int64_t)i, &probe_name, totals[i]);
        try_out(f, &t, gray(GR_GRAY_BUCKETS, NULL, NULL));
        run_crowd(&c);
        print_message("%u: %u bad, %u good, %u by stable\n", totals[i], c.bad, c.good, c.by_stable);
        assert_int_equal(c.bad, totals[i]);
        assert_int_equal(c.wrong, 0);
        assert_int_equal(c.bad + c.good + c.by_stable, THREADS * CALLS);
        assert_true(c.by_stable > 0);
        assert_int_equal(told, 1);
        assert_true(gr_harm_given(t.harm) == totals[i]);
    }
}

static void test_every_decision_says_stable(void **state)
{
    struct fixture *f = *state;
    struct trial t = trial(f, 2);
    struct grayling_header header = {"x-user", "7"};
    struct grayling_request q = request_to(PROBE, "Version", "", 0);
    q.headers = &header;
    q.n_headers = 1;
    assert_true(bad(f) && bad(f) && !bad(f));
    try_out(f, &t, gray(GR_GRAY_BUCKETS, NULL, NULL)); // another share is no other budget
    assert_false(ask(f, "Version", "").candidate);
    try_out(f, &t, gray(GR_GRAY_BUCKETS, "header:x-user", NULL));
    assert_false(ask_with(f->d, f->t, &q).candidate);
    try_out(f, &t, gray(0, NULL, "[{\"header\":\"x-user\",\"exact\":\"7\"}]"));
    assert_false(ask_with(f->d, f->t, &q).candidate);
    t.harm = NULL; // a person wants it all the same
    try_out(f, &t, gray(0, NULL, "[{\"header\":\"x-user\",\"exact\":\"7\"}]"));
    assert_true(ask_with(f->d, f->t, &q).candidate);
    assert_int_equal(told, 1);
}

static void test_what_runs_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct holder inside;
    (void)trial(f, 1);
    start_holder(&inside, f, PROBE);
    assert_string_equal(ask(f, "Version", "").version, "1.0.0"); // that call may be the bad one
    release_holder(&inside);
    assert_true(inside.response.candidate && inside.response.code == GRAYLING_OK);
    gr_response_done(f->d, &inside.response);
    assert_true(ask(f, "Version", "").candidate); // it was not
    struct grayling_request late = request_to(PROBE, "Version", "", 0);
    late.deadline_usec = 1; // long ago: nothing runs
    assert_int_equal(ask_with(f->d, f->t, &late).code, GRAYLING_DEADLINE_EXCEEDED);
    assert_true(ask(f, "Version", "").candidate);
    assert_true(bad(f));
    assert_false(ask(f, "Version", "").candidate);
}

static void test_what_counts_as_bad(void **state)
{
    struct fixture *f = guarded(state);
    struct trial t = trial(f, 3);
    struct gr_counters c;
    assert_int_equal(ask(f, "Fail", "").code, GRAYLING_NOT_FOUND); // the caller's fault
    assert_true(gr_harm_given(t.harm) == 0);
    assert_true(ask(f, "Try", "null").rescued); // it crashed, though nobody saw it
    assert_true(gr_harm_given(t.harm) == 1);
    struct gr_response r;
    struct grayling_request q = request_to(PROBE, "Fail", "internal", 8);
    assert_true(gr_dispatch_shadow(f->t, &q, ROLLOUT, GR_SHADOW_CANDIDATE, &r));
    assert_int_equal(r.code, GRAYLING_INTERNAL); // nobody waits for it
    gr_response_done(f->d, &r);
    assert_true(gr_harm_given(t.harm) == 1);
    assert_true(bad(f) && bad(f) && !bad(f));
    gr_stats_read(f->stats, gr_instance_slot(t.candidate), &c);
    assert_true(gr_counters_server_errors(&c) == 3); // one and the same number
}

static void test_a_batch_is_out_with_its_first_member(void **state)
{
    struct fixture *f = *state;
    struct gr_gray *g = gray(GR_GRAY_BUCKETS, NULL, NULL);
    struct gr_change changes[] = {{.module = "probe",
                                   .stable = load_module(f, "probe-1.0.0"),
                                   .candidate = load_module(f, "probe-2.0.0"),
                                   .gray = g},
                                  {.module = "peer",
                                   .stable = load_module(f, "peer-1.0.0"),
                                   .candidate = load_module(f, "peer-2.0.0"),
                                   .gray = g,
                                   .harm = open_budget(ROLLOUT, &peer_name, 2)}};
    must_route(f, changes, 2);
    gr_gray_unref(g);
    assert_int_equal(ask(f, "Visit", "fail").code, GRAYLING_INTERNAL);
    assert_true(ask(f, "Version", "").candidate);
    assert_int_equal(ask(f, "Visit", "fail").code, GRAYLING_INTERNAL);
    assert_int_equal(told, 1);
    assert_false(ask(f, "Version", "").candidate); // which has no budget of its own
    struct gr_response r = ask(f, "Visit", "fail");
    assert_true(r.code == GRAYLING_OK && !r.candidate);
}

// A request that is inside keeps its view: what its calls break is counted, and cannot be helped.
static void test_one_view_comes_before_the_budget(void **state)
{
    struct fixture *f = *state;
    struct gr_gray *g = gray(GR_GRAY_BUCKETS, NULL, NULL);
    struct gr_harm *peers = open_budget(ROLLOUT, &peer_name, 1);
    struct gr_change changes[] = {{.module = "probe",
                                   .stable = load_module(f, "probe-1.0.0"),
                                   .candidate = load_module(f, "probe-2.0.0"),
                                   .gray = g,
                                   .harm = open_budget(ROLLOUT, &probe_name, 9)},
                                  {.module = "peer",
                                   .stable = load_module(f, "peer-1.0.0"),
                                   .candidate = load_module(f, "peer-2.0.0"),
                                   .gray = g,
                                   .harm = peers}};
    must_route(f, changes, 2);
    gr_gray_unref(g);
    assert_true(gr_harm_take(peers)); // as by a call on another thread
    struct gr_response r = ask(f, "Visit", "fail");
    assert_true(r.candidate && r.code == GRAYLING_INTERNAL);
    assert_true(gr_harm_given(peers) == 1);
    assert_false(ask(f, "Version", "").candidate);
}

static void test_in_its_bake_stable_is_on_trial(void **state)
{
    struct fixture *f = *state;
    struct gr_change c = {.module = "probe",
                          .stable = load_module(f, "probe-2.0.0"),
                          .rescue = load_module(f, "probe-1.0.0"),
                          .harm = open_budget(ROLLOUT, &probe_name, 2)};
    struct gr_swap_result result;
    assert_int_equal(gr_dispatch_swap(f->d, &c, 1, SECOND, &result, &f->e), 0);
    assert_true(bad(f));
    assert_int_equal(told, 0);
    assert_true(bad(f));
    assert_int_equal(told, 1); // at once; the swap back is the host's affair
    assert_true(bad(f));
    assert_int_equal(told, 1);
}

static void test_a_first_deployment_refuses_nobody_before_its_end(void **state)
{
    struct fixture *f = *state;
    struct holder inside;
    struct trial t = {NULL, load_module(f, "probe-2.0.0"), open_budget(ROLLOUT, &probe_name, 2)};
    try_out(f, &t, gray(GR_GRAY_BUCKETS, NULL, NULL));
    start_holder(&inside, f, PROBE);
    assert_true(bad(f));
    assert_true(ask(f, "Version", "").candidate); // although the one that is left may be taken
    release_holder(&inside);
    gr_response_done(f->d, &inside.response);
    assert_true(bad(f));
    assert_int_equal(told, 1);
    assert_int_equal(ask(f, "Version", "").code, GRAYLING_UNAVAILABLE);
}

int main(void)
{
#define SEGMENT(t) cmocka_unit_test_setup_teardown(t, make_segment, drop_segment)
#define DISPATCH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        SEGMENT(test_all_mappings_count_together),
        SEGMENT(test_a_budget_goes_on_where_it_was),
        SEGMENT(test_a_number_is_given_again_as_late_as_can_be),
        SEGMENT(test_calls_that_died_keep_nothing),
        SEGMENT(test_what_is_no_segment_is_refused),
        DISPATCH(test_exactly_so_many_from_all_threads),
        DISPATCH(test_every_decision_says_stable),
        DISPATCH(test_what_runs_keeps_its_place),
        DISPATCH(test_what_counts_as_bad),
        DISPATCH(test_a_batch_is_out_with_its_first_member),
        DISPATCH(test_one_view_comes_before_the_budget),
        DISPATCH(test_in_its_bake_stable_is_on_trial),
        DISPATCH(test_a_first_deployment_refuses_nobody_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
