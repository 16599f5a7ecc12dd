// Which modules only change together (`upgrade_lock` of their contracts), and whether a change has
// all of them. Pure: from contracts alone.
//
// Two modules are tied when
// - both name the same group, or
// - one of them has `upgrade_lock: true` and requires an interface that the other provides.
// Of a module that changes, the contract before and the one after count: leaving a group is a
// change of the group. What was not in force before joins its group without the others, since
// nothing that serves changes by that.
#pragma once
#include "base/contract.h"

struct gr_lock_module { // one module of the set; contracts are borrowed
    const char *module;
    bool in_force;
    const struct gr_contract *before; // of what is in force; NULL: nothing is, or it is not known
    const struct gr_contract *after;  // of what it becomes; NULL: it goes away, or it is not known
    bool changes;
    bool stays; // it does not change, and who wrote the change said that it need not
};
struct gr_lock_tie {         // what is missing, and why
    size_t missing, because; // indexes
    const char *interface;   // required, by one of the two; NULL: the group
    const char *group;       // NULL: the interface
    bool requires_it;        // `because` requires the interface, not `missing`
};
// Whom the change waits for: also those that only the missing ones need. Each once; ret has n
// places. 0: the change is complete.
size_t gr_lock_missing(const struct gr_lock_module *all, size_t n, struct gr_lock_tie *ret);
// A sentence for the missing ones, with whom it waits for first. `what` is who changes ("pay
// 2.0.0").
void gr_lock_say(const struct gr_lock_module *all, const struct gr_lock_tie *ties, size_t n_ties,
                 const char *what, char *buf, size_t cap);
