// Threads call without pause while another exchanges a batch of two modules, each time with freshly
// loaded versions and unloading the old ones. Every answer is wholly of one batch; nothing fails;
// nothing stays behind.
#include "dispatch/asym.h"
#include "dispatch/testmodules/fixture.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define CALLERS 3
#define SWAPS 100

struct hammer {
    struct fixture *f;
    _Atomic bool stop;
    _Atomic uint64_t answers[2]; // wholly of version 1, wholly of version 2
    _Atomic uint64_t parked, wrong;
};

struct waiter {
    struct gr_waiter base;
    sem_t resumed;
};

static void wake(struct gr_waiter *w)
{
    sem_post(&((struct waiter *)w)->resumed);
}

static void count_answer(struct hammer *h, const struct gr_response *r)
{
    const char *text = r->payload.data;
    bool complete = r->code == GRAYLING_OK && r->payload.size == 11;
    if (complete && memcmp(text, "1.0.0+1.0.0", 11) == 0 && strcmp(r->version, "1.0.0") == 0)
        atomic_fetch_add(&h->answers[0], 1);
    else if (complete && memcmp(text, "2.0.0+2.0.0", 11) == 0 && strcmp(r->version, "2.0.0") == 0)
        atomic_fetch_add(&h->answers[1], 1);
    else
        atomic_fetch_add(&h->wrong, 1);
}

static void *call_on_and_on(void *arg)
{
    struct hammer *h = arg;
    struct gr_dispatch *d = h->f->d;
    struct gr_thread *t;
    struct waiter w = {.base.resume = wake};
    sem_init(&w.resumed, 0, 0);
    assert_int_equal(gr_thread_attach(d, &t), 0);
    struct grayling_request q = request_to(PROBE, "Relay", "", 0);
    while (!atomic_load(&h->stop)) {
        struct gr_response r;
        if (gr_dispatch_call(t, &q, &r) == GR_CALL_DONE) {
            count_answer(h, &r);
            gr_response_done(d, &r);
        } else if (gr_dispatch_park(d, &q, &w.base) == 0) {
            atomic_fetch_add(&h->parked, 1);
            while (sem_wait(&w.resumed) != 0)
                continue;
        }
    }
    gr_thread_detach(t);
    sem_destroy(&w.resumed);
    return NULL;
}

static void exchange(struct fixture *f, const char *version, struct gr_instance *loaded[2])
{
    char probe[32], peer[32];
    snprintf(probe, sizeof(probe), "probe-%s", version);
    snprintf(peer, sizeof(peer), "peer-%s", version);
    struct gr_instance *fresh[2] = {load_module(f, probe), load_module(f, peer)};
    const struct gr_change batch[] = {{"probe", fresh[0], NULL}, {"peer", fresh[1], NULL}};
    struct gr_swap_result result;
    if (gr_dispatch_swap(f->d, batch, 2, 60 * SECOND, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
    for (int i = 0; i < 2; i++) {
        if (loaded[i])
            assert_int_equal(gr_instance_unload(f->d, loaded[i], 60 * SECOND), 0);
        loaded[i] = fresh[i];
    }
}

static void hammer(struct fixture *f)
{
    struct hammer h = {.f = f};
    struct gr_instance *loaded[2] = {NULL, NULL};
    pthread_t threads[CALLERS];
    exchange(h.f, "1.0.0", loaded);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on_and_on, &h), 0);
    for (int i = 1; i <= SWAPS; i++)
        exchange(h.f, i % 2 ? "2.0.0" : "1.0.0", loaded);
    atomic_store(&h.stop, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(h.wrong, 0);
    assert_true(h.answers[0] > 0 && h.answers[1] > 0);
    assert_int_equal(gr_dispatch_pinned(h.f->d), 0);
    print_message("%llu old, %llu new, %llu parked\n", (unsigned long long)h.answers[0],
                  (unsigned long long)h.answers[1], (unsigned long long)h.parked);
}

static void test_swaps_under_calls(void **state)
{
    hammer(*state);
}

static void test_swaps_where_membarrier_is_refused(void **state)
{
    bool fences = gr_asym_fences;
    gr_asym_fences = true;
    hammer(*state);
    gr_asym_fences = fences;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_swaps_under_calls, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_swaps_where_membarrier_is_refused, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
