// Lines of an instance as an author reads them; what is no log line is shown as it is.
#include "base/log.h"
#include "base/macros.h"
#include "cli/run-line.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TIME "{\"time\":\"2026-11-24T05:06:07.123456Z\",\"level\":\""
#define WORKER "\",\"identifier\":\"grayling-worker\","
#define DAEMON "\",\"identifier\":\"graylingd\","

static const struct {
    const char *line;
    enum gr_run_kind kind;
    const char *text;
} lines[] = {
    {"", GR_RUN_QUIET, ""},
    {TIME "info" WORKER
          "\"module\":\"pay\",\"version\":\"1.0.0\",\"message\":\"POST /a.B/C 200 31 us\","
          "\"status\":\"200\"}",
     GR_RUN_REQUEST, "05:06:07 POST /a.B/C 200 31 us  pay 1.0.0"},
    {TIME "info" WORKER "\"message\":\"GET / 404 3 us\",\"status\":\"404\"}", GR_RUN_REQUEST,
     "05:06:07 GET / 404 3 us   "},
    {TIME "info" WORKER
          "\"module\":\"pay\",\"version\":\"1.0.0\",\"message\":\"two\\u001b[31mlines\\n\"}",
     GR_RUN_SAYS, "05:06:07 pay 1.0.0 info: two [31mlines "},
    {TIME "info" DAEMON "\"message_id\":\"" GR_MSG_HEALTHY
          "\",\"module\":\"pay\",\"version\":\"1.0.0\",\"message\":\"baked\"}",
     GR_RUN_SERVES, "pay 1.0.0"},
    {TIME "error" DAEMON "\"message_id\":\"" GR_MSG_REJECTED
          "\",\"module\":\"pay\",\"reason\":\"InitFailed\",\"message\":\"it said no\"}",
     GR_RUN_REFUSED, "InitFailed: it said no"},
    {TIME "warning" DAEMON "\"message_id\":\"" GR_MSG_ROLLED_BACK
          "\",\"module\":\"pay\",\"message\":\"it went\"}",
     GR_RUN_REFUSED, "it went"},
    {TIME "warning" DAEMON "\"message_id\":\"" GR_MSG_UNTRUSTED "\",\"message\":\"no root\"}",
     GR_RUN_QUIET, ""},
    {TIME "info" DAEMON "\"message_id\":\"" GR_MSG_PHASE
          "\",\"module\":\"pay\",\"phase\":\"Staged\",\"message\":\"Staged\"}",
     GR_RUN_QUIET, ""},
    {TIME "error" DAEMON "\"message\":\"the port is taken\"}", GR_RUN_SAYS,
     "05:06:07 error: the port is taken"},
    {"printf of a module\t{", GR_RUN_SAYS, "printf of a module {"},
    {"{\"json\":\"of a module\"}", GR_RUN_SAYS, "{\"json\":\"of a module\"}"},
    {"\xff\xfe\x7f", GR_RUN_SAYS, "\xff\xfe "},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(lines); i++) {
        struct gr_run_line l;
        gr_run_line_read(lines[i].line, strlen(lines[i].line), &l);
        assert_string_equal(l.text, lines[i].text);
        assert_int_equal(l.kind, lines[i].kind);
    }
}

static void test_a_long_line_is_cut(void **state)
{
    char text[4 * GR_MESSAGE_MAX];
    struct gr_run_line l;
    (void)state;
    memset(text, 'x', sizeof text);
    gr_run_line_read(text, sizeof text, &l);
    assert_int_equal(l.kind, GR_RUN_SAYS);
    assert_int_equal(strlen(l.text), GR_MESSAGE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
