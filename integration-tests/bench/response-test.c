// The response reader, whatever way the stream is cut.
#include "response.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char two[] = "HTTP/1.1 200 OK\r\nDate: today\r\nX-Version:  1.1.0\r\n"
                          "Content-Length: 5\r\n\r\nhello"
                          "HTTP/1.1 503 Service Unavailable\r\nConnection: Close\r\n"
                          "content-length: 0\r\n\r\n";

// Feeds `two` in pieces of `piece` bytes and checks both responses.
static void feed_in_pieces(size_t piece)
{
    struct bench_response r = {.in_body = false};
    size_t at = 0;
    unsigned seen = 0;
    while (at < strlen(two)) {
        size_t n = strlen(two) - at < piece ? strlen(two) - at : piece;
        int64_t taken = bench_response_feed(&r, two + at, n, "x-version");
        assert_true(taken > 0 && (size_t)taken <= n);
        assert_true((size_t)taken == n || r.done);
        at += (size_t)taken;
        if (!r.done)
            continue;
        assert_int_equal(r.status, seen == 0 ? 200 : 503);
        assert_string_equal(r.value, seen == 0 ? "1.1.0" : "");
        assert_int_equal(r.closes, seen == 1);
        seen++;
        bench_response_reset(&r);
    }
    assert_int_equal(seen, 2);
}

static void test_any_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= strlen(two); piece++)
        feed_in_pieces(piece);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n",
        "\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bench_response r = {.in_body = false};
        assert_int_equal(bench_response_feed(&r, bad[i], strlen(bad[i]), NULL), -EBADMSG);
    }
}

static void test_caps(void **state)
{
    (void)state;
    struct bench_response r = {.in_body = false};
    char filler[BENCH_HEAD_MAX];
    memset(filler, 'x', sizeof filler);
    assert_int_equal(bench_response_feed(&r, filler, sizeof filler, NULL), sizeof filler);
    assert_int_equal(bench_response_feed(&r, filler, 1, NULL), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_caps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
