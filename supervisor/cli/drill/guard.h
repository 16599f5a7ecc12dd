// Whatever becomes of a program that starts others, what it started is ended and what it made is
// removed.
#pragma once
#include "cli/cli.h"

struct gr_guarded {
    const char *name; // of its directory: "grayling-NAME-XXXXXX" in $TMPDIR
    enum gr_exit (*run)(void *userdata, const char *dir);
    void *userdata;
    const char *file; // removed too; NULL: none
    // The first SIGINT or SIGTERM is passed on to `run`, which ends by itself; the next one, and
    // any without this, ends it at once.
    bool patient;
};
// Forks: `run` runs in a process of its own, with a directory that is removed when it has ended, by
// itself or by a signal; then every process that is left of it is ended by pid. That holds when
// any one of the processes is killed, the caller's included. *ret is the run's exit status.
GR_MUST_CHECK int gr_guard_run(const struct gr_guarded *guarded, enum gr_exit *ret,
                               struct gr_error *e);
