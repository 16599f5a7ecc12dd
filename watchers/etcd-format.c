// Requests to etcd as JSON text. Enumerations are spelt here and nowhere else: etcd 3.5 takes a
// misspelt one silently for its default (FACTS-ETCD, trap 16).
#include "base/json.h"
#include "watchers/etcd-codec.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES_MAX 4096

struct gr_bytes gr_bytes_text(const char *text)
{
    return gr_bytes(text, strlen(text));
}

int gr_etcd_prefix_end(struct gr_bytes prefix, struct gr_buf *ret)
{
    const unsigned char *p = prefix.data;
    size_t n = prefix.len;
    while (n > 0 && p[n - 1] == 0xff)
        n--;
    if (n == 0)
        return gr_buf_append(ret, "", 1);
    unsigned char last = (unsigned char)(p[n - 1] + 1);
    int r = gr_buf_append(ret, p, n - 1);
    return r < 0 ? r : gr_buf_append(ret, &last, 1);
}

static bool add_bytes(cJSON *o, const char *field, struct gr_bytes b)
{
    GR_AUTO_FREE char *text = gr_base64_encode(b);
    return text && cJSON_AddStringToObject(o, field, text);
}

static bool add_int(cJSON *o, const char *field, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, v);
    return cJSON_AddStringToObject(o, field, text) != NULL;
}

static bool add_prefix_end(cJSON *o, struct gr_bytes prefix)
{
    GR_AUTO_BUF struct gr_buf end = GR_BUF(KEY_BYTES_MAX);
    return gr_etcd_prefix_end(prefix, &end) >= 0 &&
           add_bytes(o, "range_end", gr_bytes(end.data, end.len));
}

// The text, or NULL when a part could not be added; frees the tree.
static char *format_and_free(cJSON *o, bool whole)
{
    char *text = whole ? gr_json_format(o) : NULL;
    cJSON_Delete(o);
    return text;
}

char *gr_etcd_format_range(const struct gr_etcd_range *r)
{
    cJSON *o = cJSON_CreateObject();
    struct gr_bytes first = r->prefix && r->from.len ? r->from : r->key;
    bool ok = o && add_bytes(o, "key", first);
    if (r->prefix)
        ok = ok && add_prefix_end(o, r->key);
    if (r->count_only)
        ok = ok && cJSON_AddTrueToObject(o, "count_only");
    if (r->keys_only)
        ok = ok && cJSON_AddTrueToObject(o, "keys_only");
    if (r->newest_first)
        ok = ok && cJSON_AddStringToObject(o, "sort_order", "DESCEND") &&
             cJSON_AddStringToObject(o, "sort_target", "MOD");
    if (r->limit)
        ok = ok && add_int(o, "limit", r->limit);
    if (r->revision)
        ok = ok && add_int(o, "revision", r->revision);
    return format_and_free(o, ok);
}

static bool fill_put(cJSON *o, struct gr_bytes key, struct gr_bytes value, int64_t lease)
{
    return add_bytes(o, "key", key) && add_bytes(o, "value", value) &&
           (!lease || add_int(o, "lease", lease));
}

char *gr_etcd_format_put(struct gr_bytes key, struct gr_bytes value, int64_t lease)
{
    cJSON *o = cJSON_CreateObject();
    return format_and_free(o, o && fill_put(o, key, value, lease));
}

char *gr_etcd_format_delete(struct gr_bytes key, bool prefix)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && add_bytes(o, "key", key) && (!prefix || add_prefix_end(o, key));
    return format_and_free(o, ok);
}

static bool add_compare(cJSON *list, const struct gr_etcd_compare *c)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o))
        return false;
    // A key that does not exist has mod_revision 0, so one target serves both cases.
    return add_bytes(o, "key", c->key) && cJSON_AddStringToObject(o, "target", "MOD") &&
           cJSON_AddStringToObject(o, "result", "EQUAL") &&
           add_int(o, "mod_revision", c->mod_revision);
}

static bool add_op(cJSON *list, const struct gr_etcd_op *op)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o))
        return false;
    cJSON *inner;
    switch (op->kind) {
    case GR_ETCD_OP_PUT:
        inner = cJSON_AddObjectToObject(o, "request_put");
        return inner && fill_put(inner, op->key, op->value, op->lease);
    case GR_ETCD_OP_DELETE:
        inner = cJSON_AddObjectToObject(o, "request_delete_range");
        return inner && add_bytes(inner, "key", op->key);
    case GR_ETCD_OP_RANGE:
        inner = cJSON_AddObjectToObject(o, "request_range");
        return inner && add_bytes(inner, "key", op->key);
    }
    return false;
}

char *gr_etcd_format_txn(const struct gr_etcd_compare *compares, size_t n_compares,
                         const struct gr_etcd_op *ops, size_t n_ops)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *compare = o ? cJSON_AddArrayToObject(o, "compare") : NULL;
    cJSON *success = o ? cJSON_AddArrayToObject(o, "success") : NULL;
    cJSON *failure = o ? cJSON_AddArrayToObject(o, "failure") : NULL;
    bool ok = compare && success && failure;
    for (size_t i = 0; ok && i < n_compares; i++) {
        struct gr_etcd_op look = {.kind = GR_ETCD_OP_RANGE, .key = compares[i].key};
        ok = add_compare(compare, &compares[i]) && add_op(failure, &look);
    }
    for (size_t i = 0; ok && i < n_ops; i++)
        ok = add_op(success, &ops[i]);
    return format_and_free(o, ok);
}

char *gr_etcd_format_lease(int64_t lease, int64_t ttl_sec)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && (!lease || add_int(o, "ID", lease)) && (!ttl_sec || add_int(o, "TTL", ttl_sec));
    return format_and_free(o, ok);
}

char *gr_etcd_format_login(const char *user, const char *password)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "name", user) &&
              cJSON_AddStringToObject(o, "password", password);
    return format_and_free(o, ok);
}

char *gr_etcd_format_watch(struct gr_bytes prefix, int64_t start_revision)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *create = o ? cJSON_AddObjectToObject(o, "create_request") : NULL;
    bool ok = create && add_bytes(create, "key", prefix) && add_prefix_end(create, prefix) &&
              add_int(create, "start_revision", start_revision) &&
              cJSON_AddTrueToObject(create, "progress_notify") &&
              cJSON_AddTrueToObject(create, "fragment");
    return format_and_free(o, ok);
}
