// A member of a family of modules that need each other. Chain answers who it is and passes the
// question on; Peers answers what init() was told. The configuration lets it fail at a chosen
// moment: {"fail": "preflight" | "init" | "self-test" | "handle" | "crash", "every": 50}. init and
// self-test fail where traffic comes, not in the sandbox; `every` counts calls of handle; "mark" is
// only there to make one configuration differ from another.
#include "../examples/common/json-in.h"
#include "../examples/common/respond.h"
#include <grayling/module.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SELF GRAYLING_MODULE_NAME "@" GRAYLING_MODULE_VERSION
#define DEPTH_DEFAULT 3
#define EVERY_MAX 1000000000

enum member_method { METHOD_CHAIN, METHOD_PEERS };
enum failure {
    FAIL_NEVER,
    FAIL_PREFLIGHT,
    FAIL_INIT,
    FAIL_SELF_TEST,
    FAIL_HANDLE,
    FAIL_CRASH,
    FAILURES
};

struct member {
    const struct grayling_host *host;
    enum failure fail;
    bool on_trial; // in the sandbox
    uint64_t every;
    _Atomic uint64_t calls;
    char peers[RESPOND_MAX - 64]; // the members of a JSON object
};

// --- life --------------------------------------------------------------------------------------

static bool read_config(struct member *m, const struct grayling_bytes *config,
                        char why[JSON_WHY_MAX])
{
    static const char *const names[FAILURES] = {"never",     "preflight", "init",
                                                "self-test", "handle",    "crash"};
    struct json_field fields[] = {{.name = "fail", .type = JSON_TEXT},
                                  {.name = "every", .type = JSON_INTEGER},
                                  {.name = "mark", .type = JSON_TEXT}};
    if (!json_read(config->data, config->size, fields, 3, JSON_REFUSE_UNKNOWN, why))
        return false;
    size_t fail = 0;
    while (fields[0].present && fail < FAILURES && strcmp(fields[0].text, names[fail]) != 0)
        fail++;
    m->every = fields[1].present ? (uint64_t)fields[1].integer : 1;
    m->fail = (enum failure)fail;
    bool known = fail < FAILURES && m->every >= 1 && m->every <= EVERY_MAX;
    if (!known)
        snprintf(why, JSON_WHY_MAX,
                 "config.fail must be never, preflight, init, self-test, handle or crash, and "
                 "config.every from 1 to %d.",
                 EVERY_MAX);
    return known;
}

static void note_peers(struct member *m, const struct grayling_init *init)
{
    size_t len = 0;
    if (!GRAYLING_HAS(init, n_peers))
        return;
    for (uint32_t i = 0; i < init->n_peers && len < sizeof m->peers; i++) {
        const struct grayling_peer *p = &init->peers[i];
        const char *quote = p->version ? "\"" : "";
        len +=
            (size_t)snprintf(m->peers + len, sizeof m->peers - len, "%s\"%s\":%s%s%s", i ? "," : "",
                             p->interface_name, quote, p->version ? p->version : "null", quote);
    }
}

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    char why[JSON_WHY_MAX];
    struct member *m = host->alloc(host, sizeof *m);
    if (!m)
        return GRAYLING_RESOURCE_EXHAUSTED;
    memset(m, 0, sizeof *m);
    m->host = host;
    int32_t code = GRAYLING_OK;
    if (!read_config(m, &init->config, why)) {
        host->log(host, GRAYLING_LOG_ERROR, why);
        code = GRAYLING_INVALID_ARGUMENT;
    } else if (m->fail == (init->preflight ? FAIL_PREFLIGHT : FAIL_INIT)) {
        host->log(host, GRAYLING_LOG_ERROR, "init fails because config.fail says so");
        code = GRAYLING_FAILED_PRECONDITION;
    }
    if (code != GRAYLING_OK) {
        host->free(host, m);
        return code;
    }
    m->on_trial = init->preflight;
    note_peers(m, init);
    char line[RESPOND_MAX];
    snprintf(line, sizeof line, SELF " was told {%s}", m->peers);
    host->log(host, GRAYLING_LOG_INFO, line);
    *self = m;
    return GRAYLING_OK;
}

static int32_t self_test(void *self)
{
    const struct member *m = self;
    return m->fail == FAIL_SELF_TEST && !m->on_trial ? GRAYLING_INTERNAL : GRAYLING_OK;
}

static void destroy(void *self)
{
    struct member *m = self;
    m->host->log(m->host, GRAYLING_LOG_INFO, SELF " is destroyed");
    m->host->free(m->host, m);
}

// --- requests ----------------------------------------------------------------------------------

// {"depth": 3}: so many more members are asked.
static int32_t answer_chain(const struct member *m, struct grayling_call *call,
                            const struct grayling_request *request)
{
    struct json_field depth = {.name = "depth", .type = JSON_INTEGER};
    struct json_field rest = {.name = "chain", .type = JSON_TEXT};
    char why[JSON_WHY_MAX], payload[48];
    if (!json_read(request->payload.data, request->payload.size, &depth, 1, JSON_SKIP_UNKNOWN, why))
        return respond_failure(m->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    long long left = depth.present ? (long long)depth.integer : DEPTH_DEFAULT;
    if (!MEMBER_NEXT[0] || left <= 0)
        return respond_text(m->host, call, "{\"chain\":\"" SELF "\"}");
    snprintf(payload, sizeof payload, "{\"depth\":%lld}", left - 1);
    struct grayling_bytes answer;
    int32_t code = m->host->call(call, MEMBER_NEXT, "Chain",
                                 (struct grayling_bytes){payload, strlen(payload)}, &answer);
    if (code == GRAYLING_UNIMPLEMENTED)
        return respond_text(m->host, call, "{\"chain\":\"" SELF " -\"}");
    if (code != GRAYLING_OK)
        return respond_failure(m->host, call, code, "%s answered %d", MEMBER_NEXT, (int)code);
    if (!json_read(answer.data, answer.size, &rest, 1, JSON_SKIP_UNKNOWN, why))
        return respond_failure(m->host, call, GRAYLING_INTERNAL, "%s: %s", MEMBER_NEXT, why);
    return respond_text(m->host, call, "{\"chain\":\"" SELF " %s\"}", rest.text);
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    static volatile int *volatile nowhere;
    struct member *m = self;
    bool acts = (atomic_fetch_add(&m->calls, 1) + 1) % m->every == 0;
    if (acts && m->fail == FAIL_CRASH)
        *nowhere = 1;
    if (acts && m->fail == FAIL_HANDLE)
        return respond_failure(m->host, call, GRAYLING_INTERNAL, "config.fail says so");
    if (request->method == METHOD_PEERS)
        return respond_text(m->host, call, "{\"peers\":{%s}}", m->peers);
    return answer_chain(m, call, request);
}

static const struct grayling_module member = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof member,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &member;
}
