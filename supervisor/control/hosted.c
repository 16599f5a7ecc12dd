// Owns what one worker holds: the place of each module, the slots, which copy of an artifact each
// slot has mapped, and the loading and unloading of one version.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <string.h>

#define IN_MEMORY UINT_MAX // a sealed one: its inode is its own

// --- places and slots
// -----------------------------------------------------------------------------

struct gr_place *gr_hosted_place(struct gr_hosted *h, const struct gr_name *module)
{
    for (size_t i = 0; i < h->n_places; i++)
        if (gr_name_equal(&h->places[i].module, module))
            return &h->places[i];
    return NULL;
}

struct gr_place *gr_hosted_make_place(struct gr_hosted *h, const struct gr_name *module)
{
    struct gr_place *p = gr_hosted_place(h, module);
    if (p || h->n_places == GR_COUNT(h->places))
        return p;
    p = &h->places[h->n_places++];
    *p = (struct gr_place){
        .module = *module, .stable = -1, .previous = -1, .candidate = -1, .harm = -1};
    return p;
}

void gr_hosted_drop_place(struct gr_hosted *h, const struct gr_name *module)
{
    struct gr_place *p = gr_hosted_place(h, module);
    if (p)
        *p = h->places[--h->n_places];
}

static int slot_find(const struct gr_hosted *h)
{
    for (int i = 0; i < GR_INSTANCES_MAX; i++)
        if (!h->slot_used[i])
            return i;
    return -1;
}

// The lowest copy of these bytes that no slot of this worker has mapped. A worker that goes back
// and forth between two configurations needs two files, however often it does so.
static int copy_find(const struct gr_hosted *h, const struct gr_digest *digest)
{
    bool mapped[GR_STORE_COPIES_MAX] = {false};
    for (int i = 0; i < GR_INSTANCES_MAX; i++)
        if (h->slot_used[i] && h->held[i].copy < GR_STORE_COPIES_MAX &&
            gr_digest_equal(&h->held[i].digest, digest))
            mapped[h->held[i].copy] = true;
    for (int i = 0; i < GR_STORE_COPIES_MAX; i++)
        if (!mapped[i])
            return i;
    return -1;
}

// --- load and unload
// ------------------------------------------------------------------------------

struct load {
    struct gr_hosted *hosted;
    int slot;
    gr_loaded done;
    void *userdata;
};

static void on_loaded(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct load *l = u;
    // what hangs, or stays mapped after a fault, keeps its slot and its copy
    if (!reply && e->code != -ETIME && e->code != -EBUSY)
        l->hosted->slot_used[l->slot] = false;
    if (!reply && e->code == -EBUSY)
        l->hosted->slot_pinned[l->slot] = true;
    if (!reply && e->code == -ETIME)
        gr_manager_replace_worker(l->hosted->manager, "a load did not end");
    l->done(l->userdata, reply ? l->slot : -1, e);
    free(l);
}

static cJSON *load_message(const struct gr_verified *v, int slot, const char *config,
                           const struct gr_set *set)
{
    char digest[GR_DIGEST_TEXT_MAX];
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "load");
    cJSON_AddNumberToObject(m, "instance", slot);
    cJSON_AddStringToObject(m, "module", gr_verified_module(v)->s);
    cJSON_AddStringToObject(m, "version", gr_verified_version(v)->text);
    cJSON_AddStringToObject(m, "digest", gr_digest_format(gr_verified_digest(v), digest));
    cJSON_AddStringToObject(m, "path", gr_verified_path(v));
    cJSON_AddBoolToObject(m, "sealed", gr_verified_sealed(v));
    cJSON_AddStringToObject(m, "build_id", gr_verified_build_id(v));
    cJSON_AddItemToObject(m, "config", config ? cJSON_Parse(config) : cJSON_CreateNull());
    cJSON_AddItemToObject(m, "peers", gr_set_peers(set, gr_verified_contract(v)));
    return m;
}

// *ret: v itself, or the copy that this worker has not mapped; *ret_own: the copy, to be freed.
static int choose_file(struct gr_hosted *h, const struct gr_verified *v,
                       const struct gr_verified **ret, struct gr_verified **ret_own,
                       unsigned *ret_copy, struct gr_error *e)
{
    *ret = v;
    *ret_copy = IN_MEMORY;
    if (gr_verified_sealed(v))
        return 0;
    int copy = copy_find(h, gr_verified_digest(v));
    if (copy < 0)
        return gr_error_set(e, -EBUSY, GR_REASON_LOAD_FAILED,
                            "asked to load %s %s once more, but the worker has the same file "
                            "mapped %d times, which is the most; replace the worker: grayctl "
                            "worker replace",
                            gr_verified_module(v)->s, gr_verified_version(v)->text,
                            GR_STORE_COPIES_MAX);
    *ret_copy = (unsigned)copy;
    if (copy == 0)
        return 0;
    int k = gr_verified_copy(h->manager->verifier, v, (unsigned)copy, ret_own, e);
    if (k == 0)
        *ret = *ret_own;
    return k;
}

