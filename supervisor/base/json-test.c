// What bare cJSON would let through is refused with its place; what is good comes out as values.
#include "base/json.h"
#include "base/limits.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, size_t len, cJSON **ret, struct gr_error *e)
{
    // an exact copy, so that the sanitizer sees a read behind the end
    GR_AUTO_FREE char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return gr_json_parse(copy, len, GR_DOCUMENT_BYTES_MAX, ret, e);
}

static void assert_refused(const char *text, size_t len, const char *sentence)
{
    cJSON *j = NULL;
    struct gr_error e = {0};
    int r = parse(text, len, &j, &e);
    if (r != -EINVAL || !strstr(e.message, sentence))
        print_error("%s\n-> %d %s\n", text, r, e.message);
    assert_int_equal(r, -EINVAL);
    assert_null(j);
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    assert_non_null(strstr(e.message, sentence));
}

static void good_documents_pass(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "null",
        "\t\r\n true ",
        "\"\"",
        "-0",
        "0.5e-3",
        "9007199254740992",
        "-9007199254740992",
        "1e15",
        "1E+2",
        "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
        "{\"\":1,\"A\":2,\"a\":3}",
        "\"\\u00e4\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\xc3\xa4\xf0\x9f\x98\x80\x7f\"",
    };
    for (size_t i = 0; i < GR_COUNT(good); i++) {
        GR_AUTO_JSON cJSON *j = NULL;
        struct gr_error e = {0};
        int r = parse(good[i], strlen(good[i]), &j, &e);
        if (r < 0)
            print_error("%s -> %s\n", good[i], e.message);
        assert_int_equal(r, 0);
        assert_non_null(j);
    }
}

static void bad_documents_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"", "expected a value (byte 0)"},
        {"   ", "ends too early"},
        {"{", "expected a key in quotes"},
        {"[1,2", "[1]: expected ',' or ']'"},
        {"[1,]", "[1]: expected a value"},
        {"{\"a\":1,}", "expected a key in quotes"},
        {"{a:1}", "expected a key in quotes"},
        {"{\"a\" 1}", "a: expected ':'"},
        {"{\"a\":1 \"b\":2}", "a: expected ',' or '}'"},
        {"[1 2]", "expected ',' or ']'"},
        {"{} {}", "bytes behind the end of the value (byte 3)"},
        {"{}x", "bytes behind the end"},
        {"nul", "expected a value"},
        {"True", "expected a value"},
        {"NaN", "expected a value"},
        {"Infinity", "expected a value"},
        {"'a'", "expected a value"},
        {"// c\n1", "expected a value"},
        {"\xef\xbb\xbf{}", "byte order mark"},
        {"{\"a\":01}", "a: number with a leading zero"},
        {"-", "number without digits"},
        {"-01", "leading zero"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"1.", "behind the point"},
        {"1e", "in the exponent"},
        {"1e+", "in the exponent"},
        {"0x10", "bytes behind the end"},
        {"1e999", "beyond 2^53"},
        {"-1e999", "beyond 2^53"},
        {"9007199254740993", "beyond 2^53"},
        {"-9007199254740993", "beyond 2^53"},
        {"9007199254740993.0", "beyond 2^53"},
        {"90071992547409930e-1", "beyond 2^53"},
        {"12345678901234567e0", "beyond 2^53"},
        {"0.0000000000000000000000000000000000000000000000000000000000000001",
         "more than 63 characters"},
        {"\"abc", "string without an end (byte 0)"},
        {"\"abc\\", "unknown escape"},
        {"\"\\x41\"", "unknown escape"},
        {"\"\\u12\"", "four hexadecimal digits"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"[\"\\u0000\"]", "[0]: \\u0000 is not allowed"},
        {"\"\\ud800\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"\"\\ud800\\u0041\"", "lone surrogate"},
        {"\"\\ud800\\ud800\"", "lone surrogate"},
        {"\"\\ud800x\"", "lone surrogate"},
        {"\"\\ud800\\ue000\"", "lone surrogate"},
        {"\"a\nb\"", "raw control character in a string"},
        {"\"a\x1f\"", "raw control character in a string"},
        {"\"\xff\"", "invalid UTF-8 (byte 1)"},
        {"\"\xc0\x80\"", "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8"},
        {"{\"\xc3\":1}", "invalid UTF-8"},
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_refused(bad[i].text, strlen(bad[i].text), bad[i].sentence);
    assert_refused("\"a\0b\"", 5, "raw control character");
    assert_refused("{}\0", 3, "bytes behind the end");
}

