// Polls the listeners and an eventfd. When it may not accept, or descriptors ran out, it waits for
// the eventfd alone: the backlog keeps who comes meanwhile.
#include "worker/acceptor.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define BATCH_MAX 64 // from one listener in a row

struct gr_acceptor {
    struct gr_acceptor_options options;
    pthread_t thread;
    int wake_fd;
    bool running;
    _Atomic bool stopping, waiting;
};

enum outcome { DRAINED, MORE, FULL };

static enum outcome accept_batch(struct gr_acceptor *a, int listener)
{
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof address;
        if (atomic_load(&a->stopping))
            return DRAINED;
        if (!a->options.may_accept(a->options.userdata))
            return FULL;
        int fd = accept4(listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            a->options.accepted(a->options.userdata, fd, (struct sockaddr *)&address, len);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return FULL;
        else if (errno == EAGAIN)
            return DRAINED;
    }
    return MORE;
}

// *waiting is raised before the last look, so that a connection that closes in between is noticed.
static bool rest(struct gr_acceptor *a)
{
    atomic_store(&a->waiting, true);
    struct pollfd wake = {.fd = a->wake_fd, .events = POLLIN};
    eventfd_t ignored;
    if (poll(&wake, 1, -1) > 0 && eventfd_read(a->wake_fd, &ignored) == 0)
        atomic_store(&a->waiting, false);
    return !atomic_load(&a->stopping);
}

static void *run(void *userdata)
{
    struct gr_acceptor *a = userdata;
    struct pollfd set[GR_CHANNEL_FDS_MAX + 1];
    size_t n = a->options.n_listeners;
    for (size_t i = 0; i < n; i++)
        set[i] = (struct pollfd){.fd = a->options.listeners[i], .events = POLLIN};
    set[n] = (struct pollfd){.fd = a->wake_fd, .events = POLLIN};
    while (!atomic_load(&a->stopping)) {
        if (poll(set, n + 1, -1) < 0)
            continue;
        bool full = false;
        for (size_t i = 0; i < n && !full; i++)
            full = set[i].revents && accept_batch(a, set[i].fd) == FULL;
        if (full && !rest(a))
            break;
    }
    return NULL;
}

static int make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int gr_acceptor_new(const struct gr_acceptor_options *o, struct gr_acceptor **ret)
{
    if (o->n_listeners > GR_CHANNEL_FDS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < o->n_listeners; i++) {
        int r = make_nonblocking(o->listeners[i]);
        if (r < 0)
            return r;
    }
    struct gr_acceptor *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->options = *o;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake_fd < 0) {
        int r = -errno;
        free(a);
        return r;
    }
    *ret = a;
    return 0;
}

int gr_acceptor_start(struct gr_acceptor *a)
{
    int r = -pthread_create(&a->thread, NULL, run, a);
    a->running = r == 0;
    return r;
}

void gr_acceptor_wake(struct gr_acceptor *a)
{
    if (atomic_load(&a->waiting))
        eventfd_write(a->wake_fd, 1);
}

void gr_acceptor_stop(struct gr_acceptor *a)
{
    if (!a->running)
        return;
    atomic_store(&a->stopping, true);
    eventfd_write(a->wake_fd, 1);
    pthread_join(a->thread, NULL);
    a->running = false;
}

void gr_acceptor_free(struct gr_acceptor *a)
{
    if (!a)
        return;
    gr_acceptor_stop(a);
    close(a->wake_fd);
    free(a);
}
