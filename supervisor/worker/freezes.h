// Operators' freezes that end by themselves: remembers which modules to thaw when.
#pragma once
#include "base/clock.h"
#include "base/limits.h"
#include "base/name.h"
#include "dispatch/dispatch.h"
#include <pthread.h>

struct gr_freeze {
    struct gr_mono until;
    size_t n;
    struct gr_name modules[GR_MODULES_MAX];
};
struct gr_freezes {
    pthread_mutex_t lock;
    struct gr_dispatch *dispatch;
    struct gr_freeze *list[GR_FREEZES_MAX];
};
void gr_freezes_init(struct gr_freezes *f, struct gr_dispatch *d);
// Closes the gates and remembers. Takes `freeze`. Blocks for the freeze budget. Fails: as
// gr_dispatch_freeze(); -ENOSPC over GR_FREEZES_MAX.
GR_MUST_CHECK int gr_freezes_begin(struct gr_freezes *f, struct gr_freeze *freeze,
                                   struct gr_error *e);
// Opens the gates of these modules, and forgets the freezes that name one of them.
void gr_freezes_end(struct gr_freezes *f, const struct gr_freeze *which);
// Thaws what is due; returns when the next one is (GR_USEC_INFINITY: none).
uint64_t gr_freezes_expire(struct gr_freezes *f, struct gr_mono now);
