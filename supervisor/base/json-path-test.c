// Paths in complaints: short, printable, and never cut in the middle of a character.
#include "base/json-path.h"
#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void words_are_joined_with_dots(void **state)
{
    (void)state;
    struct gr_json_path p;
    gr_json_path_start(&p, "");
    gr_json_path_key(&p, "strategy", 8);
    gr_json_path_key(&p, "steps", 5);
    gr_json_path_index(&p, 2);
    gr_json_path_key(&p, "weight", 6);
    assert_string_equal(p.text, "strategy.steps[2].weight");
    assert_int_equal(p.len, strlen(p.text));
    gr_json_path_start(&p, "provides[0]");
    gr_json_path_key(&p, "version", 7);
    assert_string_equal(p.text, "provides[0].version");
}

static void other_keys_are_quoted(void **state)
{
    (void)state;
    struct gr_json_path p;
    gr_json_path_start(&p, "a");
    gr_json_path_key(&p, "b.c", 3);
    gr_json_path_key(&p, "", 0);
    gr_json_path_key(&p, "\x1b[0m", 4);
    assert_string_equal(p.text, "a[\"b.c\"][\"\"][\"?[0m\"]");
}

static void long_paths_end_in_dots_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t start = 0; start < 260; start++) {
        char text[300];
        struct gr_json_path p;
        memset(text, 'x', start);
        text[start] = '\0';
        gr_json_path_start(&p, text);
        for (int i = 0; i < 10; i++)
            gr_json_path_key(&p, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
                             15);
        for (int i = 0; i < 40; i++)
            gr_json_path_index(&p, 1234567);
        assert_int_equal(p.len, strlen(p.text));
        assert_true(p.len < GR_JSON_PATH_MAX && p.len > GR_JSON_PATH_MAX - 10);
        assert_string_equal(p.text + p.len - 3, "...");
        for (size_t i = 0, n; i < p.len; i += n) {
            n = gr_utf8_sequence(p.text + i, p.len - i);
            assert_true(n > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_joined_with_dots),
        cmocka_unit_test(other_keys_are_quoted),
        cmocka_unit_test(long_paths_end_in_dots_wherever_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