int gr_hosted_load(struct gr_hosted *h, const struct gr_verified *v, const char *config,
                   const struct gr_set *set, gr_loaded done, void *userdata, struct gr_error *e)
{
    struct gr_verified *own GR_CLEANUP(gr_verified_freep) = NULL;
    const struct gr_verified *file;
    unsigned copy;
    int slot = slot_find(h), k = slot < 0 ? -ENOSPC : choose_file(h, v, &file, &own, &copy, e);
    struct load *l = k == 0 ? malloc(sizeof *l) : NULL;
    if (l) {
        *l = (struct load){.hosted = h, .slot = slot, .done = done, .userdata = userdata};
        gr_stats_bind(gr_worker_stats(h->worker), (unsigned)slot, gr_verified_module(v)->s,
                      gr_verified_version(v)->text);
        k = GR_FAULT("crew.load");
    } else if (k == 0) {
        k = -ENOMEM;
    }
    if (k == 0)
        k = gr_worker_request(h->worker, load_message(file, slot, config, set),
                              gr_verified_fd(file), GR_INIT_USEC_MAX, on_loaded, l);
    if (k < 0) {
        free(l);
        if (e->reason == GR_REASON_NONE)
            gr_error_set(e, k, GR_REASON_LOAD_FAILED, "%s %s could not be given to the worker: %s",
                         gr_verified_module(v)->s, gr_verified_version(v)->text, strerror(-k));
        return k;
    }
    h->slot_used[slot] = true;
    h->held[slot] = (struct gr_held_file){
        .digest = *gr_verified_digest(v), .copy = copy, .module = *gr_verified_module(v)};
    snprintf(h->held[slot].version, sizeof h->held[slot].version, "%s",
             gr_verified_version(v)->text);
    snprintf(h->held[slot].build_id, sizeof h->held[slot].build_id, "%s", gr_verified_build_id(v));
    return 0;
}

struct unload {
    struct gr_hosted *hosted;
    int slot;
};

static void on_unloaded(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct unload *l = u;
    struct gr_hosted *h = l->hosted;
    bool pinned = true;
    if (reply)
        (void)!gr_json_bool(reply, "", "pinned", GR_JSON_REQUIRED, &pinned, NULL);
    else if (e->code != -ECONNRESET && !h->slot_pinned[l->slot])
        gr_log(GR_LOG_WARNING, "worker %d keeps a version that is not needed any more: %s",
               gr_worker_pid(h->worker), e->message);
    h->slot_pinned[l->slot] = pinned; // it keeps its slot: something of it may still run
    h->slot_used[l->slot] = pinned;
    free(l);
}

void gr_hosted_unload(struct gr_hosted *h, int slot)
{
    struct unload *l = slot >= 0 ? malloc(sizeof *l) : NULL;
    if (!l)
        return;
    *l = (struct unload){h, slot};
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "unload");
    cJSON_AddNumberToObject(m, "instance", slot);
    int k = gr_worker_request(h->worker, m, -1, 0, on_unloaded, l);
    if (k < 0) {
        if (k != -ECONNRESET) // it is gone, and takes the version along
            gr_log(GR_LOG_WARNING, "worker %d could not be asked to unload slot %d: %s",
                   gr_worker_pid(h->worker), slot, strerror(-k));
        free(l);
    }
}

// What a version in force had kept went with the process that it had.
static void tell_lost_state(struct gr_hosted *h, const struct gr_held_file *f, uint64_t slot)
{
    char text[GR_MESSAGE_MAX];
    const struct gr_place *p = gr_hosted_place(h, &f->module);
    const struct gr_contract *c = gr_contracts_find(h->manager->contracts, &f->digest);
    if (!c || !c->has_state || !p || p->stable != (int)slot)
        return;
    snprintf(text, sizeof text,
             "the state of %s began anew with another process: what it held was in the memory of "
             "the one that ended",
             f->module.s);
    gr_manager_tell(h->manager, GR_MSG_WORKER_STARTED, GR_LOG_WARNING, f->module.s, f->version, 0,
                    NULL, GR_REASON_NONE, text);
}

void gr_hosted_on_process(struct gr_hosted *h, const cJSON *msg)
{
    uint64_t slot, pid;
    if (gr_json_uint(msg, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot, NULL) <
            0 ||
        gr_json_uint(msg, "", "pid", GR_JSON_REQUIRED, 0, INT32_MAX, &pid, NULL) < 0)
        return;
    struct gr_held_file *f = &h->held[slot];
    if (pid != 0 && f->ended)
        tell_lost_state(h, f, slot);
    f->ended = pid == 0;
    f->isolated = true;
    f->pid = (int)pid;
    gr_manager_changed(h->manager);
}
