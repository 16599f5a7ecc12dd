// Landlock by its three system calls (landlock(7)); glibc has no wrappers.
#include "worker/sandbox.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN LANDLOCK_ACCESS_FS_EXECUTE
#define WRITE LANDLOCK_ACCESS_FS_WRITE_FILE
#define FILE_ONLY (LANDLOCK_ACCESS_FS_READ_FILE | RUN | WRITE) // what a rule on a file may grant
#define HANDLED_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

static const struct {
    const char *path;
    uint64_t access;
} allowed[] = {
    {"/usr", READ | RUN},
    {"/lib", READ | RUN},
    {"/lib64", READ | RUN},
    {"/etc/ld.so.cache", READ},
    // names, certificates and time zones, for modules that speak to the network
    {"/etc/resolv.conf", READ},
    {"/etc/hosts", READ},
    {"/etc/nsswitch.conf", READ},
    {"/etc/gai.conf", READ},
    {"/etc/services", READ},
    {"/etc/localtime", READ},
    {"/etc/ssl/certs", READ},
    {"/etc/ssl/openssl.cnf", READ},
    {"/run/systemd/resolve", READ},
    {"/proc/self", READ},
    {"/proc/cpuinfo", READ},
    {"/proc/meminfo", READ},
    {"/proc/sys/vm/overcommit_memory", READ},
    {"/sys/devices/system/cpu", READ},
    {"/sys/fs/cgroup", READ},
    {"/dev/null", READ | WRITE},
    {"/dev/zero", READ},
    {"/dev/random", READ},
    {"/dev/urandom", READ},
};

// A path that is not there needs no permission.
static int allow(int ruleset, const char *path, uint64_t access)
{
    GR_AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = access};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    rule.allowed_access &= FILE_ONLY; // it is no directory
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0
               ? 0
               : -errno;
}

// `never`: accesses that no rule grants.
static int restrict_files(const char *store, uint64_t never)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0)
        return -errno;
    struct landlock_ruleset_attr attr = {.handled_access_fs = HANDLED_ABI_1};
    if (abi >= 2)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    GR_AUTO_CLOSE int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    int r = ruleset < 0 ? -errno : 0;
    for (size_t i = 0; i < GR_COUNT(allowed) && r == 0; i++)
        r = allow(ruleset, allowed[i].path, allowed[i].access & ~never);
    if (r == 0 && store)
        r = allow(ruleset, store, (READ | RUN) & ~never);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}

static void report(int r)
{
    if (r < 0)
        gr_log(GR_LOG_NOTICE,
               "modules are not kept from the file system: Landlock: %s; expected a kernel from "
               "5.13 with it enabled (lsm=...,landlock)",
               strerror(-r));
}

void gr_sandbox_enter(const char *store)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            gr_log(GR_LOG_WARNING, "the limit of open files stays low: %s", strerror(errno));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        gr_log(GR_LOG_WARNING, "new privileges cannot be given up: %s", strerror(errno));
    report(restrict_files(store, 0));
}

void gr_sandbox_show_only(const char *file)
{
    report(restrict_files(file, RUN));
}
