// The fault points' bookkeeping: which passage of which name fails or dies. Only in test builds;
// any thread may pass.
#include "base/fault.h"
#if GR_FAULT_POINTS
#include "base/macros.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ARMED_MAX 16

static const struct {
    const char *name;
    int code;
} errors[] = {
    {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"EBUSY", EBUSY},         {"ECONNRESET", ECONNRESET},
    {"EEXIST", EEXIST}, {"EINTR", EINTR},   {"EINVAL", EINVAL},       {"EIO", EIO},
    {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOENT", ENOENT},       {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC}, {"EPERM", EPERM},   {"EPIPE", EPIPE},         {"EROFS", EROFS},
    {"EDQUOT", EDQUOT}, {"E2BIG", E2BIG},   {"ETIMEDOUT", ETIMEDOUT},
};

struct armed {
    char name[64];
    unsigned long at; // the passage that is hit, from 1
    int error;        // negative errno; 0: the process ends
    bool crash;       // ... by a fault of its own, not by a kill
    atomic_ulong passed;
};
static struct armed armed[ARMED_MAX];
static size_t n_armed;
static int trace_fd = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// A drill with a misspelt fault would pass without having tested anything: stop loudly.
static _Noreturn void refuse(const char *spec)
{
    fprintf(stderr,
            "GRAYLING_FAULT: \"%s\" is not NAME:N:kill, NAME:N:crash or NAME:N:error:ERRNO (at "
            "most %d)\n",
            spec, ARMED_MAX);
    abort();
}

static int error_of(const char *name)
{
    for (size_t i = 0; i < GR_COUNT(errors); i++)
        if (strcmp(name, errors[i].name) == 0)
            return -errors[i].code;
    return 0;
}

static void arm(const char *spec)
{
    char action[16], code[16] = "", excess;
    if (n_armed == ARMED_MAX)
        refuse(spec);
    struct armed *a = &armed[n_armed];
    int n = sscanf(spec, "%63[^:]:%lu:%15[^:]:%15[^:]%c", a->name, &a->at, action, code, &excess);
    bool kills = n == 3 && strcmp(action, "kill") == 0;
    if (n == 4 && strcmp(action, "error") == 0)
        a->error = error_of(code);
    a->crash = n == 3 && strcmp(action, "crash") == 0;
    if (n < 3 || a->at == 0 || (!kills && !a->crash && a->error == 0))
        refuse(spec);
    n_armed++;
}

static void read_environment(void)
{
    const char *spec = secure_getenv("GRAYLING_FAULT"),
               *trace = secure_getenv("GRAYLING_FAULT_TRACE");
    GR_AUTO_FREE char *copy = strdup(spec ? spec : "");
    char *rest = NULL;
    for (char *one = copy ? strtok_r(copy, ",", &rest) : NULL; one;
         one = strtok_r(NULL, ",", &rest))
        arm(one);
    if (trace)
        trace_fd = open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

int gr_fault_point(const char *name)
{
    pthread_once(&once, read_environment);
    if (trace_fd >= 0)
        dprintf(trace_fd, "%s\n", name);
    for (size_t i = 0; i < n_armed; i++) {
        struct armed *a = &armed[i];
        if (strcmp(a->name, name) != 0 || atomic_fetch_add(&a->passed, 1) + 1 != a->at)
            continue;
        if (trace_fd >= 0)
            dprintf(trace_fd, "hit:%s\n", name);
        if (a->crash)
            abort();
        if (a->error == 0)
            kill(getpid(), SIGKILL);
        return a->error;
    }
    return 0;
}
#endif
