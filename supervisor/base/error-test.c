// Reasons keep their names; sentences survive their own replacement, wrapping and truncation.
#include "base/error.h"
#include "base/utf8.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_reason_has_a_name_that_parses_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GR_REASON_COUNT; i++) {
        enum gr_reason back = GR_REASON_COUNT;
        assert_int_equal(gr_reason_parse(gr_reason_name((enum gr_reason)i), &back), 0);
        assert_int_equal(back, i);
    }
    assert_string_equal(gr_reason_name(GR_REASON_DIGEST_MISMATCH), "DigestMismatch");
    assert_string_equal(gr_reason_name(GR_REASON_NONE), "");
}

static void unknown_reasons_are_refused(void **state)
{
    (void)state;
    enum gr_reason reason = GR_REASON_CRASHED;
    assert_int_equal(gr_reason_parse("digestmismatch", &reason), -EINVAL);
    assert_int_equal(reason, GR_REASON_CRASHED);
    assert_string_equal(gr_reason_name(GR_REASON_COUNT), "");
}

static void set_fills_everything_and_returns_the_code(void **state)
{
    (void)state;
    struct gr_error e;
    assert_int_equal(gr_error_set(&e, -ENOENT, GR_REASON_FETCH_FAILED, "no %s", "file"), -ENOENT);
    assert_int_equal(e.code, -ENOENT);
    assert_int_equal(e.reason, GR_REASON_FETCH_FAILED);
    assert_false(e.retryable);
    assert_string_equal(e.message, "no file");
    assert_int_equal(gr_error_set_retryable(&e, -EIO, GR_REASON_INTERNAL, "again"), -EIO);
    assert_true(e.retryable);
    assert_int_equal(gr_error_set(NULL, -EIO, GR_REASON_INTERNAL, "nobody listens"), -EIO);
    gr_error_wrap(NULL, "nobody listens");
}

static void a_sentence_may_quote_itself(void **state)
{
    (void)state;
    struct gr_error e;
    gr_error_set(&e, -EIO, GR_REASON_INTERNAL, "inner");
    gr_error_set(&e, -EIO, GR_REASON_INTERNAL, "outer (%s)", e.message);
    assert_string_equal(e.message, "outer (inner)");
    gr_error_wrap(&e, "module %s", "pay");
    assert_string_equal(e.message, "module pay: outer (inner)");
    assert_int_equal(e.code, -EIO);
}

static void a_long_sentence_is_cut_between_characters(void **state)
{
    (void)state;
    char text[3 * GR_MESSAGE_MAX];
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 4);
    struct gr_error e;
    gr_error_set(&e, -EIO, GR_REASON_INTERNAL, "%s", text);
    assert_int_equal(strlen(e.message), (GR_MESSAGE_MAX - 1) / 3 * 3);
    gr_error_wrap(&e, "x");
    size_t len = strlen(e.message);
    assert_true(len < GR_MESSAGE_MAX);
    assert_int_equal(gr_utf8_sequence(e.message + len - 3, 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_name_that_parses_back),
        cmocka_unit_test(unknown_reasons_are_refused),
        cmocka_unit_test(set_fills_everything_and_returns_the_code),
        cmocka_unit_test(a_sentence_may_quote_itself),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
