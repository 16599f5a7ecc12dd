// grayling-worker --spawner: starts the processes of isolated versions for its worker, which has
// given up the right to start anything. It runs no module code, and starts nothing but its own
// program, which cages itself.
//
// Over the channel, worker to spawner:
//   {"type":"spawn","id":N}        + fds [what becomes descriptor 3 of the new process]
//       -> {"type":"spawned","id":N,"pid":N}                                   + fds [pidfd]
//        | {"type":"failed","id":N,"message"}
// and unasked, once for each that was spawned:
//   {"type":"ended","id":N,"by_signal":bool,"status":N}
#pragma once
#include "base/child.h"

#define GR_SPAWNER_ARGUMENT "--spawner"

// In the worker, before it enters its sandbox and from a thread that lives as long as the worker.
// *ret_channel and the child are the caller's.
GR_MUST_CHECK int gr_spawner_start(struct gr_child *ret, int *ret_channel, struct gr_error *e);
// In the spawner: until the worker is gone. `channel` is taken. Returns the exit status.
GR_MUST_CHECK int gr_spawner_run(int channel);
