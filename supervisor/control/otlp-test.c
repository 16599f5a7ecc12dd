// What a collector reads: ids, times, attributes, errors, and whose spans they are.
#include "control/otlp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static cJSON *message(const char *parent, int code)
{
    char text[700];
    snprintf(text, sizeof text,
             "{\"trace\":\"" TRACE "\",\"span\":\"b7ad6b7169203331\",\"parent\":\"%s\","
             "\"began_usec\":1795496760000001,\"took_usec\":2000,\"code\":%d,\"module\":\"pay\","
             "\"version\":\"1.1.0\",\"candidate\":true,\"rescued\":false,"
             "\"interface\":\"com.example.pay.PayService\",\"method\":\"Charge\","
             "\"request_id\":\"r-1\"}",
             parent, code);
    return cJSON_Parse(text);
}

static const char *text(const cJSON *o, const char *field)
{
    return cJSON_GetStringValue(gr_json_get(o, field));
}

static const char *attribute(const cJSON *span, const char *key)
{
    const cJSON *a, *v;
    cJSON_ArrayForEach(a, gr_json_get(span, "attributes")) if (strcmp(text(a, "key"), key) == 0)
    {
        v = gr_json_get(a, "value");
        return text(v, "stringValue") ? text(v, "stringValue") : text(v, "intValue");
    }
    return NULL;
}

static void test_a_request(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *m = message("00f067aa0ba902b7", 0), *o = gr_otlp_request(m);
    assert_string_equal(text(o, "traceId"), TRACE);
    assert_string_equal(text(o, "spanId"), "b7ad6b7169203331");
    assert_string_equal(text(o, "parentSpanId"), "00f067aa0ba902b7");
    assert_string_equal(text(o, "name"), "com.example.pay.PayService/Charge");
    assert_string_equal(text(o, "startTimeUnixNano"), "1795496760000001000");
    assert_string_equal(text(o, "endTimeUnixNano"), "1795496760002001000");
    assert_string_equal(attribute(o, "rpc.method"), "Charge");
    assert_string_equal(attribute(o, "grayling.role"), "candidate");
    assert_null(attribute(o, "rpc.connect_rpc.error_code"));
    assert_null(gr_json_get(o, "status"));
}

static void test_errors_and_roots(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *m = message("0000000000000000", 13), *o = gr_otlp_request(m);
    assert_null(text(o, "parentSpanId"));
    assert_string_equal(attribute(o, "rpc.connect_rpc.error_code"), "internal");
    assert_int_equal(gr_json_get(gr_json_get(o, "status"), "code")->valueint, 2);
    GR_AUTO_JSON cJSON *client = message("0000000000000000", 3), *c = gr_otlp_request(client);
    assert_string_equal(attribute(c, "rpc.connect_rpc.error_code"), "invalid_argument");
    assert_null(gr_json_get(c, "status")); // it is not the server's
}

static void test_what_a_worker_must_not_say(void **state)
{
    static const char *const fields[] = {"trace", "span", "parent"};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(fields); i++) {
        GR_AUTO_JSON cJSON *m = message("00f067aa0ba902b7", 0);
        cJSON_ReplaceItemInObject(m, fields[i], cJSON_CreateString("\"},{\""));
        assert_null(gr_otlp_request(m));
        cJSON_DeleteItemFromObject(m, fields[i]);
        assert_null(gr_otlp_request(m));
    }
    assert_null(gr_otlp_request(NULL));
}

static struct gr_rollout_member members[2];
static struct gr_rollout_row row = {.id = 42,
                                    .n = 2,
                                    .members = members,
                                    .reason = GR_REASON_CRASHED,
                                    .message = "pay 1.2.0 crashed"};

