// What every source shares: the change test, and the delivery of snapshots and health from the
// event loop.
#pragma once
#include "watchers/source.h"

struct gr_source_ops {
    int (*start)(struct gr_source *s, struct gr_error *e);
    void (*done)(
        struct gr_source *s); // stops and releases all but the common part and the memory of *s
    void (*accept_rewind)(struct gr_source *s); // NULL: cannot happen
};
struct gr_source { // first member of each kind
    const struct gr_source_ops *ops;
    sd_event *event;
    struct gr_source_callbacks cb;
    struct gr_source_health health;
    struct gr_snapshot *last; // the last one that was offered
    bool health_due, snapshot_due;
    bool delivering, dead; // freed inside a callback: memory goes when the callback returns
    sd_event_source *deliver;
};
GR_MUST_CHECK int gr_source_init(struct gr_source *s, const struct gr_source_ops *ops,
                                 sd_event *event, const struct gr_source_callbacks *cb);
// Takes the snapshot (sorted); it is delivered when it differs from the last one.
void gr_source_offer(struct gr_source *s, struct gr_snapshot *snapshot);
// Whatever is offered next is delivered.
void gr_source_forget(struct gr_source *s);
// Present state for health; `e` NULL or reason NONE: all is well.
void gr_source_report(struct gr_source *s, bool up, bool held, const struct gr_error *e);

// Sorts entries by module. Pure.
void gr_snapshot_sort(struct gr_snapshot *s);
// Same modules at the same revisions. Pure.
bool gr_snapshot_same(const struct gr_snapshot *a, const struct gr_snapshot *b);
void gr_entry_done(struct gr_entry *e);
// Appends an empty entry; borrowed until the next one. NULL: out of memory.
struct gr_entry *gr_snapshot_add(struct gr_snapshot *s);
// Notes that a module was deleted at that revision; the newest word on a module counts, and of too
// many the oldest are forgotten. A note less is no failure: it may be left out.
void gr_snapshot_note_gone(struct gr_snapshot *s, const struct gr_name *module, int64_t revision);
// Takes the notes of `from` over for modules that `s` does not hold.
void gr_snapshot_inherit_gone(struct gr_snapshot *s, const struct gr_snapshot *from);
// Drops the notes of modules that `held` shows to have been written again since.
void gr_snapshot_forget_gone(struct gr_snapshot *s, const struct gr_snapshot *held);
