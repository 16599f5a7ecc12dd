#include "base/json-same.h"
#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

static struct gr_json_ignore *parse(const char *text)
{
    GR_AUTO_JSON cJSON *list = cJSON_Parse(text);
    struct gr_json_ignore *ignore = NULL;
    struct gr_error e = {0};
    if (gr_json_ignore_parse(list, "ignore", &ignore, &e) < 0)
        fail_msg("%s", e.message);
    return ignore;
}

// Both ways round, since neither side is the better one.
static void check(int line, const char *a, const char *b, const char *paths, int expected)
{
    struct gr_json_ignore *ignore = parse(paths);
    int there = gr_json_same(a, strlen(a), b, strlen(b), ignore);
    int back = gr_json_same(b, strlen(b), a, strlen(a), ignore);
    gr_json_ignore_free(ignore);
    if (there != expected || back != expected)
        fail_msg("line %d: %s and %s: expected %d, found %d and %d", line, a, b, expected, there,
                 back);
}
#define SAME(a, b) check(__LINE__, a, b, "[]", 1)
#define DIFFERENT(a, b) check(__LINE__, a, b, "[]", 0)
#define SAME_BUT(paths, a, b) check(__LINE__, a, b, paths, 1)
#define DIFFERENT_BUT(paths, a, b) check(__LINE__, a, b, paths, 0)

static void bytes_come_first(void **state)
{
    (void)state;
    SAME("", "");
    SAME("no json at all", "no json at all");
    DIFFERENT("no json at all", "no json at all ");
    DIFFERENT("", "{}");
}

static void members_have_no_order(void **state)
{
    (void)state;
    SAME("{\"a\":1,\"b\":[1,{\"c\":2,\"d\":3}]}", " { \"b\" : [1, {\"d\":3,\"c\":2}] , \"a\":1}\n");
    SAME("{\"\\u0061\":1}", "{\"a\":1}");
    DIFFERENT("{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}");
    DIFFERENT("{\"a\":1}", "{\"a\":1,\"b\":null}");
    DIFFERENT("[1,2]", "[2,1]");
    DIFFERENT("[1,2]", "[1,2,3]");
    DIFFERENT("[]", "{}");
    DIFFERENT("[[],1]", "[[1]]");
    DIFFERENT("null", "false");
    DIFFERENT("\"1\"", "1");
}

static void numbers_are_exact(void **state)
{
    (void)state;
    SAME("[1.50,0.001,100,-0,1e2]", "[15e-1, 1E-3, 1e+2, 0.0e9, 100.0]");
    SAME("10203.0405", "1.02030405e4");
    SAME("0.1e1", "1");
    SAME("0.00e99999999999999999999", "0");
    DIFFERENT("9007199254740993", "9007199254740992");
    DIFFERENT("0.1", "0.10000000000000000001");
    DIFFERENT("1", "-1");
    DIFFERENT("1", "10");
    DIFFERENT("1", "0");
    DIFFERENT("101", "11");
    DIFFERENT("1e99999999999999999999999998", "1e99999999999999999999999999");
    DIFFERENT("1e99999999999999999999999998", "1");
}

static void texts_by_their_characters(void **state)
{
    (void)state;
    SAME("\"\\u00e9\\/\\n\"", "\"\xc3\xa9/\\u000A\"");
    SAME("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
    DIFFERENT("\"a\"", "\"A\"");
    DIFFERENT("\"a\"", "\"ab\"");
    DIFFERENT("\"\\u0000a\"", "\"\\u0000b\"");
}

static void what_is_no_json_differs(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"a\":1,\"a\":1}",
                                      "[1,]",
                                      "[01]",
                                      "[1.]",
                                      "[+1]",
                                      "[.5]",
                                      "[1e]",
                                      "[nul]",
                                      "[\"\\ud800\"]",
                                      "[1] 2",
                                      "[\"\t\"]",
                                      "{\"a\"}",
                                      "{1:2}",
                                      "[\"a",
                                      "[\"\xff\"]",
                                      "[\"\\x\"]",
                                      "[\"\\u12g4\"]",
                                      "[-]",
                                      "[",
                                      "{\"a\":}"};
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        char spaced[64];
        snprintf(spaced, sizeof spaced, "%s ", bad[i]);
        check(__LINE__, bad[i], spaced, "[]", 0);
    }
}

static void ignored_paths(void **state)
{
    (void)state;
    SAME_BUT("[\"$.id\"]", "{\"id\":1,\"x\":2}", "{\"x\":2,\"id\":[{}]}");
    SAME_BUT("[\"$.id\"]", "{\"id\":1,\"x\":2}", "{\"x\":2}");
    DIFFERENT_BUT("[\"$.id\"]", "{\"id\":1,\"x\":2}", "{\"id\":1,\"x\":3}");
    DIFFERENT_BUT("[\"$.id\"]", "{\"a\":{\"id\":1}}", "{\"a\":{\"id\":2}}");
    SAME_BUT("[\"$.items[*].at\"]", "{\"items\":[{\"at\":1},{\"at\":2,\"n\":3}]}",
             "{\"items\":[{\"at\":5},{\"n\":3}]}");
    DIFFERENT_BUT("[\"$.items[*].at\"]", "{\"items\":[{\"at\":1}]}", "{\"items\":[{},{}]}");
    DIFFERENT_BUT("[\"$.items[*].at\"]", "{\"items\":[{\"at\":1,\"n\":1}]}",
                  "{\"items\":[{\"at\":1,\"n\":2}]}");
    SAME_BUT("[\"$[1]\"]", "[1,2,3]", "[1,7,3]");
    DIFFERENT_BUT("[\"$[1]\"]", "[1,2,3]", "[2,2,3]");
    DIFFERENT_BUT("[\"$[1]\"]", "{\"1\":1}", "{\"1\":2}");
    SAME_BUT("[\"$[*].a\",\"$.x[*]\"]", "{\"x\":{\"a\":1,\"b\":2},\"y\":{\"a\":1}}",
             "{\"x\":{\"c\":5},\"y\":{\"a\":2}}");
    SAME_BUT("[\"$[\\\"a.b \\\\u00e9\\\"]\"]", "{\"a.b \\u00e9\":1}", "{\"a.b \xc3\xa9\":2}");
    DIFFERENT_BUT("[\"$.a\"]", "{\"a\\u0000b\":1}", "{\"a\\u0000b\":2}");
    DIFFERENT_BUT("[\"$.ab\"]", "{\"a\":1}", "{\"a\":2}");
}

