// Bringing a version in and letting it go: dlopen, identity, contract, block, init, self-test;
// destroy, dlclose, proof. The guard is never armed around dlopen or dlclose: jumping out of the
// loader leaves its lock held for ever.
#include "base/fault.h"
#include "dispatch/internal.h"
#include "dispatch/loads.h"
#include "dispatch/text.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_SIZE_MIN                                                                             \
    (offsetof(struct grayling_module, handle) + sizeof(((struct grayling_module *)0)->handle))

// --- taking apart ------------------------------------------------------------------------------

static void free_record(struct gr_instance *i)
{
    if (!i)
        return;
    gr_away_free(i->away);
    gr_memory_let_all_go(i);
    gr_contract_free(i->contract);
    gr_closep(&i->sealed_fd);
    free(i->held);
    free(i->name);
    free(i->path);
    free(i);
}

// true: nothing of the object is mapped any more.
static bool close_object(void *handle, const char *path)
{
    if (dlclose(handle) != 0)
        return false;
    void *still = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (still)
        dlclose(still);
    return !still;
}

static void remember(struct gr_instance *i)
{
    struct gr_dispatch *d = i->dispatch;
    pthread_mutex_lock(&d->lock);
    i->next = d->instances;
    d->instances = i;
    pthread_mutex_unlock(&d->lock);
}

static void forget(struct gr_instance *i)
{
    struct gr_dispatch *d = i->dispatch;
    pthread_mutex_lock(&d->lock);
    struct gr_instance **at = &d->instances;
    while (*at && *at != i)
        at = &(*at)->next;
    if (*at)
        *at = i->next;
    pthread_mutex_unlock(&d->lock);
}

// Keeps what may still run or be pointed at, for the life of the process, where a leak checker
// finds it.
static _Atomic(struct gr_instance *) pinned;

static void pin_for_ever(struct gr_instance *i)
{
    forget(i);
    atomic_fetch_add(&i->dispatch->pinned, 1);
    i->next = atomic_load(&pinned);
    while (!atomic_compare_exchange_weak(&pinned, &i->next, i))
        continue;
}

struct gr_instance *gr_instance_in_slot_locked(const struct gr_dispatch *d, unsigned slot)
{
    struct gr_instance *i = d->instances;
    while (i && i->slot != slot)
        i = i->next;
    if (!i)
        i = atomic_load(&pinned);
    while (i && (i->slot != slot || i->dispatch != d))
        i = i->next;
    return i;
}

// --- hooks under the guard ---------------------------------------------------------------------

struct hook {
    struct gr_instance *instance;
    const struct grayling_init *init;
};

static int32_t call_init(void *arg)
{
    const struct hook *h = arg;
    return h->instance->block->init(&h->instance->host, h->init, &h->instance->self);
}

static int32_t call_self_test(void *arg)
{
    const struct hook *h = arg;
    return h->instance->block->self_test(h->instance->self);
}

static int32_t call_destroy(void *arg)
{
    const struct hook *h = arg;
    h->instance->block->destroy(h->instance->self);
    return GRAYLING_OK;
}

// Answers for every need of the contract, also for those that nobody provides.
static size_t bind_needs(const struct gr_contract_need *needs, size_t n, const struct gr_load *l,
                         struct grayling_peer *ret)
{
    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct grayling_peer){.interface_name = needs[i].interface};
        for (size_t k = 0; k < l->n_peers; k++)
            if (strcmp(l->peers[k].interface_name, needs[i].interface) == 0)
                ret[i].version = l->peers[k].version;
    }
    return n;
}

