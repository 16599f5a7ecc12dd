// What a process that holds one version gives up before the version is loaded, beyond what its
// worker has given up: the limits of docs/ISOLATION.md, starting and tracing processes, signals to
// others, and by Landlock every file but its own and the system's libraries.
#pragma once
#include "base/error.h"

// For the calling thread and all that it starts later. `file`: the version's own. Fails: a limit or
// the filter cannot be set, which no kernel does that has seccomp; what Landlock lacks is logged.
GR_MUST_CHECK int gr_cage_enter(const char *file, struct gr_error *e);
