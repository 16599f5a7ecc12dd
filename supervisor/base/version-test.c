// The examples of semver.org 2.0.0: its grammar and its order.
#include "base/version.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void accepts_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0.0.4",
        "1.2.3",
        "10.20.30",
        "1.1.2-prerelease+meta",
        "1.1.2+meta",
        "1.1.2+meta-valid",
        "1.0.0-alpha",
        "1.0.0-alpha.beta.1",
        "1.0.0-alpha0.valid",
        "1.0.0-rc.1+build.123",
        "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
        "1.0.0-0A.is.legal",
        "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
        "1.0.0+001",
        "9007199254740992.0.0",
        "1.0.0-0",
        "1.0.0-99999999999999999999999",
    };
    for (size_t i = 0; i < GR_COUNT(good); i++) {
        struct gr_version v;
        assert_int_equal(gr_version_parse(good[i], &v), 0);
        assert_string_equal(v.text, good[i]);
        assert_int_equal(gr_version_compare(&v, &v), 0);
    }
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "01.1.1",
        "1.01.1",
        "1.1.01",
        "v1.2.3",
        " 1.2.3",
        "1.2.3 ",
        "1.2.3-",
        "1.2.3+",
        "1.2.3-0123",
        "1.2.3-a..b",
        "1.2.3-a.",
        "1.2.3+a+b",
        "+1.2.3",
        "-1.2.3",
        "1.2.3-\xc3\xa4",
        "1..3",
        "1.2.-3",
        "1.2.3-a_b",
        "99999999999999999999999.1.1-",
        "1.2.3/../..",
    };
    struct gr_version v;
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_int_equal(gr_version_parse(bad[i], &v), -EINVAL);
    assert_int_equal(gr_version_parse("9007199254740993.0.0", &v), -ERANGE);
    assert_int_equal(gr_version_parse("0.18446744073709551616.0", &v), -ERANGE);
    char longest[GR_VERSION_MAX + 2] = "1.0.0-";
    memset(longest + 6, 'a', sizeof longest - 7);
    longest[GR_VERSION_MAX + 1] = '\0';
    assert_int_equal(gr_version_parse(longest, &v), -EINVAL);
    longest[GR_VERSION_MAX] = '\0';
    assert_int_equal(gr_version_parse(longest, &v), 0);
}

static void takes_the_parts_apart(void **state)
{
    (void)state;
    struct gr_version v;
    assert_int_equal(gr_version_parse("1.22.333-rc.1+b.7", &v), 0);
    assert_int_equal(v.major, 1);
    assert_int_equal(v.minor, 22);
    assert_int_equal(v.patch, 333);
    assert_string_equal(v.text + v.pre, "rc.1+b.7");
    assert_string_equal(v.text + v.build, "b.7");
    assert_int_equal(gr_version_parse("1.0.0", &v), 0);
    assert_int_equal(v.pre, 0);
    assert_int_equal(v.build, 0);
}

static void orders_every_pair(void **state)
{
    (void)state;
    static const char *const ascending[] = {
        "0.0.0",         "0.9.9",
        "1.0.0-0",       "1.0.0-2",
        "1.0.0-11",      "1.0.0-99999999999999999999999",
        "1.0.0--",       "1.0.0-alpha",
        "1.0.0-alpha.1", "1.0.0-alpha.beta",
        "1.0.0-beta",    "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1",
        "1.0.0",         "1.0.1",
        "1.2.0",         "1.10.0",
        "2.0.0",
    };
    struct gr_version a, b;
    for (size_t i = 0; i < GR_COUNT(ascending); i++)
        for (size_t k = 0; k < GR_COUNT(ascending); k++) {
            assert_int_equal(gr_version_parse(ascending[i], &a), 0);
            assert_int_equal(gr_version_parse(ascending[k], &b), 0);
            int r = gr_version_compare(&a, &b);
            assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
        }
}

static void build_metadata_does_not_order(void **state)
{
    (void)state;
    struct gr_version a, b;
    assert_int_equal(gr_version_parse("1.0.0-a+1", &a), 0);
    assert_int_equal(gr_version_parse("1.0.0-a+2.x", &b), 0);
    assert_int_equal(gr_version_compare(&a, &b), 0);
    assert_int_equal(gr_version_parse("1.0.0+zz", &b), 0);
    assert_true(gr_version_compare(&a, &b) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_grammar),           cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(takes_the_parts_apart),         cmocka_unit_test(orders_every_pair),
        cmocka_unit_test(build_metadata_does_not_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
