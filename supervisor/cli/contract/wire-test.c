// The wire format, byte by byte: what the specification's examples say, and what is refused.
#include "cli/contract/wire.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WIRE(text) ((struct gr_wire){.at = (const unsigned char *)(text), .left = sizeof(text) - 1})

static void test_fields(void **unused)
{
    struct gr_wire w =
        WIRE("\x08\x96\x01\x12\x07testing\x1d\x78\x56\x34\x12\x21\x01\0\0\0\0\0\0\x80");
    struct gr_wire_field f;
    (void)unused;
    assert_int_equal(gr_wire_next(&w, &f), 1);
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
    assert_int_equal(gr_wire_next(&w, &f), 1);
    assert_int_equal(f.number, 2);
    assert_memory_equal(f.bytes.at, "testing", f.bytes.left);
    assert_int_equal(gr_wire_next(&w, &f), 1);
    assert_true(f.type == GR_WIRE_FIXED32 && f.value == 0x12345678);
    assert_int_equal(gr_wire_next(&w, &f), 1);
    assert_true(f.type == GR_WIRE_FIXED64 && f.value == 0x8000000000000001);
    assert_int_equal(gr_wire_next(&w, &f), 0);
}

static void test_numbers(void **unused)
{
    struct gr_wire w = WIRE("\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    uint64_t n;
    (void)unused;
    assert_int_equal(gr_wire_number(&w, &n), 1);
    assert_int_equal(n, 6);
    assert_int_equal(gr_wire_number(&w, &n), 1);
    assert_true(n == UINT64_MAX);
    assert_int_equal(gr_wire_number(&w, &n), 0);
}

static void test_refused(void **unused)
{
    struct gr_wire all[] = {WIRE("\x08"),
                            WIRE("\x08\x96"),
                            WIRE("\x12\x02t"),
                            WIRE("\x0b\x0c"),
                            WIRE("\x1d\x78\x56"),
                            WIRE("\x21\x01\0\0\0\0\0\0"),
                            WIRE("\x0e\x01\x01"),
                            WIRE("\x12"),
                            WIRE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"),
                            WIRE("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01t")};
    struct gr_wire_field f;
    (void)unused;
    for (size_t i = 0; i < GR_COUNT(all); i++)
        assert_int_equal(gr_wire_next(&all[i], &f), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
