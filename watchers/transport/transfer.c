// One HTTP request on a transport: its options become a curl handle, its end becomes one call of
// on_done.
#include "watchers/transport/internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_DEFAULT_USEC (3 * GR_USEC_PER_SEC)
#define UNACKED_MSEC 8000 // a cut cable is noticed after so long (FACTS-ETCD §7)

static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct gr_transfer *x = userdata;
    (void)purpose;
    if (x->cancelled)
        return CURL_SOCKET_BAD;
    if (x->o.allow_address && x->o.allow_address(x->o.userdata, &a->addr, a->addrlen) < 0) {
        x->address_refused = true;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    unsigned unacked = UNACKED_MSEC; // not a TCP socket: no harm
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked, sizeof unacked);
    return fd;
}

static void note_progress(struct gr_transfer *x)
{
    x->last_byte = gr_mono_now();
}

static size_t on_header(char *bytes, size_t size, size_t n, void *userdata)
{
    struct gr_transfer *x = userdata;
    size_t len = size * n, text = len;
    if (x->cancelled)
        return 0;
    note_progress(x);
    while (text > 0 && (bytes[text - 1] == '\r' || bytes[text - 1] == '\n'))
        text--;
    int r = x->o.on_header ? x->o.on_header(x->o.userdata, bytes, text) : 0;
    if (r >= 0)
        return len;
    x->stop = GR_TRANSFER_ABORTED;
    x->abort_code = r;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata)
{
    struct gr_transfer *x = userdata;
    size_t len = size * n;
    if (x->cancelled)
        return CURL_WRITEFUNC_ERROR;
    note_progress(x);
    x->body_bytes += len;
    if (x->o.max_bytes && x->body_bytes > x->o.max_bytes) {
        x->stop = GR_TRANSFER_TOO_LARGE;
        return CURL_WRITEFUNC_ERROR;
    }
    int r = x->o.on_data ? x->o.on_data(x->o.userdata, bytes, len) : 0;
    if (r >= 0 && !x->cancelled)
        return len;
    x->stop = GR_TRANSFER_ABORTED;
    x->abort_code = r;
    return CURL_WRITEFUNC_ERROR;
}

static int on_stall_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)usec;
    struct gr_transfer *x = userdata;
    uint64_t due = x->last_byte.usec + x->o.stall_usec;
    if (gr_mono_now().usec < due && sd_event_source_set_time(s, due) >= 0 &&
        sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0)
        return 0;
    x->stop = GR_TRANSFER_STALLED;
    gr_transfer_finish(x, CURLE_OPERATION_TIMEDOUT);
    return 0;
}

static void describe(const struct gr_transfer *x, CURLcode code, struct gr_transfer_result *r)
{
    char text[32];
    switch (r->stop) {
    case GR_TRANSFER_ADDRESS_REFUSED:
        snprintf(r->message, sizeof r->message, "every address of the host is refused by policy");
        return;
    case GR_TRANSFER_TOO_LARGE:
        snprintf(r->message, sizeof r->message, "the body is larger than %llu bytes",
                 (unsigned long long)x->o.max_bytes);
        return;
    case GR_TRANSFER_STALLED:
        snprintf(r->message, sizeof r->message, "no byte came for %s",
                 gr_duration_format(x->o.stall_usec, text));
        return;
    case GR_TRANSFER_ABORTED:
        snprintf(r->message, sizeof r->message, "the receiver refused the answer");
        return;
    case GR_TRANSFER_NOT_STOPPED:
        break;
    }
    if (code != CURLE_OK)
        snprintf(r->message, sizeof r->message, "%s",
                 x->error[0] ? x->error : curl_easy_strerror(code));
}

void gr_transfer_finish(struct gr_transfer *x, CURLcode code)
{
    struct gr_transfer_result r = {.code = code, .stop = x->stop, .abort_code = x->abort_code};
    char *redirect = NULL;
    curl_off_t connected_usec = 0;
    long connects = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &r.http_status);
    curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &redirect);
    curl_easy_getinfo(x->easy, CURLINFO_CONNECT_TIME_T, &connected_usec);
    curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    snprintf(r.primary_ip, sizeof r.primary_ip, "%s", gr_transfer_primary_ip(x));
    // A pooled connection makes no new one, and still carried the request.
    r.connected = r.http_status || connected_usec > 0 || (connects == 0 && r.primary_ip[0]);
    if (code != CURLE_OK && !r.connected && x->address_refused && !r.stop)
        r.stop = GR_TRANSFER_ADDRESS_REFUSED;
    r.body_bytes = x->body_bytes;
    r.redirect_url = redirect ? redirect : "";
    describe(x, code, &r);
    sd_event_source_disable_unref(gr_steal(x->stall));
    if (x->added) {
        (void)curl_multi_remove_handle(x->transport->multi, x->easy);
        x->added = false;
    }
    x->finishing = true;
    if (x->o.on_done)
        x->o.on_done(x->o.userdata, &r);
    gr_transfer_destroy(x);
}

void gr_transfer_destroy(struct gr_transfer *x)
{
    if (!x)
        return;
    sd_event_source_disable_unref(x->stall);
    if (x->added)
        (void)curl_multi_remove_handle(x->transport->multi, x->easy);
    if (x->transport)
        LIST_REMOVE(x, link);
    curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    free(x);
}

