// What a watch told of and nobody has read yet: so much of it that a transaction which was
// overwritten in part meanwhile is still seen as it was written. Pure.
#pragma once
#include "base/limits.h"
#include "base/name.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_unseen {
    struct gr_change {
        struct gr_name module;
        int64_t revision;
    } changes[GR_ETCD_UNSEEN_MAX]; // as they were told, oldest first
    size_t n;
    int64_t newest; // revision that was told of
    bool too_many;  // then all is seen in its newest state only, until that was read
};
void gr_unseen_note(struct gr_unseen *u, const struct gr_name *module, int64_t revision);
// The revision of the oldest transaction that the newest state would show in part, since a newer
// change hides some of its documents and not all. 0: there is none.
int64_t gr_unseen_torn(const struct gr_unseen *u);
// All up to that revision has been read.
void gr_unseen_forget(struct gr_unseen *u, int64_t revision);
