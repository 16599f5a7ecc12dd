// Reads and writes whole files safely; owns the only rename in the tree.
#include "base/fs.h"
#include "base/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TEMPORARY_PREFIX                                                                           \
    ".tmp-" // what a crash may leave behind; the owner of a directory may sweep these
#define TEMPORARY_MAX 32
#define CHUNK (64u * 1024)

int gr_fs_sync_dir(int dir_fd)
{
    return fsync(dir_fd) < 0 ? -errno : 0;
}

// The name of what was just made, in its directory. Who may make something there but not read it
// has to trust the disk.
static int sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    GR_AUTO_FREE char *parent =
        slash > path ? strndup(path, (size_t)(slash - path)) : strdup(slash ? "/" : ".");
    if (!parent)
        return -ENOMEM;
    GR_AUTO_CLOSE int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno;
    return gr_fs_sync_dir(fd);
}

int gr_fs_mkdir_all(const char *path, mode_t mode)
{
    GR_AUTO_FREE char *prefix = strdup(path);
    if (!prefix)
        return -ENOMEM;
    if (!*path)
        return -ENOENT;
    for (char *p = prefix + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        int r = mkdir(prefix, mode) < 0 ? -errno : sync_parent(prefix);
        if (r < 0 && r != -EEXIST)
            return r;
        if (end == '\0')
            break;
        *p = end;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int gr_fs_open_dir(const char *path, int *ret_fd)
{
    // links are followed here and only here: the administrator names this path, and systemd's
    // StateDirectory is a link
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static int check_name(const char *name)
{
    bool special = !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    return special || strchr(name, '/') ? -EINVAL : 0;
}

static int sync_change(int dir_fd)
{
    int r = GR_FAULT("fs.dirsync");
    return r < 0 ? r : gr_fs_sync_dir(dir_fd);
}

// A file that is not visible under its name yet.
struct temporary {
    int dir_fd, fd;
    char name[TEMPORARY_MAX]; // "": published
};

static void temporary_done(struct temporary *t)
{
    if (t->fd >= 0)
        close(t->fd);
    if (t->name[0])
        unlinkat(t->dir_fd, t->name, 0);
}

static int temporary_open(struct temporary *t, mode_t mode)
{
    int r = GR_FAULT("fs.open");
    if (r < 0)
        return r;
    uint64_t unique;
    if (getrandom(&unique, sizeof unique, 0) != (ssize_t)sizeof unique)
        return -EIO;
    char name[TEMPORARY_MAX];
    snprintf(name, sizeof name, TEMPORARY_PREFIX "%016" PRIx64, unique);
    t->fd = openat(t->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (t->fd < 0)
        return -errno;
    memcpy(t->name, name, sizeof name);
    return fchmod(t->fd, mode) < 0 ? -errno : 0; // the mode that was asked for, whatever the umask
}

static int temporary_write(const struct temporary *t, const char *bytes, size_t len)
{
    while (len > 0) {
        int r = GR_FAULT("fs.write");
        if (r < 0)
            return r;
        ssize_t n = write(t->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

// The name is there, but it is not known that it lasts: who finds it later would take it for
// durable, since the kernel tells of a failed sync only once.
static int withdraw(const struct temporary *t, const char *name, int why)
{
    (void)!unlinkat(t->dir_fd, name, 0);
    return why;
}

// Makes the bytes durable, then the name. With RENAME_NOREPLACE an existing name is -EEXIST, and
// lasts.
static int temporary_publish(struct temporary *t, const char *name, unsigned rename_flags)
{
    int r = GR_FAULT("fs.fsync");
    if (r < 0)
        return r;
    if (fsync(t->fd) < 0)
        return -errno;
    r = GR_FAULT("fs.rename");
    if (r < 0)
        return r;
    bool exclusive = rename_flags & RENAME_NOREPLACE;
    if (renameat2(t->dir_fd, t->name, t->dir_fd, name, rename_flags) < 0) {
        int k = -errno;
        r = exclusive && k == -EEXIST ? sync_change(t->dir_fd) : k;
        return r < 0 ? r : k;
    }
    t->name[0] = '\0';
    r = sync_change(t->dir_fd);
    return r < 0 && exclusive ? withdraw(t, name, r) : r;
}

int gr_fs_write_atomic(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode)
{
    GR_CLEANUP(temporary_done) struct temporary t = {.dir_fd = dir_fd, .fd = -1};
    int r = check_name(name);
    if (r == 0)
        r = temporary_open(&t, mode);
    if (r == 0)
        r = temporary_write(&t, bytes, len);
    return r < 0 ? r : temporary_publish(&t, name, 0);
}

static int copy_all(const struct temporary *t, int from_fd, uint64_t len)
{
    GR_AUTO_FREE char *chunk = malloc(CHUNK);
    if (!chunk)
        return -ENOMEM;
    for (uint64_t done = 0; done < len;) {
        size_t want = len - done < CHUNK ? (size_t)(len - done) : CHUNK;
        ssize_t n = pread(from_fd, chunk, want, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        int r = temporary_write(t, chunk, (size_t)n);
        if (r < 0)
            return r;
        done += (uint64_t)n;
    }
    return 0;
}

int gr_fs_publish_fd(int dir_fd, const char *name, int from_fd, uint64_t len, mode_t mode)
{
    GR_CLEANUP(temporary_done) struct temporary t = {.dir_fd = dir_fd, .fd = -1};
    int r = check_name(name);
    if (r == 0)
        r = temporary_open(&t, mode);
    if (r == 0)
        r = copy_all(&t, from_fd, len);
    return r < 0 ? r : temporary_publish(&t, name, RENAME_NOREPLACE);
}

int gr_fs_read(int dir_fd, const char *name, struct gr_buf *b)
{
    struct stat st;
    int r = check_name(name);
    if (r < 0)
        return r;
    // without O_NONBLOCK a FIFO that somebody planted would hang us
    GR_AUTO_CLOSE int fd =
        openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    GR_AUTO_FREE char *chunk = malloc(CHUNK);
    if (!chunk)
        return -ENOMEM;
    gr_buf_clear(b);
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        r = gr_buf_append(b, chunk, (size_t)n);
        if (r < 0 || n == 0)
            return r;
    }
}

int gr_fs_unlink(int dir_fd, const char *name)
{
    int r = check_name(name);
    if (r == 0)
        r = GR_FAULT("fs.unlink");
    if (r < 0)
        return r;
    if (unlinkat(dir_fd, name, 0) < 0)
        return -errno;
    return sync_change(dir_fd);
}
