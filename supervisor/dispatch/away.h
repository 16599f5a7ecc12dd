// A version that runs in a process of its own, seen from the process that calls it: an instance as
// any other, routed, counted and exchanged as any other, whose calls go through a ring. Knows no
// processes: whoever starts and ends them attaches and detaches what they serve.
#pragma once
#include "dispatch/carry.h"
#include "dispatch/dispatch.h"
#include "dispatch/ring.h"

struct gr_away_callbacks {
    // A call was not answered by its deadline: the process is to be killed, and gr_away_detach()
    // follows. On the calling thread, once for each process; the texts are the call's.
    void (*overdue)(void *userdata, const char *interface_name, const char *method_name,
                    const char *request_id);
    // Runs a hook of state in the process and fills in how it ended. Blocks. Fails: as
    // gr_away_hook() (internal.h). NULL: the version has none.
    int (*hook)(void *userdata, struct gr_state_hook *h);
    // A hook has left the process good for nothing: it is to be replaced, and nobody is to blame a
    // second time. Returns at once.
    void (*give_up)(void *userdata, const char *why);
    // The version is being unloaded: end the process. May block; gr_away_detach() has been called
    // when it returns.
    void (*end)(void *userdata);
    // The instance is gone, nothing is called any more. Not when it was pinned.
    void (*free)(void *userdata);
    void *userdata;
};
// Makes the instance of a version that is loaded elsewhere; nothing of it is mapped here. It is
// absent until a ring is attached: calls are answered with UNAVAILABLE. Takes `contract` on
// success. Fails: -EINVAL, -ENOMEM with LoadFailed.
GR_MUST_CHECK int gr_away_new(struct gr_dispatch *d, const struct gr_load *l,
                              struct gr_contract *contract, const struct gr_away_callbacks *cb,
                              struct gr_instance **ret, struct gr_error *e);
// From now on calls go into this ring, which is taken.
GR_MUST_CHECK int gr_away_attach(struct gr_instance *i, struct gr_ring *ring);
// The process is gone. `fault` (NULL: nobody is to blame) is of the version: it counts for its
// breaker and is told to on_fault, before those who wait are woken. They get INTERNAL, or what
// another version answers. The ring is freed when the last response that lies in it was given back.
void gr_away_detach(struct gr_instance *i, const struct gr_fault *fault);
// Adds to a counter of the module's own. Names that are none count nowhere.
void gr_away_count(struct gr_instance *i, const char *name, uint64_t add);
// Slots that a ring for this dispatch object needs.
unsigned gr_away_slots(const struct gr_dispatch *d);
