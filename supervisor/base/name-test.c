// What is a name, and what would become a path, a key or a label otherwise.
#include "base/name.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void accepts_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",
        "0",
        "pay",
        "pay.v2",
        "a_b-c.d",
        "0123456789012345678901234567890123456789012345678901234567890123", // 64
    };
    for (size_t i = 0; i < GR_COUNT(good); i++) {
        struct gr_name n;
        assert_int_equal(gr_name_parse(good[i], strlen(good[i]), &n), 0);
        assert_string_equal(n.s, good[i]);
    }
}

static void refuses_everything_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ".",
        "..",
        ".a",
        "-a",
        "_a",
        "Pay",
        "a/b",
        "../a",
        "a b",
        "a\n",
        "a\"",
        "\xc3\xa4",
        "a%b",
        "a:b",
        "01234567890123456789012345678901234567890123456789012345678901234", // 65
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_name n = {"untouched"};
        assert_int_equal(gr_name_parse(bad[i], strlen(bad[i]), &n), -EINVAL);
        assert_string_equal(n.s, "untouched");
    }
    struct gr_name n;
    assert_int_equal(gr_name_parse("a\0b", 3, &n), -EINVAL);
}

static void the_length_counts_not_the_end(void **state)
{
    (void)state;
    struct gr_name a, b;
    assert_int_equal(gr_name_parse("pay/x", 3, &a), 0);
    assert_int_equal(gr_name_parse("pay", 3, &b), 0);
    assert_true(gr_name_equal(&a, &b));
    assert_int_equal(gr_name_parse("pax", 3, &b), 0);
    assert_false(gr_name_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_names),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(the_length_counts_not_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
