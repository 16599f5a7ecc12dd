// A throw-away graylingd that serves one module out of a directory of its own, as any host would.
#pragma once
#include "base/child.h"
#include "base/json.h"
#include "verifier/verify.h"
#include <limits.h>

struct gr_run_instance {
    const char *dir;
    struct gr_child daemon; // pid 0: not running
    int log_fd;             // what it says, non-blocking; -1: none
    struct gr_digest wanted;
};
// `dir` exists and is removed by whoever made it; borrowed. Starts nothing.
GR_MUST_CHECK int gr_run_prepare(struct gr_run_instance *r, const char *dir, struct gr_error *e);
// The file's copy becomes what is wanted, with this configuration (JSON text; NULL: none). The same
// bytes again are nothing new: returns 0, else 1.
GR_MUST_CHECK int gr_run_want(struct gr_run_instance *r, const char *file,
                              const struct gr_inspection *i, const char *config,
                              struct gr_error *e);
// `listen` is its front door.
GR_MUST_CHECK int gr_run_start(struct gr_run_instance *r, const char *listen, struct gr_error *e);
void gr_run_stop(struct gr_run_instance *r); // SIGTERM: it drains
void gr_run_done(struct gr_run_instance *r);
