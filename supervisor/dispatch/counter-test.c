// The example counter under threads that count without pause, while its releases are exchanged to
// and fro and their hooks fail at random: what was acknowledged is what is counted in the end.
#include "dispatch/testmodules/fixture.h"
#include <semaphore.h>
#include <stdatomic.h>

#define COUNTER "com.example.counter.Counter"
#define CALLERS 3
#define ANSWERS_PER_EXCHANGE 5

struct hammer {
    struct fixture *f;
    _Atomic bool stop;
    _Atomic uint64_t acknowledged, failed, parked;
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

static void *count_on_and_on(void *arg)
{
    struct hammer *h = arg;
    struct gr_dispatch *d = h->f->d;
    struct gr_thread *t;
    struct waiter w = {.base.resume = wake};
    sem_init(&w.resumed, 0, 0);
    assert_int_equal(gr_thread_attach(d, &t), 0);
    struct grayling_request q = request_to(COUNTER, "Increment", "{}", 2);
    while (!atomic_load(&h->stop)) {
        struct gr_response r;
        if (gr_dispatch_call(t, &q, &r) == GR_CALL_DONE) {
            atomic_fetch_add(r.code == GRAYLING_OK ? &h->acknowledged : &h->failed, 1);
            gr_response_done(d, &r);
            sem_post(&h->answered);
        } else if (gr_dispatch_park(d, &q, &w.base) == 0) {
            atomic_fetch_add(&h->parked, 1);
            wait_once(&w.resumed);
        }
    }
    gr_thread_detach(t);
    sem_destroy(&w.resumed);
    return NULL;
}

// --- the writer --------------------------------------------------------------------------------

static struct gr_instance *load_counter(struct fixture *f, const char *version, unsigned seed)
{
    struct gr_instance *i = NULL;
    char file[64], config[64];
    snprintf(file, sizeof(file), "../../modules/counter-%s", version);
    snprintf(config, sizeof(config), "{\"hook_failures_permille\":200,\"seed\":%u}", seed);
    if (load_configured(f, file, config, &i) < 0)
        fail_msg("%s", f->e.message);
    return i;
}

static unsigned exchange_on_and_on(struct hammer *h, struct gr_instance *const versions[2],
                                   unsigned exchanges)
{
    unsigned done = 0, at = 0;
    for (unsigned i = 0; i < exchanges; i++) {
        struct gr_swap_result result;
        struct gr_change change = {.module = "counter", .stable = versions[1 - at]};
        for (int n = 0; n < ANSWERS_PER_EXCHANGE; n++)
            wait_once(&h->answered);
        if (gr_dispatch_swap(h->f->d, &change, 1, 60 * SECOND, &result, &h->f->e) < 0) {
            assert_int_equal(h->f->e.reason, GR_REASON_STATE_HANDOVER_FAILED);
            continue;
        }
        assert_int_equal(result.handed, 1);
        at = 1 - at;
        done++;
    }
    return done;
}

static void hammer(struct fixture *f, const char *one, const char *two, unsigned exchanges)
{
    struct hammer h = {.f = f};
    char answer[64], expected[64];
    struct gr_instance *const versions[] = {load_counter(f, one, 7), load_counter(f, two, 77)};
    route(f, "counter", versions[0], NULL);
    sem_init(&h.answered, 0, 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&h.threads[i], NULL, count_on_and_on, &h), 0);
    unsigned done = exchange_on_and_on(&h, versions, exchanges);
    atomic_store(&h.stop, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(h.threads[i], NULL);
    sem_destroy(&h.answered);
    print_message("%s and %s: %u of %u exchanges, %llu increments, %llu parked\n", one, two, done,
                  exchanges, (unsigned long long)h.acknowledged, (unsigned long long)h.parked);
    assert_true(done > exchanges / 4 && done < exchanges && h.parked > 0);
    assert_int_equal(h.failed, 0);
    assert_int_equal(call_text(f, COUNTER, "Get", "", answer), GRAYLING_OK);
    snprintf(expected, sizeof(expected), "{\"count\":%llu", (unsigned long long)h.acknowledged);
    assert_memory_equal(answer, expected, strlen(expected));
    assert_non_null(strchr(",}", answer[strlen(expected)]));
}

static void test_state_as_bytes(void **state)
{
    hammer(*state, "1.0.1", "1.1.1", 1000);
}

static void test_state_in_memory(void **state)
{
    hammer(*state, "3.0.1", "3.0.1", 200);
}

// Every way between the sound releases that their contracts offer, with the count of the first.
static void test_the_ways_between_the_releases(void **state)
{
    static const char *const way[] = {"1.0.0", "1.1.0", "1.2.0", "2.0.0",
                                      "1.2.0", "2.0.0", "3.0.0", "3.0.0"};
    struct fixture *f = *state;
    char answer[64];
    for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
        struct gr_instance *next = NULL;
        char file[64];
        snprintf(file, sizeof(file), "../../modules/counter-%s", way[i]);
        if (load_configured(f, file, "{}", &next) < 0)
            fail_msg("%s", f->e.message);
        route(f, "counter", next, NULL);
        if (i == 0)
            assert_int_equal(call_text(f, COUNTER, "Increment", "{\"by\":41}", answer),
                             GRAYLING_OK);
        assert_int_equal(call_text(f, COUNTER, "Get", "", answer), GRAYLING_OK);
        assert_memory_equal(answer, "{\"count\":41", 11);
    }
    struct gr_instance *back = NULL;
    struct gr_swap_result result;
    assert_int_equal(load_configured(f, "../../modules/counter-1.0.0", "{}", &back), 0);
    struct gr_change change = {.module = "counter", .stable = back};
    assert_true(gr_dispatch_swap(f->d, &change, 1, SECOND, &result, &f->e) < 0);
    assert_int_equal(f->e.reason, GR_REASON_STATE_HANDOVER_FAILED);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_state_as_bytes),
        WITH_FIXTURE(test_state_in_memory),
        WITH_FIXTURE(test_the_ways_between_the_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
