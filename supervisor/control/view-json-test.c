// The status keys hold exactly the fields that INTERFACES promises; the control socket's answers
// hold more.
#include "base/json.h"
#include "control/fake-view.h"
#include "control/journal-json.h"
#include "control/view-json.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct gr_fake_view fake;

static void assert_fields(const cJSON *o, const char *const *fields, size_t n)
{
    assert_non_null(o);
    for (size_t i = 0; i < n; i++)
        if (!gr_json_get(o, fields[i]))
            fail_msg("%s is missing", fields[i]);
    assert_int_equal(cJSON_GetArraySize(o), (int)n);
}

static const char *text(const cJSON *o, const char *field)
{
    return cJSON_GetStringValue(gr_json_get(o, field));
}

static void test_instance_key(void **state)
{
    static const char *const fields[] = {"apiVersion", "version",         "pid",   "started",
                                         "endpoints",  "source_revision", "phase", "message"};
    (void)state;
    GR_AUTO_JSON cJSON *o = gr_view_instance_key(&fake.view);
    assert_fields(o, fields, GR_COUNT(fields));
    assert_string_equal(text(o, "apiVersion"), "grayling/v1");
    assert_string_equal(text(o, "phase"), "Serving");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(gr_json_get(o, "endpoints"), 0)),
                        "127.0.0.1:8080");
    assert_int_equal((int)gr_json_get(o, "source_revision")->valuedouble, 42);
    assert_true(cJSON_IsNull(gr_json_get(o, "message")));
    struct gr_view damaged = fake.view;
    damaged.message = "The journal was damaged.";
    GR_AUTO_JSON cJSON *told = gr_view_instance_key(&damaged);
    assert_string_equal(text(told, "message"), damaged.message);
}

static void test_module_key(void **state)
{
    static const char *const fields[] = {"apiVersion",        "phase",  "reason",    "message",
                                         "observed_revision", "stable", "candidate", "last_good",
                                         "verdict",           "intent", "updated"};
    static const char *const of_version[] = {"version", "hash"};
    (void)state;
    GR_AUTO_JSON cJSON *o = gr_view_module_key(&fake.modules[1]);
    assert_fields(o, fields, GR_COUNT(fields));
    assert_fields(gr_json_get(o, "stable"), of_version, GR_COUNT(of_version));
    assert_true(cJSON_IsNull(gr_json_get(o, "candidate")));
    assert_true(cJSON_IsNull(gr_json_get(o, "reason")));
    assert_true(cJSON_IsNull(gr_json_get(o, "intent")));
    assert_string_equal(text(o, "last_good"), "1.0.0");
    assert_string_equal(text(o, "updated"), "2026-11-24T05:06:06.123456Z");
    assert_int_equal((int)gr_json_get(gr_json_get(o, "verdict"), "errors")->valuedouble, 3);
    assert_non_null(strstr(text(gr_json_get(o, "verdict"), "sentence"), "Inconclusive"));
}

static void test_intents_are_told_newest_first(void **state)
{
    static const struct gr_intent_row rows[] = {
        {.revision = 71, .verb = "pause", .actor = "bob", .message = "alice was faster"},
        {.revision = 70, .verb = "promote", .actor = "alice", .applied = true}};
    struct gr_view_module m = fake.modules[1];
    (void)state;
    m.intents = rows;
    m.n_intents = GR_COUNT(rows);
    GR_AUTO_JSON cJSON *key = gr_view_module_key(&m), *all = gr_view_module_to_json(&m);
    const cJSON *newest = gr_json_get(key, "intent"), *list = gr_json_get(all, "intents");
    assert_string_equal(text(newest, "result"), "refused");
    assert_string_equal(text(newest, "message"), "alice was faster");
    assert_int_equal(gr_json_get(newest, "revision")->valueint, 71);
    assert_int_equal(cJSON_GetArraySize(list), 2);
    assert_string_equal(text(cJSON_GetArrayItem(list, 1), "result"), "applied");
    assert_string_equal(text(cJSON_GetArrayItem(list, 1), "verb"), "promote");
}

