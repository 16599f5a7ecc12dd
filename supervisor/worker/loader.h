// The one thread that does what blocks: load, swap, unload, freeze, thaw, in the order of the
// channel. So the main thread always answers.
#pragma once
#include "worker/freezes.h"
#include "worker/inventory.h"
#include "worker/wire.h"

struct gr_loader;
struct gr_loader_options { // all borrowed
    struct gr_dispatch *dispatch;
    struct gr_inventory *inventory;
    struct gr_freezes *freezes;
    struct gr_wire *wire;
    int changed_fd; // eventfd, written when there is a new freeze to time
};
GR_MUST_CHECK int gr_loader_start(const struct gr_loader_options *o, struct gr_loader **ret);
// Takes message and fd (-1: none). false: `type` is no job of the loader; nothing was taken.
bool gr_loader_post(struct gr_loader *l, const char *type, cJSON *message, int fd);
// true: no job runs or waits.
bool gr_loader_idle(struct gr_loader *l);
// Joins after the running job; the waiting ones are dropped. NULL is nothing.
void gr_loader_stop(struct gr_loader *l);
