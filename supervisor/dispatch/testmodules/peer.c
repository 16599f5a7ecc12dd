// The callee of probe: tells its version, or crashes. Version 2 crashes or fails where version 1
// answers, if it is asked to. Built with PEER_FRESH its second method is a new one.
#include "dispatch/testmodules/crash.h"
#include <grayling/module.h>
#include <stdbool.h>

static const struct grayling_host *host;

// In the way that the request names; NULL's for what it does not know.
static void crash_as_asked(const struct grayling_request *request)
{
    char how[32] = "";
    if (request->payload.size < sizeof(how) && request->payload.size > 0)
        memcpy(how, request->payload.data, request->payload.size);
    crash(how);
    crash("null");
}

static bool is_asked_to(const struct grayling_request *request, const char *what)
{
    return GRAYLING_MODULE_VERSION[0] == '2' && request->payload.size == strlen(what) &&
           memcmp(request->payload.data, what, strlen(what)) == 0;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    (void)self;
#ifdef PEER_FRESH
    if (request->method == 1)
        return host->respond(call, (struct grayling_bytes){"fresh", 5});
#endif
    if (request->method == 1 || is_asked_to(request, "crash"))
        crash_as_asked(request);
    if (is_asked_to(request, "fail"))
        return GRAYLING_INTERNAL;
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
