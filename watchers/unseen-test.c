// Which state is read next, of changes that came faster than they were read.
#include "watchers/unseen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after its needs
#include <cmocka.h>

// "1ab 2a": revision 1 changed a and b, 2 changed a.
static struct gr_unseen told(const char *text)
{
    struct gr_unseen u = {0};
    while (*text) {
        char *end;
        int64_t revision = strtoll(text, &end, 10);
        for (text = end; *text && *text != ' '; text++) {
            struct gr_name module = {.s = {*text}};
            gr_unseen_note(&u, &module, revision);
        }
        text += *text == ' ';
    }
    return u;
}

static void a_transaction_that_would_be_seen_in_part_is_read_first(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        int64_t torn;
    } cases[] = {
        {"", 0},
        {"5ab", 0},
        {"5a 6a 7a", 0},     // nothing is torn
        {"5ab 6c", 0},       // whole in the newest
        {"5ab 6ab", 0},      // hidden as a whole
        {"5ab 6a 7b", 0},    // by two
        {"5ab 6a", 5},       // b would stand alone
        {"5ab 6a 7ab", 0},   // and does not
        {"5a 6bc 7c 8d", 6}, // not the oldest, the oldest torn one
        {"5ab 6ac 7c", 5},   // both are; first things first
        {"6ac 7c", 6},       // ... and then
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_unseen u = told(cases[i].told);
        if (gr_unseen_torn(&u) != cases[i].torn)
            fail_msg("%s: %lld", cases[i].told, (long long)gr_unseen_torn(&u));
    }
}

static void what_was_read_is_forgotten(void **state)
{
    (void)state;
    struct gr_unseen u = told("5ab 6ac 7c");
    gr_unseen_forget(&u, 5);
    assert_int_equal(gr_unseen_torn(&u), 6);
    gr_unseen_forget(&u, 6);
    assert_int_equal(gr_unseen_torn(&u), 0);
    gr_unseen_forget(&u, 7);
    assert_int_equal(u.n, 0);
}

static void more_than_can_be_kept_is_seen_in_its_newest_state(void **state)
{
    (void)state;
    struct gr_unseen u = told("5ab 6a");
    struct gr_name module = {.s = "c"};
    for (int64_t i = 0; i < GR_ETCD_UNSEEN_MAX; i++)
        gr_unseen_note(&u, &module, 7 + i);
    assert_int_equal(gr_unseen_torn(&u), 0);
    gr_unseen_forget(&u, 6);
    assert_true(u.too_many); // not before that state was read
    gr_unseen_forget(&u, 6 + GR_ETCD_UNSEEN_MAX);
    assert_false(u.too_many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_that_would_be_seen_in_part_is_read_first),
        cmocka_unit_test(what_was_read_is_forgotten),
        cmocka_unit_test(more_than_can_be_kept_is_seen_in_its_newest_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
