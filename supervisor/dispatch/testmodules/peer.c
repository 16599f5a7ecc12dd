// The callee of probe: tells its version, or crashes.
#include <grayling/module.h>
#include <string.h>

static const struct grayling_host *host;
static int *volatile nowhere;

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    (void)self;
    if (request->method == 1)
        *nowhere = 1;
    return host->respond(
        call, (struct grayling_bytes){GRAYLING_MODULE_VERSION, strlen(GRAYLING_MODULE_VERSION)});
}

static int32_t init(const struct grayling_host *given, const struct grayling_init *init,
                    void **self)
{
    (void)init;
    host = given;
    *self = NULL;
    return GRAYLING_OK;
}

static const struct grayling_module peer = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(peer),
    .abi_major = GRAYLING_ABI_MAJOR,
#ifdef PEER_ABI_MINOR
    .abi_minor = PEER_ABI_MINOR,
#endif
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &peer;
}
