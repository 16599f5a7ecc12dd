// What a process holds, as the kernel tells: its word cannot be bent by what runs in the process.
#pragma once
#include "rollout/growth.h"
#include <sys/types.h>

// Blocks no longer than procfs does. Fails: -ESRCH, -ENOENT, -EACCES and the like of procfs,
// -EPROTO for a text that is not as proc(5) says.
GR_MUST_CHECK int gr_usage_read(pid_t pid, struct gr_usage *ret);