static cJSON *rollout(const char *instance, enum gr_phase phase, bool whole)
{
    const struct gr_otlp_step s = {.row = &row,
                                   .phase = phase,
                                   .step = 1,
                                   .whole = whole,
                                   .began = {1795496760000000},
                                   .ended = {1795496761000000},
                                   .service = "order",
                                   .instance = instance};
    strcpy(members[0].module.s, "pay");
    strcpy(members[1].module.s, "auth");
    return gr_otlp_rollout(&s);
}

static void test_a_rollout(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *whole = rollout("a", GR_PHASE_ROLLED_BACK, true);
    GR_AUTO_JSON cJSON *step = rollout("a", GR_PHASE_PROGRESSING, false);
    GR_AUTO_JSON cJSON *next = rollout("a", GR_PHASE_BAKING, false);
    GR_AUTO_JSON cJSON *other = rollout("b", GR_PHASE_ROLLED_BACK, true);
    assert_string_equal(text(whole, "name"), "rollout of pay and others");
    assert_string_equal(text(step, "name"), "Progressing, step 2");
    assert_string_equal(text(next, "name"), "Baking");
    assert_string_equal(text(step, "parentSpanId"), text(whole, "spanId"));
    assert_string_equal(text(next, "parentSpanId"), text(whole, "spanId"));
    assert_string_not_equal(text(step, "spanId"), text(next, "spanId"));
    assert_string_equal(text(step, "traceId"), text(whole, "traceId"));
    assert_string_equal(text(other, "traceId"), text(whole, "traceId")); // all hosts in one trace
    assert_string_not_equal(text(other, "spanId"), text(whole, "spanId"));
    assert_null(text(whole, "parentSpanId"));
    assert_string_equal(attribute(whole, "grayling.reason"), "Crashed");
    assert_string_equal(attribute(step, "grayling.step"), "2");
    assert_null(attribute(next, "grayling.step"));
    assert_string_equal(text(gr_json_get(whole, "status"), "message"), "pay 1.2.0 crashed");
    assert_null(gr_json_get(step, "status"));
}

static void test_a_whole_request(void **state)
{
    size_t len = 0;
    (void)state;
    GR_AUTO_JSON cJSON *m = message("00f067aa0ba902b7", 0), *o = gr_otlp_request(m);
    cJSON *spans[] = {o, o};
    GR_AUTO_FREE char *body = gr_otlp_export("order", "host-1", "0.1.0", spans, 2, &len);
    assert_int_equal(strlen(body), len);
    GR_AUTO_JSON cJSON *root = cJSON_Parse(body);
    const cJSON *whose = cJSON_GetArrayItem(gr_json_get(root, "resourceSpans"), 0);
    const cJSON *resource = gr_json_get(whose, "resource");
    const cJSON *by = cJSON_GetArrayItem(gr_json_get(whose, "scopeSpans"), 0);
    assert_string_equal(attribute(resource, "service.name"), "order");
    assert_string_equal(attribute(resource, "service.instance.id"), "host-1");
    assert_string_equal(text(gr_json_get(by, "scope"), "name"), "grayling");
    assert_int_equal(cJSON_GetArraySize(gr_json_get(by, "spans")), 2);
}

static void test_partial_success(void **state)
{
    static const struct {
        const char *body;
        uint64_t rejected;
    } answers[] = {{"{}", 0},
                   {"", 0},
                   {"{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3},
                   {"{\"partialSuccess\":{\"rejectedSpans\":4}}", 4},
                   {"{\"partialSuccess\":{\"rejectedSpans\":-1}}", 0},
                   {"{\"partialSuccess\":{\"rejectedSpans\":\"x\"}}", 0},
                   {"{\"partialSuccess\":[]}", 0}};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(answers); i++)
        assert_int_equal(gr_otlp_rejected(answers[i].body, strlen(answers[i].body)),
                         answers[i].rejected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_errors_and_roots),
        cmocka_unit_test(test_what_a_worker_must_not_say),
        cmocka_unit_test(test_a_rollout),
        cmocka_unit_test(test_a_whole_request),
        cmocka_unit_test(test_partial_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
