// Loads are remembered by number, each once, and the oldest are forgotten.
#include "dispatch/loads.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_load_is_found_by_its_number(void **state)
{
    struct gr_load_note n;
    (void)state;
    uint32_t a = gr_loads_note("pay-1.0.0-0123456789abcdef.so", "/store/pay.so", "00ff");
    uint32_t b = gr_loads_note("pay-1.1.0-0123456789abcdef.so", "store/pay.so", "");
    assert_true(a != 0 && b != a);
    assert_true(gr_loads_find(a, &n));
    assert_string_equal(n.name, "pay-1.0.0-0123456789abcdef.so");
    assert_string_equal(n.path, "/store/pay.so");
    assert_string_equal(n.build_id, "00ff");
    assert_true(gr_loads_find(b, &n));
    assert_int_equal(n.path[0], '/'); // where it is does not depend on who asks from where
    assert_non_null(strstr(n.path, "/store/pay.so"));
    assert_false(gr_loads_find(b + 1, &n));
    assert_false(gr_loads_find(0, &n));
}

static void a_path_that_is_too_long_is_none(void **state)
{
    static char path[GR_LOAD_PATH_MAX + 2];
    struct gr_load_note n;
    (void)state;
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    assert_true(gr_loads_find(gr_loads_note("pay.so", path, ""), &n));
    assert_string_equal(n.path, "");
    assert_string_equal(n.name, "pay.so");
}

static void the_oldest_are_forgotten(void **state)
{
    struct gr_load_note n;
    (void)state;
    uint32_t first = gr_loads_note("a.so", "/a.so", ""), newest = first;
    for (unsigned i = 0; i < GR_LOADS_KEPT; i++)
        newest = gr_loads_note("b.so", "/b.so", "");
    assert_false(gr_loads_find(first, &n));
    assert_true(gr_loads_find(first + 1, &n));
    assert_true(gr_loads_find(newest, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_is_found_by_its_number),
        cmocka_unit_test(a_path_that_is_too_long_is_none),
        cmocka_unit_test(the_oldest_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
