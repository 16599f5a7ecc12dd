// Connect's checks in the order in which a client can mend them, then the call.
#include "worker/route.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "worker/errand.h"
#include "worker/lane.h"
#include "worker/metadata.h"
#include "worker/reply.h"
#include "worker/seat.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

static enum MHD_Result refuse(struct gr_exchange *x, int32_t code, const char *message)
{
    return gr_reply_refusal(
        x,
        &(struct gr_refusal){.status = gr_connect_status(code), .code = code, .message = message});
}

enum MHD_Result gr_route_refuse_oversized(struct gr_exchange *x)
{
    char message[96];
    snprintf(message, sizeof message, "the body is too large: at most %u bytes are accepted",
             GR_REQUEST_BYTES_MAX);
    return refuse(x, GRAYLING_RESOURCE_EXHAUSTED, message);
}

// --- pages of the door
// ------------------------------------------------------------------------------------------------

static enum MHD_Result refuse_method(struct gr_exchange *x, const char *allow)
{
    return gr_reply_refusal(x, &(struct gr_refusal){.status = MHD_HTTP_METHOD_NOT_ALLOWED,
                                                    .code = GRAYLING_UNIMPLEMENTED,
                                                    .message = "this path takes another method",
                                                    .header = MHD_HTTP_HEADER_ALLOW,
                                                    .header_value = allow});
}

// Lines of a page, one for each stable version whose breaker is not closed.
struct broken {
    struct gr_buf text;
    bool open; // one of them refuses every call
};

static void add_broken(void *userdata, const char *module, const char *version,
                       enum gr_breaker_state state, uint64_t left_usec)
{
    struct broken *b = userdata;
    char left[32];
    int r = 0;
    if (state == GR_BREAKER_OPEN)
        r = gr_buf_printf(&b->text, "%s %s: breaker open, half-open in %s\n", module, version,
                          gr_duration_format(left_usec, left));
    else
        r = gr_buf_printf(&b->text, "%s %s: breaker half-open\n", module, version);
    b->open |= r < 0 || state == GR_BREAKER_OPEN;
}

// Healthy is about the process, which does well to go on; ready is about requests, which another
// host may answer.
static enum MHD_Result health(struct gr_exchange *x, bool ready)
{
    GR_AUTO_BUF struct gr_buf text = GR_BUF(GR_MODULES_MAX * 256);
    struct broken b = {.text = GR_BUF(GR_MODULES_MAX * 256)};
    gr_dispatch_each_broken(x->service->dispatch, add_broken, &b);
    const char *word = !b.text.len ? "ok" : ready && b.open ? "unavailable" : "degraded";
    int r = gr_buf_printf(&text, "%s\n%s", word, b.text.len ? b.text.data : "");
    gr_buf_done(&b.text);
    return r < 0 ? MHD_NO
                 : gr_reply_text(x, ready && b.open ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                                 text.data);
}

static enum MHD_Result page(struct gr_exchange *x, const char *name, const char *method)
{
    bool ready = strcmp(name, "ready") == 0;
    if (!ready && strcmp(name, "healthy") != 0)
        return gr_reply_text(x, MHD_HTTP_NOT_FOUND, "no such page; there are healthy and ready\n");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return refuse_method(x, "GET, HEAD");
    if (ready && atomic_load(&x->service->draining))
        return gr_reply_text(x, MHD_HTTP_SERVICE_UNAVAILABLE, "draining\n");
    return health(x, ready);
}

// --- calls
// ------------------------------------------------------------------------------------------------

// Unique among the threads and workers of this host as far as 64 random bits go; logs need no more.
static void make_request_id(char id[GR_REQUEST_ID_MAX + 1])
{
    static _Thread_local uint64_t prefix, count;
    if (prefix == 0 && getrandom(&prefix, sizeof prefix, 0) != sizeof prefix)
        prefix = (uint64_t)(uintptr_t)&prefix ^ gr_mono_now().usec;
    snprintf(id, GR_REQUEST_ID_MAX + 1, "%016jx-%jx", (uintmax_t)prefix, (uintmax_t)count++);
}

static void resume(struct gr_waiter *w)
{
    char *x = (char *)w - offsetof(struct gr_exchange, waiter);
    gr_lane_resume((struct gr_exchange *)(void *)x);
}

