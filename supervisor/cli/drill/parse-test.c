// What a drill may say, and the line that is named when it says something else.
#include "base/buf.h"
#include "cli/drill/drill.h"
#include "cli/input.h"
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "shows that\n"
#define TAIL "expect lost 0\n"

static struct gr_drill *parse(const char *text)
{
    struct gr_drill *d = NULL;
    struct gr_error e = {0};
    if (gr_drill_parse("drills/some.drill", text, strlen(text), &d, &e) < 0)
        fail_msg("%s", e.message);
    return d;
}

static void assert_refused(const char *text, const char *word)
{
    struct gr_drill *d = NULL;
    struct gr_error e = {0};
    if (gr_drill_parse("drills/some.drill", text, strlen(text), &d, &e) != -EINVAL)
        fail_msg("taken: %s", text);
    if (!strstr(e.message, word))
        fail_msg("\"%s\" is not in: %s", word, e.message);
}

static void test_a_whole_story(void **state)
{
    (void)state;
    struct gr_drill *d = parse("# why\nshows a crash, and the way back\nrows 10 11\nneeds fresh\n"
                               "set Service.StableAfter=1s\n\n"
                               "put pay 1.2.0 digest wrong\n  with {\"strategy\":\n"
                               "  # in between\n    {\"bake\": \"1h\"}}\n"
                               "expect event pay RolledBack because Crashed within 5s\n"
                               "expect lost at most 3\n");
    assert_string_equal(d->name.s, "some");
    assert_string_equal(d->shows, "a crash, and the way back");
    assert_int_equal(d->n_rows, 2);
    assert_int_equal(d->rows[1], 11);
    assert_int_equal(d->needs, GR_DRILL_NEEDS_FRESH);
    assert_string_equal(d->sets[0], "Service.StableAfter=1s");
    assert_int_equal(d->n_lines, 3);
    const struct gr_drill_line *put = &d->lines[0];
    assert_int_equal(put->act, GR_DRILL_PUT);
    assert_int_equal(put->number, 7);
    assert_string_equal(put->args[1], "1.2.0");
    assert_null(put->args[2]);
    assert_null(put->args[3]);
    assert_string_equal(put->args[4], "wrong");
    assert_string_equal(put->args[5], "{\"strategy\": {\"bake\": \"1h\"}}");
    assert_string_equal(d->lines[1].args[2], "Crashed");
    assert_string_equal(d->lines[1].args[3], "5s");
    assert_int_equal(d->lines[2].number, 12);
    gr_drill_free(d);
}

static void test_the_longer_form_wins(void **state)
{
    (void)state;
    struct gr_drill *d = parse(HEAD "put again pay\nstart dying\nexpect not quarantined pay\n");
    assert_int_equal(d->lines[0].act, GR_DRILL_PUT_AGAIN);
    assert_int_equal(d->lines[1].act, GR_DRILL_START_DYING);
    assert_int_equal(d->lines[2].act, GR_DRILL_NOT_QUARANTINED);
    gr_drill_free(d);
}

static void test_needs_come_from_what_is_done(void **state)
{
    (void)state;
    struct gr_drill *d = parse(HEAD "fault etcd killed\nfault point journal.begin:1:kill\n" TAIL);
    assert_int_equal(d->needs,
                     GR_DRILL_NEEDS_ETCD | GR_DRILL_NEEDS_FAULTS | GR_DRILL_NEEDS_THROWAWAY);
    gr_drill_free(d);
}

