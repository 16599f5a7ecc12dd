// The constant block of every Go module. Its hooks go on to Go; an instance is a runtime/cgo.Handle
// there, so that no pointer of Go's stays with the host.
#include "entry.h"

// hooks.go exports these; what cgo makes of them is declared here, because its header is made with
// every build.
int32_t graylingGoInit(struct grayling_host *host, struct grayling_init *init, uintptr_t *self);
int32_t graylingGoSelfTest(uintptr_t self);
int32_t graylingGoHandle(uintptr_t self, struct grayling_call *call,
                         struct grayling_request *request);
void graylingGoDestroy(uintptr_t self);

void grayling_go_log(const struct grayling_host *host, int32_t level, const char *message)
{
    host->log(host, level, message);
}

void grayling_go_count(const struct grayling_host *host, const char *name, uint64_t add)
{
    host->count(host, name, add);
}

int32_t grayling_go_respond(const struct grayling_host *host, struct grayling_call *call,
                            const void *data, uint64_t size)
{
    return host->respond(call, (struct grayling_bytes){data, size});
}

void grayling_go_fail(const struct grayling_host *host, struct grayling_call *call,
                      const char *message)
{
    host->fail(call, message);
}

uint64_t grayling_go_time_left(const struct grayling_host *host, struct grayling_call *call)
{
    return host->time_left_usec(call);
}

int32_t grayling_go_call(const struct grayling_host *host, struct grayling_call *call,
                         const char *interface_name, const char *method_name, const void *data,
                         uint64_t size, struct grayling_bytes *ret)
{
    return host->call(call, interface_name, method_name, (struct grayling_bytes){data, size}, ret);
}

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    uintptr_t handle = 0;
    int32_t code = graylingGoInit((struct grayling_host *)(uintptr_t)host,
                                  (struct grayling_init *)(uintptr_t)init, &handle);
    *self = (void *)handle;
    return code;
}

static int32_t self_test(void *self)
{
    return graylingGoSelfTest((uintptr_t)self);
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    return graylingGoHandle((uintptr_t)self, call, (struct grayling_request *)(uintptr_t)request);
}

static void destroy(void *self)
{
    graylingGoDestroy((uintptr_t)self);
}

static const struct grayling_module module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &module;
}
