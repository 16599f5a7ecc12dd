#include "worker/shadow-queue.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

enum { PRODUCERS = 3, CONSUMERS = 2, EACH = 20000 };

static struct gr_shadow_queue queue;

static void *item(size_t n)
{
    return (void *)(uintptr_t)(n + 1); // the queue never looks behind it
}

static void first_in_first_out_and_full_is_said(void **state)
{
    (void)state;
    gr_shadow_queue_init(&queue);
    for (int round = 0; round < 3; round++) {
        assert_null(gr_shadow_queue_take(&queue));
        for (size_t i = 0; i < GR_SHADOW_QUEUE_MAX; i++)
            assert_true(gr_shadow_queue_put(&queue, item(i)));
        assert_false(gr_shadow_queue_put(&queue, item(7)));
        assert_ptr_equal(gr_shadow_queue_take(&queue), item(0));
        assert_true(gr_shadow_queue_put(&queue, item(GR_SHADOW_QUEUE_MAX)));
        for (size_t i = 1; i <= GR_SHADOW_QUEUE_MAX; i++)
            assert_ptr_equal(gr_shadow_queue_take(&queue), item(i));
    }
    assert_null(gr_shadow_queue_take(&queue));
}

static _Atomic uint8_t seen[PRODUCERS * EACH];
static _Atomic unsigned taken;

static void *produce(void *first)
{
    for (size_t i = 0; i < EACH; i++)
        while (!gr_shadow_queue_put(&queue, (char *)first + i))
            sched_yield();
    return NULL;
}

static void *consume(void *unused)
{
    while (atomic_load(&taken) < PRODUCERS * EACH) {
        void *found = gr_shadow_queue_take(&queue);
        if (!found) {
            sched_yield();
            continue;
        }
        atomic_fetch_add(&seen[(uintptr_t)found - 1], 1);
        atomic_fetch_add(&taken, 1);
    }
    return unused;
}

static void nothing_is_lost_or_taken_twice(void **state)
{
    (void)state;
    pthread_t threads[PRODUCERS + CONSUMERS];
    gr_shadow_queue_init(&queue);
    for (size_t i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, item(i * EACH)), 0);
    for (size_t i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, consume, NULL), 0);
    for (size_t i = 0; i < PRODUCERS + CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < PRODUCERS * EACH; i++)
        assert_int_equal(atomic_load(&seen[i]), 1);
    assert_null(gr_shadow_queue_take(&queue));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out_and_full_is_said),
        cmocka_unit_test(nothing_is_lost_or_taken_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
