// State through the channel and the sockets: what was acknowledged survives exchanges, one that
// fails says so and changes nothing, and what cannot be handed over needs to be told.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define INCREMENT "/com.example.counter.Counter/Increment"
#define GET "/com.example.counter.Counter/Get"

static struct fake *f;
static struct client *client;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_serve(f);
    client = client_tcp(f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_free(client);
    cJSON_Delete(fake_await(f, fake_begin_drain(f, 20000000)));
    return fake_finish(f);
}

static void expect_answer(const char *path, const char *body)
{
    client_post(client, path, "{}");
    client_read(client, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, body);
}

static cJSON *exchange(int slot, bool one_way)
{
    cJSON *m = fake_message("swap"), *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(m, "table", (double)f->next_table++);
    cJSON_AddNumberToObject(m, "budget_usec", 10e6);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(m, "set"), item);
    cJSON_AddStringToObject(item, "module", "counter");
    cJSON_AddNumberToObject(item, "stable", slot);
    cJSON_AddBoolToObject(item, "one_way", one_way);
    return fake_order(f, m, -1);
}

static void expect_handed(cJSON *answer, int modules, int bytes)
{
    if (!fake_is(answer, "swapped"))
        fail_msg("%s", cJSON_Print(answer));
    assert_int_equal((int)gr_json_get(answer, "handed")->valuedouble, modules);
    assert_int_equal((int)gr_json_get(answer, "state_bytes")->valuedouble, bytes);
    assert_true(gr_json_get(answer, "handover_usec")->valuedouble <=
                gr_json_get(answer, "freeze_usec")->valuedouble);
    cJSON_Delete(answer);
}

static void expect_refused(cJSON *answer, const char *words)
{
    assert_true(fake_is(answer, "failed"));
    assert_string_equal(gr_json_get(answer, "reason")->valuestring, "StateHandoverFailed");
    assert_non_null(strstr(gr_json_get(answer, "message")->valuestring, words));
    cJSON_Delete(answer);
}

static void test_the_count_goes_on(void **state)
{
    (void)state;
    fake_load(f, 1, "counter", "1.0.0", NULL);
    fake_load(f, 2, "counter", "1.1.0", NULL);
    expect_handed(exchange(1, false), 0, 0);
    expect_answer(INCREMENT, "{\"count\":1}");
    expect_answer(INCREMENT, "{\"count\":2}");
    expect_handed(exchange(2, false), 1, 16);
    assert_string_equal(answer_header(&a, "x-grayling-version"), "1.0.0");
    expect_answer(INCREMENT, "{\"count\":3}");
    assert_string_equal(answer_header(&a, "x-grayling-version"), "1.1.0");
    expect_handed(exchange(1, false), 1, 16);
    expect_answer(INCREMENT, "{\"count\":4}");
}

static void test_a_failed_hook_changes_nothing(void **state)
{
    (void)state;
    fake_load(f, 3, "counter", "1.0.1", "{\"hook_failures_permille\":1000,\"seed\":1}");
    expect_refused(exchange(3, false), "import_state() of the new version returned code 14");
    expect_answer(INCREMENT, "{\"count\":5}");
    assert_string_equal(answer_header(&a, "x-grayling-version"), "1.0.0");
    struct gr_worker_gauges g;
    gr_stats_gauges(f->stats, &g);
    assert_int_equal(g.handovers_ok, 2);
    assert_int_equal(g.handovers_failed, 1);
}

static void test_state_that_would_be_lost(void **state)
{
    (void)state;
    fake_load(f, 4, "counter", "2.0.0", NULL);
    expect_handed(exchange(4, false), 1, 16);
    expect_answer(INCREMENT, "{\"count\":6,\"largest\":1}");
    expect_refused(exchange(1, false), "schema 2");
    expect_answer(GET, "{\"count\":6,\"largest\":1}");
    expect_handed(exchange(2, true), 0, 0);
    expect_answer(GET, "{\"count\":3}"); // as it was when it was left
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_count_goes_on),
        cmocka_unit_test(test_a_failed_hook_changes_nothing),
        cmocka_unit_test(test_state_that_would_be_lost),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
