// Whom a process that takes another's place is told to have: not those of the first load, which
// may be other versions by now, or gone.
#include "worker/ward.h"

static bool add(const struct ward *w, cJSON *list, const struct gr_contract_need *needs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char version[GR_VERSION_MAX + 1];
        if (!gr_instance_peer(w->instance, &needs[i], version))
            return false;
        cJSON *peer = cJSON_CreateObject();
        if (!cJSON_AddStringToObject(peer, "interface", needs[i].interface) ||
            !(version[0] ? cJSON_AddStringToObject(peer, "version", version)
                         : cJSON_AddNullToObject(peer, "version")) ||
            !cJSON_AddItemToArray(list, peer)) {
            cJSON_Delete(peer);
            return false;
        }
    }
    return true;
}

void gr_ward_bind_peers(struct ward *w)
{
    const struct gr_contract *c = gr_instance_contract(w->instance);
    cJSON *list = cJSON_CreateArray();
    bool whole = list && add(w, list, c->requires, c->n_requires) &&
                 add(w, list, c->optional, c->n_optional);
    if (!whole || !cJSON_ReplaceItemInObjectCaseSensitive(w->order, "peers", list))
        cJSON_Delete(list);
}