static int init_instance(struct gr_instance *i, const struct gr_load *l, struct gr_error *e)
{
    const char *config = l->config ? l->config : "{}";
    const struct gr_contract *c = i->contract;
    GR_AUTO_FREE struct grayling_peer *peers =
        calloc(c->n_requires + c->n_optional + 1, sizeof *peers);
    if (!peers)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_LOAD_FAILED,
                                      "asked to load %s, but memory ran out", l->path);
    size_t n = bind_needs(c->requires, c->n_requires, l, peers);
    n += bind_needs(c->optional, c->n_optional, l, peers + n);
    struct grayling_init init = {
        .struct_size = sizeof(init),
        .preflight = l->preflight,
        .config = {config, strlen(config)},
        .version = i->contract->version.text,
        .peers = peers,
        .n_peers = (uint32_t)n,
    };
    struct hook h = {i, &init};
    int32_t code = GRAYLING_OK;
    char where[GR_HOOK_WHERE_MAX];
    if (!i->block->init)
        return 0;
    if (!gr_hook_run(i, "init", call_init, &h, &code, where))
        return gr_error_set(e, -EFAULT, GR_REASON_INIT_FAILED,
                            "asked module %s %s to initialise, but init() crashed with %s; it "
                            "stays unused until the worker "
                            "is replaced: publish a version whose init() returns",
                            i->contract->module.s, i->contract->version.text, where);
    if (code != GRAYLING_OK)
        return gr_error_set(e, -ECANCELED, GR_REASON_INIT_FAILED,
                            "asked module %s %s to initialise, but init() returned code %d where 0 "
                            "is expected; see the "
                            "module's log lines and its config",
                            i->contract->module.s, i->contract->version.text, code);
    return 0;
}

static void destroy_instance(struct gr_instance *i)
{
    struct hook h = {i, NULL};
    int32_t code;
    char where[GR_HOOK_WHERE_MAX];
    if (GRAYLING_HAS(i->block, destroy) && i->block->destroy)
        (void)gr_hook_run(i, "destroy", call_destroy, &h, &code, where);
}

static int self_test_instance(struct gr_instance *i, struct gr_error *e)
{
    struct hook h = {i, NULL};
    int32_t code = GRAYLING_OK;
    char where[GR_HOOK_WHERE_MAX];
    if (!i->block->self_test)
        return 0;
    if (!gr_hook_run(i, "self_test", call_self_test, &h, &code, where))
        return gr_error_set(e, -EFAULT, GR_REASON_SELF_TEST_FAILED,
                            "asked module %s %s to test itself, but self_test() crashed with %s; "
                            "it stays unused until the "
                            "worker is replaced: publish a version whose self_test() returns",
                            i->contract->module.s, i->contract->version.text, where);
    if (code == GRAYLING_OK)
        return 0;
    destroy_instance(i);
    return gr_error_set(e, -ECANCELED, GR_REASON_SELF_TEST_FAILED,
                        "asked module %s %s to test itself, but self_test() returned code %d where "
                        "0 is expected; the module "
                        "finds itself unfit to serve: see its log lines",
                        i->contract->module.s, i->contract->version.text, code);
}

// --- checks of the mapped object ---------------------------------------------------------------

static int check_expectations(const struct gr_image *m, const struct gr_load *l, struct gr_error *e)
{
    if (l->build_id && strcmp(l->build_id, m->build_id) != 0)
        return gr_error_set(e, -ESTALE, GR_REASON_LOAD_FAILED,
                            "asked to load %s with build-id %s, but what was mapped has build-id "
                            "%s; the file under this path is "
                            "not the one that was verified: publish it again",
                            l->path, l->build_id, m->build_id[0] ? m->build_id : "(none)");
    if (!m->contract)
        return gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE,
                            "asked to load %s as a module, but it carries no contract note "
                            "(.note.grayling); build it with "
                            "grayling_add_module()",
                            l->path);
    if (l->module && strcmp(l->module, m->contract->module.s) != 0)
        return gr_error_set(e, -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                            "asked to load module %s, but the contract in %s says module %s; "
                            "publish the file under its own name",
                            l->module, l->path, m->contract->module.s);
    if (l->version && strcmp(l->version, m->contract->version.text) != 0)
        return gr_error_set(e, -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                            "asked to load version %s of module %s, but the contract in %s says "
                            "version %s; set the version that "
                            "the file has, or publish the right file",
                            l->version, m->contract->module.s, l->path, m->contract->version.text);
    return 0;
}