static void refuse(const char *list, const char *part)
{
    GR_AUTO_JSON cJSON *j = cJSON_Parse(list);
    struct gr_json_ignore *ignore = NULL;
    struct gr_error e = {0};
    if (gr_json_ignore_parse(j, "shadow_ignore", &ignore, &e) == 0 || !strstr(e.message, part))
        fail_msg("%s: %s", list, e.message);
    assert_null(ignore);
}

static void wrong_paths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"[\"$\"]",
                                      "[\"\"]",
                                      "[\"id\"]",
                                      "[\"$id\"]",
                                      "[\"$.\"]",
                                      "[\"$.a.\"]",
                                      "[\"$..a\"]",
                                      "[\"$[\"]",
                                      "[\"$[]\"]",
                                      "[\"$[01]\"]",
                                      "[\"$[-1]\"]",
                                      "[\"$.a[*\"]",
                                      "[\"$.a b\"]",
                                      "[\"$[\\\"a]\"]",
                                      "[\"$[\\\"\\\\q\\\"]\"]",
                                      "[\"$[1e2]\"]",
                                      "[\"$.a[?(1)]\"]",
                                      "[7]",
                                      "[null]",
                                      "[\"$.*\"]",
                                      "[\"$['a']\"]",
                                      "[\"$[9999999999]\"]",
                                      "[\"$.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\"]"};
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        refuse(bad[i], "shadow_ignore[0]: expected a path");
    refuse("[\"$.a\",\"b\"]", "shadow_ignore[1]: expected a path");
    refuse("{}", "shadow_ignore: expected a list");
    refuse("\"$.a\"", "shadow_ignore: expected a list");
    GR_AUTO_JSON cJSON *many = cJSON_CreateArray();
    for (int i = 0; i <= GR_JSON_IGNORE_PATHS_MAX; i++)
        cJSON_AddItemToArray(many, cJSON_CreateString("$.a"));
    GR_AUTO_FREE char *text = cJSON_PrintUnformatted(many);
    refuse(text, "at most 32 paths");
}

// All 32 bits are in use.
static void as_many_paths_as_are_allowed(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *many = cJSON_CreateArray();
    for (int i = 1; i < GR_JSON_IGNORE_PATHS_MAX; i++)
        cJSON_AddItemToArray(many, cJSON_CreateString("$.nothing"));
    cJSON_AddItemToArray(many, cJSON_CreateString("$.a.b"));
    GR_AUTO_FREE char *text = cJSON_PrintUnformatted(many);
    SAME_BUT(text, "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}");
}

static void depth_and_size_are_bounded(void **state)
{
    (void)state;
    enum { DEEP = GR_JSON_DEPTH_MAX + 1, LONG = 2 * (GR_JSON_SAME_VALUES_MAX + 1) };
    char deep[2 * DEEP + 2];
    memset(deep, '[', DEEP);
    memset(deep + DEEP, ']', DEEP);
    strcpy(deep + 2 * DEEP, " ");
    assert_int_equal(gr_json_same(deep, 2 * DEEP, deep, 2 * DEEP + 1, NULL), 0);
    assert_int_equal(gr_json_same(deep + 1, 2 * DEEP - 2, deep + 1, 2 * DEEP - 1, NULL), 0);
    deep[2 * DEEP - 1] = ' ';
    assert_int_equal(gr_json_same(deep + 1, 2 * DEEP - 2, deep + 1, 2 * DEEP - 1, NULL), 1);
    GR_AUTO_FREE char *many = malloc(LONG + 2);
    assert_non_null(many);
    for (size_t i = 0; i < LONG; i += 2)
        memcpy(many + i, i ? ",1" : "[1", 2);
    strcpy(many + LONG, "]");
    char *end = many + LONG + 1;
    assert_int_equal(gr_json_same(many, (size_t)(end - many), many, (size_t)(end - many), NULL), 1);
    GR_AUTO_FREE char *spaced = malloc(LONG + 3);
    assert_non_null(spaced);
    snprintf(spaced, LONG + 3, " %s", many);
    assert_int_equal(gr_json_same(many, LONG + 1, spaced, LONG + 2, NULL), 0);
    // four values fewer are within the cap
    strcpy(many + LONG - 8, "]");
    snprintf(spaced, LONG + 3, " %s", many);
    assert_int_equal(gr_json_same(many, strlen(many), spaced, strlen(spaced), NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_first),
        cmocka_unit_test(members_have_no_order),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(texts_by_their_characters),
        cmocka_unit_test(what_is_no_json_differs),
        cmocka_unit_test(ignored_paths),
        cmocka_unit_test(wrong_paths_are_refused),
        cmocka_unit_test(as_many_paths_as_are_allowed),
        cmocka_unit_test(depth_and_size_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
