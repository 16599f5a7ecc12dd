// Completion: every name in the table of verbs is of a known kind, and what is offered at the
// cursor. The daemon's part is in integration-tests/test_house.py.
#include "cli/complete.h"
#include "cli/value-kind.h"
#include "cli/verbs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_known(const char *verb, const char *name, size_t len)
{
    enum gr_value_kind kind;
    if (!gr_value_kind_of(name, len, &kind))
        fail_msg("%s: %.*s is of no kind; add it to value-kind.c", verb, (int)len, name);
}

static void assert_options_known(const char *verb, const struct gr_option *o)
{
    for (; o && o->name; o++)
        if (o->value)
            assert_known(verb, o->value, strlen(o->value));
}

// As many positions as the verb takes words have a choice, and none after.
static void test_every_name_of_the_table_is_of_a_kind(void **state)
{
    struct gr_value_choice choices[GR_VALUES_MAX];
    (void)state;
    assert_options_known("grayctl", gr_shared_options);
    for (size_t i = 0; i < gr_n_verbs; i++) {
        const struct gr_verb *v = &gr_verbs[i];
        assert_options_known(v->name, v->options);
        assert_true(*v->summary && *v->examples);
        for (size_t k = 0; k < v->max_words && k < 3; k++)
            if (gr_value_choices(v->words, k, choices) == 0 && v->words[0] != '-')
                fail_msg("%s takes %u words, but \"%s\" has no word %zu", v->name, v->max_words,
                         v->words, k + 1);
    }
}

static void test_choices(void **state)
{
    struct gr_value_choice c[GR_VALUES_MAX];
    (void)state;
    assert_int_equal(gr_value_choices("list|lift SHA256 --reason TEXT", 0, c), 2);
    assert_memory_equal(c[1].name, "lift", 4);
    assert_int_equal(c[1].kind, GR_VALUE_LITERAL);
    assert_int_equal(gr_value_choices("list|lift SHA256 --reason TEXT", 1, c), 1);
    assert_int_equal(c[0].kind, GR_VALUE_DIGEST);
    assert_int_equal(gr_value_choices("list|lift SHA256 --reason TEXT", 2, c), 0);
    assert_int_equal(gr_value_choices("-f FILE... | MODULE --request HEADER", 0, c), 1);
    assert_int_equal(c[0].kind, GR_VALUE_MODULE);
    assert_int_equal(gr_value_choices("MODULE... --for DURATION", 7, c), 1);
    assert_int_equal(gr_value_choices("[MODULE]", 0, c), 1);
    assert_int_equal(c[0].kind, GR_VALUE_MODULE);
    assert_int_equal(gr_value_choices("[MODULE]", 1, c), 0);
    assert_int_equal(gr_value_choices("", 0, c), 0);
}

#define COMPLETE(...) complete((const char *[]){__VA_ARGS__, NULL})

static const char *complete(const char **words)
{
    static char text[16384];
    struct gr_cli cli = {.err = stderr,
                         .verbs = gr_verbs,
                         .n_verbs = gr_n_verbs,
                         .control_path = "/nowhere/at/all.sock"};
    size_t n = 0;
    while (words[n])
        n++;
    memset(text, 0, sizeof text);
    cli.out = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(cli.out);
    gr_complete(&cli, words, n);
    fclose(cli.out);
    return text;
}

static void test_words_at_the_cursor(void **state)
{
    (void)state;
    assert_string_equal(COMPLETE("prom"), "promote\tTo the next step of its rollout\n");
    assert_non_null(strstr(COMPLETE(""), "doctor\t"));
    assert_string_equal(COMPLETE("config", ""), "cat\t\ncheck\t\n");
    assert_string_equal(COMPLETE("config", "cat", ""), "");
    assert_string_equal(COMPLETE("help", "und"),
                        "undo\tGo back to the last good version, and keep it there\n");
    assert_string_equal(COMPLETE("completion", "f"), "fish\t\n");
    assert_string_equal(COMPLETE("verify", "build/"), ":files .so\n");
    assert_string_equal(COMPLETE("nonsense", ""), COMPLETE(""));
}

static void test_options_and_their_values(void **state)
{
    (void)state;
    assert_string_equal(COMPLETE("promote", "--fu"),
                        "--full\tpast all further steps, to all of the traffic\n");
    assert_string_equal(COMPLETE("list", "-o", "js"), "json\t\njsonl\t\n");
    assert_string_equal(COMPLETE("list", "--output=js"), "--output=json\t\n--output=jsonl\t\n");
    assert_string_equal(COMPLETE("list", "--output", "=", "js"), "json\t\njsonl\t\n"); // bash
    assert_string_equal(COMPLETE("list", "--output", "="),
                        "table\t\nwide\t\njson\t\njsonl\t\nname\t\n");
    assert_string_equal(COMPLETE("apply", "-f", ""), ":files\n");
    assert_string_equal(COMPLETE("apply", "--if-revision", ""), "");
    assert_string_equal(COMPLETE("-o", "json", "prom"),
                        "promote\tTo the next step of its rollout\n");
    assert_string_equal(COMPLETE("--color", "n"), "never\t\n");
    assert_string_equal(COMPLETE("get", "--", "--"), ""); // a word, and no daemon to ask
}

static void test_a_daemon_that_is_away_is_no_noise(void **state)
{
    (void)state;
    assert_string_equal(COMPLETE("get", ""), "");
    assert_string_equal(COMPLETE("undo", "pay", "--to", ""), "");
    assert_string_equal(COMPLETE("quarantine", "lift", ""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_of_the_table_is_of_a_kind),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_words_at_the_cursor),
        cmocka_unit_test(test_options_and_their_values),
        cmocka_unit_test(test_a_daemon_that_is_away_is_no_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
