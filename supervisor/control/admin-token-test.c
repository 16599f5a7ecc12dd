// What is taken for a token, and who has it.
#include "control/admin-token.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "0123456789abcdef"
static char path[] = "/tmp/gr-token-XXXXXX";

static int load(const char *bytes, size_t len, char **ret, struct gr_error *e)
{
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
    return gr_admin_token_load(path, ret, e);
}

static void test_one_line_is_a_token(void **state)
{
    static const char *const lines[] = {TOKEN, TOKEN "\n", TOKEN "\r\n"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *token = NULL;
        struct gr_error e = {0};
        assert_int_equal(load(lines[i], strlen(lines[i]), &token, &e), 0);
        assert_string_equal(token, TOKEN);
        gr_admin_token_free(token);
    }
}

static void test_what_is_none_is_refused_and_not_repeated(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "short-secret-15",
                                        TOKEN " " TOKEN,
                                        TOKEN "\nmore",
                                        "secret-\xc3\xa9-secret-secret"};
    char *token = NULL, endless[600];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct gr_error e = {0};
        assert_int_equal(load(texts[i], strlen(texts[i]), &token, &e), -EINVAL);
        assert_non_null(strstr(e.message, "openssl rand"));
        assert_null(strstr(e.message, "secret"));
    }
    memset(endless, 'a', sizeof endless);
    struct gr_error e = {0};
    assert_int_equal(load(endless, sizeof endless, &token, &e), -EINVAL);
    assert_int_equal(load("0123456789\0abcdef", 17, &token, &e), -EINVAL);
    assert_int_equal(gr_admin_token_load("/nowhere/token", &token, &e), -ENOENT);
    assert_non_null(strstr(e.message, "/nowhere/token"));
    assert_null(token);
}

static void test_who_has_it(void **state)
{
    static const char *const wrong[] = {NULL,
                                        "",
                                        TOKEN,
                                        "Bearer ",
                                        "Bearer",
                                        "Basic " TOKEN,
                                        "Bearer 0123456789abcdeg",
                                        "Bearer 1123456789abcdef",
                                        "Bearer 0123456789abcde",
                                        "Bearer " TOKEN "f",
                                        "Bearer  " TOKEN};
    (void)state;
    assert_true(gr_admin_token_is_in(TOKEN, "Bearer " TOKEN));
    assert_true(gr_admin_token_is_in(TOKEN, "bearer " TOKEN));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (gr_admin_token_is_in(TOKEN, wrong[i]))
            fail_msg("'%s' was let in", wrong[i]);
}

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line_is_a_token),
        cmocka_unit_test(test_what_is_none_is_refused_and_not_repeated),
        cmocka_unit_test(test_who_has_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
