// The lines that a person reads of a rollout, and the command that comes next.
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_shown(const char *rollout, const char *field, const char *expected)
{
    char text[1024], path[32];
    snprintf(text, sizeof text, "{\"module\":\"pay\",\"rollout\":%s}", rollout);
    GR_AUTO_JSON cJSON *m = cJSON_Parse(text);
    assert_non_null(m);
    gr_explain_add_shown(m);
    snprintf(path, sizeof path, "shown.%s", field);
    assert_string_equal(gr_output_text(m, path), expected);
}

static void steps_and_shares(void **state)
{
    (void)state;
    static const char steps[] =
        "\"n_steps\":4,\"steps\":[{\"weight\":1.5},{\"pause\":{\"duration\":"
        "\"5m\",\"requests\":10}},{\"pause\":{}},{\"weight\":100}]";
    static const char *const expected[] = {
        "1 of 4: weight 1.5 %", "2 of 4: pause of 5m and 10 requests",
        "3 of 4: pause until promote", "4 of 4: weight 100 %", "4 of 4: the swap"};
    char text[512];
    for (int i = 0; i < (int)GR_COUNT(expected); i++) {
        snprintf(text, sizeof text, "{\"step\":%d,%s}", i, steps);
        assert_shown(text, "step", expected[i]);
    }
    assert_shown("{\"step\":0,\"n_steps\":0,\"steps\":[]}", "step", "");
    assert_shown("{\"weight\":25,\"weight_observed\":24.876,\"shadow\":5}", "weight",
                 "25 % set, 24.88 % seen, 5 % shadowed");
    assert_shown("{\"weight\":25,\"weight_observed\":null,\"shadow\":0}", "weight", "25 % set");
    assert_shown("{\"id\":0}", "weight", "");
}

static void pauses(void **state)
{
    (void)state;
    assert_shown("{\"held_by\":\"bob\",\"pause\":{\"hold\":\"step\",\"gate\":true}}", "pause",
                 "held by bob");
    assert_shown("{\"pause\":{\"hold\":\"step\",\"gate\":true}}", "pause", "until promote");
    assert_shown("{\"pause\":{\"hold\":\"step\",\"left_usec\":61500000,\"requests_left\":7}}",
                 "pause", "1m1s and 7 requests left");
    assert_shown("{\"pause\":{\"hold\":\"step\",\"left_usec\":2000000}}", "pause", "2s left");
    assert_shown("{\"pause\":{\"hold\":\"step\",\"requests_left\":7}}", "pause", "7 requests left");
    assert_shown("{\"pause\":{\"hold\":\"undecided\"}}", "pause",
                 "until the verdict is Successful");
    assert_shown("{\"pause\":{\"hold\":\"one-way\"}}", "pause",
                 "until a person agrees: there is no way back");
    assert_shown("{\"pause\":null}", "pause", "");
}

static void doors(void **state)
{
    (void)state;
    assert_shown("{\"one_way\":{\"door\":\"closed\",\"message\":\"pay 2 cannot\"}}", "one_way",
                 "not agreed to yet: pay 2 cannot");
    assert_shown("{\"one_way\":{\"door\":\"open\",\"message\":\"pay 2 cannot\"}}", "one_way",
                 "agreed to: pay 2 cannot");
    assert_shown("{\"one_way\":null}", "one_way", "");
    char text[512];
    GR_AUTO_JSON cJSON *m = cJSON_Parse("{\"module\":\"pay\",\"rollout\":{\"phase\":\"Baking\","
                                        "\"pause\":null,\"one_way\":{\"door\":\"open\"}}}");
    gr_explain_next_of(m, text, sizeof text);
    assert_non_null(strstr(text, "grayctl abort pay --one-way"));
}

