// What the files of the resolver share. Private to state/resolve*.c.
#pragma once
#include "state/resolve.h"

// Which of two versions of a module that another rollout changes is looked at.
enum gr_world { GR_WORLD_AFTER, GR_WORLD_BACK, GR_WORLDS };
// One way to look at the set: the rollout in question done (or not yet: as_before), the others done
// or taken back; whoever changes together with the one who asks is in the same state as he.
struct gr_sight {
    const struct gr_resolve_input *in;
    bool as_before;
    enum gr_world others;
    int64_t own; // rollout of the one who asks; 0: none
    enum gr_world own_state;
};
const struct gr_contract *gr_sight_of(const struct gr_sight *s, size_t i);

struct gr_bond { // what a need meets
    enum { GR_BOND_MET, GR_BOND_ABSENT, GR_BOND_WRONG } state;
    size_t by; // MET, WRONG: who provides the interface
    const struct gr_contract *provider;
    const struct gr_contract_interface *interface;
};
struct gr_bond gr_sight_meet(const struct gr_sight *s, const struct gr_contract_need *need);
const struct gr_contract_interface *gr_resolve_provides(const struct gr_contract *c,
                                                        const char *interface);

// --- resolve-say.c: the sentences
// ---------------------------------------------------------------------------------

// `who` (index `i`) needs what nobody provides. Fills *e.
void gr_say_missing(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                    struct gr_error *e);
// ... what is provided in another version.
void gr_say_wrong(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                  const struct gr_bond *b, struct gr_error *e);
// ... what is in force, or comes, but may still be taken back; `rollout` is what is waited for.
void gr_say_wait(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                 const char *provider, int64_t rollout, struct gr_error *e);
// Module `p` of the rollout goes, or changes, and `i` requires it as it was. `rollout` 0: refused;
// else what is waited for, which takes the one who requires it away.
void gr_say_lost(const struct gr_sight *s, size_t p, size_t i, const struct gr_contract_need *need,
                 const struct gr_bond *now, int64_t rollout, struct gr_error *e);
void gr_say_twice(const struct gr_contract *a, const struct gr_contract *b, const char *interface,
                  int64_t rollout, struct gr_error *e);
// path[0] requires path[1] and so on, and the last one the first.
void gr_say_cycle(const struct gr_sight *s, const size_t *path, size_t n, struct gr_error *e);
