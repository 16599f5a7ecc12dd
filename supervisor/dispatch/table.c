// Building and searching the immutable routing table.
#include "dispatch/table.h"
#include <errno.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

// --- look-up -----------------------------------------------------------------------------------

uint64_t gr_route_hash(const char *interface_name, const char *method_name)
{
    // The first hash is the seed of the second: no copy of the two names into one.
    uint64_t seed = XXH3_64bits(interface_name, strnlen(interface_name, GR_INTERFACE_MAX + 1));
    return XXH3_64bits_withSeed(method_name, strnlen(method_name, GR_METHOD_MAX + 1), seed);
}

const struct gr_route *gr_table_find(const struct gr_table *t, uint64_t hash,
                                     const char *interface_name, const char *method_name)
{
    for (size_t i = hash & t->mask; t->routes[i].record; i = (i + 1) & t->mask) {
        const struct gr_route *r = &t->routes[i];
        if (r->hash == hash && strcmp(r->method_name, method_name) == 0 &&
            strcmp(r->interface_name, interface_name) == 0)
            return r;
    }
    return NULL;
}

const struct gr_record *gr_table_module(const struct gr_table *t, const char *module)
{
    for (size_t i = 0; i < t->n_records; i++)
        if (strcmp(t->records[i].name.s, module) == 0)
            return &t->records[i];
    return NULL;
}

bool gr_table_names(const struct gr_table *t, const struct gr_instance *i)
{
    for (size_t n = 0; t && n < t->n_records; n++)
        if (t->records[n].member.stable == i || t->records[n].member.rescue == i ||
            t->records[n].member.candidate == i)
            return true;
    return false;
}

// --- building ----------------------------------------------------------------------------------

size_t gr_contract_n_methods(const struct gr_contract *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_provides; i++)
        n += c->provides[i].n_methods;
    return n;
}

// In which version; NULL: it does not.
static const struct gr_version *provides(const struct gr_contract *c, const char *interface_name)
{
    for (size_t p = 0; c && p < c->n_provides; p++)
        if (strcmp(c->provides[p].name, interface_name) == 0)
            return &c->provides[p].version;
    return NULL;
}

static const struct gr_record *provider(const struct gr_table *t, const char *interface_name)
{
    for (size_t i = 0; i < t->n_records; i++)
        if (provides(t->records[i].member.contract, interface_name) ||
            provides(t->records[i].member.candidate_contract, interface_name))
            return &t->records[i];
    return NULL;
}

static void reach_needs(struct gr_table *t, struct gr_record *r,
                        const struct gr_contract_need *needs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct gr_record *to = provider(t, needs[i].interface);
        if (to)
            gr_gates_add(&r->reach, to->member.gate);
    }
}

static void reach_direct(struct gr_table *t, struct gr_record *r)
{
    const struct gr_contract *all[] = {r->member.contract, r->member.rescue_contract,
                                       r->member.candidate_contract};
    gr_gates_add(&r->reach, r->member.gate);
    for (size_t i = 0; i < GR_COUNT(all); i++)
        if (all[i]) {
            reach_needs(t, r, all[i]->requires, all[i]->n_requires);
            reach_needs(t, r, all[i]->optional, all[i]->n_optional);
        }
}

static void reach_closure(struct gr_table *t)
{
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < t->n_records; i++)
            for (size_t j = 0; j < t->n_records; j++) {
                struct gr_gates before = t->records[i].reach;
                if (!gr_gates_has(&before, t->records[j].member.gate))
                    continue;
                gr_gates_join(&t->records[i].reach, &t->records[j].reach);
                grew |= memcmp(&before, &t->records[i].reach, sizeof(before)) != 0;
            }
    }
}

