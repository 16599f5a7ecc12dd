// The sound part of a broken file: a module that answers every call with its own payload.
#include <grayling/module.h>

#ifndef BODY_ABI_MAJOR
#define BODY_ABI_MAJOR GRAYLING_ABI_MAJOR
#endif

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    (void)init;
    *self = (void *)(uintptr_t)host;
    return GRAYLING_OK;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    const struct grayling_host *host = self;
    return host->respond(call, request->payload);
}

static const struct grayling_module body = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof body,
    .abi_major = BODY_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &body;
}
