// Every form that two readers could understand differently, as raw bytes: refused with 400, the
// connection closed, and the next connection served as if nothing had been.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define ECHO "POST /com.example.echo.EchoService/Echo HTTP/1.1\r\n"
#define BASE ECHO "Host: test\r\nContent-Type: application/json\r\n"
#define LENGTH "Content-Length: 2\r\n"

// The library refuses some forms before the guard is asked: with a status of its own, and a
// malformed Content-Length with the head of its answer sent twice (docs/FRONT-DOOR.md).
static const struct {
    const char *name;
    int status;
    const char *bytes;
    size_t len;
} forms[] = {
#define FORM(name, bytes)                                                                          \
    {                                                                                              \
        name, 400, bytes, sizeof bytes - 1                                                         \
    }
    FORM("length beside chunked",
         BASE LENGTH "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    FORM("chunked beside length",
         BASE "Transfer-Encoding: chunked\r\n" LENGTH "\r\n2\r\n{}\r\n0\r\n\r\n"),
    FORM("two lengths", BASE LENGTH "Content-Length: 3\r\n\r\n{} "),
    FORM("the same length twice", BASE LENGTH LENGTH "\r\n{}"),
    FORM("length list", BASE "Content-Length: 2, 2\r\n\r\n{}"),
    FORM("length with plus", BASE "Content-Length: +2\r\n\r\n{}"),
    FORM("length in hex", BASE "Content-Length: 0x2\r\n\r\n{}"),
    FORM("negative length", BASE "Content-Length: -2\r\n\r\n{}"),
    FORM("empty length", BASE "Content-Length:\r\n\r\n{}"),
    FORM("length with trailing blank", BASE "Content-Length: 2 \r\n\r\n{}"),
    FORM("length after a tab", BASE "Content-Length:\t2\r\n\r\n{}"),
    FORM("length after two blanks", BASE "Content-Length:  2\r\n\r\n{}"),
    FORM("length of 19 digits", BASE "Content-Length: 0000000000000000002\r\n\r\n{}"),
    {"overflowing length", 413, BASE "Content-Length: 18446744073709551618\r\n\r\n{}",
     sizeof(BASE "Content-Length: 18446744073709551618\r\n\r\n{}") - 1},
    FORM("xchunked", BASE "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    FORM("identity", BASE "Transfer-Encoding: identity\r\n\r\n{}"),
    FORM("chunked, identity", BASE "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    FORM("gzip, chunked", BASE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    FORM("tab before chunked", BASE "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"),
    FORM("blank after chunked", BASE "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n"),
    FORM("Chunked", BASE "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
    FORM("chunked twice",
         BASE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    FORM("vertical tab before chunked", BASE "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
    FORM("blank before the colon", BASE "Content-Length : 2\r\n\r\n{}"),
    FORM("tab before the colon", BASE "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    FORM("folded line", BASE LENGTH "X-Long: a\r\n b\r\n\r\n{}"),
    FORM("folded by tab", BASE LENGTH "X-Long: a\r\n\tb\r\n\r\n{}"),
    FORM("folded encoding", BASE "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    FORM("first line folded", ECHO " X: a\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("bare CR in a value", BASE LENGTH "X: a\rb\r\n\r\n{}"),
    FORM("bare CR as line end", BASE LENGTH "X: a\rY: b\r\n\r\n{}"),
    FORM("bare LF as line end", BASE LENGTH "X: a\nY: b\r\n\r\n{}"),
    FORM("bare LF after the request line",
         "POST /com.example.echo.EchoService/Echo HTTP/1.1\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("bare LF as the empty line", BASE LENGTH "\n{}"),
    FORM("LF only, made up by blanks", BASE LENGTH "X:  a\nY: b\r\n\r\n{}"),
    FORM("NUL in a value", BASE LENGTH "X: a\0b\r\n\r\n{}"),
    FORM("NUL at the end of a value", BASE LENGTH "X: a\0\r\n\r\n{}"),
    FORM("NUL in a name", BASE LENGTH "X\0Y: a\r\n\r\n{}"),
    FORM("NUL before a hidden length", BASE "X: a\0\r\nContent-Length: 2\r\n\r\n{}"),
    FORM("NUL as first byte of a line", BASE LENGTH "\0X: a\r\n\r\n{}"),
    FORM("no colon", BASE LENGTH "X\r\n\r\n{}"),
    FORM("empty name", BASE LENGTH ": a\r\n\r\n{}"),
    FORM("chunk without size", BASE "Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n"),
    FORM("chunk size no number", BASE "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    FORM("chunk size with 0x", BASE "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n"),
    FORM("chunk not ended by CR LF", BASE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n"),
    {"chunk size overflow", 413,
     BASE "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
     sizeof(BASE "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n") - 1},
    FORM("trailer", BASE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n"),
    FORM("framing trailer",
         BASE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"),
    FORM("chunked in HTTP/1.0",
         "POST /com.example.echo.EchoService/Echo HTTP/1.0\r\nHost: test\r\nContent-Type: "
         "application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    FORM("no host", ECHO "Content-Type: application/json\r\n" LENGTH "\r\n{}"),
    FORM("two hosts", BASE "Host: test\r\n" LENGTH "\r\n{}"),
    FORM("host with blank", ECHO "Host: a b\r\n" LENGTH "\r\n{}"),
    FORM("two blanks before the target",
         "POST  /com.example.echo.EchoService/Echo HTTP/1.1\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("tab after the method",
         "POST\t/com.example.echo.EchoService/Echo HTTP/1.1\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("blank in the target", "POST /a b/Echo HTTP/1.1\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("escaped NUL in the target",
         "POST /com.example.echo.EchoService/Echo%00x HTTP/1.1\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("NUL in the target",
         "POST /com.example.echo.EchoService/Echo\0x HTTP/1.1\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("blank after the version",
         "POST /com.example.echo.EchoService/Echo HTTP/1.1 \r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("version of another letter",
         "POST /com.example.echo.EchoService/Echo HTTP/1.x\r\nHost: test\r\n" LENGTH "\r\n{}"),
    FORM("HTTP/1.2",
         "POST /com.example.echo.EchoService/Echo HTTP/1.2\r\nHost: test\r\n" LENGTH "\r\n{}"),
};

static struct fake *f;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_load(f, 1, "echo", "1.0.0", NULL);
    cJSON_Delete(fake_swap(f, "echo", 1, -1));
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

static void expect_served(void)
{
    struct client *c = client_tcp(f);
    static struct answer a;
    client_text(c, BASE LENGTH "\r\n{}");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{}");
    client_free(c);
}

// A request that is fine follows on the same connection: it must not be answered. Returns the
// status; negative when anything but the end, or a refusal's rest, came after it.
static int provoke(const char *bytes, size_t len)
{
    struct client *c = client_tcp(f);
    static struct answer a;
    client_send(c, bytes, len);
    client_text(c, BASE LENGTH "\r\n{}");
    client_read(c, &a);
    client_rest(c);
    if (strstr(c->buffer, " 200 "))
        a.status = -a.status;
    client_free(c);
    return a.status;
}

static void test_every_form(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < GR_COUNT(forms); i++) {
        int status = provoke(forms[i].bytes, forms[i].len);
        if (status == forms[i].status)
            continue;
        print_error("%s: expected %d and the end, found %d%s\n", forms[i].name, forms[i].status,
                    status < 0 ? -status : status, status < 0 ? ", still open" : "");
        wrong++;
    }
    assert_int_equal(wrong, 0);
    expect_served();
    struct gr_worker_gauges gauges;
    gr_stats_gauges(f->stats, &gauges);
    assert_true(gauges.refused_framing >= 30);
}

// One byte of a form changed or inserted: whatever comes of it, the worker serves on, and its drain
// at the end of this program finds nothing stuck.
static void test_mutated_forms(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15;
    static const char bytes[] = "\0\t\n\r :;,0x\x7f\xff";
    for (size_t i = 0; i < 8 * GR_COUNT(forms); i++) {
        char mutant[1024];
        size_t len = forms[i / 8].len;
        assert_true(len + 1 < sizeof mutant);
        memcpy(mutant, forms[i / 8].bytes, len);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(seed >> 33) % len;
        if (seed >> 63 == 0) {
            memmove(mutant + at + 1, mutant + at, len - at);
            len++;
        }
        mutant[at] = bytes[(seed >> 20) % (sizeof bytes - 1)];
        struct client *c = client_tcp(f);
        client_send(c, mutant, len);
        client_free(c);
    }
    expect_served();
}

static void test_large_head(void **state)
{
    (void)state;
    static char request[64 * 1024];
    for (size_t size = 20 * 1024; size <= 60 * 1024; size += 40 * 1024) {
        int n =
            snprintf(request, sizeof request, "%sX: %0*d\r\n" LENGTH "\r\n{}", BASE, (int)size, 0);
        struct client *c = client_tcp(f);
        static struct answer a;
        client_send(c, request, (size_t)n);
        client_read(c, &a);
        assert_int_equal(a.status, 431);
        assert_true(client_closed(c));
        client_free(c);
    }
    expect_served();
}

static void test_endless_chunk_extension(void **state)
{
    (void)state;
    static char extension[256 * 1024];
    memset(extension, 'x', sizeof extension);
    struct client *c = client_tcp(f);
    static struct answer a;
    client_text(c, BASE "Transfer-Encoding: chunked\r\n\r\n2;");
    client_send(c, extension, sizeof extension);
    client_read(c, &a);
    assert_int_equal(a.status, 400);
    assert_true(client_closed(c));
    client_free(c);
    expect_served();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form),
        cmocka_unit_test(test_mutated_forms),
        cmocka_unit_test(test_large_head),
        cmocka_unit_test(test_endless_chunk_extension),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
