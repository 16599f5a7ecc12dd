// Threads call without pause while another exchanges a batch of two modules. Every answer is wholly
// of one batch; no call of the old batch runs once the swap has returned; nothing fails; nothing
// stays behind.
#include "dispatch/asym.h"
#include "dispatch/testmodules/fixture.h"
#include "dispatch/testmodules/witness.h"
#include <pthread.h>
#include <semaphore.h>

#define CALLERS 3
#define FRESH_SWAPS 60 // each with newly loaded files
#define BARE_SWAPS 1000
#define ANSWERS_PER_SWAP 20

struct hammer {
    struct fixture *f;
    struct witness witness;
    _Atomic bool stop;
    _Atomic uint64_t answers[3]; // wholly of one batch, by major version
    _Atomic uint64_t parked, wrong;
    sem_t answered; // so that the writer never outruns the callers
    pthread_t threads[CALLERS];
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

static void count_answer(struct hammer *h, const struct gr_response *r)
{
    static const char *const whole[] = {"", "1.0.0+1.0.0", "2.0.0+2.0.0"};
    unsigned major = (unsigned)(r->version[0] - '0');
    if (r->code == GRAYLING_OK && (major == 1 || major == 2) && r->payload.size == 11 &&
        memcmp(r->payload.data, whole[major], 11) == 0)
        atomic_fetch_add(&h->answers[major], 1);
    else
        atomic_fetch_add(&h->wrong, 1);
    sem_post(&h->answered);
}

static void *call_on_and_on(void *arg)
{
    struct hammer *h = arg;
    struct gr_dispatch *d = h->f->d;
    struct witness *witness = &h->witness;
    struct gr_thread *t;
    struct waiter w = {.base.resume = wake};
    sem_init(&w.resumed, 0, 0);
    assert_int_equal(gr_thread_attach(d, &t), 0);
    struct grayling_request q = request_to(PROBE, "Witness", &witness, sizeof(witness));
    while (!atomic_load(&h->stop)) {
        struct gr_response r;
        if (gr_dispatch_call(t, &q, &r) == GR_CALL_DONE) {
            count_answer(h, &r);
            gr_response_done(d, &r);
        } else if (gr_dispatch_park(d, &q, &w.base) == 0) {
            atomic_fetch_add(&h->parked, 1);
            wait_once(&w.resumed);
        }
    }
    gr_thread_detach(t);
    sem_destroy(&w.resumed);
    return NULL;
}

static void start_callers(struct hammer *h)
{
    sem_init(&h->answered, 0, 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&h->threads[i], NULL, call_on_and_on, h), 0);
}

static void judge(struct hammer *h)
{
    atomic_store(&h->stop, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(h->threads[i], NULL);
    sem_destroy(&h->answered);
    print_message("%llu of version 1, %llu of version 2, %llu parked\n",
                  (unsigned long long)h->answers[1], (unsigned long long)h->answers[2],
                  (unsigned long long)h->parked);
    assert_int_equal(h->wrong, 0);
    assert_int_equal(h->witness.violations, 0);
    assert_true(h->answers[1] > 0 && h->answers[2] > 0 && h->parked > 0);
    assert_int_equal(gr_dispatch_pinned(h->f->d), 0);
}

// --- the writer --------------------------------------------------------------------------------

struct batch {
    struct gr_instance *probe, *peer;
};

static struct batch load_batch(struct fixture *f, unsigned major)
{
    char probe[32], peer[32];
    snprintf(probe, sizeof(probe), "probe-%u.0.0", major);
    snprintf(peer, sizeof(peer), "peer-%u.0.0", major);
    return (struct batch){load_module(f, probe), load_module(f, peer)};
}

static void exchange(struct hammer *h, const struct batch *b, unsigned major)
{
    const struct gr_change changes[] = {{.module = "probe", .stable = b->probe},
                                        {.module = "peer", .stable = b->peer}};
    struct gr_swap_result result;
    atomic_store(&h->witness.forbidden[major], 0);
    if (gr_dispatch_swap(h->f->d, changes, 2, 60 * SECOND, &result, &h->f->e) < 0)
        fail_msg("%s", h->f->e.message);
    atomic_store(&h->witness.forbidden[3 - major], 1);
}

static void unload_batch(struct fixture *f, const struct batch *b)
{
    assert_int_equal(gr_instance_unload(f->d, b->probe, 60 * SECOND), 0);
    assert_int_equal(gr_instance_unload(f->d, b->peer, 60 * SECOND), 0);
}

// --- tests -------------------------------------------------------------------------------------

static void test_freshly_loaded_versions(void **state)
{
    struct hammer h = {.f = *state};
    struct batch current = load_batch(h.f, 1);
    exchange(&h, &current, 1);
    start_callers(&h);
    for (unsigned i = 1; i <= FRESH_SWAPS; i++) {
        for (int n = 0; n < ANSWERS_PER_SWAP; n++)
            wait_once(&h.answered);
        struct batch next = load_batch(h.f, 1 + i % 2);
        exchange(&h, &next, 1 + i % 2);
        unload_batch(h.f, &current);
        current = next;
    }
    judge(&h);
}

static void swap_to_and_fro(struct fixture *f)
{
    struct hammer h = {.f = f};
    const struct batch batches[] = {load_batch(f, 1), load_batch(f, 2)};
    exchange(&h, &batches[0], 1);
    start_callers(&h);
    for (unsigned i = 1; i <= BARE_SWAPS; i++) {
        for (int n = 0; n < ANSWERS_PER_SWAP; n++)
            wait_once(&h.answered);
        exchange(&h, &batches[i % 2], 1 + i % 2);
    }
    judge(&h);
}

static void test_to_and_fro(void **state)
{
    swap_to_and_fro(*state);
}

static void test_to_and_fro_where_membarrier_is_refused(void **state)
{
    bool fences = gr_asym_fences;
    gr_asym_fences = true;
    swap_to_and_fro(*state);
    gr_asym_fences = fences;
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_freshly_loaded_versions),
        WITH_FIXTURE(test_to_and_fro),
        WITH_FIXTURE(test_to_and_fro_where_membarrier_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
