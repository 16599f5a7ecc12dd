// Runs a candidate alone in grayling-preflight and turns how that ended into a verdict.
#pragma once
#include "base/child.h"
#include "base/clock.h"
#include "base/error.h"
#include <systemd/sd-event.h>

struct gr_preflight;
struct gr_preflight_options { // strings are borrowed until start returns
    const struct gr_program *program;
    const char *module, *version, *path, *build_id;
    int fd;             // the descriptor that was hashed
    const char *config; // NULL: none
    uint64_t timeout_usec;
    // Once, never from inside start, never after free. NULL: it passed.
    void (*done)(void *userdata, const struct gr_error *e);
    void *userdata;
};
// Fails: Internal (the program cannot be started).
GR_MUST_CHECK int gr_preflight_start(sd_event *event, const struct gr_preflight_options *o,
                                     struct gr_preflight **ret, struct gr_error *e);
void gr_preflight_free(struct gr_preflight *p); // kills and reaps the child; NULL is fine
