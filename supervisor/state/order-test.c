// Orders of operators: what is read is what was written, and nothing half-right is taken.
#include "base/limits.h"
#include "state/order.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after its needs
#include <cmocka.h>

static void an_order_survives_its_text(void **state)
{
    (void)state;
    const struct gr_order o = {.verb = GR_ORDER_PROMOTE,
                               .rollout = INT64_C(9007199254740991),
                               .step = 3,
                               .full = true,
                               .over_bad_stable = true,
                               .one_way = true,
                               .actor = "alice",
                               .reason = "PAY-1182 \"urgent\""};
    char *text = gr_order_format(&o, "2026-01-02T03:04:05Z");
    struct gr_order back;
    struct gr_error e = {0};
    assert_non_null(text);
    assert_int_equal(gr_order_parse(text, strlen(text), &back, &e), 0);
    free(text);
    assert_int_equal(back.verb, o.verb);
    assert_int_equal(back.rollout, o.rollout);
    assert_int_equal(back.step, o.step);
    assert_true(back.full && back.over_bad_stable && back.one_way);
    assert_string_equal(back.actor, o.actor);
    assert_string_equal(back.reason, o.reason);
}

static void every_verb_has_a_name(void **state)
{
    (void)state;
    for (unsigned v = 0; v < GR_ORDER_VERB_COUNT; v++) {
        const struct gr_order o = {.verb = (enum gr_order_verb)v};
        char *text = gr_order_format(&o, NULL);
        struct gr_order back;
        assert_int_equal(gr_order_parse(text, strlen(text), &back, NULL), 0);
        assert_int_equal(back.verb, v);
        free(text);
    }
}

static void half_an_order_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
    } bad[] = {
        {"{\"verb\":\"advance\",\"rollout\":1,\"step\":0}", "verb:"},
        {"{\"rollout\":1,\"step\":0}", "verb"},
        {"{\"verb\":\"promote\",\"step\":0}", "rollout"},
        {"{\"verb\":\"promote\",\"rollout\":1}", "step"},
        {"{\"verb\":\"promote\",\"rollout\":-1,\"step\":0}", "rollout"},
        {"{\"verb\":\"promote\",\"rollout\":1,\"step\":0,\"full\":1}", "full"},
        {"{\"verb\":\"promote\",\"rollout\":1,\"step\":0,\"one_way\":\"yes\"}", "one_way"},
        {"{\"verb\":\"promote\",\"rollout\":1,\"step\":0,\"colour\":1}", "colour"},
        {"[]", ""},
        {"promote", ""},
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_order o = {.step = 77};
        struct gr_error e = {0};
        assert_int_equal(gr_order_parse(bad[i].text, strlen(bad[i].text), &o, &e), -EINVAL);
        assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
        assert_non_null(strstr(e.message, bad[i].path));
        assert_int_equal(o.step, 77);
    }
    char long_reason[700];
    snprintf(long_reason, sizeof long_reason,
             "{\"verb\":\"abort\",\"rollout\":1,\"step\":0,\"reason\":\"%0600d\"}", 0);
    struct gr_error e = {0};
    struct gr_order o;
    assert_int_equal(gr_order_parse(long_reason, strlen(long_reason), &o, &e), -EINVAL);
    assert_non_null(strstr(e.message, "reason: expected at most 511"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_survives_its_text),
        cmocka_unit_test(every_verb_has_a_name),
        cmocka_unit_test(half_an_order_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