// Doubles round from 2^53 on; nothing that is printed does.
static void test_numbers_are_exact(void **state)
{
    (void)state;
    struct gr_view view = fake.view;
    struct gr_counters counters = fake.counters[0];
    struct gr_view_module m = fake.modules[1];
    const int64_t edge = 1ll << 53;
    view.source.revision = edge - 1;
    m.observed_revision = edge + 1;
    m.rollout = INT64_MAX;
    counters.requests[0] = edge - 1;
    counters.requests[3] = INT64_MAX;
    gr_fake_version(&m.stable, "1.1.0", "stable", 10000, 1, &counters);
    GR_AUTO_JSON cJSON *instance = gr_view_instance_key(&view), *key = gr_view_module_key(&m),
                       *all = gr_view_module_to_json(&m);
    GR_AUTO_FREE char *instance_text = gr_json_format(instance), *key_text = gr_json_format(key),
                      *all_text = gr_json_format(all);
    assert_non_null(strstr(instance_text, "\"source_revision\":9007199254740991,"));
    assert_non_null(strstr(key_text, "\"observed_revision\":\"9007199254740993\","));
    assert_non_null(strstr(all_text, "\"id\":\"9223372036854775807\","));
    assert_non_null(strstr(all_text, "\"ok\":9007199254740991,"));
    assert_non_null(strstr(all_text, ":\"9223372036854775807\","));
}

static void test_events_and_history_are_exact(void **state)
{
    (void)state;
    struct gr_event_row ev = {.seq = (1ll << 53) - 1, .rollout = INT64_MAX};
    struct gr_rollout_row row = {.id = (1ll << 53) + 1};
    GR_AUTO_JSON cJSON *event = gr_event_row_to_json(&ev), *rollout = gr_rollout_row_to_json(&row);
    GR_AUTO_FREE char *event_text = gr_json_format(event), *rollout_text = gr_json_format(rollout);
    assert_non_null(strstr(event_text, "\"seq\":9007199254740991,"));
    assert_non_null(strstr(event_text, "\"rollout\":\"9223372036854775807\","));
    assert_non_null(strstr(rollout_text, "\"rollout\":\"9007199254740993\","));
}

static void test_candidate_has_weight_and_step(void **state)
{
    static const char *const of_candidate[] = {"version", "hash", "weight", "step"};
    struct gr_view_module m = fake.modules[1];
    (void)state;
    gr_fake_version(&m.candidate, "1.2.0", "candidate", 2550, 2, NULL);
    GR_AUTO_JSON cJSON *o = gr_view_module_key(&m);
    const cJSON *candidate = gr_json_get(o, "candidate");
    assert_fields(candidate, of_candidate, GR_COUNT(of_candidate));
    assert_true(gr_json_get(candidate, "weight")->valuedouble == 25.5);
}