static int check_abi(const struct gr_contract *c, const char *where, unsigned major, unsigned minor,
                     struct gr_error *e)
{
    if (major == GRAYLING_ABI_MAJOR && minor <= GRAYLING_ABI_MINOR)
        return 0;
    return gr_error_set(e, -EPROTO, GR_REASON_ABI_INCOMPATIBLE,
                        "asked to load module %s %s, whose %s wants module ABI %u.%u, but this "
                        "host offers %u.%u (same major, no "
                        "newer minor); rebuild the module for this host or upgrade the host",
                        c->module.s, c->version.text, where, major, minor, GRAYLING_ABI_MAJOR,
                        GRAYLING_ABI_MINOR);
}

static int check_block(const struct gr_contract *c, const struct grayling_module *b,
                       struct gr_error *e)
{
    if (!b || b->magic != GRAYLING_MAGIC)
        return gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE,
                            "asked to load module %s %s, but grayling_module_entry() returned no "
                            "block with Grayling's magic "
                            "number; return a constant struct grayling_module",
                            c->module.s, c->version.text);
    int r = check_abi(c, "block", b->abi_major, b->abi_minor, e);
    if (r < 0)
        return r;
    if (b->struct_size < BLOCK_SIZE_MIN)
        return gr_error_set(e, -EPROTO, GR_REASON_ABI_INCOMPATIBLE,
                            "asked to load module %s %s, but its block has %u bytes where at least "
                            "%zu are expected; rebuild it "
                            "with this host's header",
                            c->module.s, c->version.text, b->struct_size, BLOCK_SIZE_MIN);
    if (!b->handle)
        return gr_error_set(
            e, -EINVAL, GR_REASON_NOT_A_MODULE,
            "asked to load module %s %s, but its block has no handle(); a module answers requests",
            c->module.s, c->version.text);
    bool hands = GRAYLING_HAS(b, import_state) && b->export_state && b->import_state;
    if (c->has_state && !hands)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "asked to load module %s %s, whose contract declares state, but its "
                            "block lacks export_state() or import_state(); give it both, or take "
                            "`state` out of module.yaml",
                            c->module.s, c->version.text);
    return 0;
}

// --- bringing in -------------------------------------------------------------------------------

// What can still be written could change after it was verified.
static int check_seals(int fd, const char *path, struct gr_error *e)
{
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & needed) == needed)
        return 0;
    return gr_error_set(e, -EPERM, GR_REASON_LOAD_FAILED,
                        "asked to load %s from a sealed descriptor, but its seals are %#x where "
                        "%#x are expected; only the verifier hands out such descriptors",
                        path, seals < 0 ? 0u : (unsigned)seals, (unsigned)needed);
}

static int open_object(const char *path, void **ret, struct gr_error *e)
{
    void *loaded = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (loaded) {
        dlclose(loaded);
        return gr_error_set(e, -EEXIST, GR_REASON_LOAD_FAILED,
                            "asked to load %s, but this file is mapped already and a second load "
                            "would share its state; give it a "
                            "path and inode of its own, or replace the worker",
                            path);
    }
    *ret = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*ret)
        return gr_error_set(e, -ENOEXEC, GR_REASON_LOAD_FAILED,
                            "asked to load %s, but the dynamic loader refused it: %s; link the "
                            "module with -Wl,-z,defs to "
                            "find this at build time",
                            path, dlerror());
    return 0;
}

static int examine(struct gr_instance *i, const struct gr_load *l, struct gr_image *image,
                   struct gr_error *e)
{
    int r = gr_image_read(i->handle, l->path, image, e);
    i->contract = image->contract;
    if (r == 0 && l->fd >= 0)
        r = gr_image_same_file(image->text_start, l->fd, i->path, e);
    if (r == 0)
        r = check_expectations(image, l, e);
    if (r == 0)
        r = check_abi(i->contract, "contract", i->contract->abi_major, i->contract->abi_minor, e);
    if (r < 0)
        return r;
    grayling_module_entry_fn entry;
    *(void **)&entry = dlsym(i->handle, "grayling_module_entry");
    if (!entry)
        return gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE,
                            "asked to load module %s %s, but %s exports no "
                            "grayling_module_entry(); declare it GRAYLING_EXPORT",
                            i->contract->module.s, i->contract->version.text, l->path);
    i->block = entry();
    return check_block(i->contract, i->block, e);
}

