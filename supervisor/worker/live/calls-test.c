// Connect over the wire: calls, their headers and errors, on TCP and unix sockets, and what a
// connection is good for after an error.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define ECHO "/com.example.echo.EchoService/Echo"
#define CHARGE "/com.example.pay.PayService/Charge"

static struct fake *f;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_load(f, 1, "echo", "1.0.0", NULL);
    fake_load(f, 2, "pay", "1.0.0", NULL);
    cJSON_Delete(fake_swap(f, "echo", 1, -1));
    cJSON_Delete(fake_swap(f, "pay", 2, -1));
    fake_serve(f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    uint64_t id = fake_begin_drain(f, 20000000);
    cJSON_Delete(fake_await(f, id));
    return fake_finish(f);
}

static void expect_header(const char *name, const char *value)
{
    const char *found = answer_header(&a, name);
    if (!found)
        fail_msg("no %s in %s", name, a.head);
    assert_string_equal(found, value);
}

static void ask(struct client *c, const char *request)
{
    client_text(c, request);
    client_read(c, &a);
}

static void expect_error(int status, const char *code)
{
    char begin[64];
    snprintf(begin, sizeof begin, "{\"code\":\"%s\",\"message\":\"", code);
    if (a.status != status || strncmp(a.body, begin, strlen(begin)) != 0)
        fail_msg("expected %d %s, found %d %s", status, code, a.status, a.body);
    expect_header("content-type", "application/json");
}

static void test_echo_over_tcp_and_unix(void **state)
{
    (void)state;
    struct client *clients[] = {client_tcp(f), client_unix(f)};
    for (size_t i = 0; i < GR_COUNT(clients); i++) {
        for (unsigned turn = 0; turn < 3; turn++) {
            client_post(clients[i], ECHO, "{\"a\":1}");
            client_read(clients[i], &a);
            assert_int_equal(a.status, 200);
            assert_string_equal(a.body, "{\"a\":1}");
            expect_header("content-type", "application/json");
            expect_header("x-grayling-module", "echo");
            expect_header("x-grayling-version", "1.0.0");
            expect_header("x-grayling-role", "stable");
            assert_null(answer_header(&a, "x-grayling-rescued"));
        }
        client_free(clients[i]);
    }
}

static void test_pipelined(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    char body[32];
    for (int i = 0; i < 100; i++) {
        snprintf(body, sizeof body, "{\"n\":%d}", i);
        client_post(c, ECHO, body);
    }
    for (int i = 0; i < 100; i++) {
        client_read(c, &a);
        snprintf(body, sizeof body, "{\"n\":%d}", i);
        assert_string_equal(a.body, body);
    }
    client_free(c);
}

static void test_protocol_errors_keep_the_connection(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code, *request;
    } cases[] = {
        {404, "unimplemented",
         "POST /com.example.echo.EchoService/Nothing HTTP/1.1\r\nHost: t\r\nContent-Type: "
         "application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {404, "unimplemented", "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"},
        {404, "unimplemented",
         "POST /com.example.echo.EchoService%2FEcho HTTP/1.1\r\nHost: t\r\nContent-Length: "
         "0\r\n\r\n"},
        {405, "unimplemented", "GET " ECHO " HTTP/1.1\r\nHost: t\r\n\r\n"},
        {405, "unimplemented", "PUT " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}"},
        {415, "invalid_argument",
         "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\nContent-Length: "
         "2\r\n\r\n{}"},
        {501, "unimplemented",
         "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"},
        {400, "invalid_argument",
         "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Connect-Timeout-Ms: -1\r\nContent-Length: 2\r\n\r\n{}"},
        {400, "invalid_argument",
         "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Connect-Protocol-Version: 2\r\nContent-Length: 2\r\n\r\n{}"},
        {504, "deadline_exceeded",
         "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Connect-Timeout-Ms: 0\r\nContent-Length: 2\r\n\r\n{}"},
        {400, "invalid_argument",
         "POST " CHARGE " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Content-Length: 5\r\n\r\nwrong"},
    };
    struct client *c = client_tcp(f);
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        ask(c, cases[i].request);
        expect_error(cases[i].status, cases[i].code);
        assert_null(answer_header(&a, "connection"));
        client_post(c, ECHO, "{}");
        client_read(c, &a);
        assert_int_equal(a.status, 200);
    }
    client_free(c);
}

static void test_refusals_name_the_remedy(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "GET " ECHO " HTTP/1.1\r\nHost: t\r\n\r\n");
    expect_header("allow", "POST");
    ask(c, "POST /-/ready HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    expect_header("allow", "GET, HEAD");
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}");
    expect_header("accept-post", "application/json, application/proto");
    client_free(c);
}

