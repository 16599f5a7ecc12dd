// The life of one request: sent, retried elsewhere, logged in again, and its answer judged. The
// bodies are etcd-codec's.
#include "base/clock.h"
#include "base/limits.h"
#include "watchers/etcd-internal.h"
#include <errno.h>
#include <string.h>

// Longer than etcd's own 7 s, so that its words arrive.
#define CALL_DEFAULT_USEC (10 * GR_USEC_PER_SEC)

static void call_free(struct gr_etcd_call *call)
{
    if (!call)
        return;
    gr_transfer_cancel(call->transfer);
    sd_event_source_disable_unref(call->deferred);
    gr_buf_done(&call->answer);
    if (call->kind == GR_ETCD_CALL_LOGIN)
        explicit_bzero(call->body, strlen(call->body));
    free(call->body);
    free(call);
}

// Reports and frees. The receiver may cancel other calls or free the client.
static void finish_call(struct gr_etcd_call *call, const struct gr_etcd_result *r)
{
    LIST_REMOVE(call, link);
    call->transfer = NULL;
    call->finishing = true;
    if (call->client->login == call)
        call->client->login = NULL;
    if (call->done)
        call->done(call->userdata, r);
    call_free(call);
}

static int on_deferred(sd_event_source *s, void *userdata)
{
    (void)s;
    struct gr_etcd_call *call = userdata;
    finish_call(call, &call->failure);
    return 0;
}

// From places that must not call back, or where the list of calls is being walked.
void gr_etcd_call_fail_later(struct gr_etcd_call *call, const struct gr_error *e)
{
    call->failure.error = *e;
    call->waits_for_login = false;
    (void)sd_event_source_set_enabled(call->deferred, SD_EVENT_ONESHOT);
}

int gr_etcd_call_new(struct gr_etcd *c, enum gr_etcd_call_kind kind, const char *path, char *body,
                     uint64_t timeout_usec, gr_etcd_done done, void *userdata,
                     struct gr_etcd_call **ret, struct gr_error *e)
{
    struct gr_etcd_call *call = body ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        free(body);
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    }
    *call = (struct gr_etcd_call){
        .client = c,
        .kind = kind,
        .path = path,
        .body = body,
        .timeout_usec = timeout_usec ? timeout_usec : CALL_DEFAULT_USEC,
        .done = done,
        .userdata = userdata,
        .answer = GR_BUF(GR_ETCD_RANGE_BYTES_MAX),
        .tries_left = c->pinned ? 0 : c->n_endpoints - 1,
    };
    if (sd_event_add_defer(c->event, &call->deferred, on_deferred, call) < 0 ||
        sd_event_source_set_enabled(call->deferred, SD_EVENT_OFF) < 0) {
        call_free(call);
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    }
    LIST_INSERT_HEAD(&c->calls, call, link);
    gr_etcd_call_try(call);
    if (ret)
        *ret = call;
    return 0;
}

static int on_call_data(void *userdata, const void *bytes, size_t len)
{
    struct gr_etcd_call *call = userdata;
    return gr_buf_append(&call->answer, bytes, len);
}

static const char *endpoint_of(const struct gr_etcd_call *call)
{
    return call->client->endpoints[call->endpoint];
}

// Away from the endpoint that failed, unless another call has done so already.
static void leave_endpoint(struct gr_etcd_call *call)
{
    struct gr_etcd *c = call->client;
    if (!c->pinned && c->current == call->endpoint)
        gr_etcd_next_endpoint(c);
}

static void retry_elsewhere(struct gr_etcd_call *call)
{
    call->tries_left--;
    leave_endpoint(call);
    gr_buf_clear(&call->answer);
    gr_etcd_call_try(call);
}

static void unreachable(struct gr_etcd_call *call, const struct gr_transfer_result *t)
{
    bool safe = call->kind != GR_ETCD_CALL_ONCE || !t->connected;
    if (safe && call->tries_left > 0) {
        retry_elsewhere(call);
        return;
    }
    struct gr_etcd_result r = {.ambiguous = !safe};
    gr_error_set_retryable(&r.error, -EHOSTUNREACH, GR_REASON_SOURCE_UNREACHABLE,
                           "etcd at %s did not answer %s: %s. Check that it runs, that it is "
                           "reachable from here and that its TLS settings match.",
                           endpoint_of(call), call->path, t->message);
    leave_endpoint(call);
    finish_call(call, &r);
}

static enum gr_reason reason_of(const struct gr_etcd_complaint *c)
{
    if (strstr(c->message, "database space exceeded"))
        return GR_REASON_DISK_FULL;
    if (strstr(c->message, "too large") ||
        (c->grpc_code == GR_GRPC_EXHAUSTED && strstr(c->message, "larger than")))
        return GR_REASON_TOO_LARGE;
    return GR_REASON_SOURCE_UNREACHABLE;
}

static const char *remedy_of(long http_status, const struct gr_etcd_complaint *c)
{
    if (strstr(c->message, "database space exceeded"))
        return "Compact and defragment etcd, then clear its NOSPACE alarm";
    if (http_status == 404 && !c->grpc_code)
        return "The JSON gateway is off or behind another path: set enable-grpc-gateway: true in "
               "etcd's configuration";
    if (http_status == 403 || c->grpc_code == GR_GRPC_PERMISSION_DENIED)
        return "Grant the role of this user read access to /modules/ and write access to "
               "/grayling/";
    if (strstr(c->message, "CommonName of client"))
        return "Use a client certificate without a CN, together with user and password";
    if (c->grpc_code == GR_GRPC_UNAVAILABLE)
        return "The member has no leader or cannot reach a quorum: look at etcd's health";
    return "Look at etcd's log for the cause";
}

