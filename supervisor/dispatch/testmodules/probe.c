// A module that does what a test tells it: answers, waits, calls on, hands out its own buffer,
// crashes in a chosen way.
#include "dispatch/testmodules/crash.h"
#include "dispatch/testmodules/witness.h"
#include <grayling/module.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct grayling_host *host;
static char taken[] = "taken";

// --- methods -----------------------------------------------------------------------------------

static struct grayling_bytes text(const char *s)
{
    return (struct grayling_bytes){s, strlen(s)};
}

static int32_t relay(struct grayling_call *call, const char *interface_name,
                     const char *method_name, struct grayling_bytes payload)
{
    struct grayling_bytes answer;
    char both[64] = GRAYLING_MODULE_VERSION "+";
    int32_t code = host->call(call, interface_name, method_name, payload, &answer);
    if (code != GRAYLING_OK)
        return code;
    size_t len = strlen(both), room = sizeof(both) - len;
    memcpy(both + len, answer.data, answer.size < room ? answer.size : room);
    return host->respond(call, (struct grayling_bytes){both, len + answer.size});
}

// Payload: two descriptors. Says on the first that it is inside, waits on the second.
static int32_t hold(struct grayling_call *call, const struct grayling_request *request)
{
    int fds[2];
    char c = 'x';
    if (request->payload.size != sizeof(fds))
        return GRAYLING_INVALID_ARGUMENT;
    memcpy(fds, request->payload.data, sizeof(fds));
    if (write(fds[0], &c, 1) != 1 || read(fds[1], &c, 1) != 1)
        return GRAYLING_INTERNAL;
    struct grayling_bytes again; // through the table that was pinned before the wait
    int32_t code =
        host->call(call, request->interface_name, "Version", (struct grayling_bytes){0}, &again);
    return code == GRAYLING_OK ? host->respond(call, again) : code;
}

static void give_back(void *owner, const void *data, uint64_t size)
{
    (void)data;
    (void)size;
    host->count(host, "given_back", *(const uint64_t *)owner);
}

static int32_t take(struct grayling_call *call)
{
    static uint64_t one = 1;
    return host->respond_take(call, text(taken), give_back, &one);
}

static void testify(struct witness *w)
{
    if (atomic_load(&w->forbidden[GRAYLING_MODULE_VERSION[0] - '0']))
        atomic_fetch_add(&w->violations, 1);
}

// Relays as Relay does, and looks before and after whether this version may run at all.
static int32_t witness(struct grayling_call *call, struct grayling_bytes payload)
{
    struct witness *w;
    if (payload.size != sizeof(w))
        return GRAYLING_INVALID_ARGUMENT;
    memcpy(&w, payload.data, sizeof(w));
    testify(w);
    sched_yield();
    int32_t code = relay(call, "com.example.peer.Peer", "Version", (struct grayling_bytes){0});
    testify(w);
    return code;
}

// Calls the peer once for each word of the payload, with that word; answers all versions met.
static int32_t visit(struct grayling_call *call, struct grayling_bytes payload)
{
    char all[64] = GRAYLING_MODULE_VERSION;
    const char *s = payload.data, *end = s + payload.size;
    while (s < end) {
        const char *space = memchr(s, ' ', (size_t)(end - s)), *stop = space ? space : end;
        struct grayling_bytes word = {s, (uint64_t)(stop - s)}, answer;
        int32_t code = host->call(call, "com.example.peer.Peer", "Version", word, &answer);
        if (code != GRAYLING_OK)
            return code;
        size_t len = strlen(all);
        if (len + 1 + answer.size >= sizeof(all))
            return GRAYLING_OUT_OF_RANGE;
        all[len] = '+';
        memcpy(all + len + 1, answer.data, answer.size);
        all[len + 1 + answer.size] = 0;
        s = space ? space + 1 : end;
    }
    return host->respond(call, text(all));
}

// "internal": by version 2 only; else with a code that is no server's fault.
static int32_t fail(struct grayling_call *call, const char *how)
{
    bool internal = strcmp(how, "internal") == 0;
    if (internal && GRAYLING_MODULE_VERSION[0] != '2')
        return host->respond(call, text(GRAYLING_MODULE_VERSION));
    host->fail(call, "asked to fail");
    sched_yield(); // many are inside at once
    return internal ? GRAYLING_INTERNAL : GRAYLING_NOT_FOUND;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    (void)self;
    char word[32] = "";
    if (request->payload.size < sizeof(word) && request->payload.size > 0)
        memcpy(word, request->payload.data, request->payload.size);
    switch (request->method) {
    case 0:
        return host->respond(call, text(GRAYLING_MODULE_VERSION));
    case 1:
        return relay(call, "com.example.peer.Peer", word[0] ? "Crash" : "Version",
                     request->payload);
    case 2:
        return hold(call, request);
    case 3:
        return take(call);
    case 4:
        return relay(call, "com.example.probe.Probe", "Deep", request->payload);
    case 5:
        crash(word);
        return host->respond(call, text("alive"));
    case 6:
        if (GRAYLING_MODULE_VERSION[0] == '2')
            crash(word);
        return host->respond(call, text(GRAYLING_MODULE_VERSION));
    case 7:
        return fail(call, word);
    case 9:
        return witness(call, request->payload);
    case 10:
    case 11:
        return visit(call, request->payload);
    default:
        return relay(call, "com.example.nobody.Nobody", "Version", request->payload);
    }
}

// --- life --------------------------------------------------------------------------------------

static int32_t init(const struct grayling_host *given, const struct grayling_init *init,
                    void **self)
{
    char config[64] = "";
    if (init->config.size < sizeof(config))
        memcpy(config, init->config.data, init->config.size);
    host = given;
    *self = NULL;
    if (strstr(config, "init-crash"))
        crash("null");
    if (strstr(config, "init-abort"))
        crash("abort");
    if (strstr(config, "leak"))
        (void)host->alloc(host, 100);
    if (strstr(config, "self-test-crash"))
        *self = (void *)2;
    else if (strstr(config, "self-test-fail"))
        *self = (void *)1;
    return strstr(config, "init-fail") ? GRAYLING_FAILED_PRECONDITION : GRAYLING_OK;
}

static int32_t self_test(void *self)
{
    if (self == (void *)2)
        crash("null");
    return self ? GRAYLING_INTERNAL : GRAYLING_OK;
}

static void destroy(void *self)
{
    (void)self;
    host->log(host, GRAYLING_LOG_INFO, "destroyed");
}

static const struct grayling_module probe = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(probe),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &probe;
}
