// One exit status per kind of end, and what the environment says when the command line does not.
#include "cli/cli.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_exit_statuses(void **state)
{
    static const struct {
        int code;
        enum gr_reason reason;
        enum gr_exit status;
    } kinds[] = {
        {-EINVAL, GR_REASON_NONE, GR_EXIT_USAGE},
        {-EINVAL, GR_REASON_DOCUMENT_INVALID, GR_EXIT_REFUSED},
        {-ENOENT, GR_REASON_NONE, GR_EXIT_NOT_FOUND},
        {-ENOENT, GR_REASON_FETCH_FAILED, GR_EXIT_NOT_FOUND},
        {-EBUSY, GR_REASON_NONE, GR_EXIT_REFUSED},
        {-EALREADY, GR_REASON_NONE, GR_EXIT_REFUSED},
        {-EACCES, GR_REASON_NONE, GR_EXIT_REFUSED},
        {-EIO, GR_REASON_SIGNATURE_INVALID, GR_EXIT_REFUSED},
        {-ETIME, GR_REASON_NONE, GR_EXIT_TIMED_OUT},
        {-ECONNREFUSED, GR_REASON_NONE, GR_EXIT_UNREACHABLE},
        {-EIO, GR_REASON_SOURCE_UNREACHABLE, GR_EXIT_UNREACHABLE},
        {-ETIME, GR_REASON_SOURCE_UNREACHABLE, GR_EXIT_UNREACHABLE},
        {-EIO, GR_REASON_NONE, GR_EXIT_INTERNAL},
        {-ENOMEM, GR_REASON_INTERNAL, GR_EXIT_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(kinds); i++) {
        struct gr_error e = {.code = kinds[i].code, .reason = kinds[i].reason};
        if (gr_exit_of_error(&e) != kinds[i].status)
            fail_msg("%s with %s: status %d, expected %d", strerror(-e.code),
                     gr_reason_name(e.reason), gr_exit_of_error(&e), kinds[i].status);
    }
}

static int init(struct gr_cli *cli, char **argv, struct gr_error *e)
{
    static const struct gr_verb verbs[] = {{.name = "list", .words = ""}};
    static struct gr_args args;
    int argc = 0;
    while (argv[argc])
        argc++;
    assert_int_equal(gr_args_parse(argc, argv, verbs, 1, &args, e), 0);
    return gr_cli_init(cli, &args, e);
}

static void test_command_line_wins_over_environment(void **state)
{
    struct gr_cli cli = {.out = stdout, .err = stderr};
    struct gr_error e;
    (void)state;
    setenv("GRAYLING_CONTROL", "/from/environment", 1);
    assert_int_equal(init(&cli, (char *[]){"list", NULL}, &e), 0);
    assert_string_equal(cli.control_path, "/from/environment");
    assert_int_equal(init(&cli, (char *[]){"list", "--control", "/given", NULL}, &e), 0);
    assert_string_equal(cli.control_path, "/given");
    setenv("GRAYLING_CONTROL", "", 1);
    assert_int_equal(init(&cli, (char *[]){"list", NULL}, &e), 0);
    assert_null(cli.control_path);
}

static void test_formats_and_color(void **state)
{
    struct gr_cli cli = {.out = stdout, .err = stderr};
    struct gr_error e;
    (void)state;
    assert_int_equal(init(&cli, (char *[]){"list", "-o", "jsonl", "--color", "always", NULL}, &e),
                     0);
    assert_int_equal(cli.format, GR_FORMAT_JSONL);
    assert_true(cli.color);
    assert_int_equal(init(&cli, (char *[]){"list", "--color=never", NULL}, &e), 0);
    assert_false(cli.color);
    assert_int_equal(init(&cli, (char *[]){"list", "-o", "xml", NULL}, &e), -EINVAL);
    assert_non_null(strstr(e.message, "jsonl"));
    assert_int_equal(init(&cli, (char *[]){"list", "--color", "maybe", NULL}, &e), -EINVAL);
}

static void test_nobody_answers(void **state)
{
    struct gr_cli cli = {.out = stdout, .err = stderr, .control_path = "/nonexistent/control.sock"};
    struct gr_error e;
    (void)state;
    assert_int_equal(gr_cli_request(&cli, "GET", "/v1/status", NULL, 0, NULL, &e), -ECONNREFUSED);
    assert_non_null(strstr(e.message, "/nonexistent/control.sock"));
    assert_int_equal(gr_exit_of_error(&e), GR_EXIT_UNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_statuses),
        cmocka_unit_test(test_command_line_wins_over_environment),
        cmocka_unit_test(test_formats_and_color),
        cmocka_unit_test(test_nobody_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
