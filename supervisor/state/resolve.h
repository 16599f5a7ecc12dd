// Whether the set of modules is whole once a rollout is in force: every required interface is
// provided once and in a version that its range allows, nobody who stays loses what he requires,
// no two need each other, and no interface changed under its callers. Pure: from contracts alone.
//
// Other rollouts are under way meanwhile. What one of them may still take back by itself is not
// built upon: every requirement must be met with what is there before it and after it.
#pragma once
#include "base/contract.h"
#include "base/limits.h"

enum gr_resolve_verdict { GR_RESOLVE_GO, GR_RESOLVE_WAIT, GR_RESOLVE_REFUSE };

struct gr_resolve_module { // one module of the whole set; contracts are borrowed
    struct gr_name module;
    const struct gr_contract *contract; // what it will be; NULL: it is not there then
    const struct gr_contract *before;   // what it is, or may go back to; NULL: it is not there then
    bool changed;                       // by the rollout in question
    bool settled;                       // ... or by no other one: only `contract` counts
    int64_t rollout;                    // the other one that changes it; 0: none
};
// What another rollout asks for that was not admitted yet: nothing is built upon it, but it is
// worth waiting for.
struct gr_resolve_hope {
    struct gr_name module;
    const struct gr_contract *contract; // NULL: not known yet, or it goes away
    bool leaves;
    int64_t rollout;
};
struct gr_resolve_input {
    const struct gr_resolve_module *modules; // each name once
    size_t n;
    const struct gr_resolve_hope *hopes;
    size_t n_hopes;
};

struct gr_resolution {
    enum gr_resolve_verdict verdict;
    // WAIT, REFUSE: DependencyMissing with the chain that leads there, or ContractIncompatible with
    // both sides; and whose fault it is (index into modules).
    struct gr_error why;
    size_t culprit;
    // GO: the changed modules that will be there, dependencies first; indexes into modules.
    size_t n_order, order[GR_MODULES_MAX];
    // GO: which optional interfaces are missing from now on, in a sentence; "": none.
    char note[GR_MESSAGE_MAX];
};
// Over GR_MODULES_MAX modules: REFUSE. Fails: -ENOMEM.
GR_MUST_CHECK int gr_resolve(const struct gr_resolve_input *in, struct gr_resolution *ret);

// The order in which a whole set is loaded: who is required comes before who requires it, and so
// for optional interfaces as far as those close no cycle; else as given. NULL contracts keep their
// place. ret_order has n places (n is at most GR_MODULES_MAX). Fails: -ENOMEM.
GR_MUST_CHECK int gr_resolve_order(const struct gr_contract *const *set, size_t n,
                                   size_t *ret_order);

// The version in which somebody of the set provides what a contract needs; NULL: nobody does, or in
// no version that the range allows. Borrowed from the set.
const struct gr_version *gr_resolve_bind(const struct gr_contract_need *need,
                                         const struct gr_contract *const *set, size_t n);
