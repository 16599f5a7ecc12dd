// The plan: what has to happen so that the actual state becomes the desired one. A value, computed
// by a pure function, printed by `grayctl plan`, checked before anything is touched.
#pragma once
#include "base/contract.h"
#include "state/journal.h"
#include "state/order.h"
#include "watchers/source.h"

enum gr_plan_kind {
    GR_PLAN_DEPLOY,
    GR_PLAN_REPLACE,
    GR_PLAN_RECONFIGURE,
    GR_PLAN_REMOVE,
    GR_PLAN_REFUSE
};
struct gr_plan_item {
    enum gr_plan_kind kind;
    struct gr_name module;
    const struct gr_desired *to;   // borrowed from the inputs; NULL: remove
    const struct gr_desired *from; // borrowed; NULL: first deployment
    struct gr_error refusal;       // REFUSE: why
    bool one_way;      // state is lost by it, or by the way back; as far as is known, as `passage`
    char passage[704]; // what becomes of state, a sentence; "": there is none, or nothing is known
};
// One rollout: all modules whose keys were written by one transaction, known by its revision. One
// refused member refuses the batch: `refused` is set, no item is carried out.
struct gr_plan {
    int64_t rollout;
    const struct gr_order *undo; // an operator of this host asks for it, and not the desired state;
                                 // NULL: the desired state does; borrowed
    bool refused;
    size_t n;
    struct gr_plan_item *items; // sorted by module
    char *waits; // what its upgrade locks lack or take along, as far as known; NULL: nothing; owned
};
struct gr_plan_warning { // nothing hinders it, but it is probably not meant
    struct gr_name module;
    char text[GR_MESSAGE_MAX];
};
struct gr_plans { // oldest transaction first; no module is in two of them
    size_t n;
    struct gr_plan *plans;
    size_t n_warnings;
    struct gr_plan_warning *warnings; // of a question, by the host that is asked; owned
    struct gr_plan_item *items;       // of all plans, one behind the other
};

// What a snapshot says of one module: a parsed document, or why it could not be parsed.
struct gr_wish {
    struct gr_name module;
    struct gr_desired *desired;
    struct gr_error error;
    int64_t mod_revision;
    struct gr_contract *contract; // of a question: what its file declares; NULL: not told; owned
};
struct gr_wishes {
    int64_t revision;
    uint64_t cluster_id;
    size_t n;
    struct gr_wish *wishes; // sorted by module
    size_t n_gone;
    struct gr_gone *gone; // what the source saw of deletions; those it missed are not here
};

struct gr_plan_input {              // all borrowed
    const struct gr_wishes *before; // what was planned last; NULL at first start: all is new
    const struct gr_wishes *now;
    int64_t since; // the revision up to which an earlier run had followed; 0: unknown
    const struct gr_table_rows *actual;
    const struct gr_conviction *convictions;
    size_t n_convictions;
    const struct gr_rollout_row *const *open; // rollouts in progress, oldest first
    size_t n_open;
};

// Keys with one mod_revision are one transaction and one plan. A deletion has no mod_revision: it
// belongs to the transaction that `gone` names, and where nobody saw it, it is taken together with
// all that it may have been written with (everything newer than the last look), since a transaction
// is never split. A changed wish that equals what is in force yields no item. A convicted digest,
// or a convicted fingerprint (gr_desired_fingerprint), yields REFUSE Quarantined. What a rollout in
// progress does to other modules and the newer plan has to supersede is part of the newer plan.
// Owns: *ret by the caller. Fails: -ENOMEM.
GR_MUST_CHECK int gr_plans_make(const struct gr_plan_input *in, struct gr_plans **ret);
void gr_plans_free(struct gr_plans *p);
static inline void gr_plans_freep(struct gr_plans **p)
{
    gr_plans_free(*p);
}
// For people: a line per rollout, and one per item ("  pay 1.0.0 -> 1.1.0 (replace)"). Caller
// frees.
char *gr_plans_format(const struct gr_plans *p);
