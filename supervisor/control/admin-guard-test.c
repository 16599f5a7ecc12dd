// Which names are ours.
#include "control/admin-guard.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool ours(const char *host)
{
    return gr_admin_host_is_ours(host, "ops.internal:9464", "grayling.example\tdash.example");
}

static void test_addresses_are_ours(void **state)
{
    (void)state;
    assert_true(ours("127.0.0.1:9464"));
    assert_true(ours("10.0.0.7"));
    assert_true(ours("[::1]:9464"));
    assert_true(ours("[fd00::7]"));
    assert_true(ours(NULL)); // no browser
}

static void test_names_are_ours_when_they_are_known(void **state)
{
    char own[300] = "";
    (void)state;
    assert_true(ours("localhost:9464"));
    assert_true(ours("LOCALHOST."));
    assert_true(ours("ops.internal:9464"));
    assert_true(ours("Grayling.Example"));
    assert_true(ours("dash.example:80"));
    assert_int_equal(gethostname(own, 250), 0);
    assert_true(ours(own));
    strcat(own, ".evil.example");
    assert_false(ours(own));
}

static void test_others_are_not(void **state)
{
    static const char *const names[] = {"evil.example",
                                        "evil.example:9464",
                                        "",
                                        ":9464",
                                        "[",
                                        "[evil.example]",
                                        "[127.0.0.1]",
                                        "127.0.0.1.evil.example",
                                        "localhost.evil.example",
                                        "grayling.example.evil",
                                        "grayling.exampl",
                                        "example",
                                        "::1",
                                        "grayling.example dash.example"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ours(names[i]))
            fail_msg("'%s' was taken for ours", names[i]);
    assert_false(gr_admin_host_is_ours("evil.example", "127.0.0.1:9464", NULL));
    char endless[1000];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_false(ours(endless));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_ours),
        cmocka_unit_test(test_names_are_ours_when_they_are_known),
        cmocka_unit_test(test_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
