// Profiles of the serving worker: one at once, and the newest is kept until the next begins. What
// the worker wrote is handed on as it is; nobody here reads it.
#pragma once
#include "control/worker.h"
#include <stddef.h>

struct gr_profiles {
    uint64_t last; // id of the newest; 0: there was none
    bool running;
    int fd;                          // what the worker writes to; -1: none
    struct gr_error failed;          // of the newest; code 0: it did not fail
    void (*changed)(void *userdata); // it has ended
    void *userdata;
};
void gr_profiles_init(struct gr_profiles *p, void (*changed)(void *userdata), void *userdata);
void gr_profiles_done(struct gr_profiles *p);
// Fails: -EALREADY (one is being taken), -EINVAL (numbers), errno; *ret_id is untouched then.
GR_MUST_CHECK int gr_profiles_begin(struct gr_profiles *p, struct gr_worker *w, unsigned hz,
                                    uint64_t usec, uint64_t *ret_id, struct gr_error *e);
// Owns: *ret by the caller (free); *ret_len bytes, a NUL behind them. Fails: -ENOENT (another, or
// none), -EINPROGRESS, as the worker did.
GR_MUST_CHECK int gr_profiles_take(const struct gr_profiles *p, uint64_t id, char **ret,
                                   size_t *ret_len, struct gr_error *e);
