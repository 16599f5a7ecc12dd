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
        if (t->records[n].member.stable == i || t->records[n].member.rescue == i)
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

static const struct gr_record *provider(const struct gr_table *t, const char *interface_name)
{
    for (size_t i = 0; i < t->n_records; i++) {
        const struct gr_contract *c = t->records[i].member.contract;
        for (size_t p = 0; p < c->n_provides; p++)
            if (strcmp(c->provides[p].name, interface_name) == 0)
                return &t->records[i];
    }
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
    const struct gr_contract *both[] = {r->member.contract, r->member.rescue_contract};
    gr_gates_add(&r->reach, r->member.gate);
    for (size_t i = 0; i < GR_COUNT(both); i++)
        if (both[i]) {
            reach_needs(t, r, both[i]->requires, both[i]->n_requires);
            reach_needs(t, r, both[i]->optional, both[i]->n_optional);
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

static uint32_t method_number(const struct gr_contract *c, const char *interface_name,
                              const char *method_name)
{
    uint32_t number = 0;
    for (size_t i = 0; i < c->n_provides; i++)
        for (size_t m = 0; m < c->provides[i].n_methods; m++, number++)
            if (strcmp(c->provides[i].name, interface_name) == 0 &&
                strcmp(c->provides[i].methods[m].name, method_name) == 0)
                return number;
    return GR_METHOD_NONE;
}

static void add_route(struct gr_table *t, const struct gr_route *route)
{
    size_t i = route->hash & t->mask;
    while (t->routes[i].record)
        i = (i + 1) & t->mask;
    t->routes[i] = *route;
}

static int add_routes(struct gr_table *t, const struct gr_record *r, struct gr_error *e)
{
    const struct gr_contract *c = r->member.contract, *rescue = r->member.rescue_contract;
    uint32_t number = 0;
    for (size_t i = 0; i < c->n_provides; i++) {
        const struct gr_contract_interface *face = &c->provides[i];
        const struct gr_record *first = provider(t, face->name);
        if (first != r)
            return gr_error_set(
                e, -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                "asked to route interface %s to module %s, but module %s provides it already; "
                "an interface has one provider: remove one of the two modules",
                face->name, c->module.s, first->member.contract->module.s);
        for (size_t m = 0; m < face->n_methods; m++, number++) {
            const struct gr_contract_method *method = &face->methods[m];
            add_route(t,
                      &(struct gr_route){
                          .hash = gr_route_hash(face->name, method->name),
                          .record = r,
                          .interface_name = face->name,
                          .method_name = method->name,
                          .deadline_usec = method->deadline_usec,
                          .method = number,
                          .rescue_method = rescue ? method_number(rescue, face->name, method->name)
                                                  : GR_METHOD_NONE,
                          .idempotent = method->idempotent,
                      });
        }
    }
    return 0;
}

static struct gr_table *allocate(const struct gr_member *members, size_t n)
{
    size_t n_routes = 0, places = 16;
    for (size_t i = 0; i < n; i++)
        n_routes += gr_contract_n_methods(members[i].contract);
    while (places < 2 * n_routes)
        places *= 2;
    GR_AUTO_TABLE struct gr_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->records = calloc(n ? n : 1, sizeof(*t->records));
    t->routes = calloc(places, sizeof(*t->routes));
    if (!t->records || !t->routes)
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
        t->records[i] = (struct gr_record){
            .table = t, .member = members[i], .name = members[i].contract->module};
    for (size_t i = 0; i < n; i++) {
        reach_direct(t, &t->records[i]);
        int r = add_routes(t, &t->records[i], e);
        if (r < 0)
            return r;
    }
    reach_closure(t);
    *ret = gr_steal(t);
    return 0;
}

void gr_table_free(struct gr_table *t)
{
    if (!t)
        return;
    free(t->records);
    free(t->routes);
    free(t);
}
