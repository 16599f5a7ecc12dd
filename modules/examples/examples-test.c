// What the example modules do, each loaded from its built file.
#include "modules/test-host/test-host.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int32_t charge(struct instance *i, const char *payload)
{
    return instance_call(i, 0, payload, NULL);
}

static void test_echo(void **state)
{
    (void)state;
    struct instance i = instance_start("echo-1.0.0", "{}");
    assert_int_equal(instance_call(&i, 0, "any \x01 payload", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "any \x01 payload");
    assert_int_equal(instance_call(&i, 0, "", NULL), GRAYLING_OK);
    assert_int_equal(seen.answers, 1);
    instance_stop(&i);
}

static void test_pay(void **state)
{
    (void)state;
    struct instance i = instance_start("pay-1.0.0", "{\"currency\":\"CHF\"}");
    assert_int_equal(charge(&i, "{\"amount_cents\": 1250, \"currency\": \"EUR\"}"), GRAYLING_OK);
    assert_non_null(strstr(seen.answer, "\"amount_cents\":1250,\"currency\":\"EUR\","
                                        "\"status\":\"charged\"}"));
    assert_null(strstr(seen.answer, "fee_cents"));
    assert_string_equal(seen.called, "");

    assert_int_equal(charge(&i, "{}"), GRAYLING_OK); // a charge of zero in the configured currency
    assert_non_null(strstr(seen.answer, "\"amount_cents\":0,\"currency\":\"CHF\""));
    char first[sizeof seen.answer];
    strcpy(first, seen.answer);
    assert_int_equal(charge(&i, "{}"),
                     GRAYLING_OK); // idempotent: the same request, the same charge
    assert_string_equal(seen.answer, first);

    assert_int_equal(instance_call(&i, 1, "{\"amount_cents\":5}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"refund_id\":\"re_1\",\"amount_cents\":5,"
                                     "\"currency\":\"CHF\",\"status\":\"refunded\"}");
    instance_stop(&i);
}

static void test_pay_refuses(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"amount_cents\":-1}", "amount_cents must be from 0 to"},
        {"{\"amount_cents\":100000000001}", "amount_cents must be from 0 to"},
        {"{\"currency\":\"eur\"}", "three capital letters"},
        {"{\"currency\":\"EURO\"}", "three capital letters"},
        {"not json", "expected an object"},
        {"", "expected an object"},
    };
    struct instance i = instance_start("pay-1.0.0", "{}");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        assert_int_equal(charge(&i, cases[k][0]), GRAYLING_INVALID_ARGUMENT);
        assert_non_null(strstr(seen.sentence, cases[k][1]));
        assert_int_equal(seen.answers, 0);
    }
    instance_stop(&i);
}

static void test_pay_refuses_config(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"curency\":\"EUR\"}", "\"curency\" is not known"},
        {"{\"currency\":\"E\"}", "three capital letters"},
        {"{\"work_us\":1000001}", "config.work_us must be from 0 to 1000000"},
        {"[]", "expected an object"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct instance i = instance_load("pay-1.1.0");
        assert_int_equal(instance_init(&i, cases[k][0]), GRAYLING_INVALID_ARGUMENT);
        assert_non_null(strstr(seen.log, cases[k][1]));
        assert_int_equal(dlclose(i.library), 0);
    }
}

static void test_pay_asks_auth(void **state)
{
    (void)state;
    static const char payload[] = "{\"amount_cents\": 1250}";
    struct instance i = instance_start("pay-1.1.0", "{}");
    seen.callee_code = GRAYLING_UNIMPLEMENTED; // nobody validates
    assert_int_equal(charge(&i, payload), GRAYLING_OK);
    assert_non_null(strstr(seen.answer, "\"fee_cents\":18,"));
    assert_null(strstr(seen.answer, "authorized"));

    seen.callee_code = GRAYLING_OK;
    seen.callee_answer = "{\"valid\":true,\"subject\":\"alice\"}";
    assert_int_equal(instance_call(&i, 0, payload, "Bearer tok-alice"), GRAYLING_OK);
    assert_string_equal(seen.called, "com.example.auth.TokenValidator/Validate "
                                     "{\"token\":\"Bearer tok-alice\"}");
    assert_non_null(strstr(seen.answer, "\"authorized\":true}"));

    seen.callee_answer = "{\"valid\":false}";
    assert_int_equal(instance_call(&i, 0, payload, "\"} tricky"), GRAYLING_OK);
    assert_string_equal(seen.called, "com.example.auth.TokenValidator/Validate {\"token\":\"\"}");
    assert_non_null(strstr(seen.answer, "\"authorized\":false}"));

    seen.callee_code = GRAYLING_UNAVAILABLE; // undecided is not "no"
    assert_int_equal(charge(&i, payload), GRAYLING_UNAVAILABLE);
    assert_non_null(strstr(seen.sentence, "failed with code 14"));
    assert_int_equal(seen.answers, 0);
    instance_stop(&i);
}

