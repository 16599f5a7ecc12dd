// What this worker holds: which version is in which slot, which slots the table in force routes,
// and the harm budgets that it counts in. Written by the loader's threads, read by any.
#pragma once
#include "base/json.h"
#include "dispatch/dispatch.h"
#include <pthread.h>

struct gr_inventory_item {
    struct gr_instance *instance; // NULL: the slot is free
    char module[GR_NAME_MAX + 1], version[GR_VERSION_MAX + 1], digest[GR_DIGEST_TEXT_MAX];
};
struct gr_inventory_route {
    char module[GR_NAME_MAX + 1];
    int stable, rescue, candidate; // slots; -1: none
    int64_t rollout;               // of the candidate
};
struct gr_inventory {
    pthread_mutex_t exchanging; // taken before lock: slots that an exchange names stay as they are
    pthread_mutex_t lock;
    struct gr_inventory_item items[GR_INSTANCES_MAX];
    struct gr_inventory_route routes[GR_MODULES_MAX];
    size_t n_routes;
    uint64_t table;
    struct gr_harms *harms; // the budgets that orders name; set once, before the first order
};
void gr_inventory_init(struct gr_inventory *v);
void gr_inventory_put(struct gr_inventory *v, unsigned slot, const struct gr_inventory_item *item);
// NULL: free, or no such slot.
struct gr_instance *gr_inventory_find(struct gr_inventory *v, int slot);
// Empties a slot; *ret_item is what it held.
void gr_inventory_take(struct gr_inventory *v, unsigned slot, struct gr_inventory_item *ret_item);
// From here to release() nobody else exchanges or takes.
void gr_inventory_hold(struct gr_inventory *v);
void gr_inventory_release(struct gr_inventory *v);
// What an exchange changed: routes to set (neither stable nor candidate: the module goes away).
void gr_inventory_route(struct gr_inventory *v, uint64_t table,
                        const struct gr_inventory_route *changed, size_t n);
// Copies the names of a slot, for logs; "" when it is free.
void gr_inventory_names(struct gr_inventory *v, unsigned slot, char module[GR_NAME_MAX + 1],
                        char version[GR_VERSION_MAX + 1]);
// Adds "table" and "modules" of the protocol's description to `answer`. Fails: -ENOMEM.
GR_MUST_CHECK int gr_inventory_describe(struct gr_inventory *v, cJSON *answer);
