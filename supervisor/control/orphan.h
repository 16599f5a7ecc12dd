// A worker that lost its supervisor serves on and waits at StateDirectory/worker.sock (systemd
// clears the runtime directory of a service that died). The next supervisor takes the listening
// sockets over from it, builds a worker of its own from the journal, and then lets the orphan
// drain: nothing is refused, and what serves is what the journal says.
#pragma once
#include "control/listeners.h"

struct gr_orphan {
    int channel; // -1: none
    int pid;
};
// Connects to an orphan, if one waits. Listeners that it holds at one of c's addresses fill *ret.
// Fails: -ENOENT (nobody waits). Blocks for at most a second.
GR_MUST_CHECK int gr_orphan_adopt(const struct gr_config *c, struct gr_orphan *orphan,
                                  struct gr_listeners *ret);
// Another worker serves: the orphan answers what it has and exits. Harmless when there is none.
void gr_orphan_release(struct gr_orphan *orphan);
