// grayling.conf(5) tells of every key, of no other, and its defaults are those that are in force.
#include "base/macros.h"
#include "control/config-doc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// The defaults as they are printed: lines of "[Section]", "# from ..." and "Key=value".
static char *print_defaults(void)
{
    static const char *const variables[] = {"CREDENTIALS_DIRECTORY", "GRAYLING_CONFIG",
                                            "RUNTIME_DIRECTORY", "STATE_DIRECTORY"};
    struct gr_config *c = NULL;
    struct gr_error e = {0};
    for (size_t i = 0; i < GR_COUNT(variables); i++)
        unsetenv(variables[i]);
    assert_int_equal(gr_config_restore("a test", "[Service]\nName=order\n", &c, &e), 0);
    char *text = gr_config_format(c);
    assert_non_null(text);
    gr_config_free(c);
    return text;
}

static void test_keys_and_defaults_are_those_in_force(void **state)
{
    char *text = print_defaults(), *rest = text, *line, section[32] = "";
    size_t n = 0;
    (void)state;
    while ((line = strsep(&rest, "\n"))) {
        char *equals = strchr(line, '=');
        if (sscanf(line, "[%31[^]]", section) == 1 || *line == '#' || !equals)
            continue;
        *equals = '\0';
        const struct gr_config_doc *doc = gr_config_doc(n++);
        assert_non_null(doc); // a key without a text: add it to config-doc.c
        assert_string_equal(doc->section, section);
        assert_string_equal(doc->name, line);
        if (*doc->otherwise != '(')
            assert_string_equal(doc->otherwise, equals + 1);
    }
    assert_null(gr_config_doc(n));
    assert_int_equal(n, GR_CONFIG_KEYS);
    free(text);
}

static void test_texts_are_sentences(void **state)
{
    const struct gr_config_doc *doc;
    (void)state;
    for (size_t i = 0; (doc = gr_config_doc(i)); i++) {
        assert_true(*doc->value);
        assert_int_equal(doc->text[strlen(doc->text) - 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_defaults_are_those_in_force),
        cmocka_unit_test(test_texts_are_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
