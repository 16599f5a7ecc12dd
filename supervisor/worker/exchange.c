// The life of one request. The guard judges its head before a byte of the body is read; refusals
// that are not about framing wait for the whole body, so that the connection stays usable.
#include "worker/exchange.h"
#include "base/limits.h"
#include "worker/access-log.h"
#include "worker/guard-http.h"
#include "worker/lane.h"
#include "worker/reply.h"
#include "worker/route.h"
#include "worker/seat.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define BODY_FIRST_BYTES 1024u // allocated when the length is not announced

void *gr_exchange_begin(void *service, const char *target, struct MHD_Connection *c)
{
    struct gr_exchange *x = malloc(sizeof *x);
    if (!x)
        return NULL;
    struct gr_service *s = service;
    gr_lane_progress();
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *x = (struct gr_exchange){
        .service = s,
        .connection = c,
        .visitor = info ? info->socket_context : NULL,
        .target = target,
        .target_len = target ? strlen(target) : 0,
    };
    x->target_fault = gr_guard_target(target, x->target_len);
    x->escaped = x->target_len > 0 && memchr(target, '%', strcspn(target, "?"));
    gr_visitor_set(&s->visitors, x->visitor, GR_VISIT_HEAD);
    return x;
}

// The answer is sent, or nobody wants it any more.
static void offer_shadow(struct gr_exchange *x)
{
    struct gr_thread *seat = gr_seat_take(x->service->dispatch);
    struct gr_shadow_copy *c = gr_steal(x->shadow);
    int r = gr_shadow_copy_complete(c, gr_steal(x->body), x->body_len, &x->response);
    if (r == 0 && seat) {
        gr_shadow_offer(x->service->shadow, seat, c);
        return;
    }
    if (seat)
        gr_shadow_lost(seat, &c->request, &c->turn);
    gr_shadow_copy_free(c);
}

void gr_exchange_end(void *service, struct MHD_Connection *c, void **exchange,
                     enum MHD_RequestTerminationCode code)
{
    struct gr_exchange *x = *exchange;
    (void)c, (void)code;
    if (!x)
        return;
    *exchange = NULL;
    if (x->shadow)
        offer_shadow(x);
    if (x->called)
        gr_response_done(((struct gr_service *)service)->dispatch, &x->response);
    if (!x->given_up)
        gr_visitor_set(&x->service->visitors, x->visitor, GR_VISIT_IDLE);
    free(x->body);
    free(x);
}

// --- the head
// ------------------------------------------------------------------------------------------------

struct fields {
    struct gr_head_field list[GR_HEADERS_MAX];
    size_t n;
};

static enum MHD_Result collect(void *userdata, enum MHD_ValueKind kind, const char *key,
                               size_t key_size, const char *value, size_t value_size)
{
    struct fields *f = userdata;
    (void)kind;
    if (f->n == GR_COUNT(f->list))
        return MHD_NO;
    f->list[f->n++] = (struct gr_head_field){key, key_size, value, value_size};
    return MHD_YES;
}

static enum MHD_Result refuse_framing(struct gr_exchange *x, unsigned status, const char *why)
{
    gr_stats_refused_framing_add(x->service->stats);
    return gr_reply_refusal(
        x, &(struct gr_refusal){
               .status = status, .code = GRAYLING_INVALID_ARGUMENT, .message = why, .close = true});
}

// Whether to read on past a body that is too large: only then the peer is sure to see the answer.
static enum MHD_Result plan_body(struct gr_exchange *x, const struct gr_framing *framing)
{
    const char *expect = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Expect");
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return gr_reply_refusal(x, &(struct gr_refusal){.status = MHD_HTTP_EXPECTATION_FAILED,
                                                        .code = GRAYLING_UNIMPLEMENTED,
                                                        .message = "the only expectation that can "
                                                                   "be met is 100-continue",
                                                        .close = true});
    x->chunked = framing->chunked;
    x->oversized = framing->length > GR_REQUEST_BYTES_MAX;
    if (x->oversized && (expect || framing->length > GR_DISCARD_BYTES_MAX))
        return gr_route_refuse_oversized(x);
    if (framing->has_length && framing->length > 0 && !x->oversized) {
        x->body_cap = (size_t)framing->length;
        x->body = malloc(x->body_cap);
        return x->body ? MHD_YES : MHD_NO;
    }
    return MHD_YES;
}

