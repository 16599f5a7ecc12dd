// The examples of the specification, and what it forbids.
#include "base/macros.h"
#include "worker/traceparent.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define ZERO16 "0000000000000000"

static void test_sound_ones(void **state)
{
    static const struct {
        const char *text;
        uint8_t flags;
    } sound[] = {{"00-" TRACE "-" SPAN "-01", 1},
                 {"00-" TRACE "-" SPAN "-00", 0},
                 {"00-" TRACE "-" SPAN "-ff", 0xff},
                 {"cc-" TRACE "-" SPAN "-01", 1},
                 {"cc-" TRACE "-" SPAN "-01-what the future brings", 1},
                 {"01-" TRACE "-" SPAN "-01-", 1}};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(sound); i++) {
        struct gr_traceparent t;
        assert_int_equal(gr_traceparent_parse(sound[i].text, &t), 0);
        assert_string_equal(t.trace_id, TRACE);
        assert_string_equal(t.span_id, SPAN);
        assert_int_equal(t.flags, sound[i].flags);
    }
}

static void test_refused_ones(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01 ",
        "00-" TRACE "-" SPAN "-0g",
        "cc-" TRACE "-" SPAN "-01.more",
        "ff-" TRACE "-" SPAN "-01",
        "FF-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01",
        " 00-" TRACE "-" SPAN "-01",
        "00-" ZERO16 ZERO16 "-" SPAN "-01",
        "00-" TRACE "-" ZERO16 "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-" TRACE "0-" SPAN "-01",
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_traceparent t = {.flags = 77};
        assert_int_equal(gr_traceparent_parse(bad[i], &t), -EINVAL);
        assert_int_equal(t.flags, 77);
    }
}

static void test_format(void **state)
{
    struct gr_traceparent t;
    char text[GR_TRACEPARENT_TEXT_MAX];
    (void)state;
    assert_int_equal(gr_traceparent_parse("cc-" TRACE "-" SPAN "-ff-more", &t), 0);
    assert_string_equal(gr_traceparent_format(&t, text), "00-" TRACE "-" SPAN "-01");
}

static void test_a_trace_of_our_own(void **state)
{
    struct gr_traceparent one, two, again;
    uint64_t a, b;
    char text[GR_TRACEPARENT_TEXT_MAX];
    (void)state;
    gr_traceparent_begin(&one, &a);
    gr_traceparent_begin(&two, &b);
    assert_string_not_equal(one.trace_id, two.trace_id);
    assert_string_equal(one.span_id, ZERO16);
    gr_span_id_draw(one.span_id);
    one.flags = GR_TRACE_SAMPLED;
    assert_int_equal(gr_traceparent_parse(gr_traceparent_format(&one, text), &again), 0);
    assert_memory_equal(&one, &again, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_ones),
        cmocka_unit_test(test_refused_ones),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_a_trace_of_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
