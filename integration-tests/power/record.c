// Preloaded into the programs of a service: writes down, in order, what they ask of the files below
// GRAYLING_RECORD_ROOT. From that power.py makes the directories that a power cut could have left.
//
// A record is appended to GRAYLING_RECORD_LOG with one write(), by all processes. Changes are
// recorded when they have been made; a sync is recorded at its begin and at its end, since only
// what was there before it began is sure to last. What could not be recorded ends the program:
// power.py would prove something about files that never were. It compares them at the end as well.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct record { // as power.py reads it; behind it are the two paths and the bytes
    uint32_t kind, path_len, other_len;
    uint32_t flags; // of a rename
    uint64_t inode, offset, len, token;
};

static void die(const char *what)
{
    dprintf(STDERR_FILENO, "record: %s: %s\n", what, strerror(errno));
    abort();
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);
    if (!f)
        die(name);
    return f;
}
// The function that the program would have called, in a variable of that type.
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = next(#name)

// --- what is below the root
// ----------------------------------------------------------------------------------------

static bool is_below(const char *path)
{
    const char *root = getenv("GRAYLING_RECORD_ROOT");
    size_t n = root ? strlen(root) : 0;
    return n && strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static dev_t device; // where the record is, and all that is recorded

__attribute__((constructor)) static void find_device(void)
{
    const char *log = getenv("GRAYLING_RECORD_LOG");
    struct stat st;
    if (log && stat(log, &st) == 0)
        device = st.st_dev;
}

// The path by which the kernel knows it, also when it has no name any more. A sandbox need not let
// us ask for the names of its pipes and memory.
static bool path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != device)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0 && is_below(path);
}

// Of a name that need not exist: its directory's path, and the name.
static bool path_at(int dir_fd, const char *name, char path[PATH_MAX])
{
    char dir[PATH_MAX] = ".";
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", slash == name ? 1 : (int)(slash - name), name);
    int fd = (int)syscall(SYS_openat, dir_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    char parent[PATH_MAX];
    bool below = path_of(fd, parent);
    syscall(SYS_close, fd);
    return below && (size_t)snprintf(path, PATH_MAX, "%s/%s", parent, base) < PATH_MAX;
}

// --- writing it down
// ----------------------------------------------------------------------------------------

static void put(struct record r, const char *path, const char *other, const void *bytes)
{
    int saved = errno;
    const char *log = getenv("GRAYLING_RECORD_LOG");
    r.path_len = (uint32_t)strlen(path);
    r.other_len = (uint32_t)strlen(other);
    struct iovec parts[] = {{&r, sizeof r},
                            {(void *)(uintptr_t)path, r.path_len},
                            {(void *)(uintptr_t)other, r.other_len},
                            {(void *)(uintptr_t)bytes, bytes ? r.len : 0}};
    ssize_t want = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        want += (ssize_t)parts[i].iov_len;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0 || syscall(SYS_writev, fd, parts, sizeof parts / sizeof *parts) != want)
        die("the record of what was done could not be written");
    syscall(SYS_close, fd);
    errno = saved;
}

static void put_name(char kind, const char *path, const char *other, unsigned flags)
{
    put((struct record){.kind = (unsigned char)kind, .flags = flags}, path, other, NULL);
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        die("fstat");
    return st.st_ino;
}

static void put_data(int fd, const void *bytes, size_t len, off_t offset)
{
    char path[PATH_MAX];
    if (path_of(fd, path))
        put(
            (struct record){
                .kind = 'w', .inode = inode_of(fd), .offset = (uint64_t)offset, .len = len},
            path, "", bytes);
}

static void put_size(int fd, char kind, off_t size)
{
    char path[PATH_MAX];
    if (path_of(fd, path))
        put((struct record){.kind = (unsigned char)kind,
                            .inode = inode_of(fd),
                            .offset = (uint64_t)size},
            path, "", NULL);
}

// --- files
// ----------------------------------------------------------------------------------------

static void put_opened(int fd, int flags)
{
    char path[PATH_MAX];
    int saved = errno;
    if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) && path_of(fd, path)) {
        if ((flags & O_TMPFILE) == O_TMPFILE)
            die("a file without a name is not understood");
        put((struct record){.kind = 'c', .inode = inode_of(fd)}, path, "", NULL);
        if (flags & O_TRUNC)
            put_size(fd, 't', 0);
    }
    errno = saved;
}

#define OPEN_MODE(flags)                                                                           \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