static void duplicate_keys_are_named_by_their_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"{\"a\":1,\"a\":2}", "a: duplicate key, keep one of them (byte 7)"},
        {"{\"strategy\":{\"steps\":[{\"weight\":1},{},{\"weight\":1,\"x\":0,\"weight\":2}]}}",
         "strategy.steps[2].weight: duplicate key"},
        {"{\"a\":1,\"\\u0061\":2}", "a: duplicate key"}, // the same once decoded
        {"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", "duplicate key"},
        {"{\"\":1,\"\":2}", "[\"\"]: duplicate key"},
        {"{\"b\":{\"c\":1},\"a\":[{\"c\":1}],\"b\":1}", "b: duplicate key"},
        {"{\"a b\":1,\"a b\":2}", "[\"a b\"]: duplicate key"},
        {"{\"\\n\":1,\"\\n\":2}", "[\"?\"]: duplicate key"},
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_refused(bad[i].text, strlen(bad[i].text), bad[i].sentence);
}

static void depth_is_capped_exactly(void **state)
{
    (void)state;
    char text[2 * (GR_JSON_DEPTH_MAX + 1)];
    memset(text, '[', GR_JSON_DEPTH_MAX);
    memset(text + GR_JSON_DEPTH_MAX, ']', GR_JSON_DEPTH_MAX);
    GR_AUTO_JSON cJSON *j = NULL;
    assert_int_equal(parse(text, 2 * GR_JSON_DEPTH_MAX, &j, NULL), 0);
    memset(text, '[', GR_JSON_DEPTH_MAX + 1);
    memset(text + GR_JSON_DEPTH_MAX + 1, ']', GR_JSON_DEPTH_MAX + 1);
    assert_refused(text, sizeof text, "nested too deeply");
}

static void many_beside_each_other_are_not_deep(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(1000);
    assert_int_equal(gr_buf_append(&b, "[{}", 3), 0);
    for (int i = 0; i < 2 * GR_JSON_DEPTH_MAX; i++)
        assert_int_equal(gr_buf_append(&b, ",[]", 3), 0);
    assert_int_equal(gr_buf_append(&b, "]", 1), 0);
    GR_AUTO_JSON cJSON *j = NULL;
    assert_int_equal(parse(b.data, b.len, &j, NULL), 0);
}

static void size_is_capped_exactly(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = NULL;
    struct gr_error e;
    assert_int_equal(gr_json_parse("[1,2]", 5, 5, &j, &e), 0);
    cJSON *none = NULL;
    assert_int_equal(gr_json_parse("[1,2]", 5, 4, &none, &e), -E2BIG);
    assert_non_null(strstr(e.message, "5 bytes, at most 4"));
}

// 256 KiB of distinct keys: comparing each with each would take 10^9 steps, and the test's time
// limit with it.
static void many_keys_are_compared_by_sorting(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_DOCUMENT_BYTES_MAX);
    assert_int_equal(gr_buf_append(&b, "{", 1), 0);
    unsigned n = 0;
    while (b.len < GR_DOCUMENT_BYTES_MAX - 64)
        assert_int_equal(gr_buf_printf(&b, "%s\"%x\":0", n ? "," : "", n), 0), n++;
    size_t len = b.len;
    assert_int_equal(gr_buf_append(&b, "}", 1), 0);
    GR_AUTO_JSON cJSON *j = NULL;
    assert_int_equal(parse(b.data, b.len, &j, NULL), 0);
    assert_int_equal(cJSON_GetArraySize(j), n);
    assert_true(n > 20000);
    b.len = len;
    assert_int_equal(gr_buf_printf(&b, ",\"%x\":1}", n / 2), 0);
    assert_refused(b.data, b.len, "duplicate key");
}

static void a_hostile_path_stays_short(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_DOCUMENT_BYTES_MAX);
    for (int i = 0; i < 60; i++)
        assert_int_equal(gr_buf_printf(&b, "{\"%0200d\":", i), 0);
    assert_int_equal(gr_buf_append(&b, "x", 1), 0);
    assert_refused(b.data, b.len, "...: expected a value");
}

static cJSON *example(void)
{
    static const char text[] = "{\"s\":\"text\",\"n\":12,\"f\":0.25,\"neg\":-1,\"b\":true,\"d\":"
                               "\"1m30s\",\"bad\":\"soon\","
                               "\"null\":null,\"o\":{\"x\":1,\"y\":2}}";
    cJSON *j = NULL;
    assert_int_equal(parse(text, sizeof text - 1, &j, NULL), 0);
    return j;
}

