// Owns the sets of contracts that a version is loaded into: what is in force, with one rollout done
// or taken back. Who is loaded before whom, and who provides what a version needs, follows from
// them.
#include "base/json.h"
#include "control/manager-internal.h"
#include "state/resolve.h"
#include <errno.h>

static void put(struct gr_set *s, const struct gr_name *module, const struct gr_contract *c)
{
    size_t i = 0;
    while (i < s->n && !gr_name_equal(s->modules[i], module))
        i++;
    if (i == GR_COUNT(s->contracts))
        return; // more than a table holds
    s->modules[i] = module;
    s->contracts[i] = c;
    s->n += i == s->n;
}

void gr_manager_set(struct gr_manager *m, const struct gr_rollout *r, enum gr_direction d,
                    struct gr_set *ret)
{
    const struct gr_rollout_row *row = r ? gr_rollout_row(r) : NULL;
    ret->n = 0;
    for (size_t i = 0; i < m->table.n; i++)
        put(ret, &m->table.rows[i].module, gr_manager_contract(m, m->table.rows[i].release));
    for (size_t i = 0; row && i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        const struct gr_desired *is = d == GR_BACK ? mem->from : mem->to;
        put(ret, &mem->module, is ? gr_manager_contract(m, is) : NULL);
    }
}

size_t gr_set_order(const struct gr_set *s, const struct gr_rollout_row *row, size_t *ret_order)
{
    size_t all[GR_MODULES_MAX], n = 0;
    bool ordered = gr_resolve_order(s->contracts, s->n, all) == 0;
    for (size_t i = 0; i < s->n && ordered; i++)
        for (size_t k = 0; k < row->n; k++)
            if (gr_name_equal(s->modules[all[i]], &row->members[k].module))
                ret_order[n++] = k;
    for (size_t k = 0; k < row->n && !ordered; k++) // out of memory: better so than not at all
        ret_order[n++] = k;
    return n;
}

static bool add_peers(cJSON *list, const struct gr_contract_need *needs, size_t n,
                      const struct gr_set *s)
{
    for (size_t i = 0; i < n; i++) {
        cJSON *peer = cJSON_CreateObject();
        const struct gr_version *v = gr_resolve_bind(&needs[i], s->contracts, s->n);
        if (!cJSON_AddStringToObject(peer, "interface", needs[i].interface) ||
            !(v ? cJSON_AddStringToObject(peer, "version", v->text)
                : cJSON_AddNullToObject(peer, "version")) ||
            !cJSON_AddItemToArray(list, peer)) {
            cJSON_Delete(peer);
            return false;
        }
    }
    return true;
}

cJSON *gr_set_peers(const struct gr_set *s, const struct gr_contract *c)
{
    cJSON *list = cJSON_CreateArray();
    if (list && add_peers(list, c->requires, c->n_requires, s) &&
        add_peers(list, c->optional, c->n_optional, s))
        return list;
    cJSON_Delete(list);
    return NULL;
}