#define OPEN(name)                                                                                 \
    EXPORT int name(const char *path, int flags, ...)                                              \
    {                                                                                              \
        OPEN_MODE(flags)                                                                           \
        REAL(name);                                                                                \
        int fd = real(path, flags, mode);                                                          \
        put_opened(fd, flags);                                                                     \
        return fd;                                                                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
    EXPORT int name(int dir, const char *path, int flags, ...)                                     \
    {                                                                                              \
        OPEN_MODE(flags)                                                                           \
        REAL(name);                                                                                \
        int fd = real(dir, path, flags, mode);                                                     \
        put_opened(fd, flags);                                                                     \
        return fd;                                                                                 \
    }
OPENAT(openat)
OPENAT(openat64)

EXPORT ssize_t write(int fd, const void *bytes, size_t len)
{
    REAL(write);
    ssize_t n = real(fd, bytes, len);
    char path[PATH_MAX];
    int saved = errno;
    if (n > 0 && path_of(fd, path))
        put_data(fd, bytes, (size_t)n, lseek(fd, 0, SEEK_CUR) - n);
    errno = saved;
    return n;
}

#define PWRITE(name, type)                                                                         \
    EXPORT ssize_t name(int fd, const void *bytes, size_t len, type offset)                        \
    {                                                                                              \
        REAL(name);                                                                                \
        ssize_t n = real(fd, bytes, len, offset);                                                  \
        if (n > 0)                                                                                 \
            put_data(fd, bytes, (size_t)n, offset);                                                \
        return n;                                                                                  \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, type)                                                                       \
    EXPORT int name(int fd, type size)                                                             \
    {                                                                                              \
        REAL(name);                                                                                \
        int k = real(fd, size);                                                                    \
        if (k == 0)                                                                                \
            put_size(fd, 't', size);                                                               \
        return k;                                                                                  \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

// Only from 0 on, which is what is done here: the file is at least so long.
#define ALLOCATE(name, type)                                                                       \
    EXPORT int name(int fd, type offset, type len)                                                 \
    {                                                                                              \
        REAL(name);                                                                                \
        int k = real(fd, offset, len);                                                             \
        if (k == 0)                                                                                \
            put_size(fd, 'a', offset + len);                                                       \
        return k;                                                                                  \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

// What is written to a mapping, or by the kernel, is seen by nobody here.
static void refuse(int fd, const char *what)
{
    char path[PATH_MAX];
    if (path_of(fd, path)) {
        errno = ENOTSUP;
        die(what);
    }
}

#define MMAP(name, type)                                                                           \
    EXPORT void *name(void *at, size_t len, int prot, int flags, int fd, type offset)              \
    {                                                                                              \
        REAL(name);                                                                                \
        if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_TYPE) == MAP_SHARED)                    \
            refuse(fd, #name);                                                                     \
        return real(at, len, prot, flags, fd, offset);                                             \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
    REAL(writev);
    refuse(fd, "writev");
    return real(fd, v, n);
}

// --- syncs
// ----------------------------------------------------------------------------------------

static uint64_t put_sync(int fd, char kind, uint64_t token)
{
    static uint32_t count;
    char path[PATH_MAX];
    if (!token && !path_of(fd, path))
        return 0;
    if (!token)
        token = (uint64_t)getpid() << 32 | __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    struct stat st;
    if (fstat(fd, &st) < 0 || !path_of(fd, path))
        die("a sync");
    put((struct record){.kind = (unsigned char)kind,
                        .flags = S_ISDIR(st.st_mode),
                        .inode = st.st_ino,
                        .token = token},
        path, "", NULL);
    return token;
}

#define SYNC(name)                                                                                 \
    EXPORT int name(int fd)                                                                        \
    {                                                                                              \
        REAL(name);                                                                                \
        uint64_t token = put_sync(fd, 'b', 0);                                                     \
        int k = real(fd);                                                                          \
        if (k == 0 && token)                                                                       \
            put_sync(fd, 'e', token);                                                              \
        return k;                                                                                  \
    }
SYNC(fsync)
SYNC(fdatasync)

// --- names
// ----------------------------------------------------------------------------------------

static int renamed(int k, int from_dir, const char *from, int to_dir, const char *to,
                   unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX];
    int saved = errno;
    if (k == 0 && path_at(from_dir, from, a) && path_at(to_dir, to, b))
        put_name('n', a, b, flags);
    errno = saved;
    return k;
}

EXPORT int rename(const char *from, const char *to)
{
    REAL(rename);
    return renamed(real(from, to), AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    REAL(renameat);
    return renamed(real(from_dir, from, to_dir, to), from_dir, from, to_dir, to, 0);
}

EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    REAL(renameat2);
    return renamed(real(from_dir, from, to_dir, to, flags), from_dir, from, to_dir, to, flags);
}

static int named(int k, char kind, int dir, const char *name)
{
    char path[PATH_MAX];
    int saved = errno;
    if (k == 0 && path_at(dir, name, path))
        put_name(kind, path, "", 0);
    errno = saved;
    return k;
}

EXPORT int unlink(const char *name)
{
    REAL(unlink);
    return named(real(name), 'u', AT_FDCWD, name);
}

EXPORT int unlinkat(int dir, const char *name, int flags)
{
    REAL(unlinkat);
    return named(real(dir, name, flags), 'u', dir, name);
}

EXPORT int mkdir(const char *name, mode_t mode)
{
    REAL(mkdir);
    return named(real(name, mode), 'd', AT_FDCWD, name);
}

EXPORT int mkdirat(int dir, const char *name, mode_t mode)
{
    REAL(mkdirat);
    return named(real(dir, name, mode), 'd', dir, name);
}

EXPORT int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    REAL(linkat);
    int k = real(from_dir, from, to_dir, to, flags), saved = errno;
    char a[PATH_MAX], b[PATH_MAX];
    if (k == 0 && path_at(from_dir, from, a) && path_at(to_dir, to, b))
        put_name('l', a, b, 0);
    errno = saved;
    return k;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    REAL(bind);
    int k = real(fd, address, len);
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
    return un->sun_family == AF_UNIX && un->sun_path[0] ? named(k, 's', AT_FDCWD, un->sun_path) : k;
}
