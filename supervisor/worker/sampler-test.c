// A thread that computes is met where it computes, with its callers; one that sleeps is not met; a
// stack that leads nowhere ends the sample and not the process.
#include "dispatch/asym.h"
#include "worker/sampler.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#ifdef GR_TSAN // its runtime is where such code spends its time, and delivers signals late
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#define ENOUGH 20
#define ROOM 4096
#define STACK_BYTES (512u * 1024)
#define PAGE_BYTES 4096u

static volatile uint64_t work;
static _Atomic bool ready, enough;

static __attribute__((noinline)) void add(unsigned n)
{
    work += n;
}

// Calls something, since a function that calls nothing may be compiled without a frame.
static __attribute__((noinline)) void burn(void)
{
    for (unsigned i = 0; i < 20000; i++)
        add(i);
}

static __attribute__((noinline)) void *compute(void *unused)
{
    (void)unused;
    atomic_store(&ready, true);
    while (!atomic_load(&enough))
        burn();
    return NULL;
}

// A frame pointer into nowhere, as code without one leaves any number in its register.
static void *compute_without_frames(void *nowhere)
{
    atomic_store(&ready, true);
    while (!atomic_load(&enough))
        __asm__ volatile("push %%rbp\n"
                         "mov %0, %%rbp\n"
                         "mov $100000, %%ecx\n"
                         "1: dec %%ecx\n"
                         "jnz 1b\n"
                         "pop %%rbp\n"
                         :
                         : "r"(nowhere)
                         : "ecx", "cc", "memory");
    return NULL;
}

static bool is_in(uint64_t frame, const void *function, size_t bytes)
{
    return frame >= (uint64_t)function && frame < (uint64_t)function + bytes;
}

static size_t samples_of(struct gr_sampler *s, const struct gr_sample **ret)
{
    gr_sampler_stop(s);
    while (!gr_sampler_is_quiet())
        sched_yield();
    return gr_sampler_samples(s, ret);
}

// Until so many samples of other threads than this one, which sleeps, are there.
static void await_samples(struct gr_sampler *s, size_t enough_of_them)
{
    const struct gr_sample *x;
    while (gr_sampler_samples(s, &x) < enough_of_them) {
        gr_sampler_look(s);
        (void)poll(NULL, 0, 5);
    }
}

static pthread_t start_thread(const pthread_attr_t *attr, void *(*run)(void *), void *argument)
{
    pthread_t t;
    atomic_store(&enough, false);
    atomic_store(&ready, false);
    assert_int_equal(pthread_create(&t, attr, run, argument), 0);
    while (!atomic_load(&ready))
        sched_yield();
    return t;
}

static void a_busy_function_is_met_with_its_caller(void **state)
{
    struct gr_sampler *s, *second;
    const struct gr_sample *x;
    (void)state;
    if (UNDER_TSAN)
        skip();
    pthread_t t = start_thread(NULL, compute, NULL);
    assert_int_equal(gr_sampler_start(500, ROOM, &s), 0);
    assert_int_equal(gr_sampler_start(500, ROOM, &second), -EALREADY);
    await_samples(s, ENOUGH);
    size_t n = samples_of(s, &x), in_burn = 0, in_compute = 0;
    atomic_store(&enough, true);
    pthread_join(t, NULL);
    for (size_t i = 0; i < n; i++) {
        assert_true(x[i].n >= 1 && x[i].n <= GR_PROFILE_FRAMES_MAX);
        in_burn += is_in(x[i].frames[0], (const void *)burn, 256) ||
                   is_in(x[i].frames[0], (const void *)add, 256);
        in_compute += x[i].n > 1 && is_in(x[i].frames[1], (const void *)compute, 256);
    }
    assert_true(n >= ENOUGH && in_burn > n / 2);
    assert_true(in_compute > 0);
    assert_int_equal(gr_sampler_lost(s), 0);
    gr_sampler_free(s);
}

// Right above the stack is a page that nobody may read: a load from it would end the process.
static void a_stack_that_leads_nowhere_ends_the_sample(void **state)
{
    struct gr_sampler *s;
    const struct gr_sample *x;
    (void)state;
    if (UNDER_TSAN)
        skip();
    char *stack = mmap(NULL, STACK_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    assert_int_equal(mprotect(stack + STACK_BYTES, PAGE_BYTES, PROT_NONE), 0);
    pthread_attr_t on_it;
    assert_int_equal(pthread_attr_init(&on_it), 0);
    assert_int_equal(pthread_attr_setstack(&on_it, stack, STACK_BYTES), 0);
    pthread_t t = start_thread(&on_it, compute_without_frames, stack + STACK_BYTES);
    assert_int_equal(gr_sampler_start(500, ROOM, &s), 0);
    size_t met = 0;
    for (size_t seen = 0; met < ENOUGH;) {
        gr_sampler_look(s);
        size_t n = gr_sampler_samples(s, &x);
        (void)poll(NULL, 0, 5);
        for (; seen < n && atomic_load(&x[seen].n) > 0; seen++)
            met += is_in(x[seen].frames[0], (const void *)compute_without_frames, 512);
    }
    size_t n = samples_of(s, &x), alone = 0;
    atomic_store(&enough, true);
    pthread_join(t, NULL);
    for (size_t i = 0; i < n; i++)
        if (is_in(x[i].frames[0], (const void *)compute_without_frames, 512))
            alone += x[i].n == 1; // but for those met before the register is set
    assert_true(alone >= ENOUGH / 2);
    gr_sampler_free(s);
    pthread_attr_destroy(&on_it);
    munmap(stack, STACK_BYTES + PAGE_BYTES);
}

static void what_has_no_place_is_counted(void **state)
{
    struct gr_sampler *s;
    const struct gr_sample *x;
    (void)state;
    assert_int_equal(gr_sampler_start(999, 1, &s), 0);
    while (gr_sampler_lost(s) < 3)
        burn();
    assert_int_equal(samples_of(s, &x), 1);
    assert_true(gr_sampler_lost(s) >= 3);
    gr_sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_function_is_met_with_its_caller),
        cmocka_unit_test(a_stack_that_leads_nowhere_ends_the_sample),
        cmocka_unit_test(what_has_no_place_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
