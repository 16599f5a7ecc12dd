// The control socket's commands: decodes the body, calls the operation, answers what was begun.
#include "base/limits.h"
#include "control/control-routes.h"
#include "control/journal-json.h"
#include <errno.h>
#include <string.h>

struct command { // members that commands share
    cJSON *body;
    const char *actor, *reason;
};

static void command_done(struct command *k)
{
    cJSON_Delete(k->body);
}

// An empty body is an empty object. On failure *ret is the refusal.
static bool command_parse(const struct gr_http_request *q, const char *const *allowed,
                          struct command *k, struct gr_http_reply *ret)
{
    struct gr_error e = {0};
    const char *text = q->body_len ? q->body : "{}";
    int r = gr_json_parse(text, q->body_len ? q->body_len : 2, GR_CONTROL_BYTES_MAX, &k->body, &e);
    k->actor = k->reason = "";
    if (r >= 0)
        r = gr_json_check_fields(k->body, "", allowed, &e);
    if (r >= 0)
        r = gr_json_string(k->body, "", "actor", GR_JSON_OPTIONAL, &k->actor, &e);
    if (r >= 0)
        r = gr_json_string(k->body, "", "reason", GR_JSON_OPTIONAL, &k->reason, &e);
    if (r < 0)
        gr_route_error(ret, &e);
    return r >= 0;
}

static bool is_missing(bool present, struct gr_http_reply *ret)
{
    if (!present)
        gr_route_refuse(ret, -ENOSYS, "this host does not do that");
    return !present;
}

static void reply_result(int r, const struct gr_error *e, struct gr_http_reply *ret)
{
    if (r < 0) {
        struct gr_error coded = *e;
        coded.code = r;
        gr_route_error(ret, &coded);
        return;
    }
    gr_http_reply_json(ret, 200, cJSON_CreateObject());
}

static const char *const reasoned[] = {"actor", "reason", NULL};

void gr_post_undo(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                  struct gr_http_reply *ret)
{
    static const char *const allowed[] = {"to",    "one_way", "local", "rollout",
                                          "actor", "reason",  NULL};
    GR_CLEANUP(command_done) struct command k = {0};
    struct gr_order o = {.verb = GR_ORDER_ABORT, .rollout = -1, .step = -1};
    struct gr_error e = {0};
    const char *to = NULL;
    uint64_t seen = UINT64_MAX;
    cJSON *result = NULL;
    if (is_missing(c->ops.undo, ret) || !command_parse(q, allowed, &k, ret))
        return;
    int r = gr_json_string(k.body, "", "to", GR_JSON_OPTIONAL, &to, &e);
    if (r >= 0)
        r = gr_json_bool(k.body, "", "one_way", GR_JSON_OPTIONAL, &o.one_way, &e);
    if (r >= 0)
        r = gr_json_bool(k.body, "", "local", GR_JSON_OPTIONAL, &o.local, &e);
    if (r >= 0 && gr_json_get(k.body, "rollout"))
        r = gr_json_uint(k.body, "", "rollout", GR_JSON_REQUIRED, 0, INT64_MAX, &seen, &e);
    o.rollout = seen == UINT64_MAX ? -1 : (int64_t)seen;
    snprintf(o.actor, sizeof o.actor, "%s", k.actor);
    snprintf(o.reason, sizeof o.reason, "%s", k.reason);
    if (r >= 0)
        r = c->ops.undo(c->ops.userdata, arg, to, &o, &result, &e);
    if (r < 0)
        reply_result(r, &e, ret);
    else
        gr_http_reply_json(ret, 200, result);
}

void gr_post_lift(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                  struct gr_http_reply *ret)
{
    GR_CLEANUP(command_done) struct command k = {0};
    struct gr_error e = {0};
    struct gr_digest digest;
    char text[2 * GR_DIGEST_TEXT_MAX]; // longer than any digest, so that nothing becomes one by
                                       // being cut
    if (is_missing(c->ops.lift, ret) || !command_parse(q, reasoned, &k, ret))
        return;
    snprintf(text, sizeof text, "%s%.130s", strncmp(arg, "sha256:", 7) ? "sha256:" : "", arg);
    if (gr_digest_parse(text, &digest) < 0) {
        gr_route_refuse(
            ret, -EINVAL,
            "%s is not a digest; expected 64 lower-case hex digits as in grayctl quarantine list",
            arg);
        return;
    }
    if (!*k.reason) {
        gr_route_refuse(ret, -EINVAL,
                        "lifting a quarantine needs a reason; expected \"reason\" to say why "
                        "%.23s... may run again",
                        text);
        return;
    }
    reply_result(c->ops.lift(c->ops.userdata, &digest, k.actor, k.reason, &e), &e, ret);
}

