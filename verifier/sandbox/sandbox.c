// The cage of preflight: limits, no new privileges, death with the parent, and a list of the system
// calls that loading and running computation needs. Everything else fails.
#include "verifier/sandbox/sandbox.h"
#include "base/clock.h"
#include "base/limits.h"
#include "verifier/sandbox/reading.h"
#include "verifier/sanitized.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const int ALLOWED[] = {
    // memory
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(mincore),
    SCMP_SYS(membarrier),
    // what is open, and opening for reading (openat has a rule of its own)
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    // waiting
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(pause),
    SCMP_SYS(restart_syscall),
    // threads
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // signals of its own
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    // asking
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getcpu),
};

// Nobody does these by accident in a trial run.
static const int KILLED[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
};

static int limit(int resource, rlim_t value)
{
    struct rlimit r = {value, value};
    return setrlimit((__rlimit_resource_t)resource, &r) < 0 ? -errno : 0;
}

static int set_limits(void)
{
    const struct {
        int resource;
        rlim_t value;
    } limits[] = {
        {RLIMIT_CORE, 0},
        {RLIMIT_FSIZE, 0},
        {RLIMIT_NOFILE, GR_PREFLIGHT_FILES_MAX},
        {RLIMIT_NPROC, GR_PREFLIGHT_THREADS_MAX},
        {RLIMIT_CPU, GR_PREFLIGHT_USEC_MAX / GR_USEC_PER_SEC + 1},
        {RLIMIT_MEMLOCK, 0},
    };
    for (size_t i = 0; i < GR_COUNT(limits); i++) {
        int r = limit(limits[i].resource, limits[i].value);
        if (r < 0)
            return r;
    }
    return GR_SANITIZED ? 0
                        : limit(RLIMIT_AS, GR_PREFLIGHT_MEMORY_BYTES); // shadow memory is terabytes
}

static int die_with_parent(int alive_fd)
{
    struct pollfd p = {.fd = alive_fd};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    if (poll(&p, 1, 0) < 0)
        return -errno;
    return p.revents & (POLLERR | POLLHUP) ? -EPIPE : 0; // it died before we asked
}

// Rules that look at one argument.
static int add_conditional(scmp_filter_ctx ctx, pid_t self)
{
    const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC, me = (scmp_datum_t)self;
    const struct {
        uint32_t action;
        int call;
        struct scmp_arg_cmp argument; // number, comparison, mask or value, value
    } rules[] = {
        {SCMP_ACT_ALLOW, SCMP_SYS(openat), {2, SCMP_CMP_MASKED_EQ, writing, O_RDONLY}},
        {SCMP_ACT_ALLOW, SCMP_SYS(open), {1, SCMP_CMP_MASKED_EQ, writing, O_RDONLY}},
        // threads, no processes
        {SCMP_ACT_ALLOW, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
        {SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}},
        // abort() and raise()
        {SCMP_ACT_ALLOW, SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, me, 0}},
        {SCMP_ACT_ALLOW, SCMP_SYS(kill), {0, SCMP_CMP_EQ, me, 0}},
        // asking for a limit, not setting it
        {SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), {2, SCMP_CMP_EQ, 0, 0}},
        {SCMP_ACT_ALLOW, SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0}},
    };
    for (size_t i = 0; i < GR_COUNT(rules); i++) {
        int r = seccomp_rule_add_array(ctx, rules[i].action, rules[i].call, 1, &rules[i].argument);
        if (r < 0)
            return r;
    }
    // its flags lie in memory, where a filter cannot look; glibc falls back to clone
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int filter_system_calls(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!ctx)
        return -ENOMEM;
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; r == 0 && i < GR_COUNT(ALLOWED); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, ALLOWED[i], 0);
    for (size_t i = 0; r == 0 && i < GR_COUNT(KILLED); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, KILLED[i], 0);
    if (r == 0)
        r = add_conditional(ctx, getpid());
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}

int gr_sandbox_enter(int alive_fd, const char *readable, struct gr_error *e)
{
    int r = die_with_parent(alive_fd);
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r == 0)
        r = gr_sandbox_limit_reading(readable);
    if (r == 0)
        r = set_limits();
    if (r == 0)
        r = filter_system_calls();
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "the sandbox of preflight cannot be closed: %s; a kernel with seccomp "
                            "filters is needed",
                            strerror(-r));
    return 0;
}
