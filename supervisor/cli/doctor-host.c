// Is this machine able to run Grayling: kernel, sandbox, open files, clock.
#include "cli/doctor.h"
#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#define FILES_WANTED 20000 // connections of the front door, and what else there is
#define LANDLOCK_VERSION_FLAG 1u

static void check_kernel(struct gr_doctor *d)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
        gr_doctor_add(d, GR_HEALTH_WARN, "kernel",
                      "its version cannot be read; expected Linux 5.10 or later");
    else if (major < 5 || (major == 5 && minor < 10))
        gr_doctor_add(d, GR_HEALTH_FAIL, "kernel",
                      "Linux %s; expected 5.10 or later (pidfd, membarrier): upgrade the kernel",
                      u.release);
    else
        gr_doctor_add(d, GR_HEALTH_OK, "kernel", "Linux %s on %s", u.release, u.machine);
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands >= 0 && commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        gr_doctor_add(d, GR_HEALTH_OK, "membarrier", "private expedited barriers are there");
    else
        gr_doctor_add(d, GR_HEALTH_FAIL, "membarrier",
                      "not available (%s); dispatch needs it: allow membarrier(2) in the "
                      "container's seccomp profile",
                      commands < 0 ? strerror(errno) : "private expedited is missing");
}

static void check_sandbox(struct gr_doctor *d)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (prctl(PR_GET_SECCOMP) < 0)
        gr_doctor_add(d, GR_HEALTH_FAIL, "seccomp",
                      "not available; preflight cannot confine candidates: use a kernel with "
                      "CONFIG_SECCOMP_FILTER");
    else
        gr_doctor_add(d, GR_HEALTH_OK, "seccomp", "filters can be set");
    if (abi < 0)
        gr_doctor_add(d, GR_HEALTH_WARN, "landlock",
                      "not available (%s); candidates are confined by seccomp alone: boot with "
                      "lsm=landlock,...",
                      strerror(errno));
    else
        gr_doctor_add(d, GR_HEALTH_OK, "landlock", "ABI %ld", abi);
}

// "Max open files  1024  4096  files" of /proc/PID/limits: the hard one, which the worker raises
// itself to. False: it cannot be read.
static bool files_of(pid_t pid, unsigned long long *ret)
{
    static const char title[] = "Max open files";
    char path[64], line[256];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f))
        if (!strncmp(line, title, strlen(title))) {
            *ret = ULLONG_MAX; // "unlimited" is no number
            (void)sscanf(line + strlen(title), "%*s %llu", ret);
            found = true;
        }
    if (f)
        fclose(f);
    return found;
}

void gr_doctor_check_files(struct gr_doctor *d, pid_t worker)
{
    struct rlimit own;
    unsigned long long most = 0;
    if (worker <= 0 || !files_of(worker, &most)) {
        if (getrlimit(RLIMIT_NOFILE, &own) < 0)
            return;
        most = own.rlim_max;
        worker = 0;
    }
    const char *whose = worker ? "of the worker" : "of this shell: no worker could be asked";
    if (most < FILES_WANTED)
        gr_doctor_add(d, GR_HEALTH_WARN, "open files",
                      "at most %llu (%s); expected %d, a connection takes one: raise LimitNOFILE= "
                      "of the service, or ulimit -n of the shell that starts it, and start it anew",
                      most, whose, FILES_WANTED);
    else
        gr_doctor_add(d, GR_HEALTH_OK, "open files", "at most %llu (%s)", most, whose);
}

static void check_clock(struct gr_doctor *d)
{
    struct timex t = {0};
    int state = adjtimex(&t);
    if (state == TIME_ERROR || (state >= 0 && t.status & STA_UNSYNC))
        gr_doctor_add(d, GR_HEALTH_WARN, "clock",
                      "not synchronised; times in history and certificates' dates may be wrong: "
                      "start systemd-timesyncd or chrony");
    else if (state < 0)
        gr_doctor_add(d, GR_HEALTH_WARN, "clock", "its state cannot be read: %s", strerror(errno));
    else
        gr_doctor_add(d, GR_HEALTH_OK, "clock", "synchronised, error at most %ld ms",
                      t.maxerror / 1000);
}

void gr_doctor_check_host(struct gr_doctor *d)
{
    check_kernel(d);
    check_sandbox(d);
    check_clock(d);
}
