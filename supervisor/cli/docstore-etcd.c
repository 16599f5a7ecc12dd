// Documents and intents in etcd, one key a module, read and written by transactions on an event
// loop of its own.
#include "base/limits.h"
#include "cli/docstore.h"
#include "watchers/source.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define OPS_MAX 128 // etcd's own limit of a transaction
#define KEY_MAX (sizeof(struct gr_source_keys) + GR_NAME_MAX)

struct etcd_store {
    struct gr_docstore base;
    struct gr_source_keys keys;
    sd_event *event;
    struct gr_transport *transport;
    struct gr_etcd *etcd;
    // of the request under way
    bool done, succeeded;
    struct gr_error error;
    int64_t revision;
    struct gr_docstore_entry *found; // by key
    size_t n_found;
};

static void key_of(const struct etcd_store *s, const struct gr_name *module, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s%s%s", s->keys.prefix, module->s, s->keys.suffix);
}

static void take_kv(struct etcd_store *s, const struct gr_etcd_kv *kv)
{
    char key[KEY_MAX];
    for (size_t i = 0; i < s->n_found; i++) {
        key_of(s, &s->found[i].module, key);
        if (strcmp(key, kv->key))
            continue;
        s->found[i].present = true;
        s->found[i].revision = kv->mod_revision;
        s->found[i].value = strdup(kv->value);
    }
}

static void on_done(void *userdata, const struct gr_etcd_result *r)
{
    struct etcd_store *s = userdata;
    s->done = true;
    s->error = r->error;
    s->succeeded = r->succeeded;
    s->revision = r->revision;
    if (r->ambiguous)
        gr_error_wrap(
            &s->error,
            "the write may have been applied, look with grayctl get before writing again");
    for (size_t i = 0; i < r->n_kvs; i++)
        take_kv(s, &r->kvs[i]);
}

// Turns the loop until the request has ended. `found` receives what is read.
static int perform(struct etcd_store *s, const struct gr_etcd_compare *compares, size_t n_compares,
                   const struct gr_etcd_op *ops, size_t n_ops, struct gr_docstore_entry *found,
                   size_t n_found, struct gr_error *e)
{
    s->done = s->succeeded = false;
    s->error = (struct gr_error){0};
    s->found = found;
    s->n_found = n_found;
    int r = gr_etcd_txn(s->etcd, compares, n_compares, ops, n_ops, on_done, s, NULL, e);
    while (r >= 0 && !s->done)
        r = sd_event_run(s->event, UINT64_MAX);
    if (!s->done)
        return s->error.code ? s->error.code : r;
    if (s->error.reason != GR_REASON_NONE) {
        if (e)
            *e = s->error;
        return s->error.code ? s->error.code : -EIO;
    }
    return 0;
}

static int too_many(size_t n, struct gr_error *e)
{
    return gr_error_set(e, -E2BIG, GR_REASON_NONE,
                        "%zu modules at once; etcd takes at most %d in one transaction", n,
                        OPS_MAX);
}

static int get(struct gr_docstore *base, struct gr_docstore_entry *entries, size_t n,
               struct gr_error *e)
{
    struct etcd_store *s = (struct etcd_store *)base;
    char keys[OPS_MAX][KEY_MAX];
    struct gr_etcd_op ops[OPS_MAX] = {0};
    if (n > OPS_MAX)
        return too_many(n, e);
    for (size_t i = 0; i < n; i++) {
        key_of(s, &entries[i].module, keys[i]);
        ops[i] = (struct gr_etcd_op){.kind = GR_ETCD_OP_RANGE, .key = gr_bytes_text(keys[i])};
    }
    return perform(s, NULL, 0, ops, n, entries, n, e);
}

// Which comparison did not hold, as read in the same transaction.
static int lost_race(const struct gr_docstore_change *changes, const struct gr_docstore_entry *now,
                     size_t n, struct gr_error *e)
{
    for (size_t i = 0; i < n; i++)
        if (now[i].revision != changes[i].expected)
            return gr_docstore_conflict(&now[i], changes[i].expected, e);
    return gr_error_set(e, -EBUSY, GR_REASON_NONE,
                        "etcd refused the comparison; read again and write again");
}

static int put(struct gr_docstore *base, const struct gr_docstore_change *changes, size_t n,
               int64_t *ret_revision, struct gr_error *e)
{
    struct etcd_store *s = (struct etcd_store *)base;
    char keys[OPS_MAX][KEY_MAX];
    struct gr_etcd_compare compares[OPS_MAX] = {0};
    struct gr_etcd_op ops[OPS_MAX] = {0};
    struct gr_docstore_entry now[OPS_MAX] = {0};
    if (n > OPS_MAX)
        return too_many(n, e);
    for (size_t i = 0; i < n; i++) {
        now[i].module = changes[i].module;
        key_of(s, &changes[i].module, keys[i]);
        compares[i] = (struct gr_etcd_compare){gr_bytes_text(keys[i]), changes[i].expected};
        ops[i] = (struct gr_etcd_op){.kind = GR_ETCD_OP_PUT,
                                     .key = gr_bytes_text(keys[i]),
                                     .value = gr_bytes_text(changes[i].value)};
    }
    int r = perform(s, compares, n, ops, n, now, n, e);
    if (r >= 0 && !s->succeeded)
        r = lost_race(changes, now, n, e);
    for (size_t i = 0; i < n; i++)
        gr_docstore_entry_done(&now[i]);
    if (r >= 0)
        *ret_revision = s->revision;
    return r;
}

static void free_store(struct gr_docstore *base)
{
    struct etcd_store *s = (struct etcd_store *)base;
    gr_etcd_free(s->etcd);
    gr_transport_free(s->transport);
    sd_event_unref(s->event);
    free(s);
}

static const struct gr_docstore_ops ops_of_etcd = {get, put, free_store};

int gr_docstore_etcd_new(const struct gr_etcd_config *config, const struct gr_source_keys *keys,
                         struct gr_docstore **ret, struct gr_error *e)
{
    struct etcd_store *s = calloc(1, sizeof *s);
    if (!s)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    s->base.ops = &ops_of_etcd;
    s->keys = *keys;
    snprintf(s->base.place, sizeof s->base.place, "etcd %s",
             config->n_endpoints ? config->endpoints[0] : "");
    int r = sd_event_new(&s->event);
    if (r >= 0)
        r = gr_transport_new(s->event, &s->transport);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "cannot set up an event loop: %s", strerror(-r));
    else
        r = gr_etcd_new(s->event, s->transport, config, &s->etcd, e);
    if (r < 0) {
        free_store(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}
