// Artifacts that the journaled table names and the store lost or let rot: fetched again from the
// sources of the journaled document, in the background, verified like any other; then a worker is
// built that has them.
#pragma once
#include "state/desired.h"
#include <stdint.h>

struct gr_manager;
struct gr_mend;

// Begins, or goes on, to fetch what `d` names and the worker of this number lacks. Tells Degraded
// while it cannot be had.
void gr_mend_want(struct gr_manager *m, const struct gr_desired *d, uint64_t worker);
// A worker serves that has everything of this module: what was mended needs no more attention.
void gr_mend_forget(struct gr_manager *m, const struct gr_name *module);
void gr_mend_free_all(struct gr_manager *m);