// The method of that name and its number; NULL: the contract (which may be NULL) has none.
static const struct gr_contract_method *find_method(const struct gr_contract *c,
                                                    const char *interface_name,
                                                    const char *method_name, uint16_t *ret_number)
{
    uint16_t number = 0;
    *ret_number = GR_METHOD_NONE;
    for (size_t i = 0; c && i < c->n_provides; i++)
        for (size_t m = 0; m < c->provides[i].n_methods; m++, number++)
            if (strcmp(c->provides[i].name, interface_name) == 0 &&
                strcmp(c->provides[i].methods[m].name, method_name) == 0) {
                *ret_number = number;
                return &c->provides[i].methods[m];
            }
    return NULL;
}

static void add_route(struct gr_table *t, const struct gr_record *r, const char *interface_name,
                      const char *method_name)
{
    struct gr_route route = {.hash = gr_route_hash(interface_name, method_name),
                             .record = r,
                             .interface_name = interface_name,
                             .method_name = method_name,
                             .version = provides(r->member.contract, interface_name),
                             .candidate_version =
                                 provides(r->member.candidate_contract, interface_name),
                             .rescue_version = provides(r->member.rescue_contract, interface_name)};
    const struct gr_contract_method *m =
        find_method(r->member.contract, interface_name, method_name, &route.method);
    if (m) {
        route.deadline_usec = m->deadline_usec;
        route.idempotent = m->idempotent;
    }
    m = find_method(r->member.candidate_contract, interface_name, method_name,
                    &route.candidate_method);
    if (m) {
        route.candidate_deadline_usec = m->deadline_usec;
        route.candidate_idempotent = m->idempotent;
    }
    const struct gr_contract *rescue = r->stateful ? NULL : r->member.rescue_contract;
    (void)find_method(rescue, interface_name, method_name, &route.rescue_method);
    size_t i = route.hash & t->mask;
    while (t->routes[i].record)
        i = (i + 1) & t->mask;
    t->routes[i] = route;
}

// Routes for the methods of one version of `r`, except those that `known` has and that are routed
// already.
static int add_routes(struct gr_table *t, const struct gr_record *r, const struct gr_contract *c,
                      const struct gr_contract *known, struct gr_error *e)
{
    for (size_t i = 0; c && i < c->n_provides; i++) {
        const struct gr_contract_interface *face = &c->provides[i];
        const struct gr_record *first = provider(t, face->name);
        if (first != r)
            return gr_error_set(
                e, -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                "asked to route interface %s to module %s, but module %s provides it already; "
                "an interface has one provider: remove one of the two modules",
                face->name, c->module.s, first->name.s);
        for (size_t m = 0; m < face->n_methods; m++) {
            uint16_t number;
            if (!find_method(known, face->name, face->methods[m].name, &number))
                add_route(t, r, face->name, face->methods[m].name);
        }
    }
    return 0;
}

static int join_rollout(struct gr_table *t, struct gr_record *r, struct gr_error *e)
{
    struct gr_gray *gray = r->member.gray;
    if (!gray)
        return 0;
    size_t i = 0;
    while (i < t->n_rollouts && gr_gray_rollout(t->rollouts[i].gray) != gr_gray_rollout(gray))
        i++;
    if (i == GR_GRAYS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route more than %d rollouts at once; wait for one to end",
                            GR_GRAYS_MAX);
    if (i == t->n_rollouts)
        t->rollouts[t->n_rollouts++] = (struct gr_table_rollout){.gray = gr_gray_ref(gray)};
    else if (t->rollouts[i].gray != gray)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route rollout %lld by two different rules; a request sees "
                            "all members of a rollout alike: give them one rule",
                            (long long)gr_gray_rollout(gray));
    t->rollouts[i].n_members++;
    t->rollouts[i].limited |= r->member.harm != NULL;
    r->rollout = (unsigned)i;
    return 0;
}

// Numbers the batches. One that has a single module left here mixes nothing, and is none.
static void join_batches(struct gr_table *t)
{
    for (size_t i = 0; i < t->n_records; i++) {
        struct gr_record *r = &t->records[i];
        if (!r->member.batch || r->batch != GR_BATCH_NONE)
            continue;
        bool joined = false;
        for (size_t k = i + 1; k < t->n_records; k++)
            if (t->records[k].member.batch == r->member.batch) {
                t->records[k].batch = (unsigned)t->n_batches;
                joined = true;
            }
        if (joined)
            r->batch = (unsigned)t->n_batches++;
    }
}

