// One system call where the kernel and the service's own filter have it; else the same walk by
// hand. A filter that forbids set-uid files (RestrictSUIDSGID=, and so DynamicUser=) cannot look
// into the argument block of openat2 and answers it with ENOSYS.
#include "verifier/beneath.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) // a FIFO must not block the open

// The first component of *path without its slashes; 0: none is left. *path moves behind it.
static size_t take_component(const char **path, const char **ret)
{
    const char *p = *path + strspn(*path, "/");
    size_t len = strcspn(p, "/");
    *ret = p;
    *path = p + len;
    return len;
}

static int check_path(const char *path)
{
    const char *name;
    if (*path == '/')
        return -EXDEV;
    if (!*path)
        return -ENOENT;
    for (size_t len; (len = take_component(&path, &name)) > 0;)
        if (len == 2 && memcmp(name, "..", 2) == 0)
            return -EXDEV;
    return 0;
}

// O_DIRECTORY is looked at before O_NOFOLLOW: a link answers ENOTDIR, like a file.
static int step_error(int dir, const char *name, int code)
{
    struct stat st;
    bool link = code == -ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISLNK(st.st_mode);
    return link ? -ELOOP : code;
}

// Only ever downwards, one name at a time: what somebody renames meanwhile is still below the root
// that was opened, or was there when its turn came.
static int walk(int root_fd, const char *path, int *ret_fd)
{
    GR_AUTO_CLOSE int held = -1;
    int dir = root_fd;
    for (;;) {
        char name[NAME_MAX + 1];
        const char *component;
        size_t len = take_component(&path, &component);
        if (len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, component, len);
        name[len] = '\0';
        bool last = path[strspn(path, "/")] == '\0';
        int flags = !last   ? O_PATH | O_DIRECTORY | O_CLOEXEC
                    : *path ? FILE_FLAGS | O_DIRECTORY // "name/"
                            : FILE_FLAGS;
        int fd = openat(dir, len ? name : ".", flags | O_NOFOLLOW);
        if (fd < 0)
            return step_error(dir, name, -errno);
        gr_closep(&held);
        held = fd;
        dir = fd;
        if (last) {
            *ret_fd = gr_steal_fd(&held);
            return 0;
        }
    }
}

int gr_beneath_open(int root_fd, const char *path, int *ret_fd)
{
    struct open_how how = {
        .flags = FILE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int r = check_path(path);
    if (r < 0)
        return r;
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return walk(root_fd, path, ret_fd);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}
