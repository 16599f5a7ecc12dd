// Where an orphaned worker waits for its next supervisor: a SOCK_SEQPACKET socket that the first
// one opened and handed over.
#pragma once
#include "base/macros.h"

// Accepts one connection of the same user. Fails: -EAGAIN (none now), -EPERM (another user; it was
// closed).
GR_MUST_CHECK int gr_adopt_accept(int fd, int *ret_fd);