static void test_bounds(void **state)
{
    (void)state;
    struct gr_drill *d = parse(HEAD "expect lost 2\nexpect lost at most 2\nexpect lost at least "
                                    "2\n");
    static const bool holds[3][3] = {
        {false, true, false}, {true, true, false}, {false, true, true}};
    for (size_t i = 0; i < 3; i++)
        for (uint64_t n = 1; n < 4; n++)
            assert_int_equal(gr_drill_holds(d->lines[i].args[0], n), holds[i][n - 1]);
    gr_drill_free(d);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("", "shows");
    assert_refused(HEAD, "expects nothing");
    assert_refused(TAIL, "shows");
    assert_refused(HEAD "shows more\n" TAIL, "some.drill:2: ");
    assert_refused(HEAD TAIL "rows 1\n", "some.drill:3: ");
    assert_refused(HEAD "rows one\n" TAIL, "row numbers");
    assert_refused(HEAD "needs luck\n" TAIL, "found \"luck\"");
    assert_refused(HEAD "set Service\n" TAIL, "SECTION.KEY=VALUE");
    assert_refused("  put pay 1.0.0\n" HEAD TAIL, "was begun");
    assert_refused(HEAD "break everything\n" TAIL, "not a statement");
    assert_refused(HEAD "put pay\n" TAIL, "found the end of the line");
    assert_refused(HEAD "put Pay 1.0.0\n" TAIL, "a module's name");
    assert_refused(HEAD "put pay 1.0\n" TAIL, "a version");
    assert_refused(HEAD "put pay 1.0.0 more\n" TAIL, "expected nothing more, found \"more\"");
    assert_refused(HEAD "put pay 1.0.0 with {\n" TAIL, "a JSON object");
    assert_refused(HEAD "put pay 1.0.0 with {\"a\":1,\"a\":2}\n" TAIL, "a JSON object");
    assert_refused(HEAD "put pay 1.0.0 from nowhere\n" TAIL, "truncated");
    assert_refused(HEAD "expect event pay Broken\n" TAIL, "a phase");
    assert_refused(HEAD "expect event pay Rejected because Bad\n" TAIL, "a reason");
    assert_refused(HEAD "expect event pay Rejected within soon\n" TAIL, "a duration");
    assert_refused(HEAD "expect event pay Rejected within 1h\n" TAIL, "at most 10m");
    assert_refused(HEAD "expect lost some\n", "at most N");
    assert_refused(HEAD "traffic pay Charge\n" TAIL, "INTERFACE/METHOD");
    assert_refused(HEAD "fault point nothing\n" TAIL, "NAME:N:kill");
    assert_refused(HEAD "begin\n" TAIL, "begin and commit");
    assert_refused(HEAD "commit\n" TAIL, "go in pairs");
    assert_refused(HEAD "begin\nbegin\n" TAIL, "go in pairs");
    assert_refused(HEAD TAIL "begin\n", "no commit");
    assert_refused(HEAD "\tput pay 1.0.0\n" TAIL, "some.drill:2: byte 0x9");
}

static void test_names(void **state)
{
    (void)state;
    struct gr_drill *d = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_drill_parse("Some.drill", HEAD TAIL, strlen(HEAD TAIL), &d, &e), -EINVAL);
    assert_int_equal(gr_drill_parse(".drill", HEAD TAIL, strlen(HEAD TAIL), &d, &e), -EINVAL);
}

// Each is in the table of docs/DRILLS.md.
static void test_every_drill_of_the_tree(void **state)
{
    (void)state;
    char pattern[4096], name[GR_NAME_MAX + 3];
    glob_t found;
    GR_AUTO_BUF struct gr_buf page = GR_BUF(1u << 20);
    struct gr_error unread = {0};
    const char *source = getenv("GRAYLING_SOURCE");
    if (!source)
        skip();
    snprintf(pattern, sizeof pattern, "%s/integration-tests/drills/*.drill", source);
    char *docs = NULL;
    assert_true(asprintf(&docs, "%s/docs/DRILLS.md", source) > 0);
    assert_int_equal(gr_input_read(docs, &page, &unread), 0);
    free(docs);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct gr_drill *d = NULL;
        struct gr_error e = {0};
        if (gr_drill_load(found.gl_pathv[i], &d, &e) < 0)
            fail_msg("%s", e.message);
        snprintf(name, sizeof name, "`%s`", d->name.s);
        if (!strstr(page.data, name))
            fail_msg("docs/DRILLS.md does not name %s", name);
        gr_drill_free(d);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_story),
        cmocka_unit_test(test_the_longer_form_wins),
        cmocka_unit_test(test_needs_come_from_what_is_done),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_drill_of_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
