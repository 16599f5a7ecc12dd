// The order "load" (base/channel.h), read by the worker and, for a version in a process of its own,
// by that process.
#pragma once
#include "base/json.h"
#include "dispatch/dispatch.h"

struct gr_load_order {
    struct gr_load load; // fd is not of the message; its texts are
    const char *digest;
    struct grayling_peer *peers;
    char *config;
};
// *ret borrows from `message`, and is done with even after a failure. Fails: the sentence names the
// field; -ENOMEM without one.
GR_MUST_CHECK int gr_load_order_read(const cJSON *message, struct gr_load_order *ret,
                                     struct gr_error *e);
void gr_load_order_done(struct gr_load_order *o);
