// Opens the path before the sandbox closes the file system; nobody is accepted before the first
// supervisor is gone.
#include "worker/adopt.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 4

int gr_adopt_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, strlen(path));
    GR_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); // of a dead one that had this name: each worker has its own
    if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, BACKLOG) < 0)
        return -errno;
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

int gr_adopt_accept(int fd, int *ret_fd)
{
    GR_AUTO_CLOSE int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who;
    socklen_t len = sizeof who;
    if (peer < 0 || getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return -errno;
    if (who.uid != geteuid())
        return -EPERM;
    *ret_fd = gr_steal_fd(&peer);
    return 0;
}
