// See last-words.h. The handler calls async-signal-safe functions only, on a stack of its own.
#include "control/last-words.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (64 * 1024)

static const struct {
    int number;
    const char *name;
} fatal[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
             {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}};

static struct sigaction before[GR_COUNT(fatal)];
static int file = -1;
static pid_t owner; // a child that has not executed its program yet has the handler too

static void on_fatal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    bool own = info->si_code > 0 || info->si_pid == getpid();
    for (size_t i = 0; i < GR_COUNT(fatal); i++) {
        if (fatal[i].number != sig)
            continue;
        if (own && file >= 0 && getpid() == owner)
            (void)!write(file, fatal[i].name, strlen(fatal[i].name));
        sigaction(sig, &before[i], NULL); // the core file, and a sanitizer's report, as ever
    }
    if (info->si_code <= 0) // else the fault happens again, with its true context
        syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), sig);
}

static int use_stack(void)
{
    static char stack[STACK_BYTES];
    stack_t now;
    if (sigaltstack(NULL, &now) < 0)
        return -errno;
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    return !(now.ss_flags & SS_DISABLE) || sigaltstack(&own, NULL) == 0 ? 0 : -errno;
}

int gr_last_words_arm(const char *state_dir, char ret[GR_LAST_WORDS_MAX])
{
    ret[0] = '\0';
    GR_AUTO_CLOSE int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    GR_AUTO_CLOSE int fd =
        dir < 0
            ? -1
            : openat(dir, "last-words", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n = fd < 0 ? -1 : pread(fd, ret, GR_LAST_WORDS_MAX - 1, 0);
    if (n < 0 || ftruncate(fd, 0) < 0) {
        int k = -errno;
        ret[0] = '\0';
        return k;
    }
    ret[n] = '\0';
    for (char *p = ret; *p; p++) // it is shown
        if (*p < 'A' || *p > 'Z')
            *p = '?';
    int k = use_stack();
    if (k < 0)
        return k;
    file = gr_steal_fd(&fd);
    owner = getpid();
    struct sigaction sa = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < GR_COUNT(fatal); i++)
        if (sigaction(fatal[i].number, &sa, &before[i]) < 0)
            return -errno;
    return 0;
}
