// Which files a caged process may read. Landlock has no wrapper in the C library: three raw system
// calls.
#include "verifier/sandbox/reading.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Everything that the first version of Landlock knows, so that all of it is denied where no rule
// allows it.
#define HANDLED                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static const char *const READABLE[] = {
    "/usr",           "/lib",         "/lib64",     "/etc/ld.so.cache",
    "/etc/localtime", "/etc/ssl",     "/proc/self", "/sys/devices/system/cpu",
    "/dev/null",      "/dev/urandom",
};

// A path that does not exist needs no rule.
static int allow(int ruleset, const char *path)
{
    struct stat st;
    GR_AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
                                              .parent_fd = fd};
    if (S_ISDIR(st.st_mode))
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return errno == EBADFD ? 0 : -errno; // a memfd is on no file system that is guarded
    return 0;
}

int gr_sandbox_limit_reading(const char *also)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = HANDLED};
    GR_AUTO_CLOSE int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0) // not built in, not switched on, or kept from us by a container
        return errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM ? 0 : -errno;
    int r = also ? allow(ruleset, also) : 0;
    for (size_t i = 0; r == 0 && i < GR_COUNT(READABLE); i++)
        r = allow(ruleset, READABLE[i]);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    return r;
}
