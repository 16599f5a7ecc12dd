// The routing table: built once, never changed, found behind one pointer. Pure: no clock, no I/O,
// no locks.
//
// A record is one module in one table: its stable version, while a rollout is under way its
// candidate and the rule that says who sees that one. It knows its gate and its reach: the gates of
// every module that a call into it can get to. Gate numbers belong to module names, not to tables,
// so reaches of two tables can be compared.
#pragma once
#include "base/contract.h"
#include "base/error.h"
#include "dispatch/gray.h"
#include "dispatch/harm.h"
#include <stdint.h>

struct gr_instance;

struct gr_gates { // one bit per module name
    uint64_t bits[GR_MODULES_MAX / 64];
};
static inline void gr_gates_add(struct gr_gates *g, unsigned gate)
{
    g->bits[gate / 64] |= UINT64_C(1) << (gate % 64);
}
static inline bool gr_gates_has(const struct gr_gates *g, unsigned gate)
{
    return (g->bits[gate / 64] >> (gate % 64) & 1) != 0;
}
static inline bool gr_gates_meet(const struct gr_gates *a, const struct gr_gates *b)
{
    uint64_t both = 0;
    for (unsigned i = 0; i < GR_COUNT(a->bits); i++)
        both |= a->bits[i] & b->bits[i];
    return both != 0;
}
static inline void gr_gates_join(struct gr_gates *into, const struct gr_gates *g)
{
    for (unsigned i = 0; i < GR_COUNT(into->bits); i++)
        into->bits[i] |= g->bits[i];
}

// What the builder is told about one module: borrowed, must outlive the table.
struct gr_member {
    unsigned gate;
    struct gr_instance *stable;         // NULL: a first deployment, which has only a candidate
    const struct gr_contract *contract; // of stable; NULL with it, as the others are
    struct gr_instance *rescue;
    const struct gr_contract *rescue_contract;
    struct gr_instance *candidate;
    const struct gr_contract *candidate_contract;
    struct gr_gray *gray; // who sees the candidate; the table takes a reference
    int64_t batch;        // the rollout that `stable` came with, beside others; 0: alone
    // What bad answers of the version on trial are counted in: of the candidate, or without one of
    // stable. NULL: none.
    struct gr_harm *harm;
};
// Of whichever version there is.
static inline const struct gr_contract *gr_member_contract(const struct gr_member *m)
{
    return m->contract ? m->contract : m->candidate_contract;
}

struct gr_record {
    const struct gr_table *table;
    struct gr_member member;
    unsigned rollout; // index into the table's rollouts; only with member.gray
    unsigned batch;   // number of its batch in this table; GR_BATCH_NONE: it came alone
    bool pooled;      // a version in reach says `execution: pool`: not for a thread that must go on
    bool stateful;    // it, or another module of its batch, keeps state: no version before answers
    struct gr_name name; // a copy: a retired table may outlive the versions that it named
    struct gr_gates reach;
};
#define GR_BATCH_NONE UINT32_MAX
#define GR_METHOD_NONE UINT16_MAX
struct gr_route {
    uint64_t hash;
    const struct gr_record *record; // NULL: free place
    const char *interface_name, *method_name;
    // In which each version provides the interface; NULL: not at all.
    const struct gr_version *version, *candidate_version, *rescue_version;
    // What the contracts of the stable version and of the candidate declare; 0: no deadline.
    uint64_t deadline_usec, candidate_deadline_usec;
    // The method's number in each version; GR_METHOD_NONE: it has none, or may not rescue.
    uint16_t method, candidate_method, rescue_method;
    bool idempotent, candidate_idempotent;
};
// By stable's contract and by the candidate's.
static inline bool gr_route_both_idempotent(const struct gr_route *r)
{
    return r->method != GR_METHOD_NONE && r->idempotent && r->candidate_idempotent;
}
struct gr_table_rollout {
    struct gr_gray *gray;
    unsigned n_members; // modules that change together
    bool limited;       // one of them at least has a harm budget
};
struct gr_table {
    uint64_t number;
    struct gr_table *next_retired;
    struct gr_record
        outside; // entered while a call still looks up its route: pins the table, reaches nothing
    size_t n_records, mask, n_rollouts;
    size_t n_batches; // of two modules at least
    struct gr_record *records;
    struct gr_route *routes;
    struct gr_table_rollout *rollouts;
};

// Owns: *ret by the caller (gr_table_free); the members' instances stay the caller's.
// Fails: ContractIncompatible when two modules provide one interface; -EINVAL over
// GR_GRAYS_MAX, or when members of one rollout have different grays.
GR_MUST_CHECK int gr_table_build(uint64_t number, const struct gr_member *members, size_t n,
                                 struct gr_table **ret, struct gr_error *e);
void gr_table_free(struct gr_table *t);
static inline void gr_table_freep(struct gr_table **t)
{
    gr_table_free(*t);
}
#define GR_AUTO_TABLE GR_CLEANUP(gr_table_freep)

// xxh3 of both names, as far as a contract can hold them: a longer name hashes, and is then not
// found.
uint64_t gr_route_hash(const char *interface_name, const char *method_name);
// NULL: nobody provides it. `hash` is gr_route_hash() of the same names.
const struct gr_route *gr_table_find(const struct gr_table *t, uint64_t hash,
                                     const char *interface_name, const char *method_name);
const struct gr_record *gr_table_module(const struct gr_table *t, const char *module);
// Is this version stable, candidate or rescue of a module? A NULL table names nobody.
bool gr_table_names(const struct gr_table *t, const struct gr_instance *i);
// Methods of a contract, numbered in declaration order over its interfaces.
size_t gr_contract_n_methods(const struct gr_contract *c);