static enum MHD_Result on_head(struct gr_exchange *x, const char *method, const char *version)
{
    x->head_seen = true;
    x->received = gr_mono_now();
    gr_visitor_set(&x->service->visitors, x->visitor, GR_VISIT_BODY);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct fields fields GR_UNINITIALIZED;
    fields.n = 0;
    int n = MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, collect, &fields);
    if (!info || info->header_size > GR_HEADER_BYTES_MAX || n < 0 || (size_t)n != fields.n)
        return refuse_framing(x, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                              "the head is larger than 16 KiB, or has more than 100 fields");
    if (x->target_fault)
        return refuse_framing(x, MHD_HTTP_BAD_REQUEST, x->target_fault);
    struct gr_head head = {.raw = method,
                           .raw_len = info->header_size,
                           .target = x->target,
                           .target_len = x->target_len,
                           .version = version,
                           .fields = fields.list,
                           .n_fields = fields.n};
    struct gr_framing framing;
    const char *why = gr_guard_head(&head, &framing);
    return why ? refuse_framing(x, MHD_HTTP_BAD_REQUEST, why) : plan_body(x, &framing);
}

// --- the body
// ------------------------------------------------------------------------------------------------

static bool make_room(struct gr_exchange *x, size_t len)
{
    size_t cap = x->body_cap ? x->body_cap : BODY_FIRST_BYTES;
    while (cap < x->body_len + len)
        cap *= 2;
    if (cap == x->body_cap)
        return true;
    char *body = realloc(x->body, cap);
    if (!body)
        return false;
    x->body = body;
    x->body_cap = cap;
    return true;
}

static enum MHD_Result on_body(struct gr_exchange *x, const char *data, size_t len)
{
    if (x->oversized || len > GR_REQUEST_BYTES_MAX - x->body_len) {
        x->oversized = true;
        x->discarded += len;
        return x->discarded > GR_DISCARD_BYTES_MAX ? MHD_NO : MHD_YES;
    }
    if (!make_room(x, len))
        return MHD_NO;
    memcpy(x->body + x->body_len, data, len);
    x->body_len += len;
    return MHD_YES;
}

// --- the whole
// ------------------------------------------------------------------------------------------------

static enum MHD_Result on_complete(struct gr_exchange *x, const char *url, const char *method)
{
    if (x->given_up)
        return MHD_NO; // the client has its answer, and the end of the connection with it
    gr_visitor_set(&x->service->visitors, x->visitor, GR_VISIT_BUSY);
    if (x->answered)
        return gr_reply_response(x, x->codec);
    // trailers could not be checked as the head is: a field that frames or names must not come late
    if (MHD_get_connection_values(x->connection, MHD_FOOTER_KIND, NULL, NULL) != 0)
        return refuse_framing(x, MHD_HTTP_BAD_REQUEST, "trailer fields are not accepted");
    return gr_route_request(x, x->escaped ? "" : url, method);
}

static enum MHD_Result advance(struct gr_exchange *x, const char *url, const char *method,
                               const char *version, const char *data, size_t *data_size)
{
    gr_lane_progress();
    if (!x->head_seen)
        return on_head(x, method, version);
    if (*data_size == 0)
        return on_complete(x, url, method);
    size_t len = *data_size;
    *data_size = 0;
    return on_body(x, data, len);
}

enum MHD_Result gr_exchange_advance(void *service, struct MHD_Connection *c, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **exchange)
{
    struct gr_exchange *x = *exchange;
    (void)service, (void)c;
    if (!x)
        return MHD_NO; // out of memory at its beginning
    enum MHD_Result r = advance(x, url, method, version, data, data_size);
    if (x->service->access_log && x->status)
        gr_access_log(x, method, url);
    return r;
}
