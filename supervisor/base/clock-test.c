// Durations and instants as text; the clocks themselves only have to move on.
#include "base/clock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    uint64_t usec;
} exact[] = {
    {"0", 0},
    {"250us", 250},
    {"50ms", 50000},
    {"10s", 10000000},
    {"5m", 300000000},
    {"1h", 3600000000u},
    {"1m30s", 90000000},
    {"1h30m", 5400000000u},
    {"1s500ms", 1500000},
    {"1ms500us", 1500},
    {"24h", 86400000000u},
};

static void parses_and_formats_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(exact); i++) {
        uint64_t usec = 1;
        char buf[32];
        assert_int_equal(gr_duration_parse(exact[i].text, &usec), 0);
        assert_int_equal(usec, exact[i].usec);
        assert_string_equal(gr_duration_format(usec, buf), exact[i].text);
    }
}

static void other_spellings_parse_too(void **state)
{
    (void)state;
    uint64_t usec;
    char buf[32];
    assert_int_equal(gr_duration_parse("90s", &usec), 0);
    assert_string_equal(gr_duration_format(usec, buf), "1m30s");
    assert_int_equal(gr_duration_parse("1h1m1s1ms1us", &usec), 0);
    assert_int_equal(usec, 3661001001u);
    uint64_t back;
    assert_int_equal(gr_duration_parse(gr_duration_format(usec, buf), &back),
                     0); // two units, still exact
    assert_int_equal(back, usec);
    assert_string_equal(gr_duration_format(GR_USEC_INFINITY, buf), "infinity");
    assert_int_equal(gr_duration_parse(gr_duration_format(GR_USEC_INFINITY - 1, buf), &back), 0);
    assert_true(back == GR_USEC_INFINITY - 1);
}

static void refuses_what_is_no_duration(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",   "5",    "-5s", "+5s",  "5 s",  " 5s", "5s ",  "s",        "5x",
        "5S", "1.5s", "5s5", "1m1h", "1s1s", "5ss", "0x5s", "infinity", "00",
    };
    uint64_t usec = 7;
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_int_equal(gr_duration_parse(bad[i], &usec), -EINVAL);
    static const char *const too_long[] = {"18446744073709551615us", "18446744073709551616us",
                                           "5124095577h", "5124095576h99999999999999s",
                                           "99999999999999999999999h"};
    for (size_t i = 0; i < GR_COUNT(too_long); i++)
        assert_int_equal(gr_duration_parse(too_long[i], &usec), -ERANGE);
    assert_int_equal(gr_duration_parse("99999999999999999999999x", &usec), -EINVAL);
    assert_int_equal(usec, 7);
}

static void instants_are_utc_with_microseconds(void **state)
{
    (void)state;
    char buf[GR_WALL_TEXT_MAX];
    assert_string_equal(gr_wall_format((struct gr_wall){0}, buf), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(gr_wall_format((struct gr_wall){1795496767123456}, buf),
                        "2026-11-24T05:06:07.123456Z");
    assert_string_equal(gr_wall_format((struct gr_wall){-1}, buf), "1969-12-31T23:59:59.999999Z");
    assert_true(strlen(gr_wall_format((struct gr_wall){INT64_MAX}, buf)) < GR_WALL_TEXT_MAX);
    assert_true(strlen(gr_wall_format((struct gr_wall){INT64_MIN}, buf)) < GR_WALL_TEXT_MAX);
}

static void clocks_move_forwards(void **state)
{
    (void)state;
    struct gr_mono a = gr_mono_now(), b;
    do // ends as soon as the clock has ticked
        b = gr_mono_now();
    while (b.usec == a.usec);
    assert_true(b.usec > a.usec);
    assert_true(gr_wall_now().usec > 1700000000 * (int64_t)GR_USEC_PER_SEC);
}

static void an_instant_is_read_as_it_is_printed(void **state)
{
    static const char *const bad[] = {"",
                                      "1970-01-01",
                                      "1970-01-01T00:00:00",
                                      "1970-13-01T00:00:00Z",
                                      "1970-01-01T24:00:00Z",
                                      "1970-01-01T00:00:00.1234567Z",
                                      "1970-01-01T00:00:00Zx",
                                      " 970-01-01T00:00:00Z",
                                      "1970-01-01 00:00:00Z"};
    char buf[GR_WALL_TEXT_MAX];
    struct gr_wall t;
    (void)state;
    for (int64_t usec = 1795496767123456; usec < 1795496767123456 * 4; usec += 314159265358979) {
        assert_int_equal(gr_wall_parse(gr_wall_format((struct gr_wall){usec}, buf), &t), 0);
        assert_int_equal(t.usec, usec);
    }
    assert_int_equal(gr_wall_parse("1970-01-01T00:00:01.5Z", &t), 0);
    assert_int_equal(t.usec, 1500000);
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        if (gr_wall_parse(bad[i], &t) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instant_is_read_as_it_is_printed),
        cmocka_unit_test(parses_and_formats_alike),
        cmocka_unit_test(other_spellings_parse_too),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(instants_are_utc_with_microseconds),
        cmocka_unit_test(clocks_move_forwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
