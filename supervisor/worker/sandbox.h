// What the worker gives up once it knows its store: new privileges, and by Landlock every file but
// the store's and the system's libraries, to read, and nothing to write.
#pragma once
#include "base/macros.h"

// For the calling thread and all that it starts later: call it before there are threads. `store`
// may be NULL (none). Never fails: what the kernel does not offer is logged once and done without.
void gr_sandbox_enter(const char *store);
// For a process that holds one version: the same, but of the store `file` alone, and nothing to
// execute.
void gr_sandbox_show_only(const char *file);
