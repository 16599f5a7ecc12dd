// A module with state: counts, and hands the count over, or fails to, as the test says.
#include "dispatch/testmodules/keeper.h"
#include <grayling/module.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
    _Atomic uint64_t count;
};

struct keeper {
    const struct grayling_host *host;
    struct keeper_orders *orders, own;
    struct state *state;
    uint64_t bytes;
    bool in_memory;
    int32_t memory;
};

static int *volatile nowhere;

// --- calls -------------------------------------------------------------------------------------

static int32_t answer(struct keeper *k, struct grayling_call *call, unsigned long long number)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%llu", number);
    return k->host->respond(call, (struct grayling_bytes){text, (uint64_t)len});
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct keeper *k = self;
    if (request->method == 0)
        return answer(k, call, atomic_fetch_add(&k->state->count, 1) + 1);
    if (request->method == 2 && GRAYLING_MODULE_VERSION[0] == '2')
        *nowhere = 1;
    if (request->method == 3)
        return answer(k, call, (uintptr_t)k->state);
    return answer(k, call, atomic_load(&k->state->count));
}

// --- state -------------------------------------------------------------------------------------

#ifndef KEEPER_HOOKLESS
static bool obey(struct keeper_orders *o, _Atomic int *order, int *ret)
{
    char c = 'x';
    int act = atomic_exchange(order, KEEPER_SOUND);
    if (act == KEEPER_CRASH)
        *nowhere = 1;
    if (act == KEEPER_HANG && (write(o->entered, &c, 1) != 1 || read(o->go, &c, 1) != 1))
        return false;
    *ret = act;
    return act != KEEPER_FAIL;
}

static void release(void *owner, const void *data, uint64_t size)
{
    struct keeper *k = owner;
    int act;
    (void)size;
    (void)obey(k->orders, &k->orders->on_release, &act);
    if (!k->orders->shares && !k->orders->memory)
        free((void *)data);
    atomic_fetch_add(&k->orders->releases, 1);
}

static int32_t export_state(void *self, struct grayling_state *out)
{
    struct keeper *k = self;
    int act;
    atomic_fetch_add(&k->orders->exports, 1);
    if (!obey(k->orders, &k->orders->on_export, &act))
        return GRAYLING_UNAVAILABLE;
    out->owner = k;
    out->release = release;
    if (act == KEEPER_SCHEMA)
        out->schema = 77;
    if (k->orders->memory || act == KEEPER_FOREIGN) {
        out->memory = act == KEEPER_FOREIGN ? 0 : k->memory;
        out->memory_size = k->bytes + (act == KEEPER_TOO_MUCH ? 1000000 : 0);
        return GRAYLING_OK;
    }
    void *data = k->orders->shares ? k->state : malloc(k->bytes);
    if (data && data != k->state)
        memcpy(data, k->state, k->bytes);
    out->bytes = (struct grayling_bytes){data, k->bytes};
    return data ? GRAYLING_OK : GRAYLING_RESOURCE_EXHAUSTED;
}

static int32_t import_state(void *self, const struct grayling_state *in)
{
    struct keeper *k = self;
    int act;
    atomic_fetch_add(&k->orders->imports, 1);
    if (!obey(k->orders, &k->orders->on_import, &act))
        return GRAYLING_UNAVAILABLE;
    if (act == KEEPER_WRITE)
        atomic_store(&((struct state *)in->bytes.data)->count, 0);
    if (in->bytes.size != k->bytes)
        return GRAYLING_DATA_LOSS;
    if (in->memory < 0) {
        memcpy(k->state, in->bytes.data, k->bytes);
        return GRAYLING_OK;
    }
    if (k->state != in->bytes.data)
        k->host->memory_free(k->host, k->state);
    k->state = (void *)in->bytes.data;
    k->memory = in->memory;
    return GRAYLING_OK;
}
#endif

// --- life --------------------------------------------------------------------------------------

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    struct keeper *k = calloc(1, sizeof(*k));
    char config[64] = "";
    if (!k || init->config.size >= sizeof(config))
        return GRAYLING_INVALID_ARGUMENT;
    memcpy(config, init->config.data, init->config.size);
    const char *orders = strstr(config, "0x");
    k->host = host;
    k->orders = orders ? (struct keeper_orders *)(uintptr_t)strtoull(orders, NULL, 16) : &k->own;
    k->bytes = k->orders->bytes ? k->orders->bytes : sizeof(*k->state);
    k->in_memory = k->orders->memory; // the orders may be gone before destroy()
    struct grayling_memory m = {.struct_size = sizeof(m)};
    if (!k->in_memory)
        k->state = calloc(1, k->bytes);
    else if (host->memory_new(host, k->bytes, &m) == GRAYLING_OK)
        k->state = m.data;
    k->memory = m.fd;
    *self = k;
    return k->state ? GRAYLING_OK : GRAYLING_RESOURCE_EXHAUSTED;
}

static void destroy(void *self)
{
    struct keeper *k = self;
    if (!k->in_memory)
        free(k->state);
    free(k);
}

static const struct grayling_module keeper = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(keeper),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
#ifndef KEEPER_HOOKLESS
    .export_state = export_state,
    .import_state = import_state,
#endif
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &keeper;
}
