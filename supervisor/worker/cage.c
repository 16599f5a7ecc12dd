// rlimits, seccomp and Landlock of a process that holds one version. The list names what is
// refused: a module may do what a library does, also speak to the network.
#include "worker/cage.h"
#include "base/limits.h"
#include "worker/sandbox.h"
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const int refused[] = {
    // other programs and processes
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(kcmp),
    SCMP_SYS(tkill),
    SCMP_SYS(setpriority),
    SCMP_SYS(setpgid),
    SCMP_SYS(setsid),
    // its own limits
    SCMP_SYS(setrlimit),
    // the system
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(add_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(quotactl),
    SCMP_SYS(personality),
};

static int set_limits(void)
{
    const struct {
        __rlimit_resource_t resource;
        rlim_t value;
    } limits[] = {
        {RLIMIT_CORE, 0},
        {RLIMIT_NOFILE, GR_ISOLATED_FILES_MAX},
        {RLIMIT_MEMLOCK, 0},
        // last: what a sanitizer keeps beside each byte is terabytes
        {RLIMIT_DATA, GR_ISOLATED_MEMORY_BYTES},
    };
    for (size_t i = 0; i < GR_COUNT(limits) - SANITIZED; i++) {
        struct rlimit now;
        if (getrlimit(limits[i].resource, &now) < 0)
            return -errno;
        rlim_t value = limits[i].value < now.rlim_max ? limits[i].value : now.rlim_max;
        if (setrlimit(limits[i].resource, &(struct rlimit){value, value}) < 0)
            return -errno;
    }
    return 0;
}

// Rules that look at one argument.
static int add_conditional(scmp_filter_ctx ctx, pid_t self)
{
    const scmp_datum_t me = (scmp_datum_t)self;
    const struct {
        int call;
        struct scmp_arg_cmp argument; // number, comparison, mask or value, value
    } rules[] = {
        // those who listen by a path are on this host, and take its user's word; pairs are allowed
        {SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_UNIX, 0}},
        // threads, no processes
        {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}},
        // abort() and raise() are its own affair
        {SCMP_SYS(kill), {0, SCMP_CMP_NE, me, 0}},
        {SCMP_SYS(tgkill), {0, SCMP_CMP_NE, me, 0}},
        {SCMP_SYS(rt_sigqueueinfo), {0, SCMP_CMP_NE, me, 0}},
        {SCMP_SYS(rt_tgsigqueueinfo), {0, SCMP_CMP_NE, me, 0}},
        // asking for a limit, not setting it
        {SCMP_SYS(prlimit64), {2, SCMP_CMP_NE, 0, 0}},
        // it ends with its worker
        {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0}},
        {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_PTRACER, 0}},
    };
    for (size_t i = 0; i < GR_COUNT(rules); i++) {
        int r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), rules[i].call, 1,
                                       &rules[i].argument);
        if (r < 0)
            return r;
    }
    // its flags lie in memory, where a filter cannot look; the C library falls back to clone
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int filter_system_calls(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return -ENOMEM;
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; r == 0 && i < GR_COUNT(refused); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    if (r == 0)
        r = add_conditional(ctx, getpid());
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}

int gr_cage_enter(const char *file, struct gr_error *e)
{
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    gr_sandbox_show_only(file);
    if (r == 0)
        r = set_limits();
    if (r == 0)
        r = filter_system_calls();
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED,
                            "the process of an isolated module cannot be caged: %s; a kernel with "
                            "seccomp filters is needed",
                            strerror(-r));
    return 0;
}
