// Shares, their order and their bounds; what is given up and what comes too late. Tasks run on the
// pool's real threads and stay there until the test lets them go on.
#include "worker/pool.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

enum { SHARE_A = 3, SHARE_B = 7, THREADS = 2, QUEUE = 3, MOST = 64 };

struct job {
    struct gr_task task; // first
    sem_t go;
    struct gr_thread *_Atomic seat;
    _Atomic int given_up; // -1: not done
    _Atomic bool late, sent_back;
};

struct world {
    struct gr_dispatch *dispatch;
    struct gr_stats *stats;
    int stats_fd;
    struct gr_pool *pool;
    sem_t began, ended;
    struct job jobs[MOST];
};

static void work(void *userdata, struct gr_thread *seat, struct gr_task *t)
{
    struct world *w = userdata;
    struct job *j = (struct job *)(void *)t;
    atomic_store(&j->seat, seat);
    sem_post(&w->began);
    sem_wait(&j->go);
}

static void done(void *userdata, struct gr_thread *seat, struct gr_task *t, bool given_up)
{
    struct world *w = userdata;
    struct job *j = (struct job *)(void *)t;
    assert_ptr_equal(seat, atomic_load(&j->seat));
    atomic_store(&j->given_up, given_up);
    sem_post(&w->ended);
}

static void late(void *userdata, struct gr_task *t)
{
    struct world *w = userdata;
    atomic_store(&((struct job *)(void *)t)->late, true);
    sem_post(&w->ended);
}

static void sent_back(void *userdata, struct gr_task *t)
{
    struct world *w = userdata;
    atomic_store(&((struct job *)(void *)t)->sent_back, true);
    sem_post(&w->ended);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct gr_error e;
    assert_non_null(w);
    assert_int_equal(gr_stats_new(&w->stats, &w->stats_fd), 0);
    const struct gr_dispatch_options d = {.stats = w->stats, .max_threads = GR_POOL_THREADS_MAX};
    assert_int_equal(gr_dispatch_new(&d, &w->dispatch, &e), 0);
    assert_int_equal(gr_pool_new(&(struct gr_pool_options){.dispatch = w->dispatch,
                                                           .stats = w->stats,
                                                           .threads = THREADS,
                                                           .queue = QUEUE,
                                                           .work = work,
                                                           .done = done,
                                                           .late = late,
                                                           .sent_back = sent_back,
                                                           .userdata = w},
                                 &w->pool),
                     0);
    sem_init(&w->began, 0, 0);
    sem_init(&w->ended, 0, 0);
    for (unsigned i = 0; i < MOST; i++) {
        sem_init(&w->jobs[i].go, 0, 0);
        atomic_store(&w->jobs[i].given_up, -1);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    gr_pool_stop(w->pool);
    gr_pool_free(w->pool);
    gr_dispatch_free(w->dispatch);
    gr_stats_free(w->stats);
    close(w->stats_fd);
    free(w);
    return 0;
}

static bool put(struct world *w, unsigned n, unsigned slot, uint64_t until_usec)
{
    if (!gr_pool_reserve(w->pool, slot))
        return false;
    w->jobs[n].task = (struct gr_task){.slot = slot, .until_usec = until_usec};
    gr_pool_put(w->pool, &w->jobs[n].task);
    return true;
}

static void await(sem_t *s, unsigned n)
{
    while (n > 0)
        n -= sem_wait(s) == 0;
}

static struct gr_worker_gauges gauges(const struct world *w)
{
    struct gr_worker_gauges g;
    gr_stats_gauges(w->stats, &g);
    return g;
}

static void a_share_is_bounded_and_no_other_pays(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < THREADS + QUEUE; i++)
        assert_true(put(w, i, SHARE_A, 0));
    await(&w->began, THREADS);
    assert_int_equal(gauges(w).pool_waiting, QUEUE);
    assert_false(put(w, 10, SHARE_A, 0));
    assert_int_equal(gauges(w).pool_full, 1);
    assert_true(put(w, 20, SHARE_B, 0)); // at once, on a thread more
    await(&w->began, 1);
    assert_non_null(atomic_load(&w->jobs[20].seat));
    assert_int_equal(sem_trywait(&w->began), -1);
    gr_pool_cancel(w->pool, (assert_true(gr_pool_reserve(w->pool, SHARE_B)), SHARE_B));
    sem_post(&w->jobs[0].go); // the first that waits takes its place
    await(&w->began, 1);
    assert_non_null(atomic_load(&w->jobs[2].seat));
    assert_null(atomic_load(&w->jobs[3].seat));
    for (unsigned i = 1; i < MOST; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, THREADS + QUEUE + 1);
    for (unsigned i = 0; i < THREADS + QUEUE; i++)
        assert_int_equal(atomic_load(&w->jobs[i].given_up), 0);
    assert_int_equal(gauges(w).pool_waiting, 0);
}

