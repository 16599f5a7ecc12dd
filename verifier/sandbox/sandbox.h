// The cage of preflight: what a process may still do after it has said what it is about to run.
#pragma once
#include "base/error.h"

// Gives up, for good: new privileges, files and processes beyond small limits, network, programs,
// other processes, writing to anything that is not open already, and, where the kernel has
// Landlock, reading anything but the system's libraries and `readable` (a file or directory; NULL:
// none). Threads stay possible. System calls that are not allowed answer EPERM; starting programs
// or processes and tracing end the process with SIGSYS. `alive_fd` is a pipe to the parent: when
// nobody reads it, the parent is gone. Call it with one thread. Fails: errno; then the process must
// not go on.
GR_MUST_CHECK int gr_sandbox_enter(int alive_fd, const char *readable, struct gr_error *e);