static void values_come_out(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = example();
    const char *s = NULL;
    uint64_t n = 0;
    double f = 0;
    bool b = false;
    assert_int_equal(gr_json_string(j, "", "s", GR_JSON_REQUIRED, &s, NULL), 0);
    assert_string_equal(s, "text");
    assert_int_equal(gr_json_uint(j, "", "n", GR_JSON_REQUIRED, 12, 12, &n, NULL), 0);
    assert_int_equal(n, 12);
    assert_int_equal(gr_json_double(j, "", "f", GR_JSON_REQUIRED, 0, 1, &f, NULL), 0);
    assert_true(fabs(f - 0.25) < 1e-12);
    assert_int_equal(gr_json_bool(j, "", "b", GR_JSON_REQUIRED, &b, NULL), 0);
    assert_true(b);
    assert_int_equal(gr_json_duration(j, "", "d", GR_JSON_REQUIRED, &n, NULL), 0);
    assert_int_equal(n, 90000000);
    assert_null(gr_json_get(j, "S")); // case counts
    assert_null(gr_json_get(NULL, "s"));
}

static void absence_is_allowed_only_where_optional(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = example();
    const char *s = "before";
    uint64_t n = 7;
    struct gr_error e;
    assert_int_equal(gr_json_string(j, "", "absent", GR_JSON_OPTIONAL, &s, &e), 0);
    assert_string_equal(s, "before");
    assert_int_equal(gr_json_uint(j, "o", "absent", GR_JSON_OPTIONAL, 0, 9, &n, &e), 0);
    assert_int_equal(n, 7);
    assert_int_equal(gr_json_string(j, "o", "absent", GR_JSON_REQUIRED, &s, &e), -EINVAL);
    assert_string_equal(e.message, "o.absent: required, but missing; expected a string");
    assert_int_equal(gr_json_string(j, "", "null", GR_JSON_OPTIONAL, &s, &e),
                     -EINVAL); // null is not absence
    assert_string_equal(e.message, "null: expected a string, found null");
}

static void wrong_types_and_ranges_are_told_with_both_sides(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = example();
    struct gr_error e;
    uint64_t n;
    double f;
    bool b;
    assert_int_equal(gr_json_uint(j, "strategy", "s", GR_JSON_REQUIRED, 0, 9, &n, &e), -EINVAL);
    assert_string_equal(e.message, "strategy.s: expected a whole number, found a string");
    assert_int_equal(gr_json_uint(j, "", "n", GR_JSON_REQUIRED, 0, 11, &n, &e), -EINVAL);
    assert_string_equal(e.message, "n: expected a whole number from 0 to 11, found 12");
    assert_int_equal(gr_json_uint(j, "", "n", GR_JSON_REQUIRED, 13, 20, &n, &e), -EINVAL);
    assert_int_equal(gr_json_uint(j, "", "neg", GR_JSON_REQUIRED, 0, 9, &n, &e), -EINVAL);
    assert_int_equal(gr_json_uint(j, "", "f", GR_JSON_REQUIRED, 0, 9, &n, &e), -EINVAL);
    assert_int_equal(gr_json_double(j, "", "neg", GR_JSON_REQUIRED, 0, 1, &f, &e), -EINVAL);
    assert_string_equal(e.message, "neg: expected a number from 0 to 1, found -1");
    assert_int_equal(gr_json_bool(j, "", "n", GR_JSON_REQUIRED, &b, &e), -EINVAL);
    assert_int_equal(gr_json_duration(j, "", "n", GR_JSON_REQUIRED, &n, &e), -EINVAL);
    assert_int_equal(gr_json_duration(j, "", "bad", GR_JSON_REQUIRED, &n, &e), -EINVAL);
    assert_non_null(strstr(e.message, "bad: \"soon\" is no duration"));
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
}

static void unknown_fields_are_refused_with_their_path(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = example();
    static const char *const only_x[] = {"x", NULL}, *const both[] = {"y", "x", NULL};
    struct gr_error e;
    assert_int_equal(gr_json_check_fields(gr_json_get(j, "o"), "o", both, &e), 0);
    assert_int_equal(gr_json_check_fields(gr_json_get(j, "o"), "o", only_x, &e), -EINVAL);
    assert_string_equal(e.message, "o.y: unknown field; allowed here: x");
    assert_int_equal(gr_json_check_fields(gr_json_get(j, "n"), "n", only_x, &e), -EINVAL);
    assert_string_equal(e.message, "n: expected an object, found a number");
}

static void formatting_is_compact_and_parses_back(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *j = example(), *again = NULL;
    GR_AUTO_FREE char *text = gr_json_format(j);
    assert_non_null(text);
    assert_null(strchr(text, ' '));
    assert_int_equal(parse(text, strlen(text), &again, NULL), 0);
    assert_true(cJSON_Compare(j, again, true));
}

// What was printed of {"n": the number}, and that both ways of reading agree.
static void assert_int(int64_t n, const char *text)
{
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject(), *again = NULL;
    struct gr_error e = {0};
    int64_t back = 7;
    assert_non_null(gr_json_add_int(o, "n", n));
    GR_AUTO_FREE char *printed = gr_json_format(o);
    assert_string_equal(printed, text);
    assert_int_equal(parse(printed, strlen(printed), &again, &e), 0);
    assert_true(gr_json_read_int(gr_json_get(again, "n"), &back));
    assert_int_equal(back, n);
}

