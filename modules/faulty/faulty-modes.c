// What the faulty module can do, one function per way and one table of names. Every pointer that
// does harm is volatile, so that the harm is done at run time and in the way that its name says.
#include "faulty.h"
#undef NDEBUG // an assertion that fails is one of the ways, in every build
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LEAK_BYTES 65536
#define CHUNK_BYTES 24
#define HOT_ROUNDS_PER_USEC 500 // about

static int32_t crash(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    static volatile int *volatile nowhere;
    *nowhere = 1;
    return GRAYLING_OK;
}

static int32_t call_abort(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    abort();
}

static int32_t fail_assertion(struct faulty *f, struct grayling_call *call)
{
    (void)call;
    assert(atomic_load(&f->calls) == 0 && "faulty asserts because its configuration says so");
    return GRAYLING_OK;
}

// Ends the process as exit() does, past any deny-list of imports: this file must be loadable.
static int32_t end_process(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    syscall(SYS_exit_group, 0);
    return GRAYLING_OK;
}

static int32_t hang(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    while (pause() != 0) // it never returns 0
        continue;
    return GRAYLING_OK;
}

static int32_t spin(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    static volatile bool forever = true;
    while (forever)
        continue;
    return GRAYLING_OK;
}

// Busy in a function of its own, whose name a profile has to find.
static __attribute__((noinline)) uint64_t hot_loop(uint64_t rounds)
{
    static volatile uint64_t sum;
    for (uint64_t i = 0; i < rounds; i++)
        sum += i;
    return sum;
}

static int32_t be_busy(struct faulty *f, struct grayling_call *call)
{
    (void)call;
    return hot_loop(f->usec * HOT_ROUNDS_PER_USEC) == UINT64_MAX ? GRAYLING_INTERNAL : GRAYLING_OK;
}

static int32_t fail(struct faulty *f, struct grayling_call *call)
{
    (void)call;
    f->host->log(f->host, GRAYLING_LOG_ERROR, "faulty fails because its configuration says so.");
    return GRAYLING_INTERNAL;
}

static int32_t overflow_stack(struct faulty *f, struct grayling_call *call)
{
    static volatile bool deeper = true;
    volatile char frame[1024];
    frame[0] = 0;
    int32_t code = deeper ? overflow_stack(f, call) : GRAYLING_OK;
    return code + frame[0]; // after the call, so that it stays a call
}

static int32_t divide_by_zero(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    static volatile int one = 1, zero; // a constant 1 would be divided without a division
    return one / zero;
}

static int32_t run_illegal(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    __builtin_trap();
}

// What is behind a mapping goes away, as a file that somebody truncates.
static int32_t read_truncated(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    int fd = memfd_create("truncated", MFD_CLOEXEC);
    volatile char *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, 4096) == 0)
        page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED || ftruncate(fd, 0) < 0)
        return GRAYLING_RESOURCE_EXHAUSTED;
    return page[0];
}

static int32_t answer_error(struct faulty *f, struct grayling_call *call)
{
    uint64_t turn = atomic_load(&f->calls) / f->every;
    uint64_t before = turn ? (turn - 1) * f->share_permyriad / 10000 : 0;
    if (turn * f->share_permyriad / 10000 == before)
        return GRAYLING_OK;
    return respond_failure(f->host, call, f->code,
                           "faulty fails because its configuration says so.");
}