static void test_a_rollout_says_where_it_is(void **state)
{
    static const struct gr_step steps[] = {
        {.kind = GR_STEP_WEIGHT, .permyriad = 2550},
        {.kind = GR_STEP_PAUSE, .duration_usec = 300000000, .requests = 1000},
        {.kind = GR_STEP_ANALYSIS},
        {.kind = GR_STEP_WEIGHT, .permyriad = 10000}};
    static const struct gr_order_row order = {
        .verb = "pause", .actor = "alice", .reason = "PAY-7", .step = 1};
    struct gr_view_module m = fake.modules[1];
    struct gr_counters counters = {.shadow = {1, 2, 3, 4, 5, 6}};
    (void)state;
    gr_fake_version(&m.candidate, "1.2.0", "candidate", 2550, 2, &counters);
    m.gray = (struct gr_view_gray){.step = 1,
                                   .n_steps = GR_COUNT(steps),
                                   .steps = steps,
                                   .weight_permyriad = 2550,
                                   .seen_candidate = 1,
                                   .seen_stable = 3,
                                   .sticky = "tenant",
                                   .salt = 0xabcdef,
                                   .match_json = "[{\"tenant\":true,\"exact\":\"acme\"}]",
                                   .pause_left_usec = 7,
                                   .pause_requests_left = 9,
                                   .hold = GR_HOLD_STEP,
                                   .held_by = "alice",
                                   .door = GR_DOOR_CLOSED,
                                   .door_why = "pay 2 cannot",
                                   .order = &order};
    GR_AUTO_JSON cJSON *o = gr_view_module_to_json(&m);
    const cJSON *r = gr_json_get(o, "rollout"), *list = gr_json_get(r, "steps");
    assert_int_equal(cJSON_GetArraySize(list), 4);
    assert_true(gr_json_get(cJSON_GetArrayItem(list, 0), "weight")->valuedouble == 25.5);
    assert_string_equal(text(gr_json_get(cJSON_GetArrayItem(list, 1), "pause"), "duration"), "5m");
    assert_true(gr_json_get(r, "weight")->valuedouble == 25.5);
    assert_true(gr_json_get(r, "weight_observed")->valuedouble == 25);
    assert_string_equal(text(gr_json_get(r, "pause"), "hold"), "step");
    assert_true(gr_json_get(gr_json_get(r, "pause"), "requests_left")->valuedouble == 9);
    assert_string_equal(text(r, "held_by"), "alice");
    assert_string_equal(text(gr_json_get(r, "one_way"), "door"), "closed");
    assert_string_equal(text(gr_json_get(r, "one_way"), "message"), "pay 2 cannot");
    assert_string_equal(text(r, "actor"), "alice");
    assert_string_equal(text(r, "reason"), "PAY-7");
    assert_string_equal(text(r, "sticky"), "tenant");
    assert_string_equal(text(r, "salt"), "0000000000abcdef");
    assert_string_equal(text(cJSON_GetArrayItem(gr_json_get(r, "match"), 0), "exact"), "acme");
    GR_AUTO_FREE char *shadow = gr_json_format(gr_json_get(r, "shadow_seen"));
    assert_string_equal(shadow, "{\"same\":1,\"diverged\":2,\"errors\":3,\"dropped\":4,"
                                "\"noise_same\":5,\"noise_diverged\":6}");
}

static void test_refused_module_says_why(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *o = gr_view_module_key(&fake.modules[0]);
    assert_string_equal(text(o, "reason"), "DigestMismatch");
    assert_string_equal(text(o, "message"), "expected sha256:aa, actual sha256:bb");
    assert_true(cJSON_IsNull(gr_json_get(o, "stable")));
}

static void test_everything(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *o = gr_view_to_json(&fake.view);
    assert_non_null(o);
    const cJSON *pay = cJSON_GetArrayItem(gr_json_get(o, "modules"), 1),
                *stable = gr_json_get(pay, "stable");
    assert_string_equal(text(pay, "module"), "pay");
    assert_int_equal((int)gr_json_get(stable, "requests")->valuedouble, 1000);
    assert_int_equal((int)gr_json_get(stable, "errors")->valuedouble, 6);
    assert_int_equal((int)gr_json_get(gr_json_get(stable, "codes"), "internal")->valuedouble, 6);
    assert_null(gr_json_get(gr_json_get(stable, "codes"), "aborted"));
    double p50 = gr_json_get(stable, "p50_usec")->valuedouble;
    assert_true(p50 >= 1500 && p50 < 1600);
    assert_string_equal(text(gr_json_get(pay, "rollout"), "phase"), "Baking");
    assert_string_equal(text(gr_json_get(o, "source"), "cluster_id"), "cdf818194e3a8c32");
    assert_int_equal((int)gr_json_get(gr_json_get(o, "worker"), "loaded")->valuedouble, 3);
    assert_int_equal((int)gr_json_get(gr_json_get(o, "worker"), "pinned")->valuedouble, 1);
    assert_string_equal(text(cJSON_GetArrayItem(gr_json_get(o, "quarantine"), 0), "reason"),
                        "Crashed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instance_key),
        cmocka_unit_test(test_module_key),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_events_and_history_are_exact),
        cmocka_unit_test(test_candidate_has_weight_and_step),
        cmocka_unit_test(test_a_rollout_says_where_it_is),
        cmocka_unit_test(test_intents_are_told_newest_first),
        cmocka_unit_test(test_refused_module_says_why),
        cmocka_unit_test(test_everything),
    };
    gr_fake_view_init(&fake);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
