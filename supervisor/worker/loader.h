// The threads that do what blocks, so that the main thread always answers: one loads and unloads,
// one exchanges the table, freezes and thaws; each in the order of the channel. Between the two the
// order is the supervisor's, who waits for an answer before it asks for what needs it.
#pragma once
#include "worker/freezes.h"
#include "worker/inventory.h"
#include "worker/nursery.h"
#include "worker/wire.h"

struct gr_loader;
struct gr_loader_options { // all borrowed
    struct gr_dispatch *dispatch;
    struct gr_inventory *inventory;
    struct gr_freezes *freezes;
    struct gr_nursery *nursery;
    struct gr_wire *wire;
    int changed_fd; // eventfd, written when there is a new freeze to time
};
GR_MUST_CHECK int gr_loader_start(const struct gr_loader_options *o, struct gr_loader **ret);
// Takes message and fd (-1: none). false: `type` is no job of the loader; nothing was taken.
bool gr_loader_post(struct gr_loader *l, const char *type, cJSON *message, int fd);
// true: no job runs or waits.
bool gr_loader_idle(struct gr_loader *l);
// Joins after the running jobs; the waiting ones are dropped. NULL is nothing.
void gr_loader_stop(struct gr_loader *l);
