// The ways in which a module of the tests ends a call, or more than that, by name.
#pragma once
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int crash_zero;
static int *volatile crash_nowhere;
static void (*volatile crash_no_function)(void);

static int crash_overflow_stack(volatile char *outer)
{
    volatile char frame[4096];
    if (*outer == 0) // never; the compiler cannot know
        return 0;
    frame[0] = *outer;
    return crash_overflow_stack(frame) + frame[0];
}

// What is behind the mapping goes away, as a file that somebody truncates.
static void crash_by_truncated_mapping(void)
{
    int fd = memfd_create("truncated", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) < 0)
        return;
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (ftruncate(fd, 0) == 0)
        crash_zero = page[0];
}

// The next push faults, and so does whoever follows the frames.
static void crash_with_lost_stack(void)
{
    __asm__ volatile("mov $64, %%rsp\n\txor %%ebp, %%ebp\n\tpushq $0" ::: "memory");
}

// No code and no stack: the one word that would tell the caller cannot be read.
static void crash_by_jump_with_lost_stack(void)
{
    __asm__ volatile("mov $64, %%rsp\n\txor %%eax, %%eax\n\tjmp *%%rax" ::: "memory", "rax");
}

static void *crash_on_thread(void *how);

static void crash_own_thread(const char *how)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, crash_on_thread, (void *)(uintptr_t)how) == 0)
        pthread_join(thread, NULL);
}

// libc prints a text that is nowhere, and holds the stream's lock.
static void crash_under_stream_lock(void)
{
    static char buffer[64];
    FILE *f = fmemopen(buffer, sizeof buffer, "w");
    fprintf(f, "%s %s", "text", (const char *)8);
}

// A chunk's size is overwritten after it was freed; the allocator notices, under its arena's lock.
static void crash_under_heap_lock(void)
{
    volatile size_t *volatile chunks[3]; // the outer ones keep the one between them apart
    for (size_t i = 0; i < 3; i++)
        chunks[i] = malloc(4096);
    free((void *)(uintptr_t)chunks[1]);
    chunks[1][-1] = (size_t)-8;
    chunks[1] = malloc(8192);
}

static void crash_again(int sig)
{
    crash_zero = sig;
    *crash_nowhere = 1;
}

// The module has put its own handler in place of the host's, and that one faults too.
static void crash_in_own_handler(void)
{
    struct sigaction own = {.sa_handler = crash_again, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &own, NULL);
    *crash_nowhere = 1;
}

// As above, and each fault comes in again.
static void crash_in_own_handler_for_ever(void)
{
    struct sigaction own = {.sa_handler = crash_again, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &own, NULL);
    *crash_nowhere = 1;
}

// What is no chunk of the allocator's.
static void crash_by_bad_free(void)
{
    static char text[64];
    char *volatile nothing = text + 8;
    free(nothing);
}

static void crash_by_bad_copy(void)
{
    static char text[4096];
    volatile size_t all = sizeof text; // not known before it runs: libc's own text copies
    memcpy(text, (const void *)crash_nowhere, all);
    crash_zero = text[0];
}

static const struct {
    const char *name;
    void (*act)(void);
} crash_acts[] = {
    {"abort", abort},
    {"bus", crash_by_truncated_mapping},
    {"lost-stack", crash_with_lost_stack},
    {"lost-all", crash_by_jump_with_lost_stack},
    {"stream", crash_under_stream_lock},
    {"heap", crash_under_heap_lock},
    {"free", crash_by_bad_free},
    {"copy", crash_by_bad_copy},
    {"handler", crash_in_own_handler},
    {"handler-again", crash_in_own_handler_for_ever},
};

// Returns when it knows no such way.
static void crash(const char *how)
{
    volatile char start = 1;
    if (strcmp(how, "null") == 0)
        *crash_nowhere = 1;
    else if (strcmp(how, "jump") == 0)
        crash_no_function();
    else if (strcmp(how, "divide") == 0)
        crash_zero = 100 / crash_zero;
    else if (strcmp(how, "illegal") == 0)
        __builtin_trap();
    else if (strcmp(how, "stack") == 0)
        crash_zero = crash_overflow_stack(&start);
    else if (strcmp(how, "assert") == 0)
        assert(crash_zero == 1);
    else if (strcmp(how, "exit") == 0)
        exit(3);
    else if (strcmp(how, "_exit") == 0)
        _exit(3);
    else if (strcmp(how, "_Exit") == 0)
        _Exit(3);
    else if (strcmp(how, "quick_exit") == 0)
        quick_exit(3);
    else if (strcmp(how, "pthread_exit") == 0)
        pthread_exit(NULL);
    else if (strcmp(how, "libc") == 0)
        crash_zero = (int)strlen((const char *)crash_nowhere);
    else if (strncmp(how, "thread-", 7) == 0)
        crash_own_thread(how + 7);
    for (size_t i = 0; i < sizeof crash_acts / sizeof crash_acts[0]; i++)
        if (strcmp(how, crash_acts[i].name) == 0)
            crash_acts[i].act();
}

static void *crash_on_thread(void *how)
{
    crash(how);
    return NULL;
}
