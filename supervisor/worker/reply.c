// Builds responses. A module's buffer is sent from where it is and given back when the exchange
// ends.
#include "worker/reply.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void add(struct MHD_Response *r, const char *name, const char *value)
{
    (void)!MHD_add_response_header(r, name, value); // only out of memory; the answer goes without
}

// Gives up `r`; NULL ends the connection.
static enum MHD_Result queue(struct gr_exchange *x, unsigned status, struct MHD_Response *r,
                             bool close)
{
    if (!r)
        return MHD_NO;
    // What the library accepts in a chunked body it does not show; nothing may follow such a body
    // on its connection (docs/FRONT-DOOR.md).
    if (close || x->chunked || atomic_load_explicit(&x->service->draining, memory_order_relaxed))
        add(r, MHD_HTTP_HEADER_CONNECTION, "close");
    if (x->request_id[0])
        add(r, "x-request-id", x->request_id);
    x->status = status;
    char trace[GR_TRACEPARENT_TEXT_MAX];
    const char *traced = gr_trace_response(&x->trace, trace);
    if (traced)
        add(r, "traceresponse", traced);
    enum MHD_Result result = MHD_queue_response(x->connection, status, r);
    MHD_destroy_response(r);
    return result;
}

static struct MHD_Response *error_document(int32_t code, const char *message)
{
    char *body = gr_connect_error_body(code, message);
    if (!body)
        return NULL;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
    if (!r)
        free(body);
    else
        add(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return r;
}

enum MHD_Result gr_reply_refusal(struct gr_exchange *x, const struct gr_refusal *why)
{
    struct MHD_Response *r = error_document(why->code, why->message);
    if (r && why->header)
        add(r, why->header, why->header_value);
    return queue(x, why->status, r, why->close);
}

enum MHD_Result gr_reply_response(struct gr_exchange *x, uint32_t codec)
{
    const struct gr_response *answer = &x->response;
    struct MHD_Response *r;
    if (answer->code == GRAYLING_OK) {
        // the library does not write to a persistent buffer, whatever its signature says
        r = MHD_create_response_from_buffer((size_t)answer->payload.size,
                                            (void *)(uintptr_t)answer->payload.data,
                                            MHD_RESPMEM_PERSISTENT);
        if (r)
            add(r, MHD_HTTP_HEADER_CONTENT_TYPE, gr_connect_content_type(codec));
    } else {
        r = error_document(answer->code, answer->message);
    }
    if (r && answer->module[0]) {
        add(r, "x-grayling-module", answer->module);
        add(r, "x-grayling-version", answer->version);
        add(r, "x-grayling-role", answer->candidate ? "candidate" : "stable");
        if (answer->rescued)
            add(r, "x-grayling-rescued", "1");
    }
    // an unknown service or method is HTTP's 404; a module's own UNIMPLEMENTED is 501
    bool no_route = answer->code == GRAYLING_UNIMPLEMENTED && !answer->module[0];
    return queue(x, no_route ? 404 : gr_connect_status(answer->code), r, false);
}

enum MHD_Result gr_reply_text(struct gr_exchange *x, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    if (r)
        add(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    return queue(x, status, r, false);
}

// --- past the library
// ------------------------------------------------------------------------------------------------

// Nothing was sent for this request yet, so that one answer which ends the connection is whole.
static void send_last(int fd, unsigned status, const char *phrase, const char *fields, int32_t code,
                      const char *message)
{
    char text[1024];
    GR_AUTO_FREE char *body = gr_connect_error_body(code, message);
    int len = body ? snprintf(text, sizeof text,
                              "HTTP/1.1 %u %s\r\nConnection: close\r\n"
                              "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
                              status, phrase, strlen(body), fields, body)
                   : 0;
    if (len > 0 && (size_t)len < sizeof text)
        (void)!send(fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The library's memory of this request is what the call may still read: it must not answer.
void gr_reply_give_up(const struct gr_exchange *x, const struct gr_overdue *o)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char fields[512];
    if (!info)
        return;
    snprintf(fields, sizeof fields,
             "x-request-id: %s\r\nx-grayling-module: %s\r\nx-grayling-version: %s\r\n"
             "x-grayling-role: %s\r\n",
             x->request_id, o->module, o->version, o->candidate ? "candidate" : "stable");
    send_last(info->connect_fd, gr_connect_status(GRAYLING_DEADLINE_EXCEEDED), "Gateway Timeout",
              fields, GRAYLING_DEADLINE_EXCEEDED,
              "the module did not answer this request within its deadline");
    shutdown(info->connect_fd, SHUT_WR);
}

void gr_reply_stalled(int fd)
{
    send_last(fd, MHD_HTTP_BAD_REQUEST, "Bad Request", "", GRAYLING_INVALID_ARGUMENT,
              "a chunk's extension is longer than is read");
}
