// The tree against goldens: golden-tree/NAME.json in, NAME-WIDTH.txt out. GRAYLING_GOLDEN=1 writes
// them anew. And the law of lines: none is wider than the screen, and ASCII is ASCII.
#include "base/json.h"
#include "cli/output.h"
#include "cli/tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"gray", "paused", "back", "first"};

static void path_of(const char *name, const char *end, char path[512])
{
    const char *source = getenv("GRAYLING_SOURCE");
    snprintf(path, 512, "%s/supervisor/cli/golden-tree/%s%s", source ? source : ".", name, end);
}

static char *slurp(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(path, "r");
    assert_non_null(text);
    if (!f)
        fail_msg("%s is not there; GRAYLING_GOLDEN=1 writes it", path);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static char *print(const char *name, const struct gr_tree_style *style, bool line)
{
    char path[512], *text = NULL;
    size_t len = 0;
    path_of(name, ".json", path);
    GR_AUTO_FREE char *json = slurp(path);
    GR_AUTO_JSON cJSON *in = cJSON_Parse(json);
    struct gr_tree t = {.status = gr_output_find(in, "status"),
                        .module = gr_output_find(in, "module"),
                        .history = gr_output_find(in, "history")};
    assert_int_equal(gr_wall_parse(gr_output_text(in, "now"), &t.now), 0);
    FILE *to = open_memstream(&text, &len);
    (line ? gr_tree_print_line : gr_tree_print)(&t, style, to);
    fclose(to);
    return text;
}

static void assert_golden(const char *name, const char *end, const struct gr_tree_style *style,
                          bool line)
{
    char path[512];
    GR_AUTO_FREE char *text = print(name, style, line);
    path_of(name, end, path);
    if (getenv("GRAYLING_GOLDEN")) {
        FILE *f = fopen(path, "w");
        fputs(text, f);
        fclose(f);
    }
    GR_AUTO_FREE char *expected = slurp(path);
    assert_string_equal(text, expected);
}

static void test_goldens(void **state)
{
    static const struct {
        const char *end;
        struct gr_tree_style style;
        bool line;
    } kinds[] = {{"-120.txt", {.columns = 120, .utf8 = true}, false},
                 {"-99.txt", {.columns = 99, .utf8 = true}, false},
                 {"-79.txt", {.columns = 79, .utf8 = true}, false},
                 {"-ascii.txt", {.columns = 0}, false},
                 {"-color.txt", {.columns = 120, .utf8 = true, .color = true}, false},
                 {"-line.txt", {.utf8 = true}, true}};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(names); i++)
        for (size_t k = 0; k < GR_COUNT(kinds); k++)
            assert_golden(names[i], kinds[k].end, &kinds[k].style, kinds[k].line);
}

static size_t characters(const char *line, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)line[i] & 0xc0) != 0x80;
    return n;
}

static void test_no_line_is_wider_than_the_screen(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(names); i++)
        for (unsigned columns = 20; columns <= 130; columns++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                GR_AUTO_FREE char *text = print(
                    names[i], &(struct gr_tree_style){.columns = columns, .utf8 = utf8}, false);
                for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
                    assert_in_range(characters(line, strcspn(line, "\n")), 0, columns);
                for (const char *p = text; *p && !utf8; p++)
                    assert_in_range((unsigned char)*p, '\n', '~');
            }
}

// What colour says is said by a word and a mark too.
static void test_colour_is_never_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(names); i++) {
        GR_AUTO_FREE char *plain =
            print(names[i], &(struct gr_tree_style){.columns = 120, .utf8 = true}, false);
        GR_AUTO_FREE char *colored = print(
            names[i], &(struct gr_tree_style){.columns = 120, .utf8 = true, .color = true}, false);
        char *to = colored;
        assert_non_null(strstr(colored, "\033["));
        for (const char *p = colored; *p;)
            if (*p == '\033')
                p += strcspn(p, "m") + 1;
            else
                *to++ = *p++;
        *to = '\0';
        assert_string_equal(plain, colored);
    }
}

// An order that was refused is told until the module has moved on: who reads it then would look for
// a trouble that is over.
static void test_a_refused_order_is_told_until_something_newer(void **state)
{
    static const struct {
        const char *updated;
        bool told;
    } all[] = {{"2026-11-24T05:00:00.000000Z", true}, {"2026-11-24T05:02:00.000000Z", false}};
    char path[512];
    (void)state;
    path_of("paused", ".json", path);
    GR_AUTO_FREE char *json = slurp(path);
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        GR_AUTO_JSON cJSON *in = cJSON_Parse(json);
        cJSON *module = cJSON_GetObjectItem(in, "module");
        cJSON_DeleteItemFromObject(module, "updated");
        cJSON_AddStringToObject(module, "updated", all[i].updated);
        cJSON_ReplaceItemInObject(
            module, "intent",
            cJSON_Parse("{\"verb\":\"promote\",\"actor\":\"alice\",\"result\":\"refused\","
                        "\"at\":\"2026-11-24T05:01:00.000000Z\"}"));
        char *text = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);
        struct gr_tree t = {.status = gr_output_find(in, "status"), .module = module};
        gr_tree_print(&t, &(struct gr_tree_style){.utf8 = true}, to);
        fclose(to);
        bool told = strstr(text, "alice's promote was refused");
        free(text);
        assert_int_equal(told, all[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_no_line_is_wider_than_the_screen),
        cmocka_unit_test(test_colour_is_never_alone),
        cmocka_unit_test(test_a_refused_order_is_told_until_something_newer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