// Suspended before it is enqueued: the gates may open, and resume() come, at any time after.
// Whoever cannot wait comes back at once, by the same way.
static enum MHD_Result park(struct gr_exchange *x, const struct grayling_request *q)
{
    x->waiter.resume = resume;
    MHD_suspend_connection(x->connection);
    int r = gr_dispatch_park(x->service->dispatch, q, &x->waiter);
    if (r == 0)
        return MHD_YES; // the exchange may already be another thread's
    x->nowhere_to_wait = r == -ENOBUFS;
    gr_lane_resume(x);
    return MHD_YES;
}

// The names and fields of the request are the connection's and gone when it ends; its body and the
// answer can wait until then.
static void begin_shadow(struct gr_exchange *x, struct gr_thread *seat,
                         const struct grayling_request *q)
{
    const struct gr_shadow_turn *turn = &x->response.shadow;
    uint64_t allowed = q->deadline_usec ? q->deadline_usec - x->received.usec : 0;
    x->shadow = gr_shadow_copy_new(q, turn, allowed);
    if (!x->shadow)
        gr_shadow_lost(seat, q, turn);
}

static void record(const struct gr_exchange *x, const struct grayling_request *q)
{
    const struct gr_response *a = &x->response;
    uint64_t took = gr_mono_now().usec - x->received.usec;
    struct gr_span s = {.parent = x->trace.parent,
                        .began = {gr_wall_now().usec - (int64_t)took},
                        .took_usec = took,
                        .code = a->code,
                        .candidate = a->candidate,
                        .rescued = a->rescued};
    memcpy(s.span_id, x->trace.span_id, sizeof s.span_id);
    memcpy(s.request_id, x->request_id, sizeof s.request_id);
    snprintf(s.module, sizeof s.module, "%s", a->module);
    snprintf(s.version, sizeof s.version, "%s", a->version);
    snprintf(s.interface_name, sizeof s.interface_name, "%s", q->interface_name);
    snprintf(s.method_name, sizeof s.method_name, "%s", q->method_name);
    gr_spans_add(x->service->spans, &s);
}

void gr_route_settle(struct gr_exchange *x, struct gr_thread *seat,
                     const struct grayling_request *q, enum gr_call_result result, bool given_up)
{
    x->given_up = given_up;
    if (given_up && result == GR_CALL_DONE)
        gr_response_done(x->service->dispatch, &x->response);
    if (!given_up && result == GR_CALL_PARKED) {
        x->waiter.resume = resume;
        int r = gr_dispatch_park(x->service->dispatch, q, &x->waiter);
        if (r == 0)
            return;
        x->nowhere_to_wait = r == -ENOBUFS;
    } else if (!given_up) {
        x->called = x->answered = true;
        x->codec = q->codec;
        if (x->trace.recorded)
            record(x, q);
        if (x->response.shadow.chosen)
            begin_shadow(x, seat, q);
    }
    gr_lane_resume(x);
}

// The end of a call that lasted, on a thread that must not return to the library. `errand`: it did
// not run, but is to be sent.
static _Noreturn void deliver(struct gr_exchange *x, struct gr_thread *seat,
                              const struct grayling_request *q, enum gr_call_result result,
                              struct gr_errand *errand, bool given_up)
{
    if (errand)
        gr_errand_send(errand);
    else
        gr_route_settle(x, seat, q, result, given_up);
    gr_lane_leave();
}

static bool reserve(void *userdata, unsigned slot)
{
    struct gr_exchange *x = userdata;
    return gr_pool_reserve(x->service->pool, slot);
}

// Runs it, or finds a place for it: then *ret_errand is what is to be sent there.
static enum gr_call_result run(struct gr_exchange *x, struct gr_thread *seat,
                               const struct grayling_request *q, const struct gr_metadata *m,
                               struct gr_errand **ret_errand)
{
    x->place.reserve = reserve;
    x->place.userdata = x;
    enum gr_call_result result = gr_dispatch_place(seat, q, &x->place, &x->response);
    if (__builtin_expect(result != GR_CALL_PLACED, 1))
        return result;
    *ret_errand = gr_errand_new(x, q, m);
    if (*ret_errand)
        return result;
    gr_pool_cancel(x->service->pool, x->place.slot);
    x->response = (struct gr_response){.code = GRAYLING_RESOURCE_EXHAUSTED,
                                       .message = "the service is out of memory; try again"};
    return GR_CALL_DONE;
}

