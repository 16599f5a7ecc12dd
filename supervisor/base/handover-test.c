// Which versions hand state to each other, and which steps are one-way doors.
#include "base/handover.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_contract *contract(const char *version, const char *state)
{
    char json[512];
    struct gr_contract *c = NULL;
    snprintf(json, sizeof json,
             "{\"module\":\"counter\",\"version\":\"%s\",\"abi\":{\"major\":1,\"minor\":0},"
             "\"provides\":[]%s%s}",
             version, *state ? ",\"state\":" : "", state);
    assert_int_equal(gr_contract_parse(json, strlen(json), &c, NULL), 0);
    return c;
}

static void between_two_contracts(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum gr_handover handover;
        bool one_way;
        const char *sentence;
    } cases[] = {
        {"", "", GR_HANDOVER_NONE, false, ""},
        {"{\"schema\":1}", "{\"schema\":1}", GR_HANDOVER_STATE, false, ""},
        {"{\"schema\":0}", "{\"schema\":0}", GR_HANDOVER_STATE, false, ""},
        {"{\"schema\":1}", "{\"schema\":2,\"imports\":[1]}", GR_HANDOVER_STATE, true, ""},
        {"{\"schema\":1,\"imports\":[2]}", "{\"schema\":2,\"imports\":[0,1]}", GR_HANDOVER_STATE,
         false, ""},
        {"{\"schema\":1}", "{\"schema\":2}", GR_HANDOVER_IMPOSSIBLE, true,
         "counter 1.0.0 holds state of schema 1 and 2.0.0, whose schema is 2, does not import it"},
        {"{\"schema\":2,\"imports\":[1]}", "{\"schema\":1}", GR_HANDOVER_IMPOSSIBLE, true,
         "whose schema is 1, does not import it; add 2 to state.imports"},
        {"{\"schema\":3}", "", GR_HANDOVER_IMPOSSIBLE, true,
         "counter 1.0.0 holds state of schema 3 and 2.0.0 declares none"},
        {"", "{\"schema\":1}", GR_HANDOVER_NONE, true, ""}, // the way back would lose it
        {"", "{\"schema\":2,\"imports\":[1]}", GR_HANDOVER_NONE, true, ""},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        GR_CLEANUP(gr_contract_freep) struct gr_contract *from = contract("1.0.0", cases[i].from);
        GR_CLEANUP(gr_contract_freep) struct gr_contract *to = contract("2.0.0", cases[i].to);
        struct gr_error why = {0};
        if (gr_handover_between(from, to, &why) != cases[i].handover ||
            gr_handover_is_one_way(from, to) != cases[i].one_way ||
            !strstr(why.message, cases[i].sentence))
            fail_msg("case %zu: %s", i, why.message);
        bool impossible = cases[i].handover == GR_HANDOVER_IMPOSSIBLE;
        assert_int_equal(why.reason, impossible ? GR_REASON_STATE_HANDOVER_FAILED : GR_REASON_NONE);
    }
}

static void arrivals_and_departures_hand_nothing_over(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = contract("1.0.0", "{\"schema\":1}");
    assert_int_equal(gr_handover_between(NULL, c, NULL), GR_HANDOVER_NONE);
    assert_int_equal(gr_handover_between(c, NULL, NULL), GR_HANDOVER_NONE);
    assert_false(gr_handover_is_one_way(NULL, c));
    assert_false(gr_handover_is_one_way(c, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_two_contracts),
        cmocka_unit_test(arrivals_and_departures_hand_nothing_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
