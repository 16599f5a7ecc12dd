// The control socket's questions: status, history, events, quarantine, configuration. Nothing here
// changes anything.
#include "base/limits.h"
#include "control/control-routes.h"
#include "control/journal-json.h"
#include "control/json-add.h"
#include "control/view-json.h"
#include <errno.h>
#include <string.h>

static bool number_of(const struct gr_http_request *q, const char *name, int64_t max, int64_t *ret,
                      struct gr_http_reply *reply)
{
    const char *text = gr_http_query(q, name);
    char *end;
    if (!text)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < 0 || n > max) {
        gr_route_refuse(reply, -EINVAL, "%s=%.32s: expected a number from 0 to %lld", name, text,
                        (long long)max);
        return false;
    }
    *ret = n;
    return true;
}

// With ?after=GENERATION&wait=: true when the state is still the one that the client has, and *ret
// says "not yet".
static bool is_unchanged(struct gr_control *c, const struct gr_http_request *q, bool *ret_refused,
                         struct gr_http_reply *ret)
{
    int64_t after = -1;
    uint64_t wait_usec;
    *ret_refused =
        !number_of(q, "after", INT64_MAX, &after, ret) || !gr_route_wait(q, &wait_usec, ret);
    if (*ret_refused || after < 0 || (uint64_t)after != c->generation || !wait_usec || q->expired)
        return false;
    ret->wait_usec = wait_usec;
    return true;
}

static void reply_with_generation(struct gr_control *c, cJSON *take, struct gr_http_reply *ret)
{
    bool ok = take && gr_json_add_uint(take, "generation", c->generation);
    gr_http_reply_json(ret, 200, gr_json_whole(take, ok));
}

void gr_get_status(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    bool refused;
    (void)arg;
    if (is_unchanged(c, q, &refused, ret) || refused)
        return;
    reply_with_generation(c, gr_view_to_json(c->ops.view(c->ops.userdata)), ret);
}

void gr_get_modules(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                    struct gr_http_reply *ret)
{
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    cJSON *o = cJSON_CreateObject(), *modules = o ? cJSON_AddArrayToObject(o, "modules") : NULL;
    bool ok = modules;
    (void)q, (void)arg;
    for (size_t i = 0; ok && i < v->n_modules; i++)
        ok = gr_json_push(modules, gr_view_module_to_json(&v->modules[i]));
    reply_with_generation(c, gr_json_whole(o, ok), ret);
}

void gr_get_module(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    bool refused;
    if (is_unchanged(c, q, &refused, ret) || refused)
        return;
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    for (size_t i = 0; i < v->n_modules; i++)
        if (!strcmp(v->modules[i].module.s, arg)) {
            reply_with_generation(c, gr_view_module_to_json(&v->modules[i]), ret);
            return;
        }
    gr_route_refuse(ret, -ENOENT,
                    "there is no module %s on this host; grayctl list shows which there are, "
                    "grayctl apply makes one",
                    arg);
}

void gr_get_history(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                    struct gr_http_reply *ret)
{
    struct gr_rollout_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    int64_t limit = 50;
    (void)arg;
    if (!number_of(q, "limit", GR_HISTORY_ROWS_MAX, &limit, ret))
        return;
    if (gr_journal_history(c->ops.journal(c->ops.userdata), gr_http_query(q, "module"),
                           (size_t)limit, &rows, &n, &e) < 0) {
        gr_route_error(ret, &e);
        return;
    }
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "rollouts") : NULL;
    bool ok = list;
    for (size_t i = 0; i < n; i++) {
        ok = ok && gr_json_push(list, gr_rollout_row_to_json(&rows[i]));
        gr_rollout_row_done(&rows[i]);
    }
    free(rows);
    gr_http_reply_json(ret, 200, gr_json_whole(o, ok));
}

void gr_get_events(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    GR_AUTO_FREE struct gr_event_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    int64_t after = 0, limit = GR_EVENTS_MAX;
    uint64_t wait_usec;
    (void)arg;
    if (!number_of(q, "after", INT64_MAX, &after, ret) ||
        !number_of(q, "limit", GR_EVENTS_MAX, &limit, ret) || !gr_route_wait(q, &wait_usec, ret))
        return;
    if (gr_journal_events(c->ops.journal(c->ops.userdata), after, (size_t)limit, &rows, &n, &e) <
        0) {
        gr_route_error(ret, &e);
        return;
    }
    if (n == 0 && wait_usec && !q->expired) {
        ret->wait_usec = wait_usec;
        return;
    }
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "events") : NULL;
    bool ok = list;
    for (size_t i = 0; ok && i < n; i++)
        ok = gr_json_push(list, gr_event_row_to_json(&rows[i]));
    ok = ok && gr_json_add_int(o, "last", n ? rows[n - 1].seq : after);
    gr_http_reply_json(ret, 200, gr_json_whole(o, ok));
}

void gr_get_quarantine(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                       struct gr_http_reply *ret)
{
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    cJSON *o = cJSON_CreateObject(), *list = o ? cJSON_AddArrayToObject(o, "quarantine") : NULL;
    bool ok = list;
    (void)q, (void)arg;
    for (size_t i = 0; ok && i < v->n_convictions; i++)
        ok = gr_json_push(list, gr_conviction_to_json(&v->convictions[i]));
    gr_http_reply_json(ret, 200, gr_json_whole(o, ok));
}

void gr_get_config(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    (void)q, (void)arg;
    if (!c->ops.config) {
        gr_route_refuse(ret, -ENOSYS, "this host does not show its configuration");
        return;
    }
    char *text = strdup(c->ops.config(c->ops.userdata));
    *ret = (struct gr_http_reply){.status = text ? 200 : 500,
                                  .content_type = "text/plain; charset=utf-8",
                                  .body = text,
                                  .body_len = text ? strlen(text) : 0};
}
