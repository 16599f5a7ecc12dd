// The members do what a test that uses them relies on: they answer who they are, pass the question
// on, and fail at the moment that their configuration names.
#include "modules/test-host/test-host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CHAIN 0
#define PEERS 1

static void test_the_first_answers_for_itself(void **state)
{
    (void)state;
    struct instance i = instance_start("m00-1.1.0", "{\"mark\":\"a\"}");
    assert_int_equal(instance_call(&i, CHAIN, "{}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"chain\":\"m00@1.1.0\"}");
    assert_int_equal(instance_call(&i, PEERS, "{}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"peers\":{}}");
    instance_stop(&i);
}

static void test_others_ask_the_one_before(void **state)
{
    (void)state;
    struct instance i = instance_start("m07-2.0.0", "{}");
    seen.callee_answer = "{\"chain\":\"m06@2.0.0\"}";
    assert_int_equal(instance_call(&i, CHAIN, "{\"depth\":2}", NULL), GRAYLING_OK);
    assert_string_equal(seen.called, "com.example.members.M06/Chain {\"depth\":1}");
    assert_string_equal(seen.answer, "{\"chain\":\"m07@2.0.0 m06@2.0.0\"}");
    assert_int_equal(instance_call(&i, CHAIN, "{\"depth\":0}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"chain\":\"m07@2.0.0\"}");
    seen.callee_code = GRAYLING_UNIMPLEMENTED;
    assert_int_equal(instance_call(&i, CHAIN, "{}", NULL), GRAYLING_OK);
    assert_string_equal(seen.answer, "{\"chain\":\"m07@2.0.0 -\"}");
    seen.callee_code = GRAYLING_UNAVAILABLE;
    assert_int_equal(instance_call(&i, CHAIN, "{}", NULL), GRAYLING_UNAVAILABLE);
    instance_stop(&i);
}

static void test_failures_come_at_their_moment(void **state)
{
    (void)state;
    struct instance i = instance_load("m01-1.0.0");
    assert_int_equal(instance_init(&i, "{\"fail\":\"init\"}"), GRAYLING_FAILED_PRECONDITION);
    assert_int_equal(instance_init(&i, "{\"fail\":\"soon\"}"), GRAYLING_INVALID_ARGUMENT);
    assert_int_equal(instance_init(&i, "{\"every\":0}"), GRAYLING_INVALID_ARGUMENT);
    assert_int_equal(instance_init(&i, "{\"fail\":\"self-test\"}"), GRAYLING_OK);
    assert_int_equal(i.module->self_test(i.self), GRAYLING_INTERNAL);
    i.module->destroy(i.self);
    assert_int_equal(instance_init(&i, "{\"fail\":\"preflight\"}"), GRAYLING_OK); // no trial
    i.module->destroy(i.self);
    assert_int_equal(instance_init(&i, "{\"fail\":\"handle\",\"every\":2}"), GRAYLING_OK);
    assert_int_equal(instance_call(&i, PEERS, "{}", NULL), GRAYLING_OK);
    assert_int_equal(instance_call(&i, PEERS, "{}", NULL), GRAYLING_INTERNAL);
    assert_int_equal(instance_call(&i, PEERS, "{}", NULL), GRAYLING_OK);
    instance_stop(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_answers_for_itself),
        cmocka_unit_test(test_others_ask_the_one_before),
        cmocka_unit_test(test_failures_come_at_their_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
