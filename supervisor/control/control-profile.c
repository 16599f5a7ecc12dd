// The control socket's profiles: POST /v1/profile begins one, GET /v1/profile/{id}?wait= has its
// text.
#include "base/limits.h"
#include "control/control-routes.h"
#include "control/json-add.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_order(const struct gr_http_request *q, uint64_t *ret_hz, uint64_t *ret_usec,
                      struct gr_error *e)
{
    static const char *const allowed[] = {"hz", "usec", "actor", "reason", NULL};
    GR_AUTO_JSON cJSON *body = NULL;
    const char *text = q->body_len ? q->body : "{}";
    int r = gr_json_parse(text, strlen(text), GR_CONTROL_BYTES_MAX, &body, e);
    if (r >= 0)
        r = gr_json_check_fields(body, "", allowed, e);
    if (r >= 0)
        r = gr_json_uint(body, "", "hz", GR_JSON_OPTIONAL, 1, GR_PROFILE_HZ_MAX, ret_hz, e);
    if (r >= 0)
        r = gr_json_uint(body, "", "usec", GR_JSON_OPTIONAL, 1, GR_PROFILE_USEC_MAX, ret_usec, e);
    return r < 0 ? r : 0;
}

void gr_post_profile(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                     struct gr_http_reply *ret)
{
    struct gr_error e = {0};
    uint64_t id = 0, hz = GR_PROFILE_HZ_DEFAULT, usec = GR_PROFILE_USEC_DEFAULT;
    (void)arg;
    if (!c->ops.profile) {
        gr_route_refuse(ret, -ENOSYS, "this host does not take profiles");
        return;
    }
    int r = read_order(q, &hz, &usec, &e);
    if (r >= 0)
        r = c->ops.profile(c->ops.userdata, (unsigned)hz, usec, &id, &e);
    if (r < 0) {
        e.code = r;
        gr_route_error(ret, &e);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    bool ok = o && gr_json_add_uint(o, "profile", id) && gr_json_add_uint(o, "hz", hz) &&
              gr_json_add_uint(o, "usec", usec);
    gr_http_reply_json(ret, 200, gr_json_whole(o, ok));
}

static void reply_text(char *take, size_t len, struct gr_http_reply *ret)
{
    *ret = (struct gr_http_reply){
        .status = 200, .content_type = "text/plain; charset=utf-8", .body = take, .body_len = len};
}

void gr_get_profile(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                    struct gr_http_reply *ret)
{
    struct gr_error e = {0};
    uint64_t wait_usec;
    char *text = NULL, *end = NULL;
    size_t len = 0;
    if (!c->ops.profiled) {
        gr_route_refuse(ret, -ENOSYS, "this host does not take profiles");
        return;
    }
    if (!gr_route_wait(q, &wait_usec, ret))
        return;
    errno = 0;
    uint64_t id = strtoull(arg, &end, 10);
    if (errno || *end || strspn(arg, "0123456789") != strlen(arg))
        id = 0;
    int r = c->ops.profiled(c->ops.userdata, id, &text, &len, &e);
    if (r == 0) {
        reply_text(text, len, ret);
    } else if (r == -EINPROGRESS && wait_usec && !q->expired) {
        ret->wait_usec = wait_usec;
    } else {
        e.code = r == -EINPROGRESS ? -EBUSY : r;
        gr_route_error(ret, &e);
    }
}
