// Finds the handler for a request and gives errors their shape and status.
#include "base/clock.h"
#include "base/limits.h"
#include "base/name.h"
#include "control/control-routes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ARG_MAX_BYTES 128 // longer than any name, version or digest

static const struct {
    int code;
    unsigned status;
    const char *reason; // when the error has none of its own
} statuses[] = {
    {-ENOENT, 404, "NotFound"},        {-EINVAL, 400, "BadRequest"},
    {-EALREADY, 409, "Conflict"},      {-EBUSY, 409, "Conflict"},
    {-EEXIST, 409, "Conflict"},        {-ESTALE, 409, "Conflict"},
    {-ENOKEY, 401, "Unauthorized"},    {-EPERM, 403, "Refused"},
    {-EACCES, 403, "Refused"},         {-EKEYREJECTED, 403, "Refused"},
    {-ENOSYS, 501, "NotImplemented"},  {-EOPNOTSUPP, 405, "MethodNotAllowed"},
    {-ETIME, 504, "TimedOut"},         {-EAGAIN, 503, "Unavailable"},
    {-ECONNRESET, 503, "Unavailable"}, {-ENOTCONN, 503, "Unavailable"},
    {-ENOSPC, 507, "DiskFull"},
};

void gr_route_error(struct gr_http_reply *ret, const struct gr_error *e)
{
    unsigned status = 500;
    const char *reason = "Internal";
    for (size_t i = 0; i < GR_COUNT(statuses); i++)
        if (statuses[i].code == e->code) {
            status = statuses[i].status;
            reason = statuses[i].reason;
        }
    if (e->reason != GR_REASON_NONE && e->reason != GR_REASON_INTERNAL)
        reason = gr_reason_name(e->reason);
    cJSON *o = cJSON_CreateObject();
    if (o && cJSON_AddStringToObject(o, "reason", reason) &&
        cJSON_AddStringToObject(o, "message", e->message) &&
        cJSON_AddBoolToObject(o, "retryable", e->retryable)) {
        gr_http_reply_json(ret, status, o);
        return;
    }
    cJSON_Delete(o);
    gr_http_reply_json(ret, status, NULL);
}

void gr_route_refuse(struct gr_http_reply *ret, int code, const char *format, ...)
{
    struct gr_error e = {.code = code};
    va_list ap;
    va_start(ap, format);
    vsnprintf(e.message, sizeof e.message, format, ap);
    va_end(ap);
    gr_route_error(ret, &e);
}

bool gr_route_wait(const struct gr_http_request *q, uint64_t *ret_usec, struct gr_http_reply *ret)
{
    const char *text = gr_http_query(q, "wait");
    *ret_usec = 0;
    if (text && gr_duration_parse(text, ret_usec) < 0) {
        gr_route_refuse(ret, -EINVAL, "wait=%.32s is not a duration; expected something like 30s",
                        text);
        return false;
    }
    if (*ret_usec > GR_CONTROL_WAIT_USEC_MAX)
        *ret_usec = GR_CONTROL_WAIT_USEC_MAX;
    return true;
}

// "{}" stands for one path segment, which is copied to arg.
static bool matches(const char *pattern, const char *path, char arg[ARG_MAX_BYTES],
                    bool *ret_has_arg)
{
    *ret_has_arg = false;
    while (*pattern) {
        if (pattern[0] == '{' && pattern[1] == '}') {
            size_t len = strcspn(path, "/");
            if (len == 0 || len >= ARG_MAX_BYTES)
                return false;
            memcpy(arg, path, len);
            arg[len] = '\0';
            *ret_has_arg = true;
            path += len;
            pattern += 2;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

void gr_route_dispatch(struct gr_control *c, const struct gr_route *routes, size_t n,
                       const struct gr_http_request *q, struct gr_http_reply *ret)
{
    const char *method = strcmp(q->method, "HEAD") ? q->method : "GET", *other = NULL;
    for (size_t i = 0; i < n; i++) {
        char arg[ARG_MAX_BYTES];
        bool has_arg;
        if (!matches(routes[i].pattern, q->path, arg, &has_arg))
            continue;
        if (!strcmp(routes[i].method, method)) {
            routes[i].handler(c, q, has_arg ? arg : NULL, ret);
            return;
        }
        other = routes[i].method;
    }
    if (other)
        gr_route_refuse(ret, -EOPNOTSUPP, "%.16s %.200s: expected %s", q->method, q->path, other);
    else
        gr_route_refuse(ret, -ENOENT, "there is no %.200s here", q->path);
}