static void test_pages(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_int_equal(a.status, 200);
    ask(c, "GET /-/ready?verbose HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_int_equal(a.status, 200);
    ask(c, "GET /-/nothing HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_int_equal(a.status, 404);
    // the answer to HEAD has a length and no body: the next answer follows at once
    client_text(c, "HEAD /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n"
                   "GET /-/nothing HTTP/1.0\r\n\r\n");
    client_rest(c);
    const char *second = strstr(c->buffer, "\r\n\r\n");
    assert_non_null(second);
    assert_int_equal(strncmp(second + 4, "HTTP/1.1 404", 12), 0);
    client_free(c);
}

static void test_codecs(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/proto\r\n"
           "Content-Length: 3\r\n\r\n\x08\x96\x01");
    assert_int_equal(a.status, 200);
    expect_header("content-type", "application/proto");
    assert_memory_equal(a.body, "\x08\x96\x01", 3);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
           "Content-Length: 2\r\n\r\n{}");
    assert_int_equal(a.status, 200);
    expect_header("content-type", "application/json");
    client_free(c);
}

static void test_chunked_body_is_the_last_of_its_connection(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"a\":1}");
    expect_header("connection", "close");
    assert_true(client_closed(c));
    client_free(c);
}

static void test_continue(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(a.status, 100);
    ask(c, "{}");
    assert_int_equal(a.status, 200);
    // refused before a byte of it was sent
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "Expect: 100-continue\r\nContent-Length: 5000000\r\n\r\n");
    expect_error(429, "resource_exhausted");
    assert_true(client_closed(c));
    client_free(c);
    c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nExpect: magic\r\nContent-Length: 2\r\n\r\n{}");
    assert_int_equal(a.status, 417);
    client_free(c);
}

static void send_body(struct client *c, size_t len)
{
    static char bytes[64 * 1024];
    memset(bytes, 'x', sizeof bytes);
    for (size_t n; len > 0; len -= n) {
        n = len < sizeof bytes ? len : sizeof bytes;
        client_send(c, bytes, n);
    }
}

static void test_oversized_bodies(void **state)
{
    (void)state;
    char head[256];
    struct client *c = client_tcp(f);
    for (size_t over = 1; over <= 4096; over += 4095) {
        snprintf(head, sizeof head,
                 "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 GR_REQUEST_BYTES_MAX + over);
        client_text(c, head);
        send_body(c, GR_REQUEST_BYTES_MAX + over);
        client_read(c, &a);
        expect_error(429, "resource_exhausted");
    }
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "Content-Length: 99999999999\r\n\r\n");
    expect_error(429, "resource_exhausted");
    assert_true(client_closed(c));
    client_free(c);
}

static void test_large_answer(void **state)
{
    (void)state;
    static char body[200 * 1024];
    memset(body, 'y', sizeof body);
    char head[256];
    snprintf(head, sizeof head,
             "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             sizeof body);
    struct client *c = client_tcp(f);
    client_text(c, head);
    client_send(c, body, sizeof body);
    client_read(c, &a);
    assert_int_equal(a.body_len, sizeof body);
    assert_memory_equal(a.body, body, sizeof body);
    client_free(c);
}

static void test_request_id(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "X-Request-Id: order-17\r\nContent-Length: 2\r\n\r\n{}");
    expect_header("x-request-id", "order-17");
    ask(c, "POST " ECHO " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
           "X-Request-Id: <script>\r\nContent-Length: 2\r\n\r\n{}");
    assert_non_null(answer_header(&a, "x-request-id"));
    assert_null(strchr(answer_header(&a, "x-request-id"), '<'));
    client_free(c);
}

static void test_http_1_0(void **state)
{
    (void)state;
    struct client *c = client_tcp(f);
    ask(c, "POST " ECHO " HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
           "{}");
    assert_int_equal(a.status, 200);
    assert_true(client_closed(c));
    client_free(c);
}

static void test_counted(void **state)
{
    (void)state;
    struct gr_counters before, after;
    gr_stats_read(f->stats, 2, &before);
    struct client *c = client_tcp(f);
    client_post(c, CHARGE, "{}");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    gr_stats_read(f->stats, 2, &after);
    assert_int_equal(gr_counters_total(&after) - gr_counters_total(&before), 1);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_over_tcp_and_unix),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_protocol_errors_keep_the_connection),
        cmocka_unit_test(test_refusals_name_the_remedy),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_codecs),
        cmocka_unit_test(test_chunked_body_is_the_last_of_its_connection),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_oversized_bodies),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_http_1_0),
        cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
