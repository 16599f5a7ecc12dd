// Calls that do not end: who is blamed, what is counted, and who does not wait for them any more.
#include "dispatch/internal.h"
#include "dispatch/testmodules/fixture.h"
#include <errno.h>
#include <semaphore.h>

static struct fixture *fixture_with(void **state, uint64_t timeout_usec)
{
    struct fixture *f = *state;
    gr_thread_detach(f->t);
    gr_dispatch_free(f->d);
    struct gr_dispatch_options o = {
        .stats = f->stats,
        .max_threads = 8,
        .on_log = fixture_on_log,
        .on_fault = fixture_on_fault,
        .breaker = {.faults = 3, .window_usec = 3600 * SECOND, .backoff_usec = 3600 * SECOND},
        .call_timeout_usec = timeout_usec,
        .userdata = f};
    assert_int_equal(gr_dispatch_new(&o, &f->d, &f->e), 0);
    assert_int_equal(gr_thread_attach(f->d, &f->t), 0);
    return f;
}

static struct gr_counters counters(struct fixture *f, unsigned slot)
{
    struct gr_counters c;
    gr_stats_read(f->stats, slot, &c);
    return c;
}

// The seat whose call has entered a module.
static struct gr_thread *stuck(struct fixture *f)
{
    unsigned i = 0;
    while (!atomic_load(&f->d->threads[i].entered))
        i++;
    return &f->d->threads[i];
}

static void test_it_is_given_up_once(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct holder h;
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 0); // nobody is inside
    start_holder(&h, f, PROBE);
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 1);
    assert_true(f->faults == 1 && f->last_kind == GR_FAULT_TIMEOUT && f->last_signal == 0);
    assert_non_null(strstr(f->last_detail, "had not ended"));
    struct gr_counters c = counters(f, 1);
    assert_true(c.faults == 1 && c.faults_by[GR_FAULT_TIMEOUT] == 1 && c.timeouts == 1);
    assert_int_equal(c.requests[GRAYLING_DEADLINE_EXCEEDED], 1);
    assert_int_equal(c.in_flight, 1); // it still runs
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 0);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    release_holder(&h);
    assert_int_equal(h.response.code, GRAYLING_DEADLINE_EXCEEDED); // whatever it answered
    assert_int_equal(h.response.payload.size, 0);
    gr_response_done(f->d, &h.response);
    c = counters(f, 1);
    assert_int_equal(gr_counters_total(&c), 2); // not counted a second time
    assert_int_equal(c.requests[GRAYLING_OK], 1);
}

static bool refuse(void *userdata, const struct gr_overdue *o)
{
    struct fixture *f = userdata;
    assert_string_equal(o->module, "probe");
    assert_string_equal(o->version, "1.0.0");
    assert_string_equal(o->request_id, "the-stuck-one");
    assert_true(o->thread == stuck(f) && !o->candidate);
    f->resumed++;
    return false;
}

static void test_who_answers_himself_is_left_alone(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct holder h;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    start_holder(&h, f, PROBE);
    assert_int_equal(gr_dispatch_overdue(f->d, refuse, f), 0);
    assert_int_equal(gr_dispatch_overdue(f->d, refuse, f), 0); // asked again at every look
    assert_true(f->resumed == 2 && f->faults == 0);
    release_holder(&h);
    assert_int_equal(h.response.code, GRAYLING_OK);
    gr_response_done(f->d, &h.response);
    assert_int_equal(counters(f, 1).faults, 0);
}

static void test_without_a_limit_it_may_take_for_ever(void **state)
{
    struct fixture *f = fixture_with(state, 0);
    struct holder h;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    start_holder(&h, f, PROBE);
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 0);
    release_holder(&h);
    assert_int_equal(h.response.code, GRAYLING_OK);
    gr_response_done(f->d, &h.response);
}

struct returner { // a thread that goes on after its first call
    struct fixture *f;
    int entered[2], go[2];
    sem_t returned, next;
    int32_t second;
};

static void *return_and_go_on(void *arg)
{
    struct returner *r = arg;
    struct gr_thread *t;
    struct gr_response response;
    int fds[2] = {r->entered[1], r->go[0]};
    assert_int_equal(gr_thread_attach(r->f->d, &t), 0);
    struct grayling_request q = request_to(PROBE, "Hold", fds, sizeof(fds));
    assert_int_equal(gr_dispatch_call(t, &q, &response), GR_CALL_DONE);
    gr_response_done(r->f->d, &response);
    sem_post(&r->returned);
    sem_wait(&r->next);
    gr_thread_is_back(t);
    q = request_to(PROBE, "Version", "", 0);
    assert_int_equal(gr_dispatch_call(t, &q, &response), GR_CALL_DONE);
    r->second = response.code;
    gr_response_done(r->f->d, &response);
    gr_thread_detach(t);
    return NULL;
}

