// What a worker writes is read; what is cut off, malformed or too much is refused with its line.
#include "cli/profile/recording.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char whole[] = "grayling-profile 1\n"
                            "image 1000 2000 1000 00ff /usr/libexec/grayling/grayling-worker\n"
                            "image 7000 8000 6000 - -\n"
                            "module 3 abcd pay-1.1.0-0123456789abcdef.so /store/pay.so\n"
                            "stack 40 3:1a0 1234\n"
                            "stack 2 9999\n"
                            "weather fine\n"
                            "run 77 99 10000000 42 1\n"
                            "end\n";

static void a_whole_one_is_read(void **state)
{
    struct gr_recording r;
    struct gr_error e = {0};
    (void)state;
    assert_int_equal(gr_recording_parse(whole, strlen(whole), &r, &e), 0);
    assert_int_equal(r.pid, 77);
    assert_int_equal(r.hz, 99);
    assert_int_equal(r.usec, 10000000);
    assert_int_equal(r.samples, 42);
    assert_int_equal(r.lost, 1);
    assert_int_equal(r.n_images, 3);
    assert_string_equal(r.images[0].name, "grayling-worker");
    assert_string_equal(r.images[1].path, "");
    assert_string_equal(r.images[2].name, "pay-1.1.0-0123456789abcdef.so");
    assert_int_equal(r.n_stacks, 2);
    assert_int_equal(r.stacks[0].count, 40);
    assert_int_equal(r.stacks[0].n, 2);
    const struct gr_recorded_frame *f = &r.frames[r.stacks[0].first];
    assert_ptr_equal(gr_recording_find(&r, &f[0]), &r.images[2]);
    assert_int_equal(f[0].address, 0x1a0);
    assert_ptr_equal(gr_recording_find(&r, &f[1]), &r.images[0]);
    assert_null(gr_recording_find(&r, &r.frames[r.stacks[1].first]));
    gr_recording_done(&r);
}

// Wherever it was cut off: either it is refused, or only the end's own line lacks its end.
static void a_part_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(whole) - 1; n++) {
        struct gr_recording r;
        struct gr_error e = {0};
        assert_int_equal(gr_recording_parse(whole, n, &r, &e), -EBADMSG);
        assert_true(e.message[0] != '\0');
    }
}

static void nonsense_is_refused(void **state)
{
    static const char *const lines[] = {
        "image 2000 1000 0 - -",
        "image 1000 2000 3000 - -",
        "image 1000 2000 1000 -",
        "image -1 2000 0 - -",
        "module 0 - a.so /a.so",
        "module 4294967296 - a.so /a.so",
        "stack 0 1",
        "stack 1",
        "stack 1 x",
        "stack 1 0:10",
        "stack 1 3:",
        "stack 99999999 10",
        "stack 1 fffffffffffffffff",
        "run 1 99 1 1",
        "run 1 9999 1 1 1",
        "image  1000 2000 1000 - -",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct gr_recording r;
        struct gr_error e = {0};
        char text[256];
        int n = snprintf(text, sizeof text, "grayling-profile 1\n%s\nend\n", lines[i]);
        int k = gr_recording_parse(text, (size_t)n, &r, &e);
        if (k != -EBADMSG)
            fail_msg("\"%s\" was answered with %d", lines[i], k);
        assert_non_null(strstr(e.message, "line 2"));
    }
}

static void another_form_is_no_profile(void **state)
{
    struct gr_recording r;
    struct gr_error e = {0};
    (void)state;
    assert_int_equal(gr_recording_parse("grayling-profile 2\nend\n", 23, &r, &e), -EBADMSG);
    assert_int_equal(gr_recording_parse("grayling-profile 1\n\0end\n", 24, &r, &e), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_one_is_read),
        cmocka_unit_test(a_part_is_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(another_form_is_no_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
