// One value of what is wanted, and two ways to write it. A lease is kept at a third of its time by
// whoever waits for something, so that it ends when nobody does any more.
#include "cli/drill/store.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define OPS_MAX 32
#define KEY_MAX (sizeof(struct gr_source_keys) + GR_NAME_MAX)

struct gr_drill_store {
    cJSON *wanted; // {module: document}
    char directory[PATH_MAX], file[128];
    // etcd
    struct gr_source_keys keys;
    sd_event *event;
    struct gr_transport *transport;
    struct gr_etcd *etcd;
    int64_t lease, ttl_sec;
    struct gr_mono kept;
    // of the request under way
    bool done;
    struct gr_error error;
};

static int out_of_memory(struct gr_error *e)
{
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

// --- etcd

static void on_done(void *userdata, const struct gr_etcd_result *r)
{
    struct gr_drill_store *s = userdata;
    s->done = true;
    s->error = r->error;
    if (r->lease)
        s->lease = r->lease;
}

// Turns the loop until the request that began with `r` has ended.
static int finish(struct gr_drill_store *s, int r, struct gr_error *e)
{
    while (r >= 0 && !s->done)
        r = sd_event_run(s->event, UINT64_MAX);
    if (!s->done)
        return r;
    if (s->error.reason == GR_REASON_NONE)
        return 0;
    if (e)
        *e = s->error;
    return s->error.code < 0 ? s->error.code : -EIO;
}

static void begin(struct gr_drill_store *s)
{
    s->done = false;
    s->error = (struct gr_error){0};
}

static int grant(struct gr_drill_store *s, struct gr_error *e)
{
    begin(s);
    int r = finish(s, gr_etcd_lease_grant(s->etcd, s->ttl_sec, on_done, s, NULL, e), e);
    s->kept = gr_mono_now();
    return r;
}

static int write_etcd(struct gr_drill_store *s, const cJSON *changes, struct gr_error *e)
{
    char keys[OPS_MAX][KEY_MAX];
    char *texts[OPS_MAX] = {0};
    struct gr_etcd_op ops[OPS_MAX] = {0};
    size_t n = 0;
    int r = 0;
    const cJSON *one;
    cJSON_ArrayForEach(one, changes)
    {
        if (n == OPS_MAX || r < 0) {
            r = r < 0 ? r
                      : gr_error_set(e, -E2BIG, GR_REASON_NONE, "more than %d modules", OPS_MAX);
            break;
        }
        snprintf(keys[n], KEY_MAX, "%s%s%s", s->keys.prefix, one->string, s->keys.suffix);
        ops[n] = (struct gr_etcd_op){.kind = GR_ETCD_OP_DELETE, .key = gr_bytes_text(keys[n])};
        if (!cJSON_IsNull(one)) {
            texts[n] = cJSON_IsString(one) ? strdup(one->valuestring) : gr_json_format(one);
            if (!texts[n])
                r = out_of_memory(e);
            else
                ops[n] = (struct gr_etcd_op){.kind = GR_ETCD_OP_PUT,
                                             .key = gr_bytes_text(keys[n]),
                                             .value = gr_bytes_text(texts[n]),
                                             .lease = s->lease};
        }
        n++;
    }
    if (r >= 0 && n) {
        begin(s);
        r = finish(s, gr_etcd_txn(s->etcd, NULL, 0, ops, n, on_done, s, NULL, e), e);
    }
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    return r;
}

int gr_drill_store_etcd(const struct gr_etcd_config *config, const struct gr_source_keys *keys,
                        int64_t ttl_sec, struct gr_drill_store **ret, struct gr_error *e)
{
    struct gr_drill_store *s = calloc(1, sizeof *s);
    if (!s || !(s->wanted = cJSON_CreateObject())) {
        free(s);
        return out_of_memory(e);
    }
    s->keys = *keys;
    s->ttl_sec = ttl_sec;
    int r = sd_event_new(&s->event);
    if (r >= 0)
        r = gr_transport_new(s->event, &s->transport);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "cannot set up an event loop: %s", strerror(-r));
    else
        r = gr_etcd_new(s->event, s->transport, config, &s->etcd, e);
    if (r >= 0 && ttl_sec)
        r = grant(s, e);
    if (r < 0)
        gr_drill_store_free(s);
    else
        *ret = s;
    return r;
}

