// What other hosts write of a digest, and what nobody may.
#include "state/conviction.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct gr_digest digest = {.bytes = {1}};

static int parse(const char *text, struct gr_conviction *c, struct gr_lift *l, struct gr_error *e)
{
    *e = (struct gr_error){0};
    return gr_conviction_parse(&digest, text, strlen(text), c, l, e);
}

static void what_a_host_wrote_comes_back(void **state)
{
    struct gr_conviction c;
    struct gr_lift l;
    struct gr_error e;
    (void)state;
    assert_int_equal(parse("{\"hash\":\"x\",\"module\":\"pay\",\"version\":\"1.2.0\",\"reason\":"
                           "\"Crashed\",\"evidence\":\"SIGSEGV\",\"instance\":\"host-2\",\"at\":"
                           "\"1970-01-01T00:00:01.5Z\",\"more\":1}",
                           &c, &l, &e),
                     0);
    assert_true(gr_digest_equal(&c.digest, &digest));
    assert_string_equal(c.module.s, "pay");
    assert_string_equal(c.version, "1.2.0");
    assert_string_equal(c.evidence, "SIGSEGV");
    assert_string_equal(c.instance, "host-2");
    assert_int_equal(c.reason, GR_REASON_CRASHED);
    assert_int_equal(c.at.usec, 1500000);
    assert_int_equal(l.at.usec, 0);
}

static void a_lift_names_who_why_and_when(void **state)
{
    struct gr_conviction c;
    struct gr_lift l;
    struct gr_error e;
    (void)state;
    assert_int_equal(parse("{\"module\":\"pay\",\"reason\":\"Crashed\",\"evidence\":null,"
                           "\"lifted\":{\"actor\":\"alice\",\"reason\":\"a broken host\",\"at\":"
                           "\"1970-01-01T00:00:02Z\"}}",
                           &c, &l, &e),
                     0);
    assert_string_equal(l.actor, "alice");
    assert_string_equal(l.reason, "a broken host");
    assert_int_equal(l.at.usec, 2000000);
}

static void what_is_no_conviction_is_refused_by_its_field(void **state)
{
    static const struct {
        const char *text, *path;
    } cases[] = {
        {"[]", "expected an object"},
        {"{\"reason\":\"Crashed\"}", "module"},
        {"{\"module\":\"../x\",\"reason\":\"Crashed\"}", "module"},
        {"{\"module\":\"pay\",\"reason\":\"Bored\"}", "reason"},
        {"{\"module\":\"pay\",\"reason\":\"\"}", "reason"},
        {"{\"module\":\"pay\",\"reason\":\"Crashed\",\"at\":\"soon\"}", "at"},
        {"{\"module\":\"pay\",\"reason\":\"Crashed\",\"lifted\":true}", "lifted"},
        {"{\"module\":\"pay\",\"reason\":\"Crashed\",\"lifted\":{\"at\":\"1970-01-01T00:00:02Z\"}}",
         "reason"},
        {"{\"module\":\"pay\",\"reason\":\"Crashed\",\"lifted\":{\"reason\":\"x\"}}", "lifted.at"},
    };
    struct gr_conviction c;
    struct gr_lift l;
    struct gr_error e;
    (void)state;
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        assert_int_equal(parse(cases[i].text, &c, &l, &e), -EINVAL);
        if (strncmp(e.message, cases[i].path, strlen(cases[i].path)) != 0)
            fail_msg("%s: %s", cases[i].text, e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_host_wrote_comes_back),
        cmocka_unit_test(a_lift_names_who_why_and_when),
        cmocka_unit_test(what_is_no_conviction_is_refused_by_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
