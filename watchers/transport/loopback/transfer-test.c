// Transfers against the scripted server: how each of them ends, and that cancelling is safe
// wherever it is done.
#include "base/clock.h"
#include "watchers/transport/loopback/server.h"
#include "watchers/transport/transport.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// after its needs
#include <cmocka.h>

struct world {
    sd_event *event;
    struct gr_transport *transport;
    struct gr_loopback *server;
};
struct seen {
    struct world *w;
    struct gr_transfer *transfer, *other;
    unsigned n_done, n_data, n_headers;
    struct gr_transfer_result result; // its pointers are not kept
    char redirect[256];
    size_t bytes;
    long status_in_data;
    int answer; // of on_data
};

static void say(struct gr_exchange *x, const char *text, size_t piece)
{
    gr_exchange_send(x, text, strlen(text), piece);
}

// The path says what happens.
static void serve(void *userdata, struct gr_exchange *x, const struct gr_loopback_request *r)
{
    (void)userdata;
    if (!strcmp(r->path, "/hello")) {
        gr_exchange_reply(x, 200, "X-A: b\r\n", "hello");
    } else if (!strcmp(r->path, "/echo")) {
        gr_exchange_reply(x, 200, "", r->body);
    } else if (!strcmp(r->path, "/away")) {
        gr_exchange_reply(x, 302, "Location: /else?x=1\r\n", "gone");
    } else if (!strcmp(r->path, "/cut")) {
        say(x, "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nhalf", 0);
        gr_exchange_close(x);
    } else if (!strcmp(r->path, "/reset")) {
        say(x, "HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nhalf", 0);
        gr_exchange_reset(x);
    } else if (!strcmp(r->path, "/slow")) {
        gr_exchange_begin_chunked(x, 200);
        gr_exchange_chunk(x, "begins and stays", 0);
    } else if (!strcmp(r->path, "/endless")) {
        gr_exchange_begin_chunked(x, 200);
        for (int i = 0; i < 1000; i++)
            gr_exchange_chunk(x, "0123456789", 0);
    } else if (!strcmp(r->path, "/bytewise")) {
        say(x, "HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\nnot found", 1);
    }
}

static int set_up(void **state)
{
    static struct world w;
    assert_true(sd_event_new(&w.event) >= 0);
    assert_int_equal(gr_transport_new(w.event, &w.transport), 0);
    w.server = gr_loopback_new(w.event, serve, NULL);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    gr_transport_free(w->transport);
    gr_loopback_free(w->server);
    sd_event_unref(w->event);
    return 0;
}

static int on_header(void *userdata, const char *line, size_t len)
{
    struct seen *s = userdata;
    (void)line;
    s->n_headers += len > 0;
    return 0;
}

static int on_data(void *userdata, const void *bytes, size_t len)
{
    struct seen *s = userdata;
    (void)bytes;
    s->n_data++;
    s->bytes += len;
    s->status_in_data = gr_transfer_http_status(s->transfer);
    return s->answer;
}

static void on_done(void *userdata, const struct gr_transfer_result *r)
{
    struct seen *s = userdata;
    s->n_done++;
    s->result = *r;
    snprintf(s->redirect, sizeof s->redirect, "%s", r->redirect_url);
    gr_transfer_cancel(s->transfer); // its own, which ends: nothing
}

static struct gr_transfer_options options(struct seen *s)
{
    return (struct gr_transfer_options){.protocols = "http",
                                        .userdata = s,
                                        .on_header = on_header,
                                        .on_data = on_data,
                                        .on_done = on_done};
}

static void start(struct world *w, const char *path, struct gr_transfer_options o)
{
    char url[128];
    struct gr_error e = {0};
    struct seen *s = o.userdata;
    s->w = w;
    snprintf(url, sizeof url, "%s%s", gr_loopback_url(w->server), path);
    o.url = url;
    if (gr_transfer_start(w->transport, &o, &s->transfer, &e) < 0)
        fail_msg("%s", e.message);
    assert_int_equal(s->n_done, 0);
}

// Every wait ends by an event; ten seconds without any is a failure.
static void step(struct world *w)
{
    assert_true(sd_event_run(w->event, 10 * GR_USEC_PER_SEC) > 0);
}

static void finish(struct world *w, struct seen *s)
{
    while (!s->n_done)
        step(w);
    assert_int_equal(s->n_done, 1);
}

static void an_answer_is_told_once(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    start(w, "/hello", options(&s));
    finish(w, &s);
    assert_int_equal(s.result.code, CURLE_OK);
    assert_int_equal(s.result.http_status, 200);
    assert_int_equal(s.status_in_data, 200);
    assert_int_equal(s.result.body_bytes, 5);
    assert_int_equal(s.n_headers, 3);
    assert_string_equal(s.result.primary_ip, "127.0.0.1");
    assert_string_equal(s.result.message, "");
    assert_true(s.result.connected);
}

static void connections_are_pooled_unless_asked_otherwise(void **state)
{
    struct world *w = *state;
    struct seen a = {0}, b = {0}, c = {0};
    start(w, "/hello", options(&a));
    finish(w, &a);
    start(w, "/hello", options(&b));
    finish(w, &b);
    assert_int_equal(gr_loopback_connections(w->server), 1);
    assert_true(b.result.connected);
    struct gr_transfer_options o = options(&c);
    o.fresh_connection = true;
    start(w, "/hello", o);
    finish(w, &c);
    assert_int_equal(gr_loopback_connections(w->server), 2);
}

static void a_body_is_posted(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.body = "0123456789";
    o.body_len = 7;
    start(w, "/echo", o);
    finish(w, &s);
    assert_int_equal(s.bytes, 7);
}

