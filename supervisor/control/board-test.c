// What those who watch are told: everything first, then what has changed, and nothing twice.
#include "base/json.h"
#include "base/limits.h"
#include "control/board.h"
#include "control/fake-view.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct world {
    struct gr_fake_view fake;
    struct gr_board *board;
    struct gr_buf out;
} w;

static int set_up(void **state)
{
    (void)state;
    gr_fake_view_init(&w.fake);
    w.out = GR_BUF(GR_STREAM_SAY_BYTES_MAX);
    return gr_board_new(&w.board);
}

static int tear_down(void **state)
{
    (void)state;
    gr_board_free(w.board);
    gr_buf_done(&w.out);
    return 0;
}

// What is told after *seen; "" when nothing is.
static const char *tell(uint64_t *seen)
{
    gr_buf_clear(&w.out);
    assert_int_equal(gr_board_update(w.board, &w.fake.view), 0);
    assert_int_equal(gr_board_tell(w.board, seen, &w.out), 0);
    return w.out.len ? w.out.data : "";
}

static unsigned times(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void test_everything_first_then_changes(void **state)
{
    uint64_t seen = 0;
    (void)state;
    const char *first = tell(&seen);
    assert_int_equal(times(first, "event: host\ndata: {"), 1);
    assert_int_equal(times(first, "event: module\ndata: {"), 2);
    assert_int_equal(times(first, "\n\n"), 3);
    assert_non_null(strstr(first, "\"modules\":[\"auth\",\"pay\"]"));
    assert_string_equal(tell(&seen), "");
    w.fake.counters[0].requests[0]++;
    const char *changed = tell(&seen);
    assert_int_equal(times(changed, "event: "), 1);
    assert_non_null(strstr(changed, "\"module\":\"pay\""));
    assert_string_equal(tell(&seen), "");
}

static void test_who_was_slow_is_told_the_newest(void **state)
{
    uint64_t quick = 0, slow = 0;
    (void)state;
    (void)tell(&quick);
    slow = quick;
    for (int i = 0; i < 5; i++) {
        w.fake.counters[0].requests[0]++;
        assert_int_equal(times(tell(&quick), "event: module"), 1);
    }
    assert_int_equal(times(tell(&slow), "event: module"), 1);
    assert_true(slow == quick);
}

static void test_a_module_that_is_gone_leaves_the_list(void **state)
{
    uint64_t seen = 0;
    (void)state;
    (void)tell(&seen);
    w.fake.view.modules = &w.fake.modules[1];
    w.fake.view.n_modules = 1;
    const char *told = tell(&seen);
    assert_int_equal(times(told, "event: "), 1);
    assert_non_null(strstr(told, "\"modules\":[\"pay\"]"));
}

// A thing is never cut; what does not fit comes with the next breath.
static void test_no_more_at_once_than_a_breath(void **state)
{
    static struct gr_view_module many[2 * GR_MODULES_MAX];
    uint64_t seen = 0;
    unsigned modules = 0, breaths = 0;
    (void)state;
    for (size_t i = 0; i < GR_COUNT(many); i++) {
        many[i] = w.fake.modules[1];
        snprintf(many[i].module.s, sizeof many[i].module.s, "m%03zu", i);
    }
    w.fake.view.modules = many;
    w.fake.view.n_modules = GR_COUNT(many);
    for (const char *told; *(told = tell(&seen)); breaths++) {
        size_t len = strlen(told);
        assert_true(len < GR_STREAM_SAY_BYTES + 16384);
        assert_string_equal(told + len - 2, "\n\n");
        modules += times(told, "event: module");
    }
    assert_int_equal(modules, GR_COUNT(many));
    assert_true(breaths > 1);
}

static void test_a_module_has_gates_contract_and_source(void **state)
{
    char *sources[] = {"https://user:secret@artifacts.example/pay.so?token=secret#secret"};
    struct gr_desired release = {.n_sources = 1, .sources = sources};
    struct gr_contract_method method = {.name = "Charge"};
    struct gr_contract_interface provides = {
        .name = "com.example.pay.PayService", .n_methods = 1, .methods = &method};
    struct gr_contract contract = {.abi_major = 1, .n_provides = 1, .provides = &provides};
    struct gr_view_module *pay = &w.fake.modules[1];
    (void)state;
    strcpy(provides.version.text, "1.1.0");
    w.fake.verdict.verdict.gates[GR_GATE_ERRORS] =
        (struct gr_gate_verdict){.enabled = true, .candidate = 0.03, .low = -INFINITY, .high = 1};
    pay->stable.release = &release;
    pay->stable.contract = &contract;
    GR_AUTO_JSON cJSON *o = gr_board_module_json(pay);
    assert_non_null(o);
    const cJSON *gates = gr_json_get(o, "gates"), *errors = gr_json_get(gates, "errors");
    assert_int_equal(cJSON_GetArraySize(gates), 1);
    assert_true(cJSON_IsNull(gr_json_get(errors, "low"))); // JSON has no infinity
    assert_true(gr_json_get(errors, "candidate")->valuedouble == 0.03);
    const cJSON *stable = gr_json_get(o, "stable");
    assert_string_equal(cJSON_GetStringValue(gr_json_get(stable, "source")),
                        "https://artifacts.example/pay.so");
    const cJSON *in =
        cJSON_GetArrayItem(gr_json_get(gr_json_get(stable, "contract"), "provides"), 0);
    assert_string_equal(cJSON_GetStringValue(gr_json_get(in, "version")), "1.1.0");
    assert_true(cJSON_IsNull(gr_json_get(gr_json_get(o, "previous"), "contract")));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_everything_first_then_changes),
        CASE(test_who_was_slow_is_told_the_newest),
        CASE(test_a_module_that_is_gone_leaves_the_list),
        CASE(test_no_more_at_once_than_a_breath),
        CASE(test_a_module_has_gates_contract_and_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
