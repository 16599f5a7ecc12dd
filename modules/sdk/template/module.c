// @MODULE@: answers Greet with a greeting. Replace what handle() does, and the methods in
// module.yaml.
#include <grayling/module.h>
#include <stdatomic.h>
#include <stdio.h>

struct instance {
    const struct grayling_host *host;
    _Atomic uint64_t greetings; // handle() runs on many threads at once
};

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    (void)init; // init->config is the JSON text of the configuration
    struct instance *instance = host->alloc(host, sizeof *instance);
    if (!instance)
        return GRAYLING_RESOURCE_EXHAUSTED;
    *instance = (struct instance){.host = host};
    *self = instance;
    return GRAYLING_OK;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct instance *instance = self;
    char answer[96];
    if (request->codec != GRAYLING_CODEC_JSON) {
        instance->host->fail(call, "Greet speaks JSON; send content-type: application/json.");
        return GRAYLING_INVALID_ARGUMENT;
    }
    unsigned long long number = atomic_fetch_add(&instance->greetings, 1) + 1;
    int len = snprintf(answer, sizeof answer, "{\"greeting\":\"hello\",\"number\":%llu}", number);
    return instance->host->respond(call, (struct grayling_bytes){answer, (uint64_t)len});
}

static void destroy(void *self)
{
    struct instance *instance = self;
    instance->host->free(instance->host, instance);
}

static const struct grayling_module module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &module;
}
