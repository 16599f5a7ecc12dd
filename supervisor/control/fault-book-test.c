// Records are found by module and digest, keep the order of the last faults, and never grow without
// a cap.
#include "base/limits.h"
#include "control/fault-book.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct gr_name pay = {"pay"}, auth = {"auth"};

static struct gr_digest digest(unsigned n)
{
    return (struct gr_digest){{(uint8_t)n, (uint8_t)(n >> 8)}};
}

static void test_order_of_last_faults(void **state)
{
    (void)state;
    struct gr_fault_book *b;
    const struct gr_digest one = digest(1), two = digest(2);
    assert_int_equal(gr_fault_book_new(&b), 0);
    assert_null(gr_fault_book_newest(b, &pay));
    assert_null(gr_fault_book_find(b, &pay, &one));
    gr_fault_book_open(b, &pay, &one, "1.0.0")->deaths = 7;
    gr_fault_book_open(b, &auth, &one, "3.0.0")->deaths = 8;
    gr_fault_book_open(b, &pay, &two, "2.0.0")->deaths = 9;
    assert_string_equal(gr_fault_book_newest(b, &pay)->version, "2.0.0");
    assert_int_equal(gr_fault_book_find(b, &pay, &one)->deaths, 7);
    assert_int_equal(gr_fault_book_find(b, &auth, &one)->deaths, 8);
    assert_int_equal(gr_fault_book_open(b, &pay, &one, "1.0.0")->deaths, 7); // it is kept
    assert_string_equal(gr_fault_book_newest(b, &pay)->version, "1.0.0");
    assert_int_equal(gr_fault_book_find(b, &pay, &two)->deaths, 9);
    gr_fault_book_free(b);
}

static void test_the_oldest_goes(void **state)
{
    (void)state;
    struct gr_fault_book *b;
    assert_int_equal(gr_fault_book_new(&b), 0);
    for (unsigned i = 0; i <= GR_FAULT_RECORDS_MAX; i++) {
        const struct gr_digest d = digest(i);
        gr_fault_book_open(b, &pay, &d, "1.0.0")->deaths = i + 1;
    }
    const struct gr_digest first = digest(0), second = digest(1),
                           last = digest(GR_FAULT_RECORDS_MAX);
    assert_null(gr_fault_book_find(b, &pay, &first));
    assert_int_equal(gr_fault_book_find(b, &pay, &second)->deaths, 2);
    assert_int_equal(gr_fault_book_find(b, &pay, &last)->deaths, GR_FAULT_RECORDS_MAX + 1);
    gr_fault_book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_last_faults),
        cmocka_unit_test(test_the_oldest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
