// The command line: options anywhere, values in both spellings, refusals that suggest.
#include "cli/verbs.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct gr_args args;
static struct gr_error e;

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})

static int parse(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    e = (struct gr_error){0};
    return gr_args_parse(argc, argv, gr_verbs, gr_n_verbs, &args, &e);
}

static void test_verb_words_options(void **state)
{
    const char *files[4];
    (void)state;
    assert_int_equal(
        PARSE("-o", "json", "apply", "-f", "a.json", "--file=b.json", "c.json", "--dry-run"), 0);
    assert_string_equal(args.verb->name, "apply");
    assert_int_equal(gr_args_list(&args, "file", files, 4), 2);
    assert_string_equal(files[0], "a.json");
    assert_string_equal(files[1], "b.json");
    assert_int_equal(args.n_words, 1);
    assert_string_equal(args.words[0], "c.json");
    assert_true(gr_args_has(&args, "dry-run"));
    assert_string_equal(gr_args_value(&args, "output"), "json");
    assert_null(gr_args_value(&args, "reason"));
}

static void test_letter_means_what_the_verb_says(void **state)
{
    (void)state;
    assert_int_equal(PARSE("events", "-f"), 0);
    assert_true(gr_args_has(&args, "follow"));
    assert_int_equal(PARSE("apply", "-fpay.json"), 0);
    assert_string_equal(gr_args_value(&args, "file"), "pay.json");
}

static void test_double_dash_ends_options(void **state)
{
    (void)state;
    assert_int_equal(PARSE("get", "--", "-odd"), 0);
    assert_string_equal(args.words[0], "-odd");
    assert_int_equal(PARSE("apply", "-"), 0); // standard input is a word
    assert_string_equal(args.words[0], "-");
}

static void assert_refused(int r, const char *part)
{
    assert_int_equal(r, -EINVAL);
    if (!strstr(e.message, part))
        fail_msg("expected \"%s\" in: %s", part, e.message);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused(PARSE("aply"), "did you mean \"apply\"");
    assert_refused(PARSE("statsu"), "did you mean \"status\"");
    assert_refused(PARSE("zzzzzz"), "grayctl help");
    assert_refused(PARSE("promote", "pay", "--ful"), "did you mean \"--full\"?");
    assert_refused(PARSE("list", "--ouput=json"), "did you mean \"--output\"?");
    assert_refused(PARSE("config", "chek"), "did you mean \"check\"?");
    assert_refused(PARSE("config", "zzzzzz"), "expected cat or check, got");
    assert_refused(PARSE("list", "--wrong"), "--wrong");
    assert_refused(PARSE("list", "-x"), "-x");
    assert_refused(PARSE("apply", "--file"), "needs a value");
    assert_refused(PARSE("apply", "--dry-run=yes"), "takes no value");
    assert_refused(PARSE("get"), "usage: grayctl get MODULE");
    assert_refused(PARSE("list", "one"), "got 1 argument;");
}

static void test_help_needs_no_words(void **state)
{
    (void)state;
    assert_int_equal(PARSE("get", "--help"), 0);
    assert_int_equal(PARSE("-h"), 0);
    assert_null(args.verb);
}

static void test_numbers_and_durations(void **state)
{
    int64_t n = -1;
    uint64_t usec = 7;
    (void)state;
    assert_int_equal(PARSE("status", "--timeout", "90s", "--revision", "42"), 0);
    assert_int_equal(gr_args_duration(&args, "timeout", &usec, &e), 0);
    assert_int_equal(usec, 90000000);
    assert_int_equal(gr_args_number(&args, "revision", &n, &e), 0);
    assert_int_equal(n, 42);
    assert_int_equal(PARSE("status", "--timeout", "soon", "--revision", "-1"), 0);
    assert_refused(gr_args_duration(&args, "timeout", &usec, &e), "soon");
    assert_refused(gr_args_number(&args, "revision", &n, &e), "--revision -1");
    assert_int_equal(n, 42);
}

// contract has an --output of its own; the format is -o there.
static void test_a_verb_may_hide_the_long_name_of_the_format(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-o", "json", "contract", "generate", "--output", "a.yaml"), 0);
    assert_string_equal(gr_args_value(&args, "output"), "a.yaml");
    assert_string_equal(gr_args_format(&args), "json");
    assert_int_equal(PARSE("contract", "generate", "--output=b.yaml"), 0);
    assert_string_equal(gr_args_value(&args, "output"), "b.yaml");
    assert_null(gr_args_format(&args));
}

// Two options of one verb with one name or letter would hide each other.
static void test_table_is_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < gr_n_verbs; i++) {
        const struct gr_verb *v = &gr_verbs[i];
        assert_non_null(v->run);
        assert_non_null(v->examples);
        assert_true(v->min_words <= v->max_words && v->max_words <= GR_ARGS_MAX);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(v->name, gr_verbs[k].name);
        for (const struct gr_option *a = v->options; a && a->name; a++) {
            for (const struct gr_option *b = v->options; b != a; b++)
                assert_true(strcmp(a->name, b->name) && (!a->letter || a->letter != b->letter));
            for (const struct gr_option *b = gr_shared_options; b->name; b++)
                assert_true(strcmp(a->name, b->name) || !strcmp(a->value, "FILE.yaml"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verb_words_options),
        cmocka_unit_test(test_letter_means_what_the_verb_says),
        cmocka_unit_test(test_double_dash_ends_options),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_help_needs_no_words),
        cmocka_unit_test(test_numbers_and_durations),
        cmocka_unit_test(test_a_verb_may_hide_the_long_name_of_the_format),
        cmocka_unit_test(test_table_is_consistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
