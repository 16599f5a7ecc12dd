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

static void test_orders_come_from_our_own_page_or_from_no_page(void **state)
{
    (void)state;
    assert_true(gr_admin_is_same_origin(NULL, NULL, "127.0.0.1:9464"));
    assert_true(gr_admin_is_same_origin("http://127.0.0.1:9464", "same-origin", "127.0.0.1:9464"));
    assert_true(gr_admin_is_same_origin("https://Dash.example", NULL, "dash.example"));
    assert_true(gr_admin_is_same_origin(NULL, "none", "127.0.0.1:9464"));
    assert_false(gr_admin_is_same_origin("http://127.0.0.1:9465", NULL, "127.0.0.1:9464"));
    assert_false(gr_admin_is_same_origin("http://evil.example", NULL, "127.0.0.1:9464"));
    assert_false(gr_admin_is_same_origin("null", NULL, "null"));
    assert_false(gr_admin_is_same_origin("", NULL, ""));
    assert_false(gr_admin_is_same_origin("file://127.0.0.1:9464", NULL, "127.0.0.1:9464"));
    assert_false(gr_admin_is_same_origin("http://127.0.0.1:9464", NULL, NULL));
    assert_false(gr_admin_is_same_origin(NULL, "cross-site", "127.0.0.1:9464"));
    assert_false(gr_admin_is_same_origin(NULL, "same-site", "127.0.0.1:9464"));
}

static void test_json_is_no_form(void **state)
{
    (void)state;
    assert_true(gr_admin_is_json("application/json"));
    assert_true(gr_admin_is_json("Application/JSON; charset=utf-8"));
    assert_false(gr_admin_is_json(NULL));
    assert_false(gr_admin_is_json("text/plain"));
    assert_false(gr_admin_is_json("application/jsonp"));
    assert_false(gr_admin_is_json("text/plain; application/json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_ours),
        cmocka_unit_test(test_names_are_ours_when_they_are_known),
        cmocka_unit_test(test_others_are_not),
        cmocka_unit_test(test_orders_come_from_our_own_page_or_from_no_page),
        cmocka_unit_test(test_json_is_no_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
