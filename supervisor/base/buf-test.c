// A buffer grows up to its cap and not a byte further; a refusal changes nothing.
#include "base/buf.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_cap_is_exact(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(8);
    assert_int_equal(gr_buf_append(&b, "12345", 5), 0);
    assert_int_equal(gr_buf_append(&b, "6789", 4), -E2BIG);
    assert_int_equal(gr_buf_printf(&b, "%d", 6789), -E2BIG);
    assert_string_equal(b.data, "12345");
    assert_int_equal(gr_buf_printf(&b, "%d", 678), 0);
    assert_string_equal(b.data, "12345678");
    assert_int_equal(b.len, 8);
    assert_int_equal(gr_buf_append(&b, "", 0), 0);
    assert_int_equal(gr_buf_append(&b, "x", SIZE_MAX), -E2BIG);
}

static void it_grows_over_many_steps(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(100000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(gr_buf_append(&b, "0123456789", 10), 0);
    assert_int_equal(b.len, 100000);
    assert_memory_equal(b.data + 99990, "0123456789", 11); // with the NUL
    assert_int_equal(gr_buf_append(&b, "x", 1), -E2BIG);
}

static void consume_drops_from_the_front(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(16);
    gr_buf_consume(&b, 0);
    assert_int_equal(gr_buf_append(&b, "abcdef", 6), 0);
    gr_buf_consume(&b, 4);
    assert_string_equal(b.data, "ef");
    gr_buf_consume(&b, 2);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
}

static void clear_makes_room_again(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(4);
    gr_buf_clear(&b);
    assert_int_equal(gr_buf_append(&b, "abcd", 4), 0);
    gr_buf_clear(&b);
    assert_string_equal(b.data, "");
    assert_int_equal(gr_buf_append(&b, "efgh", 4), 0);
    assert_string_equal(b.data, "efgh");
}

static void take_hands_the_memory_over(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(16);
    size_t len = 99;
    assert_null(gr_buf_take(&b, &len));
    assert_int_equal(len, 0);
    assert_int_equal(gr_buf_append(&b, "a\0b", 3), 0);
    GR_AUTO_FREE char *taken = gr_buf_take(&b, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(taken, "a\0b", 4);
    assert_int_equal(b.len, 0);
    assert_int_equal(gr_buf_append(&b, "again", 5), 0); // still usable, with the same cap
    assert_int_equal(b.max, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(it_grows_over_many_steps),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(clear_makes_room_again),
        cmocka_unit_test(take_hands_the_memory_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
