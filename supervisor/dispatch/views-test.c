// One view for each request: a million requests by threads that never pause, each through two
// modules of one batch, while another thread changes weights, takes the candidates out, and
// promotes them. Every answer is wholly of one version, and every one is an answer.
#include "dispatch/testmodules/fixture.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define CALLERS 3
#define REQUESTS 1000000u
#define REQUESTS_PER_CHANGE 500u // so that the writer neither starves nor floods the callers

struct views {
    struct fixture *f;
    _Atomic bool stop;
    _Atomic uint64_t asked, answered[3], mixed, parked; // answered: by major version
    sem_t due;                                          // one for each change
    pthread_t threads[CALLERS];
    struct gr_instance *probe[2], *peer[2];
};

// --- callers -----------------------------------------------------------------------------------

struct waiter {
    struct gr_waiter base;
    sem_t resumed;
};

static void wait_once(sem_t *s)
{
    while (sem_wait(s) != 0)
        continue;
}

static void wake(struct gr_waiter *w)
{
    sem_post(&((struct waiter *)w)->resumed);
}

// What a caller sees: who is said to have answered, and all the versions that it met on its way.
static void look(struct views *v, const struct gr_response *r)
{
    static const char *const whole[] = {"", "1.0.0+1.0.0+1.0.0", "2.0.0+2.0.0+2.0.0"};
    unsigned major = (unsigned)(r->version[0] - '0');
    bool one = r->code == GRAYLING_OK && (major == 1 || major == 2) && r->payload.size == 17 &&
               memcmp(r->payload.data, whole[major], 17) == 0;
    atomic_fetch_add(one ? &v->answered[major] : &v->mixed, 1);
}

static void ask(struct views *v, struct gr_thread *t, struct waiter *w, uint64_t n)
{
    char user[24];
    snprintf(user, sizeof(user), "%llu", (unsigned long long)n % 1000);
    struct grayling_header h = {"x-user-id", user};
    struct grayling_request q = request_to(PROBE, "Visit", "a b", 3);
    q.headers = &h;
    q.n_headers = n % 2; // every other request has no key and takes a turn
    struct gr_response r;
    while (gr_dispatch_call(t, &q, &r) == GR_CALL_PARKED)
        if (gr_dispatch_park(v->f->d, &q, &w->base) == 0) {
            atomic_fetch_add(&v->parked, 1);
            wait_once(&w->resumed);
        }
    look(v, &r);
    gr_response_done(v->f->d, &r);
}

static void *ask_on_and_on(void *arg)
{
    struct views *v = arg;
    struct gr_thread *t;
    struct waiter w = {.base.resume = wake};
    sem_init(&w.resumed, 0, 0);
    assert_int_equal(gr_thread_attach(v->f->d, &t), 0);
    for (uint64_t n; (n = atomic_fetch_add(&v->asked, 1)) < REQUESTS;) {
        if (n % REQUESTS_PER_CHANGE == 0)
            sem_post(&v->due);
        ask(v, t, &w, n);
    }
    gr_thread_detach(t);
    sem_destroy(&w.resumed);
    return NULL;
}

// --- the writer --------------------------------------------------------------------------------

// Version `stable` (0 or 1) beside the other as candidate at `weight`; no candidate below 0.
static void change(struct views *v, unsigned stable, int weight, bool freeze)
{
    struct gr_gray *g = NULL;
    struct gr_gray_spec spec = {.rollout = 1,
                                .salt = stable,
                                .weight_permyriad = (unsigned)weight,
                                .sticky = "header:x-user-id"};
    struct gr_change c[] = {{.module = "probe", .stable = v->probe[stable]},
                            {.module = "peer", .stable = v->peer[stable]}};
    if (weight >= 0) {
        assert_int_equal(gr_gray_new(&spec, NULL, &g, NULL), 0);
        c[0].candidate = v->probe[1 - stable];
        c[1].candidate = v->peer[1 - stable];
        c[0].gray = c[1].gray = g;
    }
    struct gr_swap_result result;
    struct gr_error *e = &v->f->e;
    int r = freeze ? gr_dispatch_swap(v->f->d, c, 2, 60 * SECOND, &result, e)
                   : gr_dispatch_route(v->f->d, c, 2, &result, e);
    if (r < 0)
        fail_msg("%s", e->message);
    gr_gray_unref(g);
}

static void change_on_and_on(struct views *v)
{
    static const int weights[] = {1, 100, 2500, 5000, 10000, 0, -1};
    unsigned stable = 0;
    for (unsigned i = 1; i < REQUESTS / REQUESTS_PER_CHANGE; i++) {
        wait_once(&v->due);
        unsigned step = i % (GR_COUNT(weights) + 1);
        if (step == GR_COUNT(weights))
            change(v, stable = 1 - stable, -1, true); // promoted
        else
            change(v, stable, weights[step], i % 3 == 0);
    }
}

static void test_a_million_requests_see_one_view_each(void **state)
{
    struct views v = {.f = *state};
    for (unsigned i = 0; i < 2; i++) {
        v.probe[i] = load_module(v.f, i ? "probe-2.0.0" : "probe-1.0.0");
        v.peer[i] = load_module(v.f, i ? "peer-2.0.0" : "peer-1.0.0");
    }
    change(&v, 0, -1, true);
    sem_init(&v.due, 0, 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&v.threads[i], NULL, ask_on_and_on, &v), 0);
    change_on_and_on(&v);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(v.threads[i], NULL);
    sem_destroy(&v.due);
    print_message("%llu of version 1, %llu of version 2, %llu mixed, %llu parked\n",
                  (unsigned long long)v.answered[1], (unsigned long long)v.answered[2],
                  (unsigned long long)v.mixed, (unsigned long long)v.parked);
    assert_int_equal(v.mixed, 0);
    assert_int_equal(v.answered[1] + v.answered[2], REQUESTS);
    assert_true(v.answered[1] > REQUESTS / 10 && v.answered[2] > REQUESTS / 10);
    assert_int_equal(gr_dispatch_pinned(v.f->d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_million_requests_see_one_view_each, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
