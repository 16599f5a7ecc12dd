// Which files a caged process may read, by Landlock. Part of sandbox.c's cage.
#pragma once
#include "base/macros.h"

// From now on files are opened for reading below the system's libraries, what the C library itself
// looks up, and `also` (NULL: nothing more) only; nothing is written, made or removed, whatever the
// modes say. Needs no_new_privs. 0 also where the kernel has no Landlock. Fails: errno.
GR_MUST_CHECK int gr_sandbox_limit_reading(const char *also);