void gr_post_replace_worker(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                            struct gr_http_reply *ret)
{
    static const char *const allowed[] = {"one_way", "actor", "reason", NULL};
    GR_CLEANUP(command_done) struct command k = {0};
    struct gr_error e = {0};
    bool one_way = false;
    (void)arg;
    if (is_missing(c->ops.replace_worker, ret) || !command_parse(q, allowed, &k, ret))
        return;
    int r = gr_json_bool(k.body, "", "one_way", GR_JSON_OPTIONAL, &one_way, &e);
    if (r >= 0)
        r = c->ops.replace_worker(c->ops.userdata, k.actor, k.reason, one_way, &e);
    reply_result(r, &e, ret);
}

void gr_post_accept_rewind(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                           struct gr_http_reply *ret)
{
    GR_CLEANUP(command_done) struct command k = {0};
    struct gr_error e = {0};
    (void)arg;
    if (is_missing(c->ops.accept_rewind, ret) || !command_parse(q, reasoned, &k, ret))
        return;
    reply_result(c->ops.accept_rewind(c->ops.userdata, k.actor, k.reason, &e), &e, ret);
}

void gr_post_leave_safe_mode(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                             struct gr_http_reply *ret)
{
    GR_CLEANUP(command_done) struct command k = {0};
    struct gr_error e = {0};
    (void)arg;
    if (is_missing(c->ops.leave_safe_mode, ret) || !command_parse(q, reasoned, &k, ret))
        return;
    if (!*k.reason) {
        gr_route_refuse(ret, -EINVAL,
                        "leaving safe mode needs a reason; expected \"reason\" to say what was "
                        "found");
        return;
    }
    reply_result(c->ops.leave_safe_mode(c->ops.userdata, k.actor, k.reason, &e), &e, ret);
}

static bool is_known(struct gr_control *c, const char *module)
{
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    for (size_t i = 0; i < v->n_modules; i++)
        if (!strcmp(v->modules[i].module.s, module))
            return true;
    return false;
}

// "modules": one or more names of this host, borrowed from the body. Returns how many, 0 after a
// refusal.
static size_t modules_of(struct gr_control *c, const cJSON *body,
                         const char *ret_names[GR_MODULES_MAX], struct gr_http_reply *ret)
{
    const cJSON *list = gr_json_get(body, "modules"), *one;
    size_t n = 0;
    cJSON_ArrayForEach(one, list)
    {
        if (!cJSON_IsString(one) || n == GR_MODULES_MAX) {
            gr_route_refuse(ret, -EINVAL, "modules[%zu]: expected at most %d names", n,
                            GR_MODULES_MAX);
            return 0;
        }
        if (!is_known(c, one->valuestring)) {
            gr_route_refuse(
                ret, -ENOENT,
                "there is no module %.64s on this host; grayctl list shows which there are",
                one->valuestring);
            return 0;
        }
        ret_names[n++] = one->valuestring;
    }
    if (n == 0)
        gr_route_refuse(ret, -EINVAL, "modules: expected a list of at least one name");
    return n;
}

void gr_post_freeze(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                    struct gr_http_reply *ret)
{
    static const char *const allowed[] = {"modules", "for", "actor", "reason", NULL};
    GR_CLEANUP(command_done) struct command k = {0};
    const char *names[GR_MODULES_MAX];
    struct gr_error e = {0};
    uint64_t usec = 0;
    (void)arg;
    if (is_missing(c->ops.freeze, ret) || !command_parse(q, allowed, &k, ret))
        return;
    size_t n = modules_of(c, k.body, names, ret);
    if (n == 0)
        return;
    int r = gr_json_duration(k.body, "", "for", GR_JSON_REQUIRED, &usec, &e);
    if (r >= 0)
        r = c->ops.freeze(c->ops.userdata, names, n, usec, &e);
    reply_result(r, &e, ret);
}

