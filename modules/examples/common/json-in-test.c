// The examples' JSON scanner: what it reads, and the sentence for each thing that it refuses.
#include "json-in.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fields {
    struct json_field integer, text, boolean;
};

// Scans an exact-size copy, so that the address sanitizer sees a read past the end.
static bool scan(const char *json, size_t len, struct fields *f, enum json_unknown unknown,
                 char why[JSON_WHY_MAX])
{
    *f = (struct fields){.integer = {.name = "n", .type = JSON_INTEGER},
                         .text = {.name = "t", .type = JSON_TEXT},
                         .boolean = {.name = "b", .type = JSON_BOOLEAN}};
    char *copy = malloc(len ? len : 1);
    memcpy(copy, json, len);
    bool good = json_read(copy, len, &f->integer, 3, unknown, why);
    free(copy);
    return good;
}

static void test_reads(void **state)
{
    (void)state;
    static const char json[] = " { \"n\" : -9007199254740992, \"t\":\"a\\u0041\\/\\\"\", "
                               "\"x\": [1.5e-3, {\"y\": [null, \"\\ud83d\\ude00\"]}, true, []],"
                               "\"b\" :false }\n";
    struct fields f;
    char why[JSON_WHY_MAX];
    if (!scan(json, sizeof json - 1, &f, JSON_SKIP_UNKNOWN, why))
        fail_msg("%s", why);
    assert_true(f.integer.present && f.text.present && f.boolean.present);
    assert_int_equal(f.integer.integer, -(INT64_C(1) << 53));
    assert_string_equal(f.text.text, "aA/\"");
    assert_false(f.boolean.boolean);
    assert_true(scan("{}", 2, &f, JSON_REFUSE_UNKNOWN, why));
    assert_false(f.integer.present || f.text.present || f.boolean.present);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *sentence;
    } cases[] = {
        {"", "expected an object"},
        {"[]", "expected an object"},
        {"{", "expected text in double quotes"},
        {"{\"n\"", "expected a colon"},
        {"{\"n\":", "\"n\" must be an integer"},
        {"{\"n\":1", "expected a comma or }"},
        {"{\"n\":1,}", "expected text in double quotes"},
        {"{\"n\":1} x", "more text follows"},
        {"{\"n\":1,\"n\":2}", "\"n\" is there twice"},
        {"{\"n\":01}", "must not begin with a zero"},
        {"{\"n\":-}", "expected a digit"},
        {"{\"n\":1.}", "expected a digit in the number"},
        {"{\"n\":1.5}", "must be an integer of at most 2^53"},
        {"{\"n\":1e3}", "must be an integer of at most 2^53"},
        {"{\"n\":9007199254740993}", "must be an integer of at most 2^53"},
        {"{\"n\":99999999999999999999999999}", "must be an integer of at most 2^53"},
        {"{\"n\":\"1\"}", "\"n\" must be an integer"},
        {"{\"n\":null}", "\"n\" must be an integer"},
        {"{\"t\":1}", "\"t\" must be text"},
        {"{\"t\":\"\\x\"}", "\\ must be followed by"},
        {"{\"t\":\"\\u00g0\"}", "four hexadecimal digits"},
        {"{\"t\":\"\\u00", "four hexadecimal digits"},
        {"{\"t\":\"\t\"}", "control character"},
        {"{\"t\":\"\\u0000\"}", "printable ASCII"},
        {"{\"t\":\"\xc3\xa9\"}", "printable ASCII"},
        {"{\"t\":\"a", "cut off"},
        {"{\"b\":1}", "\"b\" must be true or false"},
        {"{\"b\":tru", "expected a value"},
        {"{\"x\":nul}", "expected a value"},
        {"{\"x\":[1 2]}", "expected a comma or ]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fields f;
        char why[JSON_WHY_MAX];
        if (scan(cases[i].json, strlen(cases[i].json), &f, JSON_SKIP_UNKNOWN, why))
            fail_msg("%s was read", cases[i].json);
        if (!strstr(why, cases[i].sentence) || strncmp(why, "At byte ", 8) != 0)
            fail_msg("%s: expected \"%s\", got \"%s\"", cases[i].json, cases[i].sentence, why);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct fields f;
    char why[JSON_WHY_MAX], deep[200] = "{\"x\":", text[400] = "{\"t\":\"";
    memset(deep + 5, '[', 100);
    assert_false(scan(deep, strlen(deep), &f, JSON_SKIP_UNKNOWN, why));
    assert_non_null(strstr(why, "more than 32 levels"));
    memset(text + 6, 'a', JSON_TEXT_MAX);
    strcat(text, "\"}");
    assert_true(scan(text, strlen(text), &f, JSON_SKIP_UNKNOWN, why));
    memset(text + 6, 'a', JSON_TEXT_MAX + 1);
    strcpy(text + 6 + JSON_TEXT_MAX + 1, "\"}");
    assert_false(scan(text, strlen(text), &f, JSON_SKIP_UNKNOWN, why));
    assert_non_null(strstr(why, "at most 255 printable"));
    assert_false(scan("{\"x\":1}", 7, &f, JSON_REFUSE_UNKNOWN, why));
    assert_non_null(strstr(why, "\"x\" is not known"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
