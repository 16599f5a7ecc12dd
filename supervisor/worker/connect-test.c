// Connect's tables and parsers.
#include "base/json.h"
#include "worker/connect.h"
#include <errno.h>
#include <grayling/module.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

// connectrpc.com/docs/protocol, "Error codes"
static void test_status_of_every_code(void **state)
{
    static const unsigned expected[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                        400, 409, 400, 501, 500, 503, 500, 401};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(expected); i++)
        assert_int_equal(gr_connect_status((int32_t)i), expected[i]);
    assert_int_equal(gr_connect_status(17), 500);
    assert_int_equal(gr_connect_status(-1), 500);
}

static void test_timeout(void **state)
{
    static const char *const refused[] = {"",    "-1",  "+1", " 1", "1 ",
                                          "1.5", "0x1", "1s", "",   "12345678901"};
    uint64_t usec;
    (void)state;
    assert_int_equal(gr_connect_timeout_parse("0", &usec), 0);
    assert_int_equal(usec, 0);
    assert_int_equal(gr_connect_timeout_parse("250", &usec), 0);
    assert_int_equal(usec, 250000);
    assert_int_equal(gr_connect_timeout_parse("9999999999", &usec), 0);
    assert_int_equal(usec, 9999999999000u);
    for (size_t i = 0; i < GR_COUNT(refused); i++)
        assert_int_equal(gr_connect_timeout_parse(refused[i], &usec), -EINVAL);
    assert_int_equal(usec, 9999999999000u); // written on success only
}

static void test_path(void **state)
{
    struct gr_connect_path p;
    char longest[GR_INTERFACE_MAX + GR_METHOD_MAX + 4];
    static const char *const refused[] = {"",      "/",      "/a",    "/a/",    "//b",   "a/b",
                                          "/a/b/", "/a/b/c", "/a/b.", "/a b/c", "/a/b%", "/a-b/c"};
    (void)state;
    assert_int_equal(gr_connect_path_parse("/com.example.pay.PayService/Charge", &p), 0);
    assert_string_equal(p.interface_name, "com.example.pay.PayService");
    assert_string_equal(p.method_name, "Charge");
    for (size_t i = 0; i < GR_COUNT(refused); i++)
        assert_int_equal(gr_connect_path_parse(refused[i], &p), -EINVAL);
    memset(longest, 'x', sizeof longest);
    longest[0] = longest[GR_INTERFACE_MAX + 1] = '/';
    longest[GR_INTERFACE_MAX + GR_METHOD_MAX + 2] = '\0';
    assert_int_equal(gr_connect_path_parse(longest, &p), 0);
    memmove(longest + 2, longest + 1, sizeof longest - 3); // one more in the interface's name
    longest[1] = 'x';
    assert_int_equal(gr_connect_path_parse(longest, &p), -EINVAL);
}

static void test_codec(void **state)
{
    (void)state;
    assert_int_equal(gr_connect_codec("application/json"), GRAYLING_CODEC_JSON);
    assert_int_equal(gr_connect_codec("Application/Json ; charset=utf-8"), GRAYLING_CODEC_JSON);
    assert_int_equal(gr_connect_codec("application/proto"), GRAYLING_CODEC_PROTO);
    assert_int_equal(gr_connect_codec("application/jsonx"), 0);
    assert_int_equal(gr_connect_codec("application/connect+json"), 0);
    assert_int_equal(gr_connect_codec(""), 0);
    assert_int_equal(gr_connect_codec(NULL), 0);
}

static void test_request_id(void **state)
{
    (void)state;
    assert_true(gr_connect_request_id_ok("0b7e8a52-6c0d-4a9e-9f3c-1d2e3f405162"));
    assert_true(gr_connect_request_id_ok("123456789012345678901234567890123456789"));
    assert_false(gr_connect_request_id_ok("1234567890123456789012345678901234567890"));
    assert_false(gr_connect_request_id_ok(""));
    assert_false(gr_connect_request_id_ok("a b"));
    assert_false(gr_connect_request_id_ok("a\"b"));
}

static void expect_message(const char *given, const char *expected)
{
    GR_AUTO_FREE char *body = gr_connect_error_body(GRAYLING_UNAVAILABLE, given);
    GR_AUTO_JSON cJSON *o = NULL;
    assert_non_null(body);
    assert_int_equal(gr_json_parse(body, strlen(body), 4096, &o, NULL), 0);
    assert_string_equal(gr_json_get(o, "code")->valuestring, "unavailable");
    assert_string_equal(gr_json_get(o, "message")->valuestring, expected);
}

static void test_error_body_is_json_whatever_the_message(void **state)
{
    char long_message[2000];
    (void)state;
    expect_message("so \"it\" is", "so \"it\" is");
    expect_message("\xc3\xa9 \xff \xc3", "\xc3\xa9 ? ?");
    memset(long_message, 'm', sizeof long_message - 1);
    long_message[sizeof long_message - 1] = '\0';
    GR_AUTO_FREE char *body = gr_connect_error_body(GRAYLING_OK, long_message);
    assert_true(strlen(body) < 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_of_every_code),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_codec),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_error_body_is_json_whatever_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