static void test_auth(void **state)
{
    (void)state;
    struct instance i = instance_start("auth-1.0.0", "{}");
    assert_int_equal(charge(&i, "{\"token\":\"tok-alice\"}"), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"valid\":true,\"subject\":\"alice\"}");
    assert_int_equal(instance_call(&i, 0, "{}", "Bearer tok-bob"), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"valid\":true,\"subject\":\"bob\"}");
    assert_int_equal(charge(&i, "{\"token\":\"alice\"}"), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"valid\":false}");
    assert_int_equal(charge(&i, "{}"), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"valid\":false}");
    instance_stop(&i);
}

static void test_counter_hands_its_count_over(void **state)
{
    (void)state;
    struct instance old = instance_start("counter-1.2.0", "{}");
    assert_int_equal(instance_call(&old, 0, "{\"by\":41}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"count\":41}");
    struct grayling_state given = {.struct_size = sizeof given, .schema = 1, .memory = -1};
    assert_int_equal(old.module->export_state(old.self, &given), GRAYLING_OK);
    struct instance next = instance_start("counter-2.0.0", "{}");
    assert_int_equal(instance_call(&next, 0, "{\"by\":7}", NULL), GRAYLING_OK);
    assert_int_equal(next.module->import_state(next.self, &given), GRAYLING_OK);
    assert_int_equal(instance_call(&next, 1, "", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"count\":41,\"largest\":0}"); // and nothing of the 7

    struct grayling_state wrong[] = {given, given, given};
    uint64_t words[2];
    memcpy(words, given.bytes.data, sizeof words);
    words[0]++; // another count under the old check
    wrong[0].bytes.data = words;
    wrong[1].bytes.size--;
    wrong[2].schema = 2;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(next.module->import_state(next.self, &wrong[i]), GRAYLING_DATA_LOSS);
    assert_int_equal(instance_call(&next, 1, "", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"count\":41,\"largest\":0}");
    given.release(given.owner, given.bytes.data, given.bytes.size);
    assert_int_equal(instance_call(&old, 1, "", NULL), GRAYLING_OK); // the old one still has it
    assert_string_equal(seen.answer, "{\"count\":41}");
    assert_int_equal(instance_call(&old, 0, "{\"by\":0}", NULL), GRAYLING_INVALID_ARGUMENT);
    instance_stop(&next);
    instance_stop(&old);
}

static void test_pay_1_2_crashes(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); // past the sanitizer's handler
        struct instance i = instance_start("pay-1.2.0", "{}");
        seen.callee_code = GRAYLING_UNIMPLEMENTED;
        for (int n = 1; n <= 49; n++)
            if (charge(&i, "{}") != GRAYLING_OK)
                _exit(1);
        charge(&i, "{}");
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void test_pay_1_3_fails_three_percent(void **state)
{
    (void)state;
    struct instance i = instance_start("pay-1.3.0", "{}");
    seen.callee_code = GRAYLING_UNIMPLEMENTED;
    for (int block = 0; block < 5; block++) {
        int failed = 0;
        for (int n = 0; n < 100; n++)
            failed += charge(&i, "{}") == GRAYLING_INTERNAL;
        assert_int_equal(failed, 3); // in every hundred, not only on average
    }
    instance_stop(&i);
}

static void test_pay_1_4_answers(void **state)
{
    (void)state;
    struct instance i = instance_start("pay-1.4.0", "{\"work_us\":1}");
    seen.callee_code = GRAYLING_UNIMPLEMENTED;
    for (int n = 0; n < 160; n++)
        assert_int_equal(charge(&i, "{}"), GRAYLING_OK);
    instance_stop(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_pay),
        cmocka_unit_test(test_pay_refuses),
        cmocka_unit_test(test_pay_refuses_config),
        cmocka_unit_test(test_pay_asks_auth),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_counter_hands_its_count_over),
        cmocka_unit_test(test_pay_1_2_crashes),
        cmocka_unit_test(test_pay_1_3_fails_three_percent),
        cmocka_unit_test(test_pay_1_4_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
