// Nobody is accepted before the first supervisor is gone; who comes earlier waits.
#include "worker/adopt.h"
#include <errno.h>
#include <sys/socket.h>

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
