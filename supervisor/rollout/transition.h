// The rollout's life as one sparse table: (phase, event) -> next phase. Whatever is not listed is
// refused. Pure.
#pragma once
#include "state/journal.h"

#define GR_ROLLOUT_EVENTS(X)                                                                       \
    X(BEGIN, "begin")         /* nothing older is in the way: fetch */                             \
    X(REMOVE, "remove")       /* a batch that only removes: nothing to fetch */                    \
    X(SETTLED, "settled")     /* what it asks for is in force already */                           \
    X(FETCHED, "fetched")     /* every member's bytes are here */                                  \
    X(AWAIT, "await")         /* verified, and what must change with it is not there yet */        \
    X(ADMIT, "admit")         /* it is there now */                                                \
    X(STAGED, "staged")       /* every member is loaded and initialised in the worker */           \
    X(PROGRESS, "progress")   /* it has steps: the new versions get a share of the traffic */      \
    X(PAUSE, "pause")         /* a pause step, a person, or a verdict holds it */                  \
    X(RESUME, "resume")       /* what held it is over */                                           \
    X(SWAPPED, "swapped")     /* the new table is in force */                                      \
    X(REMOVED, "removed")     /* in force, and nothing of it needs a bake */                       \
    X(KEEP, "keep")           /* replaced while it bakes, and without a way back: it stays */      \
    X(BAKED, "baked")         /* the bake ended without a complaint */                             \
    X(REFUSE, "refuse")       /* a member was refused before it could be staged */                 \
    X(FAIL, "fail")           /* a member failed when it was staged, swapped or served */          \
    X(RESTORED, "restored")   /* the previous versions are in force again */                       \
    X(SUPERSEDE, "supersede") /* a newer desired state names one of the modules */                 \
    X(REPLACED, "replaced")   /* restored on behalf of a newer rollout */

enum gr_rollout_event {
#define X(id, text) GR_ROLLOUT_##id,
    GR_ROLLOUT_EVENTS(X)
#undef X
        GR_ROLLOUT_EVENT_COUNT
};
const char *gr_rollout_event_name(enum gr_rollout_event ev);
// Fails: -EPERM when the table does not list the pair; *ret untouched.
GR_MUST_CHECK int gr_transition(enum gr_phase from, enum gr_rollout_event ev, enum gr_phase *ret);
