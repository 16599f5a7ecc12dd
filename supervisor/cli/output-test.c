// Tables line up, JSON stays JSON, foreign text cannot steer a terminal.
#include "base/json.h"
#include "cli/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct gr_column columns[] = {
    {"NAME", "name", GR_CELL_TEXT, false},  {"PHASE", "phase", GR_CELL_PHASE, false},
    {"HASH", "v.hash", GR_CELL_HASH, true}, {"P99", "p99", GR_CELL_USEC, false},
    {"AT", "at", GR_CELL_TIME, false},
};
static const char rows[] =
    "[{\"name\":\"pay\",\"phase\":\"Healthy\",\"v\":{\"hash\":\"sha256:0123456789abcdef0123\"},"
    "\"p99\":1500,\"at\":\"2026-11-24T05:06:07.123456Z\"},"
    "{\"name\":\"Zürich\",\"phase\":null}]";

static char *shown;
static size_t shown_len;

static const char *print_list(enum gr_format format, bool color, const char *json)
{
    free(shown);
    struct gr_cli cli = {
        .out = open_memstream(&shown, &shown_len), .format = format, .color = color};
    GR_AUTO_JSON cJSON *list = cJSON_Parse(json);
    gr_output_list(&cli, list, columns, GR_COUNT(columns), "name");
    fclose(cli.out);
    return shown;
}

static const char *print_object(enum gr_format format, const char *json)
{
    free(shown);
    struct gr_cli cli = {.out = open_memstream(&shown, &shown_len), .format = format};
    GR_AUTO_JSON cJSON *object = cJSON_Parse(json);
    gr_output_object(&cli, object, columns, GR_COUNT(columns), "name");
    fclose(cli.out);
    return shown;
}

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(print_list(GR_FORMAT_TABLE, false, rows),
                        "NAME    PHASE    P99    AT\n"
                        "pay     Healthy  1.5ms  2026-11-24T05:06:07Z\n"
                        "Zürich  -        -      -\n");
}

static void test_wide_shortens_hashes(void **state)
{
    (void)state;
    assert_non_null(strstr(print_list(GR_FORMAT_WIDE, false, rows), "sha256:0123456789abcdef  "));
}

static void test_names_json_lines(void **state)
{
    (void)state;
    assert_string_equal(print_list(GR_FORMAT_NAME, false, rows), "pay\nZürich\n");
    assert_string_equal(print_list(GR_FORMAT_JSONL, false, "[{\"a\":1},{\"b\":[]}]"),
                        "{\"apiVersion\":\"grayling/v1\",\"a\":1}\n"
                        "{\"apiVersion\":\"grayling/v1\",\"b\":[]}\n");
    GR_AUTO_JSON cJSON *again = cJSON_Parse(print_list(GR_FORMAT_JSON, false, rows));
    assert_string_equal(gr_output_text(again, "apiVersion"), "grayling/v1");
    assert_int_equal(cJSON_GetArraySize(gr_output_find(again, "items")), 2);
}

static void test_color_only_for_phases(void **state)
{
    (void)state;
    assert_non_null(
        strstr(print_list(GR_FORMAT_TABLE, true, rows), "\033[32mHealthy\033[0m  1.5ms"));
    assert_null(strstr(print_list(GR_FORMAT_TABLE, false, rows), "\033"));
    assert_null(strstr(print_list(GR_FORMAT_TABLE, true, "[{\"name\":\"Healthy\"}]"), "\033"));
}

static void test_control_characters_are_blanked(void **state)
{
    (void)state;
    assert_null(
        strchr(print_list(GR_FORMAT_TABLE, false, "[{\"name\":\"a\\u001b[2Jb\"}]"), '\033'));
}

static void test_object_leaves_out_what_is_absent(void **state)
{
    (void)state;
    assert_string_equal(
        print_object(GR_FORMAT_TABLE, "{\"name\":\"pay\",\"phase\":null,\"p99\":0}"),
        "NAME:  pay\nP99:   0us\n");
    assert_string_equal(print_object(GR_FORMAT_NAME, "{\"name\":7}"), "7\n");
    assert_string_equal(print_object(GR_FORMAT_NAME, "{\"name\":1795503862407434}"),
                        "1795503862407434\n");
}

static void test_empty_list_has_a_head(void **state)
{
    (void)state;
    assert_string_equal(print_list(GR_FORMAT_TABLE, false, "[]"), "NAME  PHASE  P99  AT\n");
    assert_string_equal(print_list(GR_FORMAT_JSONL, false, "[]"), "");
}

static int tear_down(void **state)
{
    (void)state;
    free(shown);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_wide_shortens_hashes),
        cmocka_unit_test(test_names_json_lines),
        cmocka_unit_test(test_color_only_for_phases),
        cmocka_unit_test(test_control_characters_are_blanked),
        cmocka_unit_test(test_object_leaves_out_what_is_absent),
        cmocka_unit_test(test_empty_list_has_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