int gr_drill_store_keep(struct gr_drill_store *s, struct gr_error *e)
{
    uint64_t now = gr_mono_now().usec;
    if (!s->lease || now - s->kept.usec < (uint64_t)s->ttl_sec * GR_USEC_PER_SEC / 3)
        return 0;
    begin(s);
    int r = finish(s, gr_etcd_lease_keepalive(s->etcd, s->lease, on_done, s, NULL, e), e);
    s->kept.usec = now;
    if (r < 0)
        gr_error_wrap(e, "the drill's lease cannot be kept, so its keys vanish");
    return r;
}

static int end_lease(struct gr_drill_store *s, struct gr_error *e)
{
    begin(s);
    int r = finish(s, gr_etcd_lease_revoke(s->etcd, s->lease, on_done, s, NULL, e), e);
    s->lease = 0;
    return r;
}

// --- directory

int gr_drill_store_directory(const char *directory, const char *file, struct gr_drill_store **ret,
                             struct gr_error *e)
{
    struct gr_drill_store *s = calloc(1, sizeof *s);
    if (!s || !(s->wanted = cJSON_CreateObject())) {
        free(s);
        return out_of_memory(e);
    }
    snprintf(s->directory, sizeof s->directory, "%s", directory);
    snprintf(s->file, sizeof s->file, "%s", file);
    *ret = s;
    return 0;
}

// All of it in one file, which is one transaction; a document that is the same keeps its revision.
static int write_directory(struct gr_drill_store *s, struct gr_error *e)
{
    GR_AUTO_CLOSE int dir_fd = -1;
    GR_AUTO_FREE char *text = NULL, *modules = gr_json_format(s->wanted);
    if (!modules || asprintf(&text, "{\"modules\":%s}", modules) < 0) {
        text = NULL;
        return out_of_memory(e);
    }
    int r = gr_fs_open_dir(s->directory, &dir_fd);
    if (r >= 0)
        r = gr_fs_write_atomic(dir_fd, s->file, text, strlen(text), 0644);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_NONE, "cannot write %s/%s: %s", s->directory, s->file,
                     strerror(-r));
    return r;
}

// --- both

static int remember(struct gr_drill_store *s, const cJSON *changes)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, changes)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(s->wanted, one->string);
        cJSON *copy = cJSON_IsNull(one) ? NULL : cJSON_Duplicate(one, true);
        if (!cJSON_IsNull(one) && (!copy || !cJSON_AddItemToObject(s->wanted, one->string, copy))) {
            cJSON_Delete(copy);
            return -ENOMEM;
        }
    }
    return 0;
}

int gr_drill_store_write(struct gr_drill_store *s, const cJSON *changes, struct gr_error *e)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, changes)
    {
        if (!s->etcd && cJSON_IsString(one))
            return gr_error_set(e, -ENOSYS, GR_REASON_NONE,
                                "%s: only etcd takes a text that is no document", one->string);
    }
    if (remember(s, changes) < 0)
        return out_of_memory(e);
    return s->etcd ? write_etcd(s, changes, e) : write_directory(s, e);
}

static int unlink_file(struct gr_drill_store *s, struct gr_error *e)
{
    GR_AUTO_CLOSE int dir_fd = -1;
    int r = gr_fs_open_dir(s->directory, &dir_fd);
    if (r >= 0)
        r = gr_fs_unlink(dir_fd, s->file);
    if (r >= 0 || r == -ENOENT)
        return 0;
    return gr_error_set(e, r, GR_REASON_NONE, "cannot remove %s/%s: %s", s->directory, s->file,
                        strerror(-r));
}

int gr_drill_store_clear(struct gr_drill_store *s, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *gone = cJSON_CreateObject();
    const cJSON *one;
    cJSON_ArrayForEach(one, s->wanted)
    {
        if (!cJSON_AddNullToObject(gone, one->string))
            return out_of_memory(e);
    }
    int r = s->etcd ? write_etcd(s, gone, e) : unlink_file(s, e);
    if (r >= 0 && remember(s, gone) < 0)
        r = out_of_memory(e);
    return r;
}

int gr_drill_store_end(struct gr_drill_store *s, struct gr_error *e)
{
    int r = gr_drill_store_clear(s, e);
    return r >= 0 && s->lease ? end_lease(s, e) : r;
}

void gr_drill_store_free(struct gr_drill_store *s)
{
    if (!s)
        return;
    gr_etcd_free(s->etcd);
    gr_transport_free(s->transport);
    sd_event_unref(s->event);
    cJSON_Delete(s->wanted);
    free(s);
}
