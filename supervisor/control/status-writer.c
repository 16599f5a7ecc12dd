// Owns the leased status keys in etcd: renders the view, compares with what was written last,
// writes the difference one after the other.
#include "control/status-writer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "control/view-json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEASE_SEC 15
#define RETRY_USEC (2 * GR_USEC_PER_SEC)

struct written { // one key as etcd has it, or as it was sent
    char *key, *value;
    bool dirty, wanted;
};

struct gr_status_writer {
    sd_event *event;
    struct gr_etcd *etcd;
    struct gr_lease *lease;
    char prefix[256];
    char instance[GR_NAME_MAX + 1];
    const struct gr_view *(*view)(void *u);
    void *userdata;
    struct written *keys;
    size_t n;
    struct gr_etcd_call *call; // one at a time
    char *in_flight;           // its key
    sd_event_source *look, *retry;
};

static void pump(struct gr_status_writer *w);

static struct written *find(struct gr_status_writer *w, const char *key)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->keys[i].key, key) == 0)
            return &w->keys[i];
    return NULL;
}

// Takes value. What equals the last value is not written again.
static void want(struct gr_status_writer *w, const char *key, cJSON *take)
{
    cJSON *o GR_AUTO_JSON = take;
    char *value GR_AUTO_FREE = o ? gr_json_format(o) : NULL;
    struct written *k = value ? find(w, key) : NULL;
    if (!value)
        return;
    if (!k) {
        struct written *more = w->n < 4096 ? reallocarray(w->keys, w->n + 1, sizeof *more) : NULL;
        char *copy = more ? strdup(key) : NULL;
        if (more)
            w->keys = more;
        if (!copy)
            return;
        k = &w->keys[w->n++];
        *k = (struct written){.key = copy, .dirty = true};
    }
    k->wanted = true;
    if (k->value && strcmp(k->value, value) == 0)
        return;
    free(k->value);
    k->value = gr_steal(value);
    k->dirty = true;
}

static int on_look(sd_event_source *s, void *u)
{
    (void)s;
    struct gr_status_writer *w = u;
    const struct gr_view *v = w->view(w->userdata);
    char key[512];
    for (size_t i = 0; i < w->n; i++)
        w->keys[i].wanted = false;
    snprintf(key, sizeof key, "%s/instances/%s", w->prefix, w->instance);
    want(w, key, gr_view_instance_key(v));
    for (size_t i = 0; i < v->n_modules; i++) {
        snprintf(key, sizeof key, "%s/instances/%s/modules/%s", w->prefix, w->instance,
                 v->modules[i].module.s);
        want(w, key, gr_view_module_key(&v->modules[i]));
    }
    for (size_t i = 0; i < w->n; i++)
        if (!w->keys[i].wanted && w->keys[i].value) { // gone from the view: gone from etcd
            free(gr_steal(w->keys[i].value));
            w->keys[i].dirty = true;
        }
    pump(w);
    return 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_status_writer *w = u;
    w->retry = sd_event_source_disable_unref(w->retry);
    pump(w);
    return 0;
}

static void on_written(void *u, const struct gr_etcd_result *r)
{
    struct gr_status_writer *w = u;
    char *key GR_AUTO_FREE = gr_steal(w->in_flight);
    GR_INSTANT("status.written");
    w->call = NULL;
    if (r->error.reason == GR_REASON_NONE) {
        pump(w);
        return;
    }
    struct written *k = key ? find(w, key) : NULL;
    if (k)
        k->dirty = true;
    gr_log(GR_LOG_DEBUG, "status key %s was not written: %s", key ? key : "?", r->error.message);
    if (!w->retry && sd_event_add_time_relative(w->event, &w->retry, CLOCK_MONOTONIC, RETRY_USEC,
                                                RETRY_USEC / 4, on_retry, w) < 0)
        gr_log(GR_LOG_ERROR, "no timer for the status keys");
}

static void forget(struct gr_status_writer *w, struct written *k)
{
    free(k->key);
    free(k->value);
    *k = w->keys[--w->n];
}

static void pump(struct gr_status_writer *w)
{
    int64_t lease = gr_lease_id(w->lease);
    if (w->call || w->retry || !lease)
        return;
    for (size_t i = 0; i < w->n; i++) {
        struct written *k = &w->keys[i];
        if (!k->dirty)
            continue;
        k->dirty = false;
        char *key = strdup(k->key);
        struct gr_error e = {0};
        int r = key ? GR_FAULT("status.write") : -ENOMEM;
        if (r == 0 && k->value)
            r = gr_etcd_put(w->etcd, gr_bytes_text(key), gr_bytes_text(k->value), lease, on_written,
                            w, &w->call, &e);
        else if (r == 0)
            r = gr_etcd_delete(w->etcd, gr_bytes_text(key), false, on_written, w, &w->call, &e);
        if (!k->value)
            forget(w, k);
        if (r < 0)
            free(key);
        else
            w->in_flight = key;
        return;
    }
}

static void on_granted(void *u, int64_t lease)
{
    (void)lease;
    struct gr_status_writer *w = u;
    for (size_t i = 0; i < w->n; i++)
        w->keys[i].dirty = true;
    pump(w);
}

static void on_lost(void *u, const struct gr_error *e)
{
    (void)u;
    gr_log(GR_LOG_DEBUG, "the lease of the status keys was lost: %s", e->message);
}

int gr_status_writer_new(sd_event *event, struct gr_transport *t, const struct gr_etcd_config *c,
                         const struct gr_name *service, const struct gr_name *instance,
                         const struct gr_view *(*view)(void *u), void *userdata,
                         struct gr_status_writer **ret, struct gr_error *e)
{
    struct gr_status_writer *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct gr_status_writer){.event = event, .view = view, .userdata = userdata};
    snprintf(w->prefix, sizeof w->prefix, "/grayling/v1/%s", service->s);
    snprintf(w->instance, sizeof w->instance, "%s", instance->s);
    const struct gr_lease_callbacks cb = {.granted = on_granted, .lost = on_lost, .userdata = w};
    int k = gr_etcd_new(event, t, c, &w->etcd, e);
    if (k == 0)
        k = gr_lease_new(event, w->etcd, LEASE_SEC, &cb, &w->lease);
    if (k == 0)
        k = sd_event_add_defer(event, &w->look, on_look, w);
    if (k < 0) {
        gr_status_writer_free(w);
        return k;
    }
    *ret = w;
    return 0;
}

void gr_status_writer_touch(struct gr_status_writer *w)
{
    if (sd_event_source_set_enabled(w->look, SD_EVENT_ONESHOT) < 0)
        gr_log(GR_LOG_ERROR, "event loop: the status keys lag");
}

void gr_status_writer_free(struct gr_status_writer *w)
{
    if (!w)
        return;
    sd_event_source_disable_unref(w->look);
    sd_event_source_disable_unref(w->retry);
    gr_etcd_cancel(w->call);
    gr_lease_free(w->lease);
    gr_etcd_free(w->etcd);
    for (size_t i = 0; i < w->n; i++) {
        free(w->keys[i].key);
        free(w->keys[i].value);
    }
    free(w->keys);
    free(w->in_flight);
    free(w);
}
