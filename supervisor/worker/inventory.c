// Two arrays under one lock.
#include "worker/inventory.h"
#include <errno.h>
#include <string.h>

void gr_inventory_init(struct gr_inventory *v)
{
    memset(v, 0, sizeof *v);
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

void gr_inventory_drop(struct gr_inventory *v, unsigned slot)
{
    gr_inventory_put(v, slot, &(struct gr_inventory_item){0});
}

static void set_route_locked(struct gr_inventory *v, const struct gr_inventory_route *r)
{
    size_t i = 0;
    while (i < v->n_routes && strcmp(v->routes[i].module, r->module) != 0)
        i++;
    if (r->stable < 0) {
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

static int describe_route_locked(struct gr_inventory *v, const struct gr_inventory_route *r,
                                 cJSON *list)
{
    const struct gr_inventory_item *item = &v->items[r->stable];
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(o, "module", r->module) ||
        !cJSON_AddStringToObject(o, "version", item->version) ||
        !cJSON_AddStringToObject(o, "digest", item->digest) ||
        !cJSON_AddNumberToObject(o, "slot", r->stable) ||
        !cJSON_AddNumberToObject(o, "rescue", r->rescue))
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
