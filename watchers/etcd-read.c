// See etcd-read.h. A transaction is never split: every page shows the same revision, or the read
// fails.
#include "watchers/etcd-read.h"
#include "base/limits.h"
#include "base/log.h"
#include "watchers/etcd-entry.h"
#include <errno.h>
#include <string.h>

#define PAGE_KEYS 24 // of 1.5 MiB at most each, in base64: below GR_ETCD_RANGE_BYTES_MAX

struct gr_etcd_read {
    struct gr_etcd *client;
    struct gr_etcd_read_callbacks cb;
    const struct gr_source_keys *shape;
    struct gr_buf from;
    struct gr_snapshot *snapshot;
    struct gr_etcd_call *call;
    int64_t keys, store; // store: its revision; 0: no page came yet
    size_t bytes;
};

static int ask_page(struct gr_etcd_read *r, struct gr_error *e);

void gr_etcd_read_cancel(struct gr_etcd_read *r)
{
    if (!r)
        return;
    gr_etcd_cancel(r->call);
    gr_snapshot_free(r->snapshot);
    gr_buf_done(&r->from);
    free(r);
}

static void finish(struct gr_etcd_read *r, const struct gr_error *e)
{
    struct gr_etcd_read_callbacks cb = r->cb;
    struct gr_snapshot *snapshot = e ? NULL : gr_steal(r->snapshot);
    int64_t keys = r->keys, store = r->store;
    r->call = NULL;
    gr_etcd_read_cancel(r);
    if (snapshot)
        gr_snapshot_sort(snapshot);
    cb.done(cb.userdata, snapshot, keys, store, e);
}

static int take_kv(struct gr_etcd_read *r, struct gr_etcd_kv *kv, struct gr_error *e)
{
    struct gr_entry entry;
    r->bytes += kv->key_len + kv->value_len;
    if (r->bytes > GR_ETCD_RANGE_BYTES_MAX)
        return gr_error_set(e, -E2BIG, GR_REASON_TOO_LARGE,
                            "The keys below %s hold more than %u bytes together. Delete what is "
                            "not a document of this service.",
                            r->shape->prefix, GR_ETCD_RANGE_BYTES_MAX);
    if (!gr_etcd_entry_from_kv(r->shape, kv, &entry)) {
        gr_log(GR_LOG_DEBUG, "key %s names no %s and is ignored", kv->key, r->shape->what);
        return 0;
    }
    if (r->snapshot->n == r->shape->max) {
        gr_entry_done(&entry);
        return gr_error_set(e, -E2BIG, GR_REASON_TOO_LARGE,
                            "There are more than %zu keys below %s. Split the service, or delete "
                            "the keys that are not needed.",
                            r->shape->max, r->shape->prefix);
    }
    struct gr_entry *to = gr_snapshot_add(r->snapshot);
    if (!to) {
        gr_entry_done(&entry);
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    }
    *to = entry;
    return 0;
}

// The next page begins right after the last key of this one.
static int remember_place(struct gr_etcd_read *r, const struct gr_etcd_kv *last, struct gr_error *e)
{
    gr_buf_clear(&r->from);
    int n = gr_buf_append(&r->from, last->key, last->key_len + 1); // with its NUL
    return n < 0 ? gr_error_set(e, n, GR_REASON_TOO_LARGE,
                                "A key below %s has %zu bytes; at most %zu are taken. Delete it.",
                                r->shape->prefix, last->key_len, r->from.max - 1)
                 : 0;
}

static int take_page(struct gr_etcd_read *r, const struct gr_etcd_result *page, struct gr_error *e)
{
    if (!r->store) {
        r->store = page->revision;
        if (!r->snapshot->revision)
            r->snapshot->revision = page->revision;
        r->snapshot->cluster_id = page->cluster_id;
        r->keys = page->count;
    }
    for (size_t i = 0; i < page->n_kvs; i++) {
        int n = take_kv(r, &page->kvs[i], e);
        if (n < 0)
            return n;
    }
    return page->more && page->n_kvs ? remember_place(r, &page->kvs[page->n_kvs - 1], e) : 0;
}

static void on_page(void *userdata, const struct gr_etcd_result *page)
{
    struct gr_etcd_read *r = userdata;
    struct gr_error e = page->error;
    r->call = NULL;
    int n = e.reason ? -1 : take_page(r, page, &e);
    if (n >= 0 && page->more && page->n_kvs) {
        n = ask_page(r, &e);
        if (n >= 0)
            return;
    }
    finish(r, n < 0 ? &e : NULL);
}

static int ask_page(struct gr_etcd_read *r, struct gr_error *e)
{
    struct gr_etcd_range page = {
        .key = gr_bytes_text(r->shape->prefix),
        .prefix = true,
        .limit = PAGE_KEYS,
        .revision = r->snapshot->revision,
        .from = gr_bytes(r->from.data, r->from.len),
    };
    return gr_etcd_range(r->client, &page, on_page, r, &r->call, e);
}

int gr_etcd_read_start(struct gr_etcd *c, const struct gr_source_keys *keys, int64_t at,
                       const struct gr_etcd_read_callbacks *cb, struct gr_etcd_read **ret,
                       struct gr_error *e)
{
    struct gr_etcd_read *r = calloc(1, sizeof *r);
    if (!r)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    *r = (struct gr_etcd_read){.client = c, .cb = *cb, .shape = keys, .from = GR_BUF(64 * 1024)};
    r->snapshot = calloc(1, sizeof *r->snapshot);
    int n = r->snapshot ? 0 : -ENOMEM;
    if (n < 0) {
        gr_error_set_retryable(e, n, GR_REASON_INTERNAL, "Out of memory.");
    } else {
        r->snapshot->revision = at;
        n = ask_page(r, e);
    }
    if (n < 0) {
        gr_etcd_read_cancel(r);
        return n;
    }
    *ret = r;
    return 0;
}
