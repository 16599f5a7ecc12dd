// Stacks of a recording become folded lines, a list of functions and a picture; names come from the
// files, and where there is none from what is known.
#include "cli/profile/flame.h"
#include "cli/profile/tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAY_10 "module 1 - pay-1.0.0-0123456789abcdef.so -\n"
#define PAY_11 "module 2 - pay-1.1.0-00112233445566ff.2.so -\n"
#define LATER "module 3 - pay-later-1.0.0-0123456789abcdef.so -\n"
#define LIBC "image 7000 8000 6000 - libodd;<name>.so.6\n"

struct world {
    struct gr_recording recording;
    struct gr_call_tree tree;
};

static void build(struct world *w, const char *lines, const char *module)
{
    char text[2048];
    struct gr_error e = {0};
    int n = snprintf(text, sizeof text, "grayling-profile 1\n%srun 7 99 1000000 1 0\nend\n", lines);
    assert_int_equal(gr_recording_parse(text, (size_t)n, &w->recording, &e), 0);
    assert_int_equal(gr_call_tree_build(&w->recording, module, &w->tree), 0);
}

static void done(struct world *w)
{
    gr_call_tree_done(&w->tree);
    gr_recording_done(&w->recording);
}

static char *folded(const struct world *w)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    gr_call_tree_fold(&w->tree, f);
    fclose(f);
    return text;
}

static const char four[] = LIBC PAY_10 PAY_11 LATER "stack 5 1:10 7100\n"
                                                    "stack 3 2:10 7100\n"
                                                    "stack 2 7100\n"
                                                    "stack 1 3:10 9999\n";

static void stacks_are_folded_outermost_first(void **state)
{
    struct world w;
    (void)state;
    build(&w, four, NULL);
    char *text = folded(&w);
    assert_string_equal(text, "grayling-worker;[libodd:<name>.so.6] 2\n"
                              "grayling-worker;[libodd:<name>.so.6];[pay-1.0.0]@pay-1.0.0 5\n"
                              "grayling-worker;[libodd:<name>.so.6];[pay-1.1.0]@pay-1.1.0 3\n"
                              "grayling-worker;[unknown];[pay-later-1.0.0]@pay-later-1.0.0 1\n");
    assert_int_equal(w.tree.root.total, 11);
    assert_int_equal(w.tree.n_unread, 3); // the modules' files, of which it is told
    free(text);
    done(&w);
}

static void one_module_alone(void **state)
{
    struct world w;
    (void)state;
    build(&w, four, "pay");
    char *text = folded(&w);
    assert_int_equal(w.tree.root.total, 8);
    assert_null(strstr(text, "pay-later"));
    free(text);
    done(&w);
}

// f calls f: it was met five times, not ten.
static void a_function_within_itself_counts_once(void **state)
{
    struct world w;
    struct gr_hot_function *f;
    size_t n;
    (void)state;
    build(&w, PAY_10 "stack 5 1:10 1:20\nstack 1 1:10\n", NULL);
    assert_int_equal(gr_call_tree_functions(&w.tree, &f, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(f[0].function, "[pay-1.0.0]");
    assert_string_equal(f[0].module, "pay-1.0.0");
    assert_int_equal(f[0].self, 6);
    assert_int_equal(f[0].total, 6);
    free(f);
    done(&w);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void the_picture_escapes_what_it_is_told(void **state)
{
    struct world w;
    char *text = NULL;
    size_t len = 0;
    (void)state;
    build(&w, four, NULL);
    FILE *f = open_memstream(&text, &len);
    gr_flame_write(&w.tree, "a & b", "<about>", f);
    fclose(f);
    assert_non_null(strstr(text, "a &amp; b"));
    assert_non_null(strstr(text, "&lt;about&gt;"));
    assert_non_null(strstr(text, "[libodd:&lt;name&gt;.so.6]"));
    assert_null(strstr(text, "<name>"));
    assert_null(strstr(text, "<script"));
    assert_non_null(
        strstr(text, "[pay-1.0.0] of pay-1.0.0: 5 samples, 45.45 %, of them 5 in itself"));
    assert_int_equal(count(text, "<g>"), 6);
    assert_int_equal(count(text, "<g>"), count(text, "</g>"));
    free(text);
    done(&w);
}

static void nothing_at_all_is_drawn_too(void **state)
{
    struct world w;
    char *text = NULL;
    size_t len = 0;
    (void)state;
    build(&w, "", NULL);
    FILE *f = open_memstream(&text, &len);
    gr_flame_write(&w.tree, "none", "none", f);
    fclose(f);
    assert_non_null(strstr(text, "</svg>"));
    free(text);
    text = folded(&w);
    assert_true(!text || !*text);
    free(text);
    done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_folded_outermost_first),
        cmocka_unit_test(one_module_alone),
        cmocka_unit_test(a_function_within_itself_counts_once),
        cmocka_unit_test(the_picture_escapes_what_it_is_told),
        cmocka_unit_test(nothing_at_all_is_drawn_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