static bool let_it_return(void *userdata, const struct gr_overdue *o)
{
    struct returner *r = userdata;
    (void)o;
    assert_int_equal(write(r->go[1], "x", 1), 1);
    sem_wait(&r->returned);
    return true;
}

static void test_who_returns_while_it_is_given_up_can_go_on(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct returner r = {.f = f, .second = -1};
    pthread_t thread;
    char c;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_true(pipe(r.entered) == 0 && pipe(r.go) == 0);
    assert_true(sem_init(&r.returned, 0, 0) == 0 && sem_init(&r.next, 0, 0) == 0);
    assert_int_equal(pthread_create(&thread, NULL, return_and_go_on, &r), 0);
    assert_int_equal(read(r.entered[0], &c, 1), 1);
    assert_int_equal(gr_dispatch_overdue(f->d, let_it_return, &r), 1);
    sem_post(&r.next);
    pthread_join(thread, NULL);
    assert_int_equal(r.second, GRAYLING_OK);
    for (int i = 0; i < 2; i++) {
        close(r.entered[i]);
        close(r.go[i]);
    }
}

static bool first(void *userdata, const struct gr_overdue *o)
{
    struct fixture *f = userdata;
    (void)o;
    return f->resumed++ == 0;
}

// The version may still be in use for ever: it is routed away and kept, and its table with it.
static void test_an_exchange_does_not_wait_for_it(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct gr_instance *old = load_module(f, "probe-1.0.0"), *next = load_module(f, "probe-2.0.0");
    struct gr_change change = {.module = "probe", .stable = next};
    struct gr_swap_result result;
    struct holder h, other;
    char answer[64];
    route(f, "probe", old, NULL);
    start_holder(&h, f, PROBE);
    start_holder(&other, f, PROBE); // as likely to hang
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, 1, &result, &f->e), -ETIMEDOUT);
    assert_int_equal(gr_dispatch_overdue(f->d, first, f), 1);
    assert_int_equal(gr_dispatch_swap(f->d, &change, 1, 30 * SECOND, &result, &f->e), 0);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "2.0.0");
    assert_int_equal(gr_instance_unload(f->d, old, 30 * SECOND), -EBUSY);
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 1); // the other one, in what is pinned
    assert_true(f->faults == 2);
    release_holder(&h); // returns into what is still there
    release_holder(&other);
    assert_true(h.response.code == GRAYLING_DEADLINE_EXCEEDED &&
                other.response.code == GRAYLING_DEADLINE_EXCEEDED);
    gr_response_done(f->d, &h.response);
    gr_response_done(f->d, &other.response);
}

static void test_the_callee_that_runs_is_to_blame(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct holder h;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    route(f, "peer", load_module(f, "peer-1.0.0"), NULL);
    start_holder(&h, f, PROBE);
    struct gr_stats_inside *inside = stuck(f)->inside;
    gr_stats_push(inside, 1, 2, 0, GR_NEVER_NSEC); // as if it had called the peer
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 1);
    gr_stats_pop(inside, 1);
    struct gr_counters probe = counters(f, 1), peer = counters(f, 2);
    assert_true(probe.faults == 0 && peer.faults_by[GR_FAULT_TIMEOUT] == 1);
    assert_int_equal(probe.requests[GRAYLING_DEADLINE_EXCEEDED], 1); // both owe the answer
    assert_int_equal(peer.nested[GRAYLING_DEADLINE_EXCEEDED], 1);
    release_holder(&h);
    gr_response_done(f->d, &h.response);
}

static void test_three_of_them_open_the_breaker(void **state)
{
    struct fixture *f = fixture_with(state, 1);
    struct holder h[3];
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    for (unsigned i = 0; i < 3; i++)
        start_holder(&h[i], f, PROBE);
    assert_int_equal(gr_dispatch_overdue(f->d, NULL, NULL), 3);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_UNAVAILABLE);
    for (unsigned i = 0; i < 3; i++) {
        release_holder(&h[i]);
        gr_response_done(f->d, &h[i].response);
    }
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_UNAVAILABLE);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_it_is_given_up_once),
        WITH_FIXTURE(test_who_answers_himself_is_left_alone),
        WITH_FIXTURE(test_who_returns_while_it_is_given_up_can_go_on),
        WITH_FIXTURE(test_without_a_limit_it_may_take_for_ever),
        WITH_FIXTURE(test_an_exchange_does_not_wait_for_it),
        WITH_FIXTURE(test_the_callee_that_runs_is_to_blame),
        WITH_FIXTURE(test_three_of_them_open_the_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