// One share after the other gets a thread when there are no more.
static void all_shares_together_have_so_many_threads(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < GR_POOL_THREADS_MAX; i++)
        assert_true(put(w, i, 100 + i / THREADS, 0));
    await(&w->began, GR_POOL_THREADS_MAX);
    assert_true(put(w, 40, SHARE_A, 0));
    assert_true(put(w, 41, SHARE_A, 0));
    assert_true(put(w, 42, SHARE_B, 0));
    assert_int_equal(gauges(w).pool_waiting, 3);
    assert_int_equal(sem_trywait(&w->began), -1);
    sem_post(&w->jobs[0].go);
    await(&w->began, 1);
    assert_non_null(atomic_load(&w->jobs[40].seat));
    sem_post(&w->jobs[1].go);
    await(&w->began, 1);
    assert_non_null(atomic_load(&w->jobs[42].seat)); // not the second of the same share
    for (unsigned i = 2; i < MOST; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, GR_POOL_THREADS_MAX + 3);
}

static void what_is_late_is_not_begun(void **state)
{
    struct world *w = *state;
    assert_true(put(w, 0, SHARE_A, 0) && put(w, 1, SHARE_A, 0));
    await(&w->began, THREADS);
    assert_true(put(w, 2, SHARE_A, gr_mono_now().usec + 3600 * GR_USEC_PER_SEC));
    assert_true(put(w, 3, SHARE_A, 1));
    assert_true(put(w, 4, SHARE_A, 0));
    gr_pool_look(w->pool);
    await(&w->ended, 1);
    assert_true(atomic_load(&w->jobs[3].late));
    assert_true(gauges(w).pool_late == 1 && gauges(w).pool_waiting == 2);
    assert_true(put(w, 5, SHARE_A, 1)); // its room is free again
    assert_false(put(w, 6, SHARE_A, 0));
    for (unsigned i = 0; i < MOST; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, 5); // also without a look
    assert_true(atomic_load(&w->jobs[5].late) && atomic_load(&w->jobs[5].given_up) == -1);
    assert_true(!atomic_load(&w->jobs[2].late) && !atomic_load(&w->jobs[4].late));
    assert_int_equal(gauges(w).pool_late, 2);
}

static void remember(void *userdata, struct gr_task *t)
{
    struct gr_task **told = userdata;
    *told = t;
}

static void what_is_given_up_gives_its_place_back(void **state)
{
    struct world *w = *state;
    struct gr_task *told = NULL;
    for (unsigned i = 0; i < THREADS + 1; i++)
        assert_true(put(w, i, SHARE_A, 0));
    await(&w->began, THREADS);
    assert_true(
        gr_pool_give_up(w->pool, (const struct gr_thread *)(const void *)w, remember, &told));
    assert_null(told); // a seat that is none of the pool's
    assert_true(gr_pool_give_up(w->pool, atomic_load(&w->jobs[0].seat), remember, &told));
    assert_ptr_equal(told, &w->jobs[0].task);
    assert_int_equal(gr_pool_astray(w->pool), 1);
    await(&w->began, 1); // who waited
    assert_non_null(atomic_load(&w->jobs[2].seat));
    assert_ptr_not_equal(atomic_load(&w->jobs[2].seat), atomic_load(&w->jobs[0].seat));
    assert_false(gr_pool_give_up(w->pool, atomic_load(&w->jobs[0].seat), remember, &told)); // once
    for (unsigned i = 0; i < MOST; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, THREADS + 1);
    assert_int_equal(atomic_load(&w->jobs[0].given_up), 1);
    assert_int_equal(atomic_load(&w->jobs[1].given_up), 0);
    for (unsigned i = 10; i < 10 + THREADS + QUEUE; i++) // no place is lost, and none was won
        assert_true(put(w, i, SHARE_B, 0));
    await(&w->ended, THREADS + QUEUE);
    while (gr_pool_astray(w->pool) > 0) // its task has ended before it says that it is back
        sched_yield();
}

