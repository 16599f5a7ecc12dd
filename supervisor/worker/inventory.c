// Two arrays under one lock.
#include "worker/inventory.h"
#include <errno.h>
#include <string.h>

void gr_inventory_init(struct gr_inventory *v)
{
    memset(v, 0, sizeof *v);
    pthread_mutex_init(&v->exchanging, NULL);
    pthread_mutex_init(&v->lock, NULL);
}

void gr_inventory_put(struct gr_inventory *v, unsigned slot, const struct gr_inventory_item *item)
{
    pthread_mutex_lock(&v->lock);
    v->items[slot] = *item;
    pthread_mutex_unlock(&v->lock);
}

struct gr_instance *gr_inventory_find(struct gr_inventory *v, int slot)
{
    if (slot < 0 || slot >= GR_INSTANCES_MAX)
        return NULL;
    pthread_mutex_lock(&v->lock);
    struct gr_instance *found = v->items[slot].instance;
    pthread_mutex_unlock(&v->lock);
    return found;
}

void gr_inventory_take(struct gr_inventory *v, unsigned slot, struct gr_inventory_item *ret_item)
{
    pthread_mutex_lock(&v->lock);
    *ret_item = v->items[slot];
    v->items[slot] = (struct gr_inventory_item){0};
    pthread_mutex_unlock(&v->lock);
}

void gr_inventory_hold(struct gr_inventory *v)
{
    pthread_mutex_lock(&v->exchanging);
}

void gr_inventory_release(struct gr_inventory *v)
{
    pthread_mutex_unlock(&v->exchanging);
}

static void set_route_locked(struct gr_inventory *v, const struct gr_inventory_route *r)
{
    size_t i = 0;
    while (i < v->n_routes && strcmp(v->routes[i].module, r->module) != 0)
        i++;
    if (r->stable < 0 && r->candidate < 0) {
        if (i < v->n_routes)
            v->routes[i] = v->routes[--v->n_routes];
        return;
    }
    if (i == GR_COUNT(v->routes))
        return; // dispatch has no more gates than this and refused the swap before
    v->routes[i] = *r;
    if (i == v->n_routes)
        v->n_routes++;
}

void gr_inventory_route(struct gr_inventory *v, uint64_t table,
                        const struct gr_inventory_route *changed, size_t n)
{
    pthread_mutex_lock(&v->lock);
    v->table = table;
    for (size_t i = 0; i < n; i++)
        set_route_locked(v, &changed[i]);
    pthread_mutex_unlock(&v->lock);
}

void gr_inventory_names(struct gr_inventory *v, unsigned slot, char module[GR_NAME_MAX + 1],
                        char version[GR_VERSION_MAX + 1])
{
    module[0] = version[0] = '\0';
    if (slot >= GR_INSTANCES_MAX)
        return;
    pthread_mutex_lock(&v->lock);
    memcpy(module, v->items[slot].module, sizeof v->items[slot].module);
    memcpy(version, v->items[slot].version, sizeof v->items[slot].version);
    pthread_mutex_unlock(&v->lock);
}

static bool add_version_locked(const struct gr_inventory *v, int slot, cJSON *o)
{
    static const struct gr_inventory_item none;
    const struct gr_inventory_item *item = slot < 0 ? &none : &v->items[slot];
    return cJSON_AddStringToObject(o, "version", item->version) &&
           cJSON_AddStringToObject(o, "digest", item->digest) &&
           cJSON_AddNumberToObject(o, "slot", slot);
}

static int describe_route_locked(const struct gr_inventory *v, const struct gr_inventory_route *r,
                                 cJSON *list)
{
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(o, "module", r->module) || !add_version_locked(v, r->stable, o) ||
        !cJSON_AddNumberToObject(o, "rescue", r->rescue))
        return -ENOMEM;
    cJSON *candidate = r->candidate < 0 ? NULL : cJSON_AddObjectToObject(o, "candidate");
    if (r->candidate >= 0 && (!candidate || !add_version_locked(v, r->candidate, candidate) ||
                              !cJSON_AddNumberToObject(candidate, "rollout", (double)r->rollout)))
        return -ENOMEM;
    cJSON_AddItemToArray(list, gr_steal(o));
    return 0;
}

int gr_inventory_describe(struct gr_inventory *v, cJSON *answer)
{
    cJSON *list = cJSON_AddArrayToObject(answer, "modules");
    int r = list ? 0 : -ENOMEM;
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->n_routes && r == 0; i++)
        r = describe_route_locked(v, &v->routes[i], list);
    if (r == 0 && !gr_json_add_uint(answer, "table", v->table))
        r = -ENOMEM;
    pthread_mutex_unlock(&v->lock);
    return r;
}
