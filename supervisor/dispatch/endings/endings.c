// The functions by which C code ends something, exported to modules by this program. Must decide
// by the return address alone: glibc's own abort, which speaks of a broken heap and holds its lock,
// does not come through here, and a library's call is not the module's.
#undef NDEBUG // the header hides __assert_fail() otherwise
#include "dispatch/endings/endings.h"
#include "dispatch/guard.h"
#include "dispatch/text.h"
#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define CALLER() ((uint64_t)(uintptr_t)__builtin_return_address(0))

static struct {
    void (*abort)(void);
    void (*exit)(int status);
    void (*exit_now)(int status);
    void (*exit_quickly)(int status);
    void (*exit_thread)(void *value);
    void (*fail_assertion)(const char *assertion, const char *file, unsigned line,
                           const char *function);
} original;

static void find(void *function, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(function, &symbol, sizeof(symbol));
}

void gr_endings_install(void)
{
    find(&original.abort, "abort");
    find(&original.exit, "exit");
    find(&original.exit_now, "_exit");
    find(&original.exit_quickly, "quick_exit");
    find(&original.exit_thread, "pthread_exit");
    find(&original.fail_assertion, "__assert_fail");
}

// Also what is left when an original is missing, or returns.
static _Noreturn void end_process(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

static _Noreturn void abort_process(void)
{
    if (original.abort)
        original.abort();
    raise(SIGABRT);
    end_process(127);
}

// Module code asked to end more than a call.
static void contain_exit(uint64_t caller, const char *what)
{
    gr_guard_end_call(GR_FAULT_EXIT, caller, what);
    if (gr_text_find(caller - 1))
        abort_process();
}

static void contain_status(uint64_t caller, const char *function, int status)
{
    char what[GR_FAULT_DETAIL_MAX];
    snprintf(what, sizeof(what), "%s(%d)", function, status);
    contain_exit(caller, what);
}

// --- what modules find -------------------------------------------------------------------------

EXPORTED void abort(void)
{
    gr_guard_end_call(GR_FAULT_ABORT, CALLER(), "abort()");
    abort_process();
}

EXPORTED void __assert_fail(const char *assertion, const char *file, unsigned line,
                            const char *function)
{
    char what[GR_FAULT_DETAIL_MAX];
    const char *slash = strrchr(file, '/');
    snprintf(what, sizeof(what), "%s:%u: %s: assertion '%s' failed", slash ? slash + 1 : file, line,
             function, assertion);
    gr_guard_end_call(GR_FAULT_ASSERT, CALLER(), what);
    if (original.fail_assertion)
        original.fail_assertion(assertion, file, line, function);
    abort_process();
}

EXPORTED void exit(int status)
{
    contain_status(CALLER(), "exit", status);
    if (original.exit)
        original.exit(status);
    end_process(status);
}

EXPORTED void _exit(int status)
{
    contain_status(CALLER(), "_exit", status);
    if (original.exit_now)
        original.exit_now(status);
    end_process(status);
}

EXPORTED void _Exit(int status)
{
    contain_status(CALLER(), "_Exit", status);
    if (original.exit_now)
        original.exit_now(status);
    end_process(status);
}

EXPORTED void quick_exit(int status)
{
    contain_status(CALLER(), "quick_exit", status);
    if (original.exit_quickly)
        original.exit_quickly(status);
    end_process(status);
}

// A thread of the module's own may end itself; a dispatch thread holds a seat.
EXPORTED void pthread_exit(void *value)
{
    if (gr_guard_of_thread())
        contain_exit(CALLER(), "pthread_exit()");
    if (original.exit_thread)
        original.exit_thread(value);
    abort_process();
}

EXPORTED void thrd_exit(int value)
{
    if (gr_guard_of_thread())
        contain_exit(CALLER(), "thrd_exit()");
    if (original.exit_thread)
        original.exit_thread((void *)(intptr_t)value);
    abort_process();
}