// All threads are stuck, in this version and in others: nothing of it has to wait for one of them.
static void what_waits_is_sent_back(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < GR_POOL_THREADS_MAX; i++)
        assert_true(put(w, i, 100 + i / THREADS, 0));
    await(&w->began, GR_POOL_THREADS_MAX);
    const unsigned stuck = 100, n = THREADS + QUEUE; // whose threads are at work
    for (unsigned i = 40; i < 40 + QUEUE; i++)
        assert_true(put(w, i, stuck, 0));
    for (unsigned i = 50; i < 50 + n; i++) // no thread was left for it
        assert_true(put(w, i, SHARE_A, 0));
    gr_pool_send_back(w->pool, stuck);
    await(&w->ended, QUEUE);
    for (unsigned i = 40; i < 40 + QUEUE; i++)
        assert_true(atomic_load(&w->jobs[i].sent_back));
    assert_int_equal(gauges(w).pool_waiting, n);
    assert_true(gr_pool_reserve(w->pool, SHARE_B)); // before, and put after
    w->jobs[60].task = (struct gr_task){.slot = SHARE_B};
    gr_pool_send_back(w->pool, SHARE_B);
    gr_pool_put(w->pool, &w->jobs[60].task);
    await(&w->ended, 1);
    assert_true(atomic_load(&w->jobs[60].sent_back));
    gr_pool_cancel(w->pool, (assert_true(gr_pool_reserve(w->pool, SHARE_B)), SHARE_B));
    gr_pool_send_back(w->pool, SHARE_A);
    await(&w->ended, n);
    assert_int_equal(gauges(w).pool_waiting, 0);
    for (unsigned i = 0; i < QUEUE; i++) // no room is lost, and none was won
        assert_true(put(w, 40 + i, stuck, 0));
    assert_false(put(w, 49, stuck, 0));
    for (unsigned i = 0; i < n; i++)
        assert_true(put(w, 50 + i, SHARE_A, 0));
    assert_false(put(w, 59, SHARE_A, 0));
    for (unsigned i = 0; i < MOST; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, GR_POOL_THREADS_MAX + QUEUE + n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(atomic_load(&w->jobs[50 + i].given_up), 0);
}

// Puts and openings at the same time: each task ends once, in one of the two ways.
struct opener {
    struct world *w;
    _Atomic bool stop;
};

static void *open_often(void *arg)
{
    struct opener *o = arg;
    while (!atomic_load(&o->stop))
        gr_pool_send_back(o->w->pool, SHARE_A);
    return NULL;
}

static void each_ends_once(void **state)
{
    struct world *w = *state;
    struct opener o = {.w = w};
    pthread_t t;
    unsigned worked = 0, back = 0;
    assert_int_equal(pthread_create(&t, NULL, open_often, &o), 0);
    for (unsigned i = 0; i < MOST; i++) {
        sem_post(&w->jobs[i].go);
        assert_true(put(w, i, SHARE_A, 0));
        await(&w->ended, 1);
        assert_int_equal(sem_trywait(&w->ended), -1);
        back += atomic_load(&w->jobs[i].sent_back);
    }
    atomic_store(&o.stop, true);
    pthread_join(t, NULL);
    for (unsigned i = 0; i < MOST; i++)
        worked += atomic_load(&w->jobs[i].given_up) == 0;
    assert_int_equal(worked + back, MOST);
    for (unsigned i = 0; i < MOST; i++)
        sem_init(&w->jobs[i].go, 0, 0);
    for (unsigned i = 0; i < THREADS + QUEUE; i++)
        while (!put(w, i, SHARE_A, 0)) // the last one has ended, but not yet left
            sched_yield();
    assert_false(put(w, MOST - 1, SHARE_A, 0));
    for (unsigned i = 0; i < THREADS + QUEUE; i++)
        sem_post(&w->jobs[i].go);
    await(&w->ended, THREADS + QUEUE);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_share_is_bounded_and_no_other_pays),
        TEST(all_shares_together_have_so_many_threads),
        TEST(what_is_late_is_not_begun),
        TEST(what_is_given_up_gives_its_place_back),
        TEST(what_waits_is_sent_back),
        TEST(each_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
