// Whatever becomes of a runner of drills, what it started is ended and what it made is removed.
#pragma once
#include "cli/cli.h"

// Forks: `run` runs in the child, with a directory of its own that is removed when it has ended, by
// itself or by a signal; then every process that is left of it is ended by pid. `file` (may be
// NULL) is removed too. Returns the child's exit status.
GR_MUST_CHECK int gr_drill_guard(enum gr_exit (*run)(void *userdata, const char *dir),
                                 void *userdata, const char *file, enum gr_exit *ret,
                                 struct gr_error *e);
