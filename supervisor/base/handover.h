// Whether the state of one version of a module can be handed to another: from the two contracts
// alone, before anything is frozen. Pure.
#pragma once
#include "base/contract.h"

enum gr_handover {
    GR_HANDOVER_NONE,       // there is no state to hand over
    GR_HANDOVER_STATE,      // export_state() of the old one, import_state() of the new one
    GR_HANDOVER_IMPOSSIBLE, // what the old one holds would be lost
};
// `from` is the version in force, NULL: none; `to` the one that shall take its place, NULL: the
// module goes away, and its state with it. IMPOSSIBLE fills *why (may be NULL) with
// StateHandoverFailed and a sentence that names both sides.
enum gr_handover gr_handover_between(const struct gr_contract *from, const struct gr_contract *to,
                                     struct gr_error *why);
// The step loses state, at once or when it is taken back: `to` cannot take what `from` holds, or
// `from` could not take back what `to` will hold (also where `from` keeps none, since what is
// accepted after the step would be lost). A first deployment and a removal are no such steps.
bool gr_handover_is_one_way(const struct gr_contract *from, const struct gr_contract *to);
