// Fields of one message, and nothing else.
#include "worker/load-order.h"
#include <errno.h>

static int read_fields(const cJSON *m, struct gr_load_order *o, struct gr_error *e)
{
    struct gr_load *load = &o->load;
    uint64_t slot = 0;
    int r = gr_json_uint(m, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot, e);
    if (r == 0)
        r = gr_json_string(m, "", "module", GR_JSON_REQUIRED, &load->module, e);
    if (r == 0)
        r = gr_json_string(m, "", "version", GR_JSON_REQUIRED, &load->version, e);
    if (r == 0)
        r = gr_json_string(m, "", "digest", GR_JSON_OPTIONAL, &o->digest, e);
    if (r == 0)
        r = gr_json_string(m, "", "path", GR_JSON_REQUIRED, &load->path, e);
    if (r == 0)
        r = gr_json_bool(m, "", "sealed", GR_JSON_OPTIONAL, &load->sealed, e);
    if (r == 0)
        r = gr_json_string(m, "", "build_id", GR_JSON_OPTIONAL, &load->build_id, e);
    if (load->build_id && !*load->build_id)
        load->build_id = NULL;
    load->slot = (unsigned)slot;
    return r;
}

// A version that is no text: nobody provides that interface.
static int read_peers(const cJSON *m, struct gr_load_order *o, struct gr_error *e)
{
    const cJSON *list = gr_json_get(m, "peers"), *entry;
    size_t n = (size_t)cJSON_GetArraySize(list);
    if (n == 0)
        return 0;
    o->peers = calloc(n, sizeof *o->peers);
    if (!o->peers)
        return -ENOMEM;
    cJSON_ArrayForEach(entry, list)
    {
        const cJSON *version = gr_json_get(entry, "version");
        struct grayling_peer *p = &o->peers[o->load.n_peers++];
        int r =
            gr_json_string(entry, "peers[]", "interface", GR_JSON_REQUIRED, &p->interface_name, e);
        if (r < 0)
            return r;
        p->version = cJSON_IsString(version) ? version->valuestring : NULL;
    }
    o->load.peers = o->peers;
    return 0;
}

int gr_load_order_read(const cJSON *message, struct gr_load_order *ret, struct gr_error *e)
{
    *ret = (struct gr_load_order){.load.fd = -1, .digest = ""};
    int r = read_fields(message, ret, e);
    if (r == 0)
        r = read_peers(message, ret, e);
    const cJSON *config = gr_json_get(message, "config");
    if (r == 0 && cJSON_IsObject(config)) {
        ret->config = gr_json_format(config);
        ret->load.config = ret->config;
    }
    return r;
}

void gr_load_order_done(struct gr_load_order *o)
{
    free(o->peers);
    free(o->config);
}
