#include "inject.h"
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic enum inject_kind armed;
static unsigned long at;
static atomic_ulong passed;
static const char *_Atomic failed;

static bool fails(enum inject_kind kind, const char *name)
{
    if (atomic_load(&armed) != kind || atomic_fetch_add(&passed, 1) + 1 != at)
        return false;
    atomic_store(&failed, name);
    return true;
}

void inject_arm(enum inject_kind kind, unsigned long nth)
{
    at = nth;
    atomic_store(&passed, 0);
    atomic_store(&failed, NULL);
    atomic_store(&armed, kind);
}

unsigned long inject_disarm(const char **ret_name)
{
    atomic_store(&armed, INJECT_NOTHING);
    *ret_name = atomic_load(&failed);
    return atomic_load(&passed);
}

// --- what is wrapped
// ------------------------------------------------------------------------------

#define WRAP(kind, type, name, parameters, arguments, otherwise, code)                             \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        if (fails(kind, #name)) {                                                                  \
            errno = code;                                                                          \
            return otherwise;                                                                      \
        }                                                                                          \
        return __real_##name arguments;                                                            \
    }
#define ALLOCATES(type, name, parameters, arguments)                                               \
    WRAP(INJECT_ALLOCATION, type, name, parameters, arguments, NULL, ENOMEM)
#define CALLS(type, name, parameters, arguments, otherwise, code)                                  \
    WRAP(INJECT_CALL, type, name, parameters, arguments, otherwise, code)

ALLOCATES(void *, malloc, (size_t n), (n))
ALLOCATES(void *, calloc, (size_t n, size_t bytes), (n, bytes))
ALLOCATES(void *, realloc, (void *p, size_t n), (p, n))
ALLOCATES(void *, reallocarray, (void *p, size_t n, size_t bytes), (p, n, bytes))
ALLOCATES(void *, aligned_alloc, (size_t to, size_t n), (to, n))
ALLOCATES(char *, strdup, (const char *s), (s))
ALLOCATES(char *, strndup, (const char *s, size_t n), (s, n))

CALLS(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), -1, EIO)
CALLS(ssize_t, pread, (int fd, void *p, size_t n, off_t o), (fd, p, n, o), -1, EIO)
CALLS(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), -1, ENOSPC)
CALLS(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o), -1, ENOSPC)
CALLS(ssize_t, sendfile, (int to, int from, off_t *o, size_t n), (to, from, o, n), -1, EIO)
CALLS(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), -1, ENOBUFS)
CALLS(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f), -1, ENOMEM)
CALLS(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f), -1, ENOSYS)
CALLS(int, fsync, (int fd), (fd), -1, EIO)
CALLS(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
CALLS(int, ftruncate, (int fd, off_t n), (fd, n), -1, EIO)
CALLS(int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
CALLS(int, lstat, (const char *p, struct stat *st), (p, st), -1, EACCES)
CALLS(int, stat, (const char *p, struct stat *st), (p, st), -1, EACCES)
CALLS(int, fstatat, (int d, const char *p, struct stat *st, int f), (d, p, st, f), -1, EACCES)
CALLS(int, fstatvfs, (int fd, struct statvfs *v), (fd, v), -1, EIO)
CALLS(int, mkdir, (const char *p, mode_t mode), (p, mode), -1, EROFS)
CALLS(int, mkdirat, (int d, const char *p, mode_t mode), (d, p, mode), -1, EROFS)
CALLS(int, unlink, (const char *p), (p), -1, EROFS)
CALLS(int, unlinkat, (int d, const char *p, int f), (d, p, f), -1, EROFS)
CALLS(int, renameat, (int a, const char *p, int b, const char *q), (a, p, b, q), -1, EROFS)
CALLS(int, renameat2, (int a, const char *p, int b, const char *q, unsigned f), (a, p, b, q, f), -1,
      EROFS)
CALLS(int, memfd_create, (const char *name, unsigned f), (name, f), -1, EMFILE)
CALLS(int, pipe2, (int fds[2], int f), (fds, f), -1, EMFILE)
CALLS(int, socketpair, (int d, int t, int p, int fds[2]), (d, t, p, fds), -1, EMFILE)
CALLS(int, pidfd_open, (pid_t pid, unsigned f), (pid, f), -1, EMFILE)
CALLS(int, scandirat,
      (int d, const char *p, struct dirent ***l, int (*s)(const struct dirent *),
       int (*c)(const struct dirent **, const struct dirent **)),
      (d, p, l, s, c), -1, EMFILE)
CALLS(int, posix_fallocate, (int fd, off_t o, off_t n), (fd, o, n), ENOSPC, ENOSPC)
CALLS(int, pthread_create,
      (pthread_t * t, const pthread_attr_t *a, void *(*run)(void *), void *arg), (t, a, run, arg),
      EAGAIN, EAGAIN)
CALLS(int, posix_spawn,
      (pid_t * pid, const char *p, const posix_spawn_file_actions_t *f, const posix_spawnattr_t *a,
       char *const argv[], char *const envp[]),
      (pid, p, f, a, argv, envp), EAGAIN, EAGAIN)
CALLS(void *, mmap, (void *p, size_t n, int prot, int f, int fd, off_t o), (p, n, prot, f, fd, o),
      MAP_FAILED, ENOMEM)
CALLS(DIR *, opendir, (const char *p), (p), NULL, EMFILE)
CALLS(DIR *, fdopendir, (int fd), (fd), NULL, EMFILE)
CALLS(FILE *, fopen, (const char *p, const char *mode), (p, mode), NULL, EMFILE)

#define LAST_ARGUMENT(of)                                                                          \
    va_list ap;                                                                                    \
    va_start(ap, of);                                                                              \
    long last = va_arg(ap, long);                                                                  \
    va_end(ap)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    LAST_ARGUMENT(flags);
    if (fails(INJECT_CALL, "open")) {
        errno = EMFILE;
        return -1;
    }
    return __real_open(path, flags, (mode_t)last);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    LAST_ARGUMENT(flags);
    if (fails(INJECT_CALL, "openat")) {
        errno = EMFILE;
        return -1;
    }
    return __real_openat(dir, path, flags, (mode_t)last);
}

int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...)
{
    LAST_ARGUMENT(what);
    if (fails(INJECT_CALL, "fcntl")) {
        errno = EMFILE;
        return -1;
    }
    return __real_fcntl(fd, what, last);
}