void gr_post_thaw(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                  struct gr_http_reply *ret)
{
    static const char *const allowed[] = {"modules", "actor", "reason", NULL};
    GR_CLEANUP(command_done) struct command k = {0};
    const char *names[GR_MODULES_MAX];
    struct gr_error e = {0};
    (void)arg;
    if (is_missing(c->ops.thaw, ret) || !command_parse(q, allowed, &k, ret))
        return;
    size_t n = modules_of(c, k.body, names, ret);
    if (n)
        reply_result(c->ops.thaw(c->ops.userdata, names, n, &e), &e, ret);
}

// --- plan
// --------------------------------------------------------------------------------------------------------------

static void wishes_done(struct gr_wishes *w)
{
    for (size_t i = 0; i < w->n; i++) {
        gr_desired_free(w->wishes[i].desired);
        gr_contract_free(w->wishes[i].contract);
    }
    free(w->wishes);
}

static int by_module(const void *a, const void *b)
{
    return strcmp(((const struct gr_wish *)a)->module.s, ((const struct gr_wish *)b)->module.s);
}

// A document that cannot be used becomes a wish with its error, as in a snapshot. Fails: -EINVAL (a
// name), -ENOMEM.
static int wish_parse(const cJSON *document, const cJSON *contracts, struct gr_wish *w,
                      struct gr_error *e)
{
    const cJSON *contract = gr_json_get(contracts, document->string);
    if (gr_name_parse(document->string, strlen(document->string), &w->module) < 0)
        return gr_error_set(
            e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
            "documents: \"%.64s\" is not a module name; expected [a-z0-9][a-z0-9._-]{0,63}",
            document->string);
    GR_AUTO_FREE char *text = gr_json_format(document);
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "cannot plan: out of memory");
    int r = gr_desired_parse(&w->module, 0, text, strlen(text), &w->desired, &w->error);
    if (r == -ENOMEM || !contract)
        return r == -ENOMEM ? r : 0;
    GR_AUTO_FREE char *note = gr_json_format(contract);
    if (!note)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "cannot plan: out of memory");
    return gr_contract_parse(note, strlen(note), &w->contract, e);
}

static int wishes_parse(const cJSON *documents, const cJSON *contracts, struct gr_wishes *ret,
                        struct gr_error *e)
{
    const cJSON *one;
    int n = cJSON_GetArraySize(documents);
    if (!cJSON_IsObject(documents) || n < 1 || n > GR_MODULES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "documents: expected an object of 1 to %d documents by module name",
                            GR_MODULES_MAX);
    ret->wishes = calloc((size_t)n, sizeof *ret->wishes);
    if (!ret->wishes)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "cannot plan: out of memory");
    cJSON_ArrayForEach(one, documents)
    {
        int r = wish_parse(one, contracts, &ret->wishes[ret->n++], e);
        if (r < 0)
            return r;
    }
    qsort(ret->wishes, ret->n, sizeof *ret->wishes, by_module);
    return 0;
}

void gr_post_plan(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                  struct gr_http_reply *ret)
{
    static const char *const allowed[] = {"documents", "contracts", "actor", "reason", NULL};
    GR_CLEANUP(command_done) struct command k = {0};
    GR_CLEANUP(wishes_done) struct gr_wishes wishes = {0};
    GR_CLEANUP(gr_plans_freep) struct gr_plans *plans = NULL;
    struct gr_error e = {0};
    (void)arg;
    if (is_missing(c->ops.plan, ret) || !command_parse(q, allowed, &k, ret))
        return;
    int r = wishes_parse(gr_json_get(k.body, "documents"), gr_json_get(k.body, "contracts"),
                         &wishes, &e);
    if (r >= 0)
        r = c->ops.plan(c->ops.userdata, &wishes, &plans, &e);
    if (r < 0) {
        reply_result(r, &e, ret);
        return;
    }
    gr_http_reply_json(ret, 200, gr_plans_to_json(plans));
}
