// The one thread that accepts, from all listeners. The library could do it by itself, but its way
// to stop accepting while requests run may abort the process (0.9.75: two threads remove the
// listener from one epoll set), and it serves one listener only.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct gr_acceptor;
struct gr_acceptor_options {
    const int *listeners; // borrowed until close; made non-blocking
    size_t n_listeners;
    bool (*may_accept)(void *userdata);
    // Takes fd (non-blocking, close-on-exec).
    void (*accepted)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
    void *userdata;
};
GR_MUST_CHECK int gr_acceptor_new(const struct gr_acceptor_options *o, struct gr_acceptor **ret);
GR_MUST_CHECK int gr_acceptor_start(struct gr_acceptor *a);
// Looks again whether it may accept. Any thread; cheap when it was not waiting.
void gr_acceptor_wake(struct gr_acceptor *a);
// When it returns nothing is accepted any more; the listeners stay as they are. Blocks.
void gr_acceptor_stop(struct gr_acceptor *a);
// Stops too. NULL is nothing.
void gr_acceptor_free(struct gr_acceptor *a);