static int set_headers(struct gr_transfer *x, const char *const *lines)
{
    static const char *const own[] = {"Expect:", NULL}; // no 100-continue round trip
    const char *const *lists[] = {own, lines};
    for (size_t l = 0; l < GR_COUNT(lists); l++)
        for (const char *const *h = lists[l]; h && *h; h++) {
            struct curl_slist *more = curl_slist_append(x->headers, *h);
            if (!more)
                return -ENOMEM;
            x->headers = more;
        }
    return curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK ? 0 : -ENOMEM;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        CURLcode code_ = curl_easy_setopt(x->easy, option, value);                                 \
        if (code_ != CURLE_OK)                                                                     \
            return code_ == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;                               \
    } while (0)

static int set_request(struct gr_transfer *x, const struct gr_transfer_options *o)
{
    SET(CURLOPT_PROTOCOLS_STR, o->protocols);
    SET(CURLOPT_URL, o->url);
    if (o->body || o->body_len) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
        SET(CURLOPT_COPYPOSTFIELDS, o->body ? o->body : "");
    }
    if (o->method && !strcmp(o->method, "HEAD"))
        SET(CURLOPT_NOBODY, 1L);
    else if (o->method)
        SET(CURLOPT_CUSTOMREQUEST, o->method);
    bool http1 = o->http1_only || !strncasecmp(o->url, "http:", 5);
    SET(CURLOPT_HTTP_VERSION, http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    return set_headers(x, o->headers);
}

static int set_connection(struct gr_transfer *x, const struct gr_transfer_options *o)
{
    uint64_t connect = o->connect_timeout_usec ? o->connect_timeout_usec : CONNECT_DEFAULT_USEC;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, ""); // the environment does not choose our peers
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 5L);
    SET(CURLOPT_TCP_KEEPINTVL, 2L);
    SET(CURLOPT_FRESH_CONNECT, o->fresh_connection ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, o->fresh_connection ? 1L : 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)((connect + 999) / GR_USEC_PER_MSEC));
    SET(CURLOPT_TIMEOUT_MS, (long)((o->timeout_usec + 999) / GR_USEC_PER_MSEC));
    if (o->ca_file) {
        SET(CURLOPT_CAINFO, o->ca_file);
        SET(CURLOPT_CAPATH, NULL); // this authority and no other
    }
    if (o->cert_file)
        SET(CURLOPT_SSLCERT, o->cert_file);
    if (o->key_file)
        SET(CURLOPT_SSLKEY, o->key_file);
    return 0;
}

static int set_callbacks(struct gr_transfer *x)
{
    SET(CURLOPT_PRIVATE, x);
    SET(CURLOPT_ERRORBUFFER, x->error);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, x);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    return 0;
}

// Callbacks and numbers only: a pointer to the caller's strings must not survive the call.
static void keep_options(struct gr_transfer *x, const struct gr_transfer_options *o)
{
    x->o = (struct gr_transfer_options){
        .stall_usec = o->stall_usec,
        .max_bytes = o->max_bytes,
        .userdata = o->userdata,
        .allow_address = o->allow_address,
        .on_header = o->on_header,
        .on_data = o->on_data,
        .on_done = o->on_done,
    };
}

static int begin_stall_clock(struct gr_transfer *x, sd_event *event)
{
    note_progress(x);
    if (!x->o.stall_usec)
        return 0;
    uint64_t due = x->last_byte.usec + x->o.stall_usec;
    return sd_event_add_time(event, &x->stall, CLOCK_MONOTONIC, due, GR_USEC_PER_MSEC,
                             on_stall_timer, x);
}

int gr_transfer_start(struct gr_transport *t, const struct gr_transfer_options *o,
                      struct gr_transfer **ret, struct gr_error *e)
{
    if (!o->url || !o->protocols)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "A transfer was asked for without a URL or a list of protocols.");
    struct gr_transfer *x = calloc(1, sizeof *x);
    if (!x)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    keep_options(x, o);
    x->easy = curl_easy_init();
    int r = x->easy ? set_request(x, o) : -ENOMEM;
    if (r >= 0)
        r = set_connection(x, o);
    if (r >= 0)
        r = set_callbacks(x);
    if (r >= 0)
        r = begin_stall_clock(x, t->event);
    if (r >= 0)
        r = gr_transport_admit(t, x);
    if (r < 0) {
        gr_transfer_destroy(x);
        return gr_error_set(e, r, r == -EINVAL ? GR_REASON_SOURCE_REFUSED : GR_REASON_INTERNAL,
                            "The transfer of %s could not be set up: %s.", o->url, strerror(-r));
    }
    x->transport = t;
    if (ret)
        *ret = x;
    return 0;
}

void gr_transfer_cancel(struct gr_transfer *x)
{
    if (!x || x->finishing)
        return;
    if (x->transport->in_curl)
        x->cancelled = true;
    else
        gr_transfer_destroy(x);
}

long gr_transfer_http_status(const struct gr_transfer *x)
{
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *gr_transfer_primary_ip(const struct gr_transfer *x)
{
    char *ip = NULL;
    curl_easy_getinfo(x->easy, CURLINFO_PRIMARY_IP, &ip);
    return ip ? ip : "";
}
