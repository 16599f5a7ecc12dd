// Calls scribe, and notes what it saw of its own request before and after.
#include "dispatch/testmodules/exam.h"
#include <stdio.h>

#define SCRIBE "com.example.scribe.Scribe"

enum { METHOD_ASK, METHOD_ASK_SOON, METHOD_REPEAT };

static const struct grayling_host *host;

// Answers the versions of scribe that it met.
static int32_t ask(struct exam *e, struct grayling_call *call,
                   const struct grayling_request *request)
{
    struct grayling_bytes again = {"", 0};
    char both[64];
    exam_see(&e->caller, host, call, request);
    e->code = host->call(call, SCRIBE, e->ask, request->payload, &e->answer);
    exam_see(&e->after, host, call, request);
    if (e->code != GRAYLING_OK) {
        if (e->say)
            host->fail(call, e->say);
        return e->end != GRAYLING_OK ? e->end : e->code;
    }
    if (e->between && strcmp(e->ask, "Wait") != 0) {
        e->between(e->test);
        int32_t code = host->call(call, SCRIBE, e->ask, request->payload, &again);
        if (code != GRAYLING_OK)
            return code;
    }
    int len = snprintf(both, sizeof(both), "%.*s+%.*s", (int)e->answer.size,
                       (const char *)e->answer.data, (int)again.size, (const char *)again.data);
    return host->respond(call, (struct grayling_bytes){both, (uint64_t)len});
}

// Calls as many times as the payload has bytes, for the benchmark.
static int32_t repeat(struct grayling_call *call, const struct grayling_request *request)
{
    struct grayling_bytes answer, payload = {"sixteen bytes...", 16};
    int32_t code = GRAYLING_OK;
    for (uint64_t i = 0; code == GRAYLING_OK && i < request->payload.size; i++)
        code = host->call(call, SCRIBE, "Echo", payload, &answer);
    return code == GRAYLING_OK ? host->respond(call, payload) : code;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    (void)self;
    if (request->method == METHOD_REPEAT)
        return repeat(call, request);
    struct exam *e = exam_of(request);
    return e ? ask(e, call, request) : GRAYLING_INVALID_ARGUMENT;
}

static int32_t init(const struct grayling_host *given, const struct grayling_init *init,
                    void **self)
{
    (void)init;
    host = given;
    *self = NULL;
    return GRAYLING_OK;
}

static const struct grayling_module herald = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(herald),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &herald;
}
