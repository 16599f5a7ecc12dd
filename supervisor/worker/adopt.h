// Where an orphaned worker waits for its next supervisor: a SOCK_SEQPACKET socket at a path.
#pragma once
#include "base/macros.h"

// Binds and listens, replacing a stale socket of an earlier worker. Fails: -ENAMETOOLONG, errno of
// bind.
GR_MUST_CHECK int gr_adopt_listen(const char *path, int *ret_fd);
// Accepts one connection of the same user. Fails: -EAGAIN (none now), -EPERM (another user; it was
// closed).
GR_MUST_CHECK int gr_adopt_accept(int fd, int *ret_fd);