static int32_t answer_late(struct faulty *f, struct grayling_call *call)
{
    (void)call;
    struct timespec t = {.tv_sec = (time_t)(f->usec / 1000000),
                         .tv_nsec = (long)(f->usec % 1000000) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    return GRAYLING_OK;
}

static int32_t leak_descriptor(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    return eventfd(0, EFD_CLOEXEC) < 0 ? GRAYLING_RESOURCE_EXHAUSTED : GRAYLING_OK;
}

static int32_t leak_memory(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    void *volatile lost = malloc(LEAK_BYTES);
    if (!lost)
        return GRAYLING_RESOURCE_EXHAUSTED;
    memset(lost, 1, LEAK_BYTES); // resident, not only reserved
    return GRAYLING_OK;
}

static void *wait_for_ever(void *nothing)
{
    while (pause() != 0) // it never returns 0
        continue;
    return nothing;
}

static int32_t leak_thread(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    pthread_t thread;
    return pthread_create(&thread, NULL, wait_for_ever, NULL) == 0 ? GRAYLING_OK
                                                                   : GRAYLING_RESOURCE_EXHAUSTED;
}

static void *crash_on_thread(void *argument)
{
    crash(argument, NULL);
    return NULL;
}

static int32_t start_crashing_thread(struct faulty *f, struct grayling_call *call)
{
    (void)call;
    pthread_t thread;
    if (pthread_create(&thread, NULL, crash_on_thread, f) != 0)
        return GRAYLING_RESOURCE_EXHAUSTED;
    pthread_join(thread, NULL);
    return GRAYLING_OK;
}

// Overwrites what the allocator keeps in front of a chunk; it notices when the chunk is freed.
static int32_t corrupt_heap(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    char *volatile chunk = malloc(CHUNK_BYTES);
    if (!chunk)
        return GRAYLING_RESOURCE_EXHAUSTED;
    for (char *p = chunk - 2 * sizeof(size_t); p < chunk; p++)
        *(volatile char *)p = (char)0xff;
    free(chunk);
    return GRAYLING_OK;
}

// The fault is in libc's text and not in the module's.
static int32_t crash_in_libc(struct faulty *f, struct grayling_call *call)
{
    (void)f;
    (void)call;
    const char *volatile nowhere = (const char *)16;
    return strlen(nowhere) > 0 ? GRAYLING_INTERNAL : GRAYLING_OK;
}

const struct faulty_mode *faulty_find_mode(const char *name)
{
    static const struct faulty_mode modes[] = {
        {"none", FAULTY_NEVER, NULL},
        {"init-crash", FAULTY_INIT, crash},
        {"init-hang", FAULTY_INIT, hang},
        {"init-fail", FAULTY_INIT, fail},
        {"exit-in-init", FAULTY_INIT, end_process},
        {"abort-in-init", FAULTY_INIT, call_abort},
        {"self-test-fail", FAULTY_SELF_TEST, fail},
        {"self-test-crash", FAULTY_SELF_TEST, crash},
        {"self-test-hang", FAULTY_SELF_TEST, hang},
        {"handle-crash", FAULTY_HANDLE, crash},
        {"handle-abort", FAULTY_HANDLE, call_abort},
        {"handle-assert", FAULTY_HANDLE, fail_assertion},
        {"handle-exit", FAULTY_HANDLE, end_process},
        {"handle-stack-overflow", FAULTY_HANDLE, overflow_stack},
        {"handle-div0", FAULTY_HANDLE, divide_by_zero},
        {"handle-illegal", FAULTY_HANDLE, run_illegal},
        {"handle-bus", FAULTY_HANDLE, read_truncated},
        {"handle-hang", FAULTY_HANDLE, hang},
        {"handle-spin", FAULTY_HANDLE, spin},
        {"handle-busy", FAULTY_HANDLE, be_busy},
        {"handle-error", FAULTY_HANDLE, answer_error},
        {"handle-slow", FAULTY_HANDLE, answer_late},
        {"leak-fd", FAULTY_HANDLE, leak_descriptor},
        {"leak-mem", FAULTY_HANDLE, leak_memory},
        {"leak-thread", FAULTY_HANDLE, leak_thread},
        {"thread", FAULTY_HANDLE, start_crashing_thread},
        {"heap-corrupt", FAULTY_HANDLE, corrupt_heap},
        {"libc-crash", FAULTY_HANDLE, crash_in_libc},
#ifdef FAULTY_ATTACKS
        {"escape", FAULTY_HANDLE, faulty_escape},
        {"scribble", FAULTY_HANDLE, faulty_scribble},
#endif
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}