static void name_methods(const struct gr_instance *i)
{
    char names[GR_METHODS_MAX][64];
    size_t n = 0;
    for (size_t f = 0; f < i->contract->n_provides; f++)
        for (size_t m = 0; m < i->contract->provides[f].n_methods; m++) {
            char full[GR_INTERFACE_MAX + GR_METHOD_MAX + 2];
            size_t len =
                (size_t)snprintf(full, sizeof(full), "%s/%s", i->contract->provides[f].name,
                                 i->contract->provides[f].methods[m].name);
            // Too long for its place: the end tells more than the beginning.
            const size_t cap = sizeof(names[0]) - 1;
            memcpy(names[n++], full + (len > cap ? len - cap : 0), (len > cap ? cap : len) + 1);
        }
    gr_stats_name_methods(i->dispatch->stats, i->slot, (const char(*)[64])names, n);
}

static int start(struct gr_instance *i, const struct gr_load *l, const struct gr_image *image,
                 struct gr_error *e)
{
    struct gr_dispatch *d = i->dispatch;
    uint32_t serial = gr_loads_note(i->name, i->path, image->build_id);
    pthread_mutex_lock(&d->lock);
    i->text =
        gr_text_add(image->text_start, image->text_end, image->base, i->slot, serial, i->name);
    pthread_mutex_unlock(&d->lock);
    if (!i->text)
        return gr_error_set(e, -ENOSPC, GR_REASON_LOAD_FAILED,
                            "asked to load %s, but %d versions are loaded already; unload some or "
                            "replace the worker",
                            l->path, GR_INSTANCES_MAX);
    memcpy(i->build_id, image->build_id, sizeof(i->build_id));
    i->module_len = strlen(i->contract->module.s);
    i->version_len = strlen(i->contract->version.text);
    gr_host_init(i);
    name_methods(i);
    int r = GR_FAULT("load.before-init");
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED, "%s could not be loaded: %s", l->path,
                            strerror(-r));
    r = init_instance(i, l, e);
    if (r == 0)
        r = self_test_instance(i, e);
    GR_INSTANT("load.initialised");
    return r;
}

// The process's number, not "self": a debugger looks the path up in its own process.
static char *sealed_path(int fd)
{
    char *path;
    return asprintf(&path, "/proc/%d/fd/%d", (int)getpid(), fd) < 0 ? NULL : path;
}

static struct gr_instance *new_record(struct gr_dispatch *d, const struct gr_load *l)
{
    struct gr_instance *i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->dispatch = d;
    static _Atomic uint64_t numbers;
    i->number = atomic_fetch_add(&numbers, 1) + 1;
    i->slot = l->slot;
    i->trial = l->preflight;
    i->breaker = &d->stats->seg->slots[l->slot].breaker;
    i->sealed_fd = l->sealed ? fcntl(l->fd, F_DUPFD_CLOEXEC, 3) : -1;
    const char *slash = strrchr(l->path, '/');
    i->name = strdup(slash ? slash + 1 : l->path);
    i->path = i->sealed_fd >= 0 ? sealed_path(i->sealed_fd) : strdup(l->path);
    i->held = aligned_alloc(_Alignof(struct gr_held), d->max_threads * sizeof(*i->held));
    if (!i->name || !i->path || !i->held || (l->sealed && i->sealed_fd < 0)) {
        free_record(i);
        return NULL;
    }
    memset(i->held, 0, d->max_threads * sizeof(*i->held));
    return i;
}

// Takes a version apart that is not (or no more) in any table. -EBUSY: pinned.
static int discard(struct gr_instance *i)
{
    struct gr_dispatch *d = i->dispatch;
    if (!atomic_load(&i->faulted)) {
        pthread_mutex_lock(&d->lock);
        gr_text_remove(i->text);
        pthread_mutex_unlock(&d->lock);
        if (!i->handle || close_object(i->handle, i->path)) {
            forget(i);
            free_record(i);
            return 0;
        }
    }
    pin_for_ever(i);
    return -EBUSY;
}

