// A worker that lost its supervisor serves on and waits at a socket of its own in StateDirectory,
// worker-*.sock (systemd clears the runtime directory of a service that died). There may be two: a
// supervisor can die while it replaces one by another. The next supervisor takes the listening
// sockets over from them, builds a worker of its own from the journal, and then lets all of them
// drain: nothing is refused, and what serves is what the journal says.
#pragma once
#include "control/listeners.h"
#include "dispatch/harm.h"

#define GR_ORPHANS_MAX 16

struct gr_orphan {
    int channel, pid;
    char path[108];
};
struct gr_orphans {
    size_t n;
    struct gr_orphan list[GR_ORPHANS_MAX];
    struct gr_harms *harms; // in which they count; NULL: none brought it
    int harms_fd;           // with harms only
};
// Where one worker waits should it lose us. It is sent to the worker together with the listeners:
// whoever finds those taken finds this one too, however little of the worker has run. -1: told as a
// warning.
int gr_orphan_listen(const char *path);
// Connects to all orphans that wait, and removes the sockets of dead ones. Listeners that they hold
// at one of c's addresses are added to *ret_listeners; their harm budgets are the caller's. Blocks
// for at most ten seconds, for orphans that have hardly begun to run. Not to be called beside a
// living supervisor, whose workers do not answer.
void gr_orphans_adopt(const struct gr_config *c, struct gr_orphans *ret,
                      struct gr_listeners *ret_listeners);
// This supervisor cannot take over after all: the orphans serve on and wait for the next one.
void gr_orphans_leave(struct gr_orphans *orphans);
// Another worker serves, or the service stops: the orphans answer what they have and exit. Harmless
// when there is none.
void gr_orphans_release(struct gr_orphans *orphans);