static void whole_numbers_are_exact(void **state)
{
    (void)state;
    const int64_t edge = 1ll << 53;
    assert_int(0, "{\"n\":0}");
    assert_int(-1, "{\"n\":-1}");
    assert_int(1764120000000001, "{\"n\":1764120000000001}"); // 16 digits
    assert_int(edge - 1, "{\"n\":9007199254740991}");
    assert_int(edge, "{\"n\":9007199254740992}");
    assert_int(edge + 1, "{\"n\":\"9007199254740993\"}");
    assert_int(-edge + 1, "{\"n\":-9007199254740991}");
    assert_int(-edge - 1, "{\"n\":\"-9007199254740993\"}");
    assert_int(INT64_MAX, "{\"n\":\"9223372036854775807\"}");
    assert_int(INT64_MIN, "{\"n\":\"-9223372036854775808\"}");
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    assert_non_null(gr_json_add_uint(o, "n", UINT64_MAX));
    GR_AUTO_FREE char *printed = gr_json_format(o);
    assert_string_equal(printed, "{\"n\":\"18446744073709551615\"}");
}

static void what_is_no_whole_number_is_not_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"1.5",
                                      "true",
                                      "null",
                                      "\"\"",
                                      "\"x\"",
                                      "\"1x\"",
                                      "\" 1\"",
                                      "\"1.0\"",
                                      "[1]",
                                      "{}",
                                      "\"9223372036854775808\""};
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        GR_AUTO_JSON cJSON *j = NULL;
        struct gr_error e = {0};
        int64_t n = 7;
        assert_int_equal(parse(bad[i], strlen(bad[i]), &j, &e), 0);
        assert_false(gr_json_read_int(j, &n));
        assert_int_equal(n, 7);
    }
    int64_t n = 7;
    assert_false(gr_json_read_int(NULL, &n));
}

// Numbers with up to 17 digits, as they come in documents.
static void texts_come_back_as_they_were(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"b\":9007199254740991,\"a\":-9007199254740991,\"c\":[0.1,1e-07,123456789.12345679]}",
        "{\"s\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001/"
        "\xc3\xa4\",\"e\":{},\"l\":[],\"t\":[true,false,null]}"};
    for (size_t i = 0; i < GR_COUNT(texts); i++) {
        GR_AUTO_JSON cJSON *j = NULL;
        struct gr_error e = {0};
        assert_int_equal(parse(texts[i], strlen(texts[i]), &j, &e), 0);
        GR_AUTO_FREE char *text = gr_json_format(j);
        assert_string_equal(text, texts[i]);
    }
}

static void printed_text_goes_in_as_it_is(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    assert_non_null(cJSON_AddRawToObject(o, "a", "[1, {\"b\": 2}]"));
    GR_AUTO_FREE char *text = gr_json_format(o);
    assert_string_equal(text, "{\"a\":[1, {\"b\": 2}]}");
}

static void people_get_lines(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":9007199254740991,\"b\":[1,\"x\"],\"c\":[{\"d\":null},{}],\"e\":{}}";
    GR_AUTO_JSON cJSON *j = NULL;
    struct gr_error e = {0};
    assert_int_equal(parse(text, strlen(text), &j, &e), 0);
    GR_AUTO_FREE char *pretty = gr_json_format_pretty(j);
    assert_string_equal(pretty, "{\n  \"a\": 9007199254740991,\n  \"b\": [1, \"x\"],\n"
                                "  \"c\": [\n    {\n      \"d\": null\n    },\n    {}\n  ],\n"
                                "  \"e\": {}\n}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_exact),
        cmocka_unit_test(what_is_no_whole_number_is_not_read),
        cmocka_unit_test(texts_come_back_as_they_were),
        cmocka_unit_test(printed_text_goes_in_as_it_is),
        cmocka_unit_test(people_get_lines),
        cmocka_unit_test(good_documents_pass),
        cmocka_unit_test(bad_documents_are_refused_with_a_reason),
        cmocka_unit_test(duplicate_keys_are_named_by_their_path),
        cmocka_unit_test(depth_is_capped_exactly),
        cmocka_unit_test(many_beside_each_other_are_not_deep),
        cmocka_unit_test(size_is_capped_exactly),
        cmocka_unit_test(many_keys_are_compared_by_sorting),
        cmocka_unit_test(a_hostile_path_stays_short),
        cmocka_unit_test(values_come_out),
        cmocka_unit_test(absence_is_allowed_only_where_optional),
        cmocka_unit_test(wrong_types_and_ranges_are_told_with_both_sides),
        cmocka_unit_test(unknown_fields_are_refused_with_their_path),
        cmocka_unit_test(formatting_is_compact_and_parses_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
