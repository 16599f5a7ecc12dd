// The control socket's orders to rollouts: POST /v1/modules/{m}/{promote,pause,resume,abort,retry}.
// Decodes the order, has it obeyed, answers where the rollout is then.
#include "control/control-routes.h"
#include "control/view-json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ORDER_BYTES_MAX 4096

static int take_text(const cJSON *body, const char *field, char *buf, size_t cap,
                     struct gr_error *e)
{
    const char *text = "";
    int k = gr_json_string(body, "", field, GR_JSON_OPTIONAL, &text, e);
    if (k == 0 && strlen(text) >= cap)
        k = gr_error_set(e, -EINVAL, GR_REASON_NONE, "%s: expected at most %zu bytes, found %zu",
                         field, cap - 1, strlen(text));
    if (k == 0)
        memcpy(buf, text, strlen(text) + 1);
    return k;
}

static int take_number(const cJSON *body, const char *field, int64_t *ret, struct gr_error *e)
{
    uint64_t n = 0;
    if (!gr_json_get(body, field))
        return 0;
    int k = gr_json_uint(body, "", field, GR_JSON_REQUIRED, 0, INT64_MAX, &n, e);
    if (k == 0)
        *ret = (int64_t)n;
    return k;
}

static int order_parse(const struct gr_http_request *q, struct gr_order *o, struct gr_error *e)
{
    static const char *const allowed[] = {"actor", "reason",          "rollout", "step",
                                          "full",  "over_bad_stable", "one_way", NULL};
    GR_AUTO_JSON cJSON *body = NULL;
    const char *text = q->body_len ? q->body : "{}";
    int k = gr_json_parse(text, q->body_len ? q->body_len : 2, ORDER_BYTES_MAX, &body, e);
    if (k == 0)
        k = gr_json_check_fields(body, "", allowed, e);
    if (k == 0)
        k = take_text(body, "actor", o->actor, sizeof o->actor, e);
    if (k == 0)
        k = take_text(body, "reason", o->reason, sizeof o->reason, e);
    if (k == 0)
        k = take_number(body, "rollout", &o->rollout, e);
    if (k == 0)
        k = take_number(body, "step", &o->step, e);
    if (k == 0)
        k = gr_json_bool(body, "", "full", GR_JSON_OPTIONAL, &o->full, e);
    if (k == 0)
        k = gr_json_bool(body, "", "over_bad_stable", GR_JSON_OPTIONAL, &o->over_bad_stable, e);
    if (k == 0)
        k = gr_json_bool(body, "", "one_way", GR_JSON_OPTIONAL, &o->one_way, e);
    return k;
}

static void reply_where(struct gr_control *c, const char *module, struct gr_http_reply *ret)
{
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    for (size_t i = 0; i < v->n_modules; i++)
        if (strcmp(v->modules[i].module.s, module) == 0) {
            gr_http_reply_json(ret, 200, gr_view_steered_json(&v->modules[i]));
            return;
        }
    gr_http_reply_json(ret, 200, cJSON_CreateObject());
}

// The module that the path names and the order that the body holds.
static bool take_order(const struct gr_http_request *q, const char *module, enum gr_order_verb verb,
                       struct gr_name *ret_module, struct gr_order *ret_order,
                       struct gr_http_reply *reply)
{
    struct gr_error e = {0};
    *ret_order = (struct gr_order){.verb = verb, .rollout = -1, .step = -1};
    int k = gr_name_parse(module, strlen(module), ret_module);
    if (k < 0)
        gr_error_set(&e, k, GR_REASON_NONE, "%.64s is not a module's name", module);
    else
        k = order_parse(q, ret_order, &e);
    if (k < 0) {
        e.code = k;
        gr_route_error(reply, &e);
    }
    return k == 0;
}

static void steer(struct gr_control *c, const struct gr_http_request *q, const char *module,
                  enum gr_order_verb verb, struct gr_http_reply *ret)
{
    struct gr_order o;
    struct gr_name name;
    struct gr_error e = {0};
    if (!c->ops.steer) {
        gr_route_refuse(ret, -ENOSYS, "this host does not do that");
        return;
    }
    if (!take_order(q, module, verb, &name, &o, ret))
        return;
    int k = c->ops.steer(c->ops.userdata, &name, &o, &e);
    if (k == 0) {
        reply_where(c, name.s, ret);
        return;
    }
    e.code = k;
    gr_route_error(ret, &e);
}

void gr_post_promote(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                     struct gr_http_reply *ret)
{
    steer(c, q, arg, GR_ORDER_PROMOTE, ret);
}
void gr_post_pause(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    steer(c, q, arg, GR_ORDER_PAUSE, ret);
}
void gr_post_resume(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                    struct gr_http_reply *ret)
{
    steer(c, q, arg, GR_ORDER_RESUME, ret);
}
// Answers as undo does: what the desired state has to become.
void gr_post_abort(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    struct gr_order o;
    struct gr_name name;
    struct gr_error e = {0};
    cJSON *answer = NULL;
    if (!c->ops.abort) {
        gr_route_refuse(ret, -ENOSYS, "this host does not do that");
        return;
    }
    if (!take_order(q, arg, GR_ORDER_ABORT, &name, &o, ret))
        return;
    e.code = c->ops.abort(c->ops.userdata, &name, &o, &answer, &e);
    if (e.code == 0)
        gr_http_reply_json(ret, 200, answer);
    else
        gr_route_error(ret, &e);
}
void gr_post_retry(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    steer(c, q, arg, GR_ORDER_RETRY, ret);
}
