// The serving side of a ring: what a process does that holds one version for another process. It
// loads and routes the version as any host program; here is what its threads do.
#pragma once
#include "dispatch/carry.h"
#include "dispatch/dispatch.h"
#include "dispatch/ring.h"

// Answers what is asked in one slot, on this thread, for ever. `contract` is of the version that
// the table routes.
_Noreturn void gr_afar_serve(struct gr_thread *t, struct gr_ring *ring, unsigned slot,
                             const struct gr_contract *contract);
// Runs a hook of state of the version on this thread, which serves no slot, and fills in how it
// ended.
void gr_afar_hook(struct gr_instance *i, struct gr_state_hook *h);