static void each_state_has_a_next_command(void **state)
{
    (void)state;
    static const struct {
        const char *phase, *reason, *hold, *expected;
    } all[] = {
        {"Healthy", "", "", "grayctl undo pay"},
        {"RolledBack", "OperatorAbort", "", "grayctl retry pay"},
        {"RolledBack", "Inconclusive", "", "grayctl retry pay"},
        {"RolledBack", "Crashed", "", "grayctl quarantine lift DIGEST --reason TEXT, then grayctl"},
        {"RolledBack", "LatencyRegressed", "", "grayctl quarantine list shows its digest"},
        {"RolledBack", "FreezeTimeout", "", "try this one again: grayctl retry pay"},
        {"Rejected", "Quarantined", "",
         "grayctl quarantine lift DIGEST --reason TEXT, then grayctl"},
        {"Rejected", "DocumentInvalid", "", "grayctl apply -f FILE"},
        {"Rejected", "DigestMismatch", "", "what served before is not touched"},
        {"Superseded", "", "", "grayctl explain pay"},
        {"Paused", "", "step", "grayctl promote pay,"},
        {"Paused", "", "person", "grayctl resume pay"},
        {"Paused", "", "undecided", "grayctl promote pay --full"},
        {"Paused", "", "failure", "grayctl abort pay"},
        {"Paused", "", "one-way", "grayctl promote pay --one-way"},
        {"Baking", "", "no-way-back", "grayctl abort pay --one-way"},
        {"Baking", "", "failure", "grayctl abort pay --one-way"},
        {"Paused", "", "bad-stable", "grayctl promote pay --over-bad-stable"},
        {"Progressing", "", "", "grayctl abort pay"},
        {"Baking", "", "", "grayctl abort pay"},
        {"Verifying", "", "", "grayctl status pay --wait"},
        {"Pending", "", "", "grayctl status pay --wait"},
        {"Pending", "UpgradeLockIncomplete", "", "grayctl abort pay"},
    };
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        char text[512];
        gr_explain_next("pay", all[i].phase, all[i].reason, all[i].hold, text, sizeof text);
        if (!strstr(text, all[i].expected))
            fail_msg("%s %s %s: \"%s\", expected \"%s\"", all[i].phase, all[i].reason, all[i].hold,
                     text, all[i].expected);
    }
}

// Nothing is advised that would be refused: a first version has nothing to go back to.
static void a_first_version_has_no_way_back(void **state)
{
    static const char *const all[] = {
        "{\"module\":\"pay\",\"previous\":null,\"rollout\":{\"phase\":\"Healthy\"}}",
        "{\"module\":\"pay\",\"previous\":{\"version\":\"1.0.0\"},\"rollout\":{\"phase\":"
        "\"Healthy\"}}"};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        char text[512];
        GR_AUTO_JSON cJSON *m = cJSON_Parse(all[i]);
        gr_explain_next_of(m, text, sizeof text);
        assert_int_equal(strstr(text, "grayctl undo pay") != NULL, i == 1);
    }
}

static void it_is_told_who_is_hurt(void **state)
{
    static const struct {
        const char *module, *expected;
    } all[] = {
        {"\"stable\":{\"version\":\"1.0.0\",\"loaded\":true,\"requests\":144,\"errors\":2}",
         "pay 1.0.0 answers all requests (144 requests since this worker has it, 2 failed)"},
        {"\"stable\":{\"version\":\"1.0.0\",\"loaded\":true,\"requests\":9,\"errors\":0},"
         "\"candidate\":{\"version\":\"1.1.0\",\"requests\":3,\"errors\":1},"
         "\"rollout\":{\"weight\":25}",
         "pay 1.0.0 answers what the candidate does not (9 requests since this worker has it, 0 "
         "failed); 1.1.0 is given 25 % (3 requests since this worker has it, 1 failed)"},
        {"\"stable\":null", "pay has no version in force: its requests are refused"},
        {"\"stable\":{\"version\":\"1.0.0\",\"loaded\":false}",
         "pay 1.0.0 is in force, but no worker has it: its requests are refused; grayctl status, "
         "grayctl doctor"},
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        char json[512], text[512];
        snprintf(json, sizeof json, "{\"module\":\"pay\",%s}", all[i].module);
        GR_AUTO_JSON cJSON *m = cJSON_Parse(json);
        gr_explain_now_of(m, text, sizeof text);
        assert_string_equal(text, all[i].expected);
    }
}

static void an_age_is_told(void **state)
{
    char text[48];
    struct gr_wall now;
    (void)state;
    assert_int_equal(gr_wall_parse("2026-11-24T05:06:07Z", &now), 0);
    assert_string_equal(gr_explain_age("2026-11-24T05:02:55.123456Z", now, text), ", 3m11s ago");
    assert_string_equal(gr_explain_age("2026-11-24T05:06:08Z", now, text), "");
    assert_string_equal(gr_explain_age("", now, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_and_shares),
        cmocka_unit_test(pauses),
        cmocka_unit_test(doors),
        cmocka_unit_test(each_state_has_a_next_command),
        cmocka_unit_test(a_first_version_has_no_way_back),
        cmocka_unit_test(it_is_told_who_is_hurt),
        cmocka_unit_test(an_age_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