// What the version before holds has been handed over and went on since, and what it would accept
// instead of stable would be lost to stable's state. Of a batch all answer as they were, or none.
static void find_stateful(struct gr_table *t)
{
    for (size_t i = 0; i < t->n_records; i++) {
        struct gr_record *r = &t->records[i];
        const struct gr_member *m = &r->member;
        if (!(m->contract && m->contract->has_state) &&
            !(m->rescue_contract && m->rescue_contract->has_state))
            continue;
        r->stateful = true;
        for (size_t k = 0; r->batch != GR_BATCH_NONE && k < t->n_records; k++)
            t->records[k].stateful |= t->records[k].batch == r->batch;
    }
}

static bool says_pool(const struct gr_member *m)
{
    return (m->contract && m->contract->execution_pool) ||
           (m->candidate_contract && m->candidate_contract->execution_pool) ||
           (m->rescue_contract && m->rescue_contract->execution_pool);
}

// Who calls somebody that blocks, blocks.
static void find_pooled(struct gr_table *t)
{
    for (size_t i = 0; i < t->n_records; i++)
        for (size_t k = 0; says_pool(&t->records[i].member) && k < t->n_records; k++)
            t->records[k].pooled |= gr_gates_has(&t->records[k].reach, t->records[i].member.gate);
}

static struct gr_table *allocate(const struct gr_member *members, size_t n)
{
    size_t n_routes = 0, n_grays = 0, places = 16;
    for (size_t i = 0; i < n; i++) {
        n_routes += members[i].contract ? gr_contract_n_methods(members[i].contract) : 0;
        n_routes += members[i].candidate_contract
                        ? gr_contract_n_methods(members[i].candidate_contract)
                        : 0;
        n_grays += members[i].gray != NULL;
    }
    while (places < 2 * n_routes)
        places *= 2;
    GR_AUTO_TABLE struct gr_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->records = calloc(n ? n : 1, sizeof(*t->records));
    t->routes = calloc(places, sizeof(*t->routes));
    t->rollouts = calloc(n_grays ? n_grays : 1, sizeof(*t->rollouts));
    if (!t->records || !t->routes || !t->rollouts)
        return NULL;
    t->mask = places - 1;
    return gr_steal(t);
}

int gr_table_build(uint64_t number, const struct gr_member *members, size_t n,
                   struct gr_table **ret, struct gr_error *e)
{
    GR_AUTO_TABLE struct gr_table *t = allocate(members, n);
    if (!t)
        return gr_error_set_retryable(
            e, -ENOMEM, GR_REASON_INTERNAL,
            "asked for a routing table of %zu modules, but memory ran out", n);
    t->number = number;
    t->outside.table = t;
    t->n_records = n;
    for (size_t i = 0; i < n; i++)
        t->records[i] = (struct gr_record){.table = t,
                                           .member = members[i],
                                           .batch = GR_BATCH_NONE,
                                           .name = gr_member_contract(&members[i])->module};
    t->outside.batch = GR_BATCH_NONE;
    join_batches(t);
    find_stateful(t);
    for (size_t i = 0; i < n; i++) {
        struct gr_record *record = &t->records[i];
        const struct gr_member *m = &members[i];
        reach_direct(t, record);
        int r = join_rollout(t, record, e);
        if (r == 0)
            r = add_routes(t, record, m->contract, NULL, e);
        if (r == 0)
            r = add_routes(t, record, m->candidate_contract, m->contract, e);
        if (r < 0)
            return r;
    }
    reach_closure(t);
    find_pooled(t);
    *ret = gr_steal(t);
    return 0;
}

void gr_table_free(struct gr_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_rollouts; i++)
        gr_gray_unref(t->rollouts[i].gray);
    free(t->rollouts);
    free(t->records);
    free(t->routes);
    free(t);
}
