// The host table over plain malloc, and one global record: the modules are called one at a time.
#include "test-host.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct test_host_seen seen;

static void host_log(const struct grayling_host *host, int32_t level, const char *message)
{
    (void)host;
    (void)level;
    snprintf(seen.log, sizeof seen.log, "%s", message);
}

static void *host_alloc(const struct grayling_host *host, uint64_t size)
{
    (void)host;
    return malloc(size);
}

static void host_free(const struct grayling_host *host, void *memory)
{
    (void)host;
    free(memory);
}

static int32_t host_respond(struct grayling_call *call, struct grayling_bytes payload)
{
    (void)call;
    seen.answers++;
    snprintf(seen.answer, sizeof seen.answer, "%.*s", (int)payload.size,
             (const char *)payload.data);
    return GRAYLING_OK;
}

static int32_t host_respond_take(struct grayling_call *call, struct grayling_bytes payload,
                                 grayling_release_fn release, void *owner)
{
    int32_t code = host_respond(call, payload);
    release(owner, payload.data, payload.size);
    return code;
}

static void host_count(const struct grayling_host *host, const char *name, uint64_t add)
{
    (void)host;
    snprintf(seen.counted, sizeof seen.counted, "%s %llu", name, (unsigned long long)add);
}

static uint64_t host_time_left(struct grayling_call *call)
{
    (void)call;
    return UINT64_MAX;
}

static void host_fail(struct grayling_call *call, const char *message)
{
    (void)call;
    snprintf(seen.sentence, sizeof seen.sentence, "%s", message);
}

static int32_t host_call(struct grayling_call *call, const char *interface_name,
                         const char *method_name, struct grayling_bytes payload,
                         struct grayling_bytes *ret)
{
    (void)call;
    snprintf(seen.called, sizeof seen.called, "%s/%s %.*s", interface_name, method_name,
             (int)payload.size, (const char *)payload.data);
    if (seen.callee_code == GRAYLING_OK)
        *ret = (struct grayling_bytes){seen.callee_answer, strlen(seen.callee_answer)};
    return seen.callee_code;
}

static const struct grayling_host host = {
    .struct_size = sizeof host,
    .abi_minor = GRAYLING_ABI_MINOR,
    .log = host_log,
    .alloc = host_alloc,
    .free = host_free,
    .respond = host_respond,
    .respond_take = host_respond_take,
    .fail = host_fail,
    .call = host_call,
    .time_left_usec = host_time_left,
    .count = host_count,
};

struct instance instance_load(const char *name)
{
    char path[4096];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, sizeof path, "%s/modules/%s.so", build ? build : ".", name);
    struct instance i = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (!i.library)
        fail_msg("%s", dlerror());
    grayling_module_entry_fn entry;
    *(void **)&entry = dlsym(i.library, "grayling_module_entry");
    assert_non_null(entry);
    i.module = entry();
    assert_true(i.module->magic == GRAYLING_MAGIC);
    memset(&seen, 0, sizeof seen);
    return i;
}

int32_t instance_init(struct instance *i, const char *config)
{
    struct grayling_init in = {
        .struct_size = sizeof in, .config = {config, strlen(config)}, .version = "1.0.0"};
    return i->module->init(&host, &in, &i->self);
}

struct instance instance_start(const char *name, const char *config)
{
    struct instance i = instance_load(name);
    int32_t code = instance_init(&i, config);
    if (code != GRAYLING_OK)
        fail_msg("%s: init: %d %s", name, code, seen.log);
    if (i.module->self_test)
        assert_int_equal(i.module->self_test(i.self), GRAYLING_OK);
    return i;
}

void instance_stop(struct instance *i)
{
    if (i->module->destroy)
        i->module->destroy(i->self);
    assert_int_equal(dlclose(i->library), 0);
}

int32_t instance_call(struct instance *i, uint32_t method, const char *payload,
                      const char *authorization)
{
    struct grayling_header header = {"authorization", authorization};
    struct grayling_request r = {.struct_size = sizeof r,
                                 .method = method,
                                 .interface_name = "",
                                 .method_name = i->method_name,
                                 .codec = GRAYLING_CODEC_JSON,
                                 .n_headers = authorization ? 1 : 0,
                                 .headers = &header,
                                 .payload = {payload, strlen(payload)},
                                 .request_id = "request-1"};
    seen.answers = 0;
    seen.answer[0] = seen.sentence[0] = seen.called[0] = '\0';
    return i->module->handle(i->self, NULL, &r);
}
