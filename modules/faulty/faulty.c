// The frame of the faulty module: reads {"mode": "..."}, answers each method with {}, or with its
// version and the set that it is of, and, at the mode's moment, lets the mode act. Members besides
// mode: every, after, share, code, usec, set, worker_only (see faulty.h).
#include "faulty.h"
#include <stdio.h>

#define MYRIAD 10000
#define USEC_MAX 60000000
#define AFTER_MAX 1000000
#define SET_MAX 1000000

static bool read_config(struct faulty *f, const struct grayling_bytes *config,
                        char why[JSON_WHY_MAX])
{
    enum { MODE, EVERY, SHARE, CODE, USEC, AFTER, SET, WORKER_ONLY, FIELDS };
    static const int64_t least[FIELDS] = {[EVERY] = 1, [CODE] = 1};
    static const int64_t most[FIELDS] = {
        [EVERY] = MYRIAD,  [SHARE] = MYRIAD,    [CODE] = GRAYLING_UNAUTHENTICATED,
        [USEC] = USEC_MAX, [AFTER] = AFTER_MAX, [SET] = SET_MAX};
    struct json_field fields[FIELDS] = {
        [MODE] = {.name = "mode", .type = JSON_TEXT},
        [EVERY] = {.name = "every", .type = JSON_INTEGER},
        [SHARE] = {.name = "share", .type = JSON_INTEGER},
        [CODE] = {.name = "code", .type = JSON_INTEGER},
        [USEC] = {.name = "usec", .type = JSON_INTEGER},
        [AFTER] = {.name = "after", .type = JSON_INTEGER},
        [SET] = {.name = "set", .type = JSON_INTEGER},
        [WORKER_ONLY] = {.name = "worker_only", .type = JSON_BOOLEAN},
    };
    if (!json_read(config->data, config->size, fields, FIELDS, JSON_REFUSE_UNKNOWN, why))
        return false;
    for (int i = EVERY; i <= SET; i++)
        if (fields[i].present && (fields[i].integer < least[i] || fields[i].integer > most[i])) {
            snprintf(why, JSON_WHY_MAX, "config.%s must be from %lld to %lld, not %lld.",
                     fields[i].name, (long long)least[i], (long long)most[i],
                     (long long)fields[i].integer);
            return false;
        }
    f->mode = faulty_find_mode(fields[MODE].present ? fields[MODE].text : "none");
    if (!f->mode) {
        snprintf(why, JSON_WHY_MAX,
                 "config.mode \"%.40s\" is not known; faulty-modes.c lists them.",
                 fields[MODE].text);
        return false;
    }
    f->every = fields[EVERY].present ? (uint64_t)fields[EVERY].integer : 1;
    f->share_permyriad = fields[SHARE].present ? (uint64_t)fields[SHARE].integer : MYRIAD;
    f->code = fields[CODE].present ? (int32_t)fields[CODE].integer : GRAYLING_INTERNAL;
    f->usec = (uint64_t)fields[USEC].integer;
    f->after = (uint64_t)fields[AFTER].integer;
    f->set = fields[SET].integer;
    f->tells = fields[SET].present;
    f->worker_only = fields[WORKER_ONLY].boolean;
    return true;
}

static int32_t act_at(struct faulty *f, enum faulty_moment moment, struct grayling_call *call)
{
    return f->mode->moment == moment ? f->mode->act(f, call) : GRAYLING_OK;
}

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    char why[JSON_WHY_MAX];
    struct faulty *f = host->alloc(host, sizeof *f);
    if (!f)
        return GRAYLING_RESOURCE_EXHAUSTED;
    *f = (struct faulty){.host = host};
    int32_t code = GRAYLING_OK;
    if (!read_config(f, &init->config, why)) {
        host->log(host, GRAYLING_LOG_ERROR, why);
        code = GRAYLING_INVALID_ARGUMENT;
    } else {
        if (f->worker_only && init->preflight)
            f->mode = faulty_find_mode("none");
        code = act_at(f, FAULTY_INIT, NULL);
    }
    if (code == GRAYLING_OK)
        *self = f;
    else
        host->free(host, f);
    return code;
}

static int32_t self_test(void *self)
{
    return act_at(self, FAULTY_SELF_TEST, NULL);
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct faulty *f = self;
    (void)request;
    uint64_t number = atomic_fetch_add(&f->calls, 1) + 1;
    bool acts = number > f->after && number % f->every == 0;
    int32_t code = acts ? act_at(f, FAULTY_HANDLE, call) : GRAYLING_OK;
    if (code != GRAYLING_OK)
        return code;
    if (!f->tells)
        return respond_text(f->host, call, "{}");
    return respond_text(f->host, call, "{\"version\":\"%s\",\"set\":%lld}", GRAYLING_MODULE_VERSION,
                        (long long)f->set);
}

static void destroy(void *self)
{
    struct faulty *f = self;
    f->host->free(f->host, f);
}

static const struct grayling_module faulty_module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof faulty_module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &faulty_module;
}
