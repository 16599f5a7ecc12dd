// Which byte sequences are UTF-8, where a text may be cut, and what foreign text looks like in a
// sentence.
#include "base/macros.h"
#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void accepts_the_edges_of_every_length(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xee\x80\x80", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        assert_int_equal(gr_utf8_sequence(cases[i].bytes, cases[i].len), cases[i].len);
        assert_int_equal(gr_utf8_sequence(cases[i].bytes, cases[i].len - 1), 0); // cut off
    }
}

static void refuses_overlong_forms_surrogates_and_strays(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "\xc2\x41",
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++)
        assert_int_equal(gr_utf8_sequence(cases[i], strlen(cases[i])), 0);
}

static void encodes_what_it_recognises(void **state)
{
    (void)state;
    static const unsigned points[] = {0x41,   0x7f,   0x80,   0x7ff,   0x800,
                                      0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < GR_COUNT(points); i++) {
        char bytes[4];
        size_t n = gr_utf8_encode(points[i], bytes);
        assert_int_equal(gr_utf8_sequence(bytes, n), n);
    }
    char smile[4];
    assert_int_equal(gr_utf8_encode(0x1f600, smile), 4);
    assert_memory_equal(smile, "\xf0\x9f\x98\x80", 4);
}

static void floor_keeps_whole_sequences_only(void **state)
{
    (void)state;
    const char *text = "ab\xe2\x82\xac"; // "ab€"
    assert_int_equal(gr_utf8_floor(text, 5), 5);
    assert_int_equal(gr_utf8_floor(text, 4), 2);
    assert_int_equal(gr_utf8_floor(text, 3), 2);
    assert_int_equal(gr_utf8_floor(text, 2), 2);
    assert_int_equal(gr_utf8_floor(text, 0), 0);
}

static void show_is_printable_quoted_and_short(void **state)
{
    (void)state;
    char buf[GR_SHOWN_MAX];
    assert_string_equal(gr_utf8_show("pay", 3, buf), "\"pay\"");
    assert_string_equal(gr_utf8_show("a\nb\"\xff\x1b", 6, buf), "\"a?b???\"");
    assert_string_equal(gr_utf8_show("\xe2\x82\xac", 3, buf), "\"\xe2\x82\xac\"");
    char longer[500];
    memset(longer, 'x', sizeof longer);
    gr_utf8_show(longer, sizeof longer, buf);
    assert_true(strlen(buf) < GR_SHOWN_MAX);
    assert_string_equal(buf + strlen(buf) - 5, "x...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_edges_of_every_length),
        cmocka_unit_test(refuses_overlong_forms_surrogates_and_strays),
        cmocka_unit_test(encodes_what_it_recognises),
        cmocka_unit_test(floor_keeps_whole_sequences_only),
        cmocka_unit_test(show_is_printable_quoted_and_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