static void refused(struct gr_etcd_call *call, long http_status)
{
    struct gr_etcd *c = call->client;
    struct gr_etcd_complaint why;
    size_t len = call->answer.len < GR_ETCD_COMPLAINT_BYTES_MAX ? call->answer.len
                                                                : GR_ETCD_COMPLAINT_BYTES_MAX;
    gr_etcd_complaint_parse(call->answer.data, len, &why);
    if (c->user && call->kind != GR_ETCD_CALL_LOGIN && !call->logged_in_again &&
        gr_etcd_complaint_wants_login(http_status, &why)) {
        call->logged_in_again = true;
        gr_etcd_forget_token(c);
        gr_buf_clear(&call->answer);
        gr_etcd_call_try(call);
        return;
    }
    bool unavailable = http_status >= 500 || why.grpc_code == GR_GRPC_UNAVAILABLE;
    if (unavailable && call->kind != GR_ETCD_CALL_ONCE && call->tries_left > 0) {
        retry_elsewhere(call);
        return;
    }
    struct gr_etcd_result r = {.grpc_code = why.grpc_code,
                               .ambiguous = unavailable && call->kind == GR_ETCD_CALL_ONCE};
    gr_error_set(&r.error, -EREMOTEIO, reason_of(&why),
                 "etcd at %s refused %s with HTTP %ld: %s. %s.", endpoint_of(call), call->path,
                 http_status, why.message, remedy_of(http_status, &why));
    r.error.retryable = unavailable;
    if (unavailable)
        leave_endpoint(call);
    finish_call(call, &r);
}

static void answered(struct gr_etcd_call *call)
{
    struct gr_etcd_result r = {0};
    struct gr_etcd *c = call->client;
    char *token = NULL;
    int code = gr_etcd_answer_parse(call->answer.data, call->answer.len, &r, &token, &r.error);
    if (code < 0) {
        r.error.reason = GR_REASON_SOURCE_UNREACHABLE;
        gr_error_wrap(&r.error, "etcd at %s, %s", endpoint_of(call), call->path);
        r.ambiguous = call->kind == GR_ETCD_CALL_ONCE;
    } else if (call->kind == GR_ETCD_CALL_KEEPALIVE && r.ttl_sec <= 0) {
        r.grpc_code = GR_GRPC_NOT_FOUND; // HTTP 200 without TTL (FACTS-ETCD, trap 14)
        gr_error_set(&r.error, -ENOENT, GR_REASON_SOURCE_UNREACHABLE,
                     "The lease %lld has expired in etcd at %s; a new one must be granted.",
                     (long long)r.lease, endpoint_of(call));
    } else if (call->kind == GR_ETCD_CALL_LOGIN && token) {
        free(c->token);
        c->token = gr_steal(token);
    } else if (call->kind == GR_ETCD_CALL_LOGIN) {
        gr_error_set(&r.error, -EBADMSG, GR_REASON_SOURCE_UNREACHABLE,
                     "etcd at %s accepted the password but sent no token.", endpoint_of(call));
    }
    free(token);
    finish_call(call, &r);
    gr_etcd_result_done(&r);
}

static void on_call_done(void *userdata, const struct gr_transfer_result *t)
{
    struct gr_etcd_call *call = userdata;
    call->transfer = NULL;
    if (t->code != CURLE_OK)
        unreachable(call, t);
    else if (t->http_status == 200)
        answered(call);
    else
        refused(call, t->http_status);
}

void gr_etcd_call_try(struct gr_etcd_call *call)
{
    struct gr_etcd *c = call->client;
    struct gr_error e = {0};
    if (c->user && !c->token && !c->without_auth && call->kind != GR_ETCD_CALL_LOGIN) {
        call->waits_for_login = true;
        if (gr_etcd_log_in(c, &e) < 0)
            gr_etcd_call_fail_later(call, &e);
        return;
    }
    call->endpoint = c->current;
    GR_AUTO_BUF struct gr_buf url = GR_BUF(4096), authorization = GR_BUF(16384);
    const char *headers[4];
    struct gr_transfer_options o = {
        .body = call->body,
        .body_len = strlen(call->body),
        .timeout_usec = call->timeout_usec,
        .max_bytes = GR_ETCD_RANGE_BYTES_MAX,
        .userdata = call,
        .on_data = on_call_data,
        .on_done = on_call_done,
    };
    int r = gr_etcd_set_target(c, call->path, call->kind != GR_ETCD_CALL_LOGIN, headers, &url,
                               &authorization, &o);
    if (r >= 0)
        r = gr_transfer_start(c->transport, &o, &call->transfer, &e);
    else
        gr_error_set_retryable(&e, r, GR_REASON_INTERNAL, "Out of memory.");
    if (r < 0)
        gr_etcd_call_fail_later(call, &e);
}

void gr_etcd_cancel(struct gr_etcd_call *call)
{
    if (!call || call->finishing)
        return;
    if (call->client->login == call)
        call->client->login = NULL;
    LIST_REMOVE(call, link);
    call_free(call);
}