static enum MHD_Result call(struct gr_exchange *x, struct grayling_request *q,
                            const struct gr_metadata *m)
{
    if (x->nowhere_to_wait)
        return refuse(x, GRAYLING_UNAVAILABLE,
                      "a change is being made and too many requests wait for it; try again");
    if (x->late)
        return refuse(x, GRAYLING_DEADLINE_EXCEEDED,
                      "the deadline passed while the call waited for one of its module's threads");
    struct gr_thread *seat = gr_seat_take(x->service->dispatch);
    if (!seat)
        return refuse(x, GRAYLING_UNAVAILABLE, "no dispatch thread is free; try again");
    struct gr_errand *errand = NULL;
    gr_lane_begin(x, seat);
    enum gr_call_result result = run(x, seat, q, m, &errand);
    enum gr_lane_end end = gr_lane_end();
    if (__builtin_expect(end != GR_LANE_KEPT, 0))
        deliver(x, seat, q, result, errand, end == GR_LANE_GIVEN_UP);
    if (result == GR_CALL_PARKED)
        return park(x, q);
    if (errand) {
        MHD_suspend_connection(x->connection);
        gr_errand_send(errand); // the exchange may already be another thread's
        return MHD_YES;
    }
    x->called = true;
    if (x->trace.recorded)
        record(x, q);
    if (x->response.shadow.chosen)
        begin_shadow(x, seat, q);
    return gr_reply_response(x, q->codec);
}

// NULL: the protocol's headers are in order; *ret_deadline is 0 without one.
static const char *read_protocol(const struct gr_metadata *m, struct gr_mono received,
                                 uint64_t *ret_deadline)
{
    const char *version = gr_metadata_find(m, "connect-protocol-version");
    if (version && strcmp(version, "1") != 0)
        return "connect-protocol-version: expected 1";
    const char *timeout = gr_metadata_find(m, "connect-timeout-ms");
    uint64_t usec;
    *ret_deadline = 0;
    if (timeout && gr_connect_timeout_parse(timeout, &usec) < 0)
        return "connect-timeout-ms: expected one to ten digits";
    if (timeout)
        *ret_deadline = received.usec + usec;
    return NULL;
}

static enum MHD_Result connect_call(struct gr_exchange *x, const struct gr_connect_path *path,
                                    const struct gr_metadata *m)
{
    uint32_t codec = gr_connect_codec(gr_metadata_find(m, "content-type"));
    if (codec == 0)
        return gr_reply_refusal(
            x, &(struct gr_refusal){.status = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    .code = GRAYLING_INVALID_ARGUMENT,
                                    .message = "content-type: expected application/json or "
                                               "application/proto",
                                    .header = "Accept-Post",
                                    .header_value = "application/json, application/proto"});
    const char *encoding = gr_metadata_find(m, "content-encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0)
        return refuse(x, GRAYLING_UNIMPLEMENTED,
                      "content-encoding: compressed bodies are not accepted; send identity");
    uint64_t deadline;
    const char *why = read_protocol(m, x->received, &deadline);
    if (why)
        return refuse(x, GRAYLING_INVALID_ARGUMENT, why);
    return call(x,
                &(struct grayling_request){
                    .struct_size = sizeof(struct grayling_request),
                    .interface_name = path->interface_name,
                    .method_name = path->method_name,
                    .codec = codec,
                    .n_headers = m->n,
                    .headers = m->list,
                    .payload = {x->body, x->body_len},
                    .deadline_usec = deadline,
                    .request_id = x->request_id,
                },
                m);
}

enum MHD_Result gr_route_request(struct gr_exchange *x, const char *path, const char *method)
{
    if (strncmp(path, "/-/", 3) == 0)
        return page(x, path + 3, method);
    struct gr_connect_path name;
    if (gr_connect_path_parse(path, &name) < 0)
        return gr_reply_refusal(
            x, &(struct gr_refusal){.status = MHD_HTTP_NOT_FOUND,
                                    .code = GRAYLING_UNIMPLEMENTED,
                                    .message = "expected a path of the form /interface/method"});
    if (strcmp(method, "POST") != 0)
        return refuse_method(x, "POST");
    struct gr_metadata m GR_UNINITIALIZED;
    if (gr_metadata_read(x->connection, &m) < 0)
        return refuse(x, GRAYLING_RESOURCE_EXHAUSTED, "too many header fields");
    const char *id = gr_metadata_find(&m, "x-request-id");
    if (id && gr_connect_request_id_ok(id))
        memcpy(x->request_id, id, strlen(id) + 1);
    else if (!x->request_id[0])
        make_request_id(x->request_id);
    gr_trace_apply(&x->trace, x->service->spans, &m);
    if (x->oversized)
        return gr_route_refuse_oversized(x);
    return connect_call(x, &name, &m);
}
