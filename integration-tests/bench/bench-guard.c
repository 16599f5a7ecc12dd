// What the fault guard costs a call that does not fault, in nanoseconds, beside the same call bare
// and beside what else could bring a thread back: sigsetjmp() with the signal mask, the mask taken
// by hand, and C++'s exceptions (which a fault is none of). Prints a table; asserts nothing about
// time.
//
//   bench-guard
#include "dispatch/guard.h"
#include "try-catch.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 9
#define CALLS 2000000u
#define CALLS_SYSTEM 200000u // of ways that enter the kernel

static struct gr_guard_self *self;

static int32_t callee(void *arg)
{
    return *(volatile int32_t *)arg;
}

static int32_t (*volatile call)(void *) = callee; // as into a module: nothing can be inlined

static int32_t bare(void *arg)
{
    return call(arg);
}

static int32_t guarded(void *arg)
{
    int32_t code = 0;
    return gr_guard_run(self, call, arg, &code) ? code : -1;
}

static int32_t with_jump(void *arg)
{
    sigjmp_buf jump;
    return sigsetjmp(jump, 0) == 0 ? call(arg) : -1;
}

static int32_t with_mask(void *arg)
{
    sigjmp_buf jump;
    return sigsetjmp(jump, 1) == 0 ? call(arg) : -1;
}

static int32_t with_mask_and_back(void *arg)
{
    sigset_t before;
    sigjmp_buf jump;
    sigprocmask(SIG_SETMASK, NULL, &before);
    int32_t code = sigsetjmp(jump, 0) == 0 ? call(arg) : -1;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}

static int32_t with_try(void *arg)
{
    return bench_try(call, arg);
}

static int32_t with_throw(void *arg)
{
    return bench_try(bench_throw, arg) == -1 ? 0 : -1;
}

static double now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); // waiting for a processor is no cost of a call
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const struct {
        const char *name;
        int32_t (*way)(void *);
        unsigned calls;
    } ways[] = {
        {"bare indirect call", bare, CALLS},
        {"the guard", guarded, CALLS},
        {"sigsetjmp() without mask alone", with_jump, CALLS},
        {"sigsetjmp() with the mask", with_mask, CALLS_SYSTEM},
        {"the mask taken and put back by hand", with_mask_and_back, CALLS_SYSTEM},
        {"C++ try and catch, nothing thrown", with_try, CALLS},
        {"C++ try and catch, an int thrown", with_throw, CALLS_SYSTEM},
    };
    double nsec[GR_COUNT(ways)][ROUNDS];
    int32_t zero = 0;
    if (gr_guard_enter(-1, &self) < 0)
        return 1;
    for (unsigned r = 0; r < ROUNDS; r++) // interleaved: what disturbs one disturbs all
        for (size_t w = 0; w < GR_COUNT(ways); w++) {
            double begin = now_nsec();
            for (unsigned i = 0; i < ways[w].calls; i++)
                if (ways[w].way(&zero) != 0)
                    abort();
            nsec[w][r] = (now_nsec() - begin) / ways[w].calls;
        }
    gr_guard_leave();
    printf("%-40s %10s %10s\n", "nanoseconds a call, of nine rounds", "median", "least");
    for (size_t w = 0; w < GR_COUNT(ways); w++) {
        qsort(nsec[w], ROUNDS, sizeof(nsec[w][0]), by_value);
        printf("%-40s %10.1f %10.1f\n", ways[w].name, nsec[w][ROUNDS / 2], nsec[w][0]);
    }
    return 0;
}
