// The front doors' listening sockets: from a socket unit when it passes some, else opened here;
// kept by the supervisor for as long as it lives, so that no worker's death refuses a connection,
// and by systemd's descriptor store for longer, so that no restart does (TCP ones;
// FileDescriptorStoreMax=).
#pragma once
#include "control/config.h"

struct gr_listeners {
    size_t n;
    int fd[GR_LISTEN_MAX];
    char *address[GR_LISTEN_MAX]; // as it really is: port 0 resolved
};
// Takes from `adopted` (an orphan's) what is wanted and can still be reached; the rest stays there.
// Fails: -EADDRINUSE, -EACCES, -EINVAL with a sentence naming the address; nothing stays open.
GR_MUST_CHECK int gr_listeners_open(const struct gr_config *c, struct gr_listeners *adopted,
                                    struct gr_listeners *ret, struct gr_error *e);
// The local address of a listening socket as Listen would name it; caller frees.
GR_MUST_CHECK int gr_listener_describe(int fd, char **ret);
void gr_listeners_done(struct gr_listeners *l);
// One stream socket for "host:port" or "unix:PATH", listening. A stale unix socket (nobody answers)
// is replaced.
GR_MUST_CHECK int gr_listener_open_one(const char *address, int *ret_fd, char **ret_real_address,
                                       struct gr_error *e);
