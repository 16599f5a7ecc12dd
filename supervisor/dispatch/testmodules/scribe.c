// The callee of herald: notes what it saw of the call, and answers its version in a chosen way.
#include "dispatch/testmodules/crash.h"
#include "dispatch/testmodules/exam.h"

enum {
    METHOD_NOTE,
    METHOD_BRIEF,
    METHOD_ECHO,
    METHOD_REFUSE,
    METHOD_FAIL,
    METHOD_CRASH,
    METHOD_WAIT
};

static const struct grayling_host *host;
static const char version[] = GRAYLING_MODULE_VERSION;

static void release(void *owner, const void *data, uint64_t size)
{
    (void)owner;
    (void)data;
    (void)size;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    const struct grayling_bytes mine = {version, sizeof(version) - 1};
    (void)self;
    if (request->method == METHOD_ECHO)
        return host->respond(call, request->payload);
    struct exam *e = exam_of(request);
    if (!e)
        return GRAYLING_INVALID_ARGUMENT;
    exam_see(&e->callee, host, call, request);
    switch (request->method) {
    case METHOD_NOTE:
        e->kept = version;
        return host->respond_take(call, mine, release, NULL);
    case METHOD_REFUSE:
        host->fail(call, "scribe has no ink");
        return GRAYLING_FAILED_PRECONDITION;
    case METHOD_FAIL:
        return GRAYLING_INTERNAL;
    case METHOD_WAIT:
        e->between(e->test);
        return host->respond(call, mine);
    case METHOD_CRASH:
        crash("null");
        return GRAYLING_OK;
    default:
        return host->respond(call, mine);
    }
}

static int32_t init(const struct grayling_host *given, const struct grayling_init *init,
                    void **self)
{
    (void)init;
    host = given;
    *self = NULL;
    return GRAYLING_OK;
}

static const struct grayling_module scribe = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(scribe),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &scribe;
}
