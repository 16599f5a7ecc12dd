// Sends and receives whole messages with descriptors between two of our own processes; never
// blocks.
#include "base/channel.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_BUFFER_BYTES (4 << 20) // many messages may wait while the peer loads a module

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(GR_CHANNEL_FDS_MAX * sizeof(int))];
};

static void enlarge(int fd, int force, int plain)
{
    int bytes = SOCKET_BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) < 0) // needs CAP_NET_ADMIN
        setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);     // as far as the limit goes
}

int gr_channel_pair(int ret_fds[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        enlarge(fds[i], SO_SNDBUFFORCE, SO_SNDBUF);
        enlarge(fds[i], SO_RCVBUFFORCE, SO_RCVBUF);
        ret_fds[i] = fds[i];
    }
    return 0;
}

static void attach_descriptors(struct msghdr *m, union control *control, const int *fds, size_t n)
{
    *control = (union control){0};
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(n * sizeof *fds);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof *fds);
    memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
}

int gr_channel_send(int fd, const cJSON *message, const int *fds, size_t n_fds)
{
    GR_AUTO_FREE char *text = gr_json_format(message);
    if (!text)
        return -ENOMEM;
    struct iovec part = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    if (part.iov_len > GR_CHANNEL_MESSAGE_MAX || n_fds > GR_CHANNEL_FDS_MAX)
        return -EMSGSIZE;
    if (n_fds > 0)
        attach_descriptors(&m, &control, fds, n_fds);
    ssize_t n;
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
    return 0;
}

// Takes over every descriptor that came along, so that none is lost whatever happens to the
// message.
static size_t collect_descriptors(struct msghdr *m, int fds[GR_CHANNEL_FDS_MAX])
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        memcpy(fds + n, CMSG_DATA(c),
               bytes); // the control buffer holds no more than GR_CHANNEL_FDS_MAX in all
        n += bytes / sizeof *fds;
    }
    return n;
}

static int parse_message(const char *text, size_t len, int flags, cJSON **ret)
{
    GR_AUTO_JSON cJSON *message = NULL;
    if (flags & (MSG_TRUNC | MSG_CTRUNC))
        return -EBADMSG;
    int r = gr_json_parse(text, len, GR_CHANNEL_MESSAGE_MAX, &message, NULL);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || !cJSON_IsObject(message))
        return -EBADMSG;
    *ret = gr_steal(message);
    return 1;
}

int gr_channel_recv(int fd, cJSON **ret, int *ret_fds, size_t *ret_n)
{
    GR_AUTO_FREE char *text = malloc(GR_CHANNEL_MESSAGE_MAX);
    if (!text)
        return -ENOMEM;
    union control control = {0};
    struct iovec part = {.iov_base = text, .iov_len = GR_CHANNEL_MESSAGE_MAX};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n_fds = collect_descriptors(&m, fds);
    int r = n == 0 ? 0 : parse_message(text, (size_t)n, m.msg_flags, ret);
    if (r <= 0) {
        for (size_t i = 0; i < n_fds; i++)
            close(fds[i]);
        return r;
    }
    if (n_fds > 0)
        memcpy(ret_fds, fds, n_fds * sizeof *fds);
    *ret_n = n_fds;
    return r;
}
