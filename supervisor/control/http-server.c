// Drives libmicrohttpd from sd-event: its epoll descriptor is one source, its next timeout another.
// A waiting request is a suspended connection with a timer of its own; a stream that has nothing to
// say is one without.
#include "control/http-server.h"
#include "base/clock.h"
#include "base/limits.h"
#include "control/http-negotiate.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <string.h>

#define STREAM_BLOCK_BYTES 16384 // given to the socket at once

struct exchange { // one request on its way
    struct gr_http_server *server;
    struct MHD_Connection *connection;
    struct gr_buf body;
    bool too_large, suspended, expired;
    struct gr_mono deadline; // of its wait, from the first time that it had to; 0: never had to
    sd_event_source *timer;
    struct gr_http_stream stream;
    struct gr_buf said;    // by the stream, and not taken by the client yet
    struct exchange *next; // list of all
};
struct gr_http_server {
    struct MHD_Daemon *daemon;
    gr_http_handler handler;
    void *userdata;
    sd_event_source *io, *timeout, *wake;
    struct exchange *exchanges;
};

const char *gr_http_query(const struct gr_http_request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *gr_http_header(const struct gr_http_request *q, const char *name)
{
    return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

void gr_http_reply_json(struct gr_http_reply *ret, unsigned status, cJSON *take)
{
    char *body = take ? gr_json_format(take) : NULL;
    cJSON_Delete(take);
    *ret = (struct gr_http_reply){.status = body ? status : MHD_HTTP_INTERNAL_SERVER_ERROR,
                                  .content_type = "application/json",
                                  .body = body,
                                  .body_len = body ? strlen(body) : 0};
}

// --- the loop
// ----------------------------------------------------------------------------------------------------------

static void run(struct gr_http_server *s)
{
    MHD_UNSIGNED_LONG_LONG msec;
    MHD_run(s->daemon);
    if (MHD_get_timeout(s->daemon, &msec) != MHD_YES) {
        (void)sd_event_source_set_enabled(s->timeout, SD_EVENT_OFF);
        return;
    }
    if (sd_event_source_set_time_relative(s->timeout, msec * GR_USEC_PER_MSEC) >= 0)
        (void)sd_event_source_set_enabled(s->timeout, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source, (void)fd, (void)revents;
    run(userdata);
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    run(userdata);
    return 0;
}

static void resume(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    x->timer = sd_event_source_disable_unref(x->timer);
    MHD_resume_connection(x->connection);
}

static int on_wake(sd_event_source *source, void *userdata)
{
    struct gr_http_server *s = userdata;
    (void)source;
    for (struct exchange *x = s->exchanges; x; x = x->next)
        resume(x);
    run(s);
    return 0;
}

static int on_expired(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct exchange *x = userdata;
    struct gr_http_server *s = x->server;
    (void)source, (void)usec;
    x->expired = true;
    resume(x);
    run(s);
    return 0;
}

void gr_http_server_wake(struct gr_http_server *s)
{
    (void)sd_event_source_set_enabled(s->wake, SD_EVENT_ONESHOT);
}

// --- requests
// ----------------------------------------------------------------------------------------------------------

// A sleeping connection is not polled by libmicrohttpd, so that it would be kept until something is
// said.
static bool has_left(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

// The next bytes of a stream. None: the connection sleeps until the next wake.
static ssize_t on_read(void *userdata, uint64_t position, char *bytes, size_t max)
{
    struct exchange *x = userdata;
    (void)position;
    if (!x->said.len && x->stream.next(x->stream.userdata, &x->said) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!x->said.len) {
        if (has_left(x->connection))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        x->suspended = true;
        MHD_suspend_connection(x->connection);
        return 0;
    }
    size_t n = x->said.len < max ? x->said.len : max;
    memcpy(bytes, x->said.data, n);
    gr_buf_consume(&x->said, n);
    return (ssize_t)n;
}

static struct MHD_Response *make_response(struct exchange *x, struct gr_http_reply *reply)
{
    if (reply->stream.next) {
        x->stream = reply->stream;
        x->said = GR_BUF(reply->stream.max_bytes);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read, x,
                                                 NULL);
    }
    if (reply->fixed) // never written: the server's type has no const
        return MHD_create_response_from_buffer(reply->body_len, (void *)(uintptr_t)reply->fixed,
                                               MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body ? reply->body_len : 0, reply->body, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(reply->body);
    return response;
}

// What the client has already it is not sent again (RFC 9110 §13.1.2).
static void spare(struct exchange *x, struct gr_http_reply *reply)
{
    const char *has =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    if (reply->status != MHD_HTTP_OK || !*reply->etag || !gr_http_has_etag(has, reply->etag))
        return;
    reply->status = MHD_HTTP_NOT_MODIFIED;
    free(gr_steal(reply->body));
    reply->fixed = reply->content_type = reply->coding = NULL;
    reply->body_len = 0;
}

static enum MHD_Result queue(struct exchange *x, struct gr_http_reply *reply)
{
    spare(x, reply);
    struct MHD_Response *response = make_response(x, reply);
    if (!response)
        return MHD_NO;
    const struct gr_http_field fields[] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type},
        {MHD_HTTP_HEADER_CONTENT_ENCODING, reply->coding},
        {MHD_HTTP_HEADER_ETAG, *reply->etag ? reply->etag : NULL},
        {MHD_HTTP_HEADER_CACHE_CONTROL, *reply->etag ? "no-cache" : "no-store"},
        {"X-Content-Type-Options", "nosniff"}};
    for (size_t i = 0; i < GR_COUNT(fields); i++)
        if (fields[i].value)
            MHD_add_response_header(response, fields[i].name, fields[i].value);
    for (size_t i = 0; i < reply->n_fields; i++)
        MHD_add_response_header(response, reply->fields[i].name, reply->fields[i].value);
    enum MHD_Result r = MHD_queue_response(x->connection, reply->status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result suspend(struct exchange *x, uint64_t wait_usec)
{
    sd_event *event = sd_event_source_get_event(x->server->io);
    if (sd_event_add_time_relative(event, &x->timer, CLOCK_MONOTONIC, wait_usec, 0, on_expired, x) <
        0)
        return MHD_NO;
    x->suspended = true;
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

static enum MHD_Result answer(struct exchange *x, const char *path, const char *method)
{
    struct gr_http_reply reply = {0};
    if (x->too_large) {
        reply.status = MHD_HTTP_CONTENT_TOO_LARGE;
        return queue(x, &reply);
    }
    struct gr_http_request q = {.method = method,
                                .path = path,
                                .body = x->body.data ? x->body.data : "",
                                .body_len = x->body.len,
                                .expired = x->expired,
                                .connection = x->connection};
    x->server->handler(x->server->userdata, &q, &reply);
    return reply.status ? queue(x, &reply) : suspend(x, reply.wait_usec);
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *http_version,
                                  const char *upload, size_t *upload_size, void **context)
{
    struct gr_http_server *s = userdata;
    struct exchange *x = *context;
    (void)http_version;
    if (!x) { // the head is complete, the body is still to come
        x = calloc(1, sizeof *x);
        if (!x)
            return MHD_NO;
        *x = (struct exchange){.server = s,
                               .connection = connection,
                               .body = GR_BUF(GR_CONTROL_BYTES_MAX),
                               .next = s->exchanges};
        s->exchanges = x;
        *context = x;
        return MHD_YES;
    }
    if (*upload_size) {
        // what is too large is read to its end, so that the answer can be
        x->too_large = x->too_large || gr_buf_append(&x->body, upload, *upload_size) < 0;
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(x, path, method);
}

static void exchange_free(struct exchange *x)
{
    sd_event_source_disable_unref(x->timer);
    if (x->stream.done)
        x->stream.done(x->stream.userdata);
    gr_buf_done(&x->said);
    gr_buf_done(&x->body);
    free(x);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct gr_http_server *s = userdata;
    struct exchange *x = *context;
    (void)connection, (void)code;
    for (struct exchange **p = &s->exchanges; x && *p; p = &(*p)->next)
        if (*p == x) {
            *p = x->next;
            break;
        }
    if (x)
        exchange_free(x);
    *context = NULL;
}

// --- life
// --------------------------------------------------------------------------------------------------------------

static int add_sources(struct gr_http_server *s, sd_event *event)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || info->epoll_fd < 0)
        return -EIO;
    int r = sd_event_add_io(event, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
    if (r >= 0)
        r = sd_event_add_time(event, &s->timeout, CLOCK_MONOTONIC, 0, 0, on_timeout, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->timeout, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(event, &s->wake, on_wake, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->wake, SD_EVENT_OFF);
    return r < 0 ? r : 0;
}

int gr_http_server_new(sd_event *event, int listen_fd, gr_http_handler handler, void *userdata,
                       struct gr_http_server **ret, struct gr_error *e)
{
    GR_AUTO_CLOSE int fd = listen_fd;
    struct gr_http_server *s = calloc(1, sizeof *s);
    if (!s)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "cannot serve HTTP: out of memory");
    s->handler = handler;
    s->userdata = userdata;
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_CONNECTION_LIMIT, GR_CONTROL_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)GR_CONTROL_IDLE_SEC, MHD_OPTION_END);
    int r = -EIO;
    if (s->daemon) {
        gr_steal_fd(&fd); // closed by MHD_stop_daemon
        r = add_sources(s, event);
    }
    if (r < 0) {
        gr_http_server_free(s);
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "cannot serve HTTP: the server did not start: %s", strerror(-r));
    }
    *ret = s;
    return 0;
}

void gr_http_server_free(struct gr_http_server *s)
{
    if (!s)
        return;
    for (struct exchange *x = s->exchanges; x; x = x->next)
        resume(x); // a daemon with suspended connections cannot be stopped
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->timeout);
    sd_event_source_disable_unref(s->wake);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    free(s);
}
