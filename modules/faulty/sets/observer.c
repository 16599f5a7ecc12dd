// Sees what one request sees: {"family":"north","n":4} asks north-0 to north-3 to tell who they are
// and answers what all of them said. Two members that say different things are DATA_LOSS: that is
// what nobody may ever see. A member that is not there says null; one that fails ends the look with
// its code.
#include "../../examples/common/json-in.h"
#include "../../examples/common/respond.h"
#include <grayling/module.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FAMILY_MAX 8

struct observer {
    const struct grayling_host *host;
    _Atomic uint32_t first; // whom the next look asks first: none is always asked before another
};

struct family {
    char name[16];
    int64_t n;
};

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    (void)init;
    struct observer *o = host->alloc(host, sizeof *o);
    if (!o)
        return GRAYLING_RESOURCE_EXHAUSTED;
    *o = (struct observer){.host = host};
    *self = o;
    return GRAYLING_OK;
}

static bool read_family(const struct grayling_request *request, struct family *ret,
                        char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "family", .type = JSON_TEXT},
                                  {.name = "n", .type = JSON_INTEGER}};
    if (!json_read(request->payload.data, request->payload.size, fields, 2, JSON_REFUSE_UNKNOWN,
                   why))
        return false;
    int len = snprintf(ret->name, sizeof ret->name, "%s", fields[0].text);
    ret->n = fields[1].integer;
    if (len > 0 && len < (int)sizeof ret->name && ret->n > 0 && ret->n <= FAMILY_MAX)
        return true;
    snprintf(why, JSON_WHY_MAX,
             "expected {\"family\": a name, \"n\": 1 to %d}; send the members to ask.", FAMILY_MAX);
    return false;
}

// What member `i` says; a member that nobody provides says null.
static int32_t ask(struct grayling_call *call, const struct observer *o, const struct family *f,
                   int64_t i, struct grayling_bytes *ret)
{
    char name[80];
    snprintf(name, sizeof name, "com.example.sets.%s%lld", f->name, (long long)i);
    int32_t code =
        o->host->call(call, name, "Tell", (struct grayling_bytes){.data = "{}", .size = 2}, ret);
    if (code != GRAYLING_UNIMPLEMENTED)
        return code;
    *ret = (struct grayling_bytes){.data = "null", .size = 4};
    return GRAYLING_OK;
}

static bool same(const struct grayling_bytes *a, const struct grayling_bytes *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct observer *o = self;
    struct family f;
    struct grayling_bytes said = {0}, one;
    char why[JSON_WHY_MAX];
    if (!read_family(request, &f, why))
        return respond_failure(o->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    uint32_t first = atomic_fetch_add(&o->first, 1);
    for (int64_t k = 0; k < f.n; k++) {
        int64_t i = (first + k) % f.n, before = (first + k + f.n - 1) % f.n;
        int32_t code = ask(call, o, &f, i, &one);
        if (code != GRAYLING_OK)
            return respond_failure(o->host, call, code, "%s-%lld answered with code %d.", f.name,
                                   (long long)i, code);
        if (k > 0 && !same(&one, &said))
            return respond_failure(o->host, call, GRAYLING_DATA_LOSS,
                                   "A mixed set: %s-%lld says %.*s, and %s-%lld says %.*s.", f.name,
                                   (long long)before, (int)said.size, (const char *)said.data,
                                   f.name, (long long)i, (int)one.size, (const char *)one.data);
        said = one;
    }
    return respond_text(o->host, call, "%.*s", (int)said.size, (const char *)said.data);
}

static void destroy(void *self)
{
    struct observer *o = self;
    o->host->free(o->host, o);
}

static const struct grayling_module observer_module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof observer_module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &observer_module;
}