int gr_instance_load(struct gr_dispatch *d, const struct gr_load *l, struct gr_instance **ret,
                     struct gr_error *e)
{
    if (l->slot >= GR_INSTANCES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_LOAD_FAILED,
                            "asked to load %s into slot %u, but there are %d", l->path, l->slot,
                            GR_INSTANCES_MAX);
    int r = l->sealed ? check_seals(l->fd, l->path, e) : 0;
    if (r < 0)
        return r;
    struct gr_instance *i = new_record(d, l);
    if (!i)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_LOAD_FAILED,
                                      "asked to load %s, but memory ran out", l->path);
    struct gr_image image = {0};
    r = open_object(i->path, &i->handle, e);
    if (r == -EEXIST) // the loader now knows the mapped version by this number too: never again
        i->sealed_fd = -1;
    if (r == 0)
        r = examine(i, l, &image, e);
    if (r == 0)
        r = start(i, l, &image, e);
    if (r < 0) {
        (void)discard(i);
        return r;
    }
    remember(i);
    *ret = i;
    return 0;
}

int gr_instance_adopt(struct gr_dispatch *d, const struct gr_load *l, struct gr_contract *contract,
                      const struct grayling_module *block, struct gr_away *away,
                      struct gr_instance **ret, struct gr_error *e)
{
    struct gr_load elsewhere = *l;
    elsewhere.sealed = false;
    struct gr_instance *i = l->slot < GR_INSTANCES_MAX ? new_record(d, &elsewhere) : NULL;
    if (!i)
        return gr_error_set_retryable(e, l->slot < GR_INSTANCES_MAX ? -ENOMEM : -EINVAL,
                                      GR_REASON_LOAD_FAILED,
                                      "asked to load %s into slot %u, but memory ran out or there "
                                      "is no such slot",
                                      l->path, l->slot);
    i->contract = contract;
    i->block = block;
    i->self = i->away = away;
    snprintf(i->build_id, sizeof(i->build_id), "%s", l->build_id ? l->build_id : "");
    i->module_len = strlen(contract->module.s);
    i->version_len = strlen(contract->version.text);
    name_methods(i);
    remember(i);
    *ret = i;
    return 0;
}

const struct gr_contract *gr_instance_contract(const struct gr_instance *i)
{
    return i->contract;
}

unsigned gr_instance_slot(const struct gr_instance *i)
{
    return i->slot;
}

// --- letting go --------------------------------------------------------------------------------

// Can the call that entered `r` get to version i? While it still looks up its route it reads the
// names of all.
static bool reaches(const struct gr_record *r, const struct gr_instance *i)
{
    if (!gr_table_names(r->table, i))
        return false;
    const struct gr_record *own = gr_table_module(r->table, i->contract->module.s);
    return r == &r->table->outside || (own && gr_gates_has(&r->reach, own->member.gate));
}

static bool still_used(struct gr_dispatch *d, void *arg)
{
    const struct gr_instance *i = arg;
    if (i->handing > 0)
        return true;
    for (unsigned n = 0; n < d->max_threads; n++) {
        const struct gr_record *r = gr_entered_locked(d, &d->threads[n]);
        if ((r && reaches(r, i)) || atomic_load(&i->held[n].n) != 0)
            return true;
    }
    return false;
}

static void report_leak(const struct gr_instance *i)
{
    const struct gr_dispatch_options *o = &i->dispatch->options;
    uint64_t left = atomic_load(&i->allocated_bytes);
    if (left == 0 || !o->on_log)
        return;
    char text[160];
    snprintf(text, sizeof(text), "destroy() left %llu bytes of the host's memory allocated",
             (unsigned long long)left);
    o->on_log(o->userdata, i->slot, GRAYLING_LOG_WARNING, text);
}

int gr_instance_unload(struct gr_dispatch *d, struct gr_instance *i, uint64_t budget_usec)
{
    pthread_mutex_lock(&d->lock);
    bool routed = gr_table_names(atomic_load(&d->current), i);
    pthread_mutex_unlock(&d->lock);
    if (routed)
        return -EINVAL;
    struct gr_mono deadline = {gr_mono_now().usec + budget_usec};
    if (atomic_load(&i->faulted) || gr_drain(d, still_used, i, deadline) < 0) {
        if (i->away) // what is elsewhere can be ended
            destroy_instance(i);
        pin_for_ever(i);
        return -EBUSY;
    }
    destroy_instance(i);
    report_leak(i);
    return discard(i);
}
