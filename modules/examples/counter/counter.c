// The frame of every release of counter: it counts, and the count outlives every release.
// Increment takes {"by": 3}, one without it, and answers {"count": 3}; Get only answers.
#include "counter.h"
#include <string.h>

#define STEP_MAX 1000000

enum { METHOD_INCREMENT, METHOD_GET }; // the order of module.yaml

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    char why[JSON_WHY_MAX];
    struct counter *c = host->alloc(host, sizeof *c);
    if (!c)
        return GRAYLING_RESOURCE_EXHAUSTED;
    memset(c, 0, sizeof *c);
    c->host = host;
    c->kept = &c->own;
    int32_t code = GRAYLING_INVALID_ARGUMENT;
    if (!defect_configure(c, &init->config, why))
        host->log(host, GRAYLING_LOG_ERROR, why);
    else
        code = counter_keep(c);
    if (code != GRAYLING_OK) {
        host->free(host, c);
        return code;
    }
    *self = c;
    return GRAYLING_OK;
}

static void note_largest(struct kept *k, uint64_t by)
{
    uint64_t seen = atomic_load(&k->largest);
    while (seen < by && !atomic_compare_exchange_weak(&k->largest, &seen, by))
        continue;
}

static int32_t answer(struct counter *c, struct grayling_call *call, uint64_t count)
{
#if COUNTER_SCHEMA > 1
    return respond_text(c->host, call, "{\"count\":%llu,\"largest\":%llu}",
                        (unsigned long long)count,
                        (unsigned long long)atomic_load(&c->kept->largest));
#else
    return respond_text(c->host, call, "{\"count\":%llu}", (unsigned long long)count);
#endif
}

static int32_t increment(struct counter *c, struct grayling_call *call,
                         const struct grayling_request *request)
{
    struct json_field by = {.name = "by", .type = JSON_INTEGER};
    char why[JSON_WHY_MAX];
    if (!json_read(request->payload.data, request->payload.size, &by, 1, JSON_SKIP_UNKNOWN, why))
        return respond_failure(c->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    if (by.present && (by.integer < 1 || by.integer > STEP_MAX))
        return respond_failure(c->host, call, GRAYLING_INVALID_ARGUMENT,
                               "by must be from 1 to %d, not %lld.", STEP_MAX,
                               (long long)by.integer);
    int32_t code = defect_of_call(c);
    if (code != GRAYLING_OK)
        return respond_failure(c->host, call, code, "This release fails some increments.");
    uint64_t step = by.present ? (uint64_t)by.integer : 1;
    note_largest(c->kept, step);
    return answer(c, call, atomic_fetch_add(&c->kept->count, step) + step);
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct counter *c = self;
    if (request->method == METHOD_INCREMENT)
        return increment(c, call, request);
    return answer(c, call, atomic_load(&c->kept->count));
}

static int32_t export_state(void *self, struct grayling_state *out)
{
    int32_t code = defect_of_hook(self, out);
    return code != GRAYLING_OK || out->bytes.data ? code : counter_export(self, out);
}

static int32_t import_state(void *self, const struct grayling_state *in)
{
    int32_t code = defect_of_hook(self, NULL);
    return code != GRAYLING_OK ? code : counter_import(self, in);
}

// What it counted stays with whoever took it over.
static void destroy(void *self)
{
    struct counter *c = self;
    c->host->free(c->host, c);
}

static const struct grayling_module counter_module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof counter_module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
    .export_state = export_state,
    .import_state = import_state,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &counter_module;
}
