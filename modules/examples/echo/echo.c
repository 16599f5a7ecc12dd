// The smallest true module: any payload comes back. It keeps no state, so it wants no hook but
// handle.
#include <grayling/module.h>

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    (void)init;
    *self = (void *)(uintptr_t)host; // all that it needs to know
    return GRAYLING_OK;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    const struct grayling_host *host = self;
    return host->respond(call, request->payload);
}

static const struct grayling_module echo = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof echo,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &echo;
}