static void a_redirect_is_told_and_not_followed(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    char expected[128];
    start(w, "/away", options(&s));
    finish(w, &s);
    assert_int_equal(s.result.http_status, 302);
    snprintf(expected, sizeof expected, "%s/else?x=1", gr_loopback_url(w->server));
    assert_string_equal(s.redirect, expected);
}

static void one_byte_at_a_time_is_an_answer_too(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    start(w, "/bytewise", options(&s));
    finish(w, &s);
    assert_int_equal(s.result.http_status, 404);
    assert_int_equal(s.bytes, 9);
}

static void a_cut_body_is_no_success(void **state)
{
    struct world *w = *state;
    struct seen cut = {0}, reset = {0};
    start(w, "/cut", options(&cut));
    finish(w, &cut);
    assert_int_equal(cut.result.code, CURLE_PARTIAL_FILE);
    assert_true(cut.result.connected && cut.result.message[0]);
    start(w, "/reset", options(&reset));
    finish(w, &reset);
    assert_int_not_equal(reset.result.code, CURLE_OK);
}

static void too_many_bytes_are_stopped(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.max_bytes = 4999;
    start(w, "/endless", o);
    finish(w, &s);
    assert_int_equal(s.result.stop, GR_TRANSFER_TOO_LARGE);
    assert_true(s.bytes <= 4999);
    assert_non_null(strstr(s.result.message, "4999"));
}

static void silence_is_stopped(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.stall_usec = 100 * GR_USEC_PER_MSEC;
    start(w, "/slow", o);
    finish(w, &s);
    assert_int_equal(s.result.stop, GR_TRANSFER_STALLED);
    assert_int_equal(s.bytes, 16);
}

static void a_timeout_is_curls_own(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.timeout_usec = 100 * GR_USEC_PER_MSEC;
    start(w, "/slow", o);
    finish(w, &s);
    assert_int_equal(s.result.code, CURLE_OPERATION_TIMEDOUT);
    assert_int_equal(s.result.stop, GR_TRANSFER_NOT_STOPPED);
}

static void the_receiver_may_refuse(void **state)
{
    struct world *w = *state;
    struct seen s = {.answer = -EBADMSG};
    start(w, "/hello", options(&s));
    finish(w, &s);
    assert_int_equal(s.result.stop, GR_TRANSFER_ABORTED);
    assert_int_equal(s.result.abort_code, -EBADMSG);
}

static int refuse_address(void *userdata, const struct sockaddr *addr, socklen_t len)
{
    (void)userdata;
    assert_int_equal(addr->sa_family, AF_INET);
    assert_true(len >= sizeof(sa_family_t));
    return -EPERM;
}

static void an_address_may_be_refused(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.allow_address = refuse_address;
    start(w, "/hello", o);
    finish(w, &s);
    assert_int_equal(s.result.stop, GR_TRANSFER_ADDRESS_REFUSED);
    assert_false(s.result.connected);
    assert_int_equal(gr_loopback_connections(w->server), 0);
}

static void other_protocols_are_refused(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.protocols = "https";
    start(w, "/hello", o);
    finish(w, &s);
    assert_int_equal(s.result.code, CURLE_UNSUPPORTED_PROTOCOL);
    assert_int_equal(gr_loopback_connections(w->server), 0);
}

static void a_closed_port_was_never_connected(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    o.url = "http://127.0.0.1:1/";
    assert_int_equal(gr_transfer_start(w->transport, &o, &s.transfer, NULL), 0);
    finish(w, &s);
    assert_int_equal(s.result.code, CURLE_COULDNT_CONNECT);
    assert_false(s.result.connected);
}

static void a_bad_url_starts_nothing(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct gr_transfer_options o = options(&s);
    struct gr_error e = {0};
    assert_int_equal(gr_transfer_start(w->transport, &o, &s.transfer, &e), -EINVAL);
    assert_true(e.message[0]);
    assert_null(s.transfer);
}

static int cancel_both_in_data(void *userdata, const void *bytes, size_t len)
{
    struct seen *s = userdata;
    (void)bytes;
    s->bytes += len;
    gr_transfer_cancel(s->transfer);
    gr_transfer_cancel(s->other);
    struct gr_transfer_options o = options(s);
    start(s->w, "/hello", o); // inside curl: begins when curl has returned
    return 0;
}

static void cancelling_and_starting_inside_of_curl_is_safe(void **state)
{
    struct world *w = *state;
    struct seen other = {0}, s = {0};
    start(w, "/slow", options(&other));
    while (!other.n_data)
        step(w);
    s.other = other.transfer;
    struct gr_transfer_options o = options(&s);
    o.on_data = cancel_both_in_data;
    start(w, "/endless", o);
    finish(w, &s); // the one that was started inside
    assert_int_equal(s.result.http_status, 200);
    assert_int_equal(s.result.body_bytes, 5);
    assert_int_equal(other.n_done, 0);
}

static void what_still_runs_is_dropped_with_the_transport(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    start(w, "/slow", options(&s));
    while (!s.n_data)
        step(w);
    gr_transport_free(gr_steal(w->transport));
    assert_int_equal(s.n_done, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_answer_is_told_once),
        T(connections_are_pooled_unless_asked_otherwise),
        T(a_body_is_posted),
        T(a_redirect_is_told_and_not_followed),
        T(one_byte_at_a_time_is_an_answer_too),
        T(a_cut_body_is_no_success),
        T(too_many_bytes_are_stopped),
        T(silence_is_stopped),
        T(a_timeout_is_curls_own),
        T(the_receiver_may_refuse),
        T(an_address_may_be_refused),
        T(other_protocols_are_refused),
        T(a_closed_port_was_never_connected),
        T(a_bad_url_starts_nothing),
        T(cancelling_and_starting_inside_of_curl_is_safe),
        T(what_still_runs_is_dropped_with_the_transport),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