// --- what SQLite does for itself
// ------------------------------------------------------------------

static sqlite3_mem_methods memory;

static void *sqlite_malloc(int n)
{
    return fails(INJECT_ALLOCATION, "sqlite malloc") ? NULL : memory.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
    return fails(INJECT_ALLOCATION, "sqlite realloc") ? NULL : memory.xRealloc(p, n);
}

static int sqlite_open(const char *path, int flags, int mode)
{
    if (fails(INJECT_CALL, "sqlite open")) {
        errno = EMFILE;
        return -1;
    }
    return __real_open(path, flags, (mode_t)mode);
}

static int sqlite_fcntl(int fd, int what, ...)
{
    LAST_ARGUMENT(what);
    if (fails(INJECT_CALL, "sqlite fcntl")) {
        errno = ENOLCK;
        return -1;
    }
    return __real_fcntl(fd, what, last);
}

static ssize_t sqlite_pread(int fd, void *p, size_t n, off_t o)
{
    if (fails(INJECT_CALL, "sqlite pread")) {
        errno = EIO;
        return -1;
    }
    return __real_pread(fd, p, n, o);
}

static ssize_t sqlite_pwrite(int fd, const void *p, size_t n, off_t o)
{
    if (fails(INJECT_CALL, "sqlite pwrite")) {
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite(fd, p, n, o);
}

static int sqlite_ftruncate(int fd, off_t n)
{
    if (fails(INJECT_CALL, "sqlite ftruncate")) {
        errno = EIO;
        return -1;
    }
    return __real_ftruncate(fd, n);
}

static int sqlite_fstat(int fd, struct stat *st)
{
    if (fails(INJECT_CALL, "sqlite fstat")) {
        errno = EIO;
        return -1;
    }
    return __real_fstat(fd, st);
}

static int sqlite_unlink(const char *path)
{
    if (fails(INJECT_CALL, "sqlite unlink")) {
        errno = EROFS;
        return -1;
    }
    return __real_unlink(path);
}

static bool hook_sqlite(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) != SQLITE_OK)
        return false;
    sqlite3_mem_methods ours = memory;
    ours.xMalloc = sqlite_malloc;
    ours.xRealloc = sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK)
        return false;
    const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {{"open", (sqlite3_syscall_ptr)(void *)sqlite_open},
                 {"fcntl", (sqlite3_syscall_ptr)(void *)sqlite_fcntl},
                 {"pread", (sqlite3_syscall_ptr)(void *)sqlite_pread},
                 {"pread64", (sqlite3_syscall_ptr)(void *)sqlite_pread},
                 {"pwrite", (sqlite3_syscall_ptr)(void *)sqlite_pwrite},
                 {"pwrite64", (sqlite3_syscall_ptr)(void *)sqlite_pwrite},
                 {"ftruncate", (sqlite3_syscall_ptr)(void *)sqlite_ftruncate},
                 {"fstat", (sqlite3_syscall_ptr)(void *)sqlite_fstat},
                 {"unlink", (sqlite3_syscall_ptr)(void *)sqlite_unlink}};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (size_t i = 0; vfs && i < sizeof calls / sizeof *calls; i++)
        (void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call); // some are not in each build
    return vfs != NULL;
}

bool inject_init(void)
{
    cJSON_Hooks hooks = {.malloc_fn = __wrap_malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
    return hook_sqlite();
}
