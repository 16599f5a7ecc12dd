// Changes while requests run: swaps under pipelined load, freezes, faults with and without rescue,
// and what a load or swap that fails leaves behind.
#include "worker/live/http-client.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define ECHO "/com.example.echo.EchoService/Echo"
#define CHARGE "/com.example.pay.PayService/Charge"

static struct fake *f;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_serve(f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    uint64_t id = fake_begin_drain(f, 20000000);
    cJSON *answer = fake_await(f, id);
    const cJSON *remaining = gr_json_get(answer, "remaining");
    int left = remaining ? (int)remaining->valuedouble : -1;
    cJSON_Delete(answer);
    return fake_finish(f) + left;
}

static void expect_swapped(cJSON *answer)
{
    if (!fake_is(answer, "swapped"))
        fail_msg("%s", cJSON_Print(answer));
    cJSON_Delete(answer);
}

static void expect_failed(cJSON *answer, const char *reason)
{
    assert_true(fake_is(answer, "failed"));
    assert_string_equal(gr_json_get(answer, "reason")->valuestring, reason);
    assert_true(strlen(gr_json_get(answer, "message")->valuestring) > 20);
    cJSON_Delete(answer);
}

static void unload(int slot)
{
    cJSON *m = fake_message("unload");
    cJSON_AddNumberToObject(m, "instance", slot);
    cJSON *answer = fake_order(f, m, -1);
    assert_true(fake_is(answer, "unloaded"));
    cJSON_Delete(answer);
}

static int post(struct client *c, const char *path, const char *body)
{
    client_post(c, path, body);
    client_read(c, &a);
    return a.status;
}

// --- swaps under load
// ------------------------------------------------------------------------------------------------

#define PIPELINE 16
#define SWAPS 60

struct load {
    pthread_t thread;
    struct client *client;
    _Atomic bool *stop;
    sem_t *answers; // posted once, after the first ones
    uint64_t answered, wrong, by[2];
};

static void *run_load(void *userdata)
{
    struct load *l = userdata;
    struct answer *answer = malloc(sizeof *answer);
    while (answer && !atomic_load(l->stop)) {
        for (int i = 0; i < PIPELINE; i++)
            client_post(l->client, ECHO, "{\"n\":1}");
        for (int i = 0; i < PIPELINE; i++) {
            client_read(l->client, answer);
            bool old = strstr(answer->head, "x-grayling-version: 1.0.0") != NULL;
            bool new = strstr(answer->head, "x-grayling-version: 1.0.1") != NULL;
            l->wrong +=
                answer->status != 200 || strcmp(answer->body, "{\"n\":1}") != 0 || old == new;
            l->by[new]++;
            l->answered++;
        }
        if (l->answered == PIPELINE)
            sem_post(l->answers);
    }
    free(answer);
    return NULL;
}

static void test_swaps_under_pipelined_load(void **state)
{
    (void)state;
    struct load loads[3];
    _Atomic bool enough = false;
    sem_t answers;
    assert_int_equal(sem_init(&answers, 0, 0), 0);
    fake_load(f, 1, "echo", "1.0.0", NULL);
    fake_load(f, 2, "echo", "1.0.1", NULL);
    expect_swapped(fake_swap(f, "echo", 1, -1));
    for (size_t i = 0; i < GR_COUNT(loads); i++) {
        loads[i] = (struct load){
            .client = i ? client_tcp(f) : client_unix(f), .stop = &enough, .answers = &answers};
        assert_int_equal(pthread_create(&loads[i].thread, NULL, run_load, &loads[i]), 0);
    }
    for (size_t i = 0; i < GR_COUNT(loads); i++) // a busy machine may not have run them yet
        assert_int_equal(TEMP_FAILURE_RETRY(sem_wait(&answers)), 0);
    struct client *c = client_tcp(f);
    for (int i = 0; i < SWAPS; i++) {
        expect_swapped(fake_swap(f, "echo", 1 + i % 2, 2 - i % 2));
        assert_int_equal(post(c, ECHO, "{}"), 200);
        // after the swap's answer nobody is routed to the old version any more
        assert_string_equal(answer_header(&a, "x-grayling-version"), i % 2 ? "1.0.1" : "1.0.0");
    }
    atomic_store(&enough, true);
    for (size_t i = 0; i < GR_COUNT(loads); i++) {
        pthread_join(loads[i].thread, NULL);
        assert_int_equal(loads[i].wrong, 0);
        assert_true(loads[i].answered > 0);
        client_free(loads[i].client);
    }
    sem_destroy(&answers);
    client_free(c);
    expect_swapped(fake_swap(f, "echo", -1, -1));
    unload(1);
    unload(2);
}

// --- freezes
// ------------------------------------------------------------------------------------------------

static void freeze(uint64_t for_usec)
{
    cJSON *m = fake_message("freeze");
    cJSON_AddNumberToObject(m, "for_usec", (double)for_usec);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(m, "modules"), cJSON_CreateString("echo"));
    cJSON *answer = fake_order(f, m, -1);
    if (!fake_is(answer, "frozen"))
        fail_msg("%s", cJSON_Print(answer));
    cJSON_Delete(answer);
}

static void test_a_frozen_module_parks_until_thaw(void **state)
{
    (void)state;
    fake_load(f, 1, "echo", "1.0.0", NULL);
    expect_swapped(fake_swap(f, "echo", 1, -1));
    freeze(250000000);
    struct client *c = client_tcp(f);
    client_post(c, ECHO, "{\"parked\":1}");
    // an unknown route is answered all the same
    struct client *other = client_tcp(f);
    assert_int_equal(post(other, "/a/b", "{}"), 404);
    cJSON *m = fake_message("thaw");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(m, "modules"), cJSON_CreateString("echo"));
    cJSON *answer = fake_order(f, m, -1);
    assert_true(fake_is(answer, "thawed"));
    cJSON_Delete(answer);
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"parked\":1}");
    client_free(other);
    client_free(c);
}

static void test_a_freeze_ends_by_itself(void **state)
{
    (void)state;
    freeze(200000);
    struct client *c = client_unix(f);
    for (int i = 0; i < 3; i++)
        client_post(c, ECHO, "{}");
    for (int i = 0; i < 3; i++) {
        client_read(c, &a);
        assert_int_equal(a.status, 200);
    }
    client_free(c);
    expect_swapped(fake_swap(f, "echo", -1, -1));
    unload(1);
}

// --- faults
// ------------------------------------------------------------------------------------------------

static void expect_fault(int slot)
{
    cJSON *m = fake_await_unasked(f);
    assert_true(fake_is(m, "fault"));
    assert_int_equal((int)gr_json_get(m, "instance")->valuedouble, slot);
    assert_string_equal(gr_json_get(m, "kind")->valuestring, "signal");
    assert_string_equal(gr_json_get(m, "signal")->valuestring, "SIGSEGV");
    assert_string_equal(gr_json_get(m, "method")->valuestring, "Charge");
    assert_true(cJSON_GetArraySize(gr_json_get(m, "frames")) > 0);
    cJSON_Delete(m);
}

static void test_a_faulted_call_is_rescued(void **state)
{
    (void)state;
    unsigned rescued = 0;
    fake_load(f, 3, "pay", "1.2.0", NULL);
    fake_load(f, 4, "pay", "1.0.0", NULL);
    expect_swapped(fake_swap(f, "pay", 3, 4));
    struct client *c = client_tcp(f);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(post(c, CHARGE, "{}"), 200);
        if (!answer_header(&a, "x-grayling-rescued"))
            continue;
        rescued++;
        assert_string_equal(answer_header(&a, "x-grayling-version"), "1.0.0");
    }
    assert_int_equal(rescued, 1);
    expect_fault(3);
    client_free(c);
}

static void test_a_faulted_call_without_rescue(void **state)
{
    (void)state;
    unsigned failed = 0;
    expect_swapped(fake_swap(f, "pay", 3, -1));
    struct client *c = client_tcp(f);
    for (int i = 0; i < 50; i++)
        failed += post(c, CHARGE, "{}") == 500;
    assert_int_equal(failed, 1);
    expect_fault(3);
    client_free(c);
    expect_swapped(fake_swap(f, "pay", 4, -1));
}

// --- what fails
// ------------------------------------------------------------------------------------------------

static void test_failed_loads_leave_the_slot_free(void **state)
{
    (void)state;
    expect_failed(fake_try_load(f, 9, "faulty", "1.0.0", "{\"mode\":\"init-fail\"}"), "InitFailed");
    expect_failed(fake_try_load(f, 9, "faulty", "1.0.0", "{\"mode\":\"self-test-fail\"}"),
                  "SelfTestFailed");
    expect_failed(fake_try_load(f, 9, "faulty-wrong-abi", "1.0.0", NULL), "AbiIncompatible");
    fake_load(f, 9, "faulty", "1.0.0", "{\"mode\":\"none\"}");
    expect_failed(fake_try_load(f, 9, "faulty", "1.0.0", NULL), "Internal");
    unload(9);
}

static void test_a_failed_swap_changes_nothing(void **state)
{
    (void)state;
    expect_failed(fake_swap(f, "pay", 77, -1), "Internal");
    struct client *c = client_tcp(f);
    assert_int_equal(post(c, CHARGE, "{}"), 200);
    assert_string_equal(answer_header(&a, "x-grayling-version"), "1.0.0");
    client_free(c);
}

static void test_unknown_orders_are_refused(void **state)
{
    (void)state;
    expect_failed(fake_order(f, fake_message("dance"), -1), "Internal");
    expect_failed(fake_order(f, fake_message("load"), -1), "DocumentInvalid");
}

static void test_description(void **state)
{
    (void)state;
    cJSON *answer = fake_order(f, fake_message("describe"), -1);
    assert_true(fake_is(answer, "description"));
    assert_int_equal(f->n_fds_seen, 3); // listeners and budgets, for a supervisor that adopts
    assert_int_equal((int)gr_json_get(answer, "pid")->valuedouble, f->child.pid);
    const cJSON *modules = gr_json_get(answer, "modules");
    assert_int_equal(cJSON_GetArraySize(modules), 1);
    const cJSON *pay = cJSON_GetArrayItem(modules, 0);
    assert_string_equal(gr_json_get(pay, "module")->valuestring, "pay");
    assert_string_equal(gr_json_get(pay, "version")->valuestring, "1.0.0");
    assert_int_equal((int)gr_json_get(pay, "slot")->valuedouble, 4);
    assert_int_equal((int)gr_json_get(pay, "rescue")->valuedouble, -1);
    cJSON_Delete(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swaps_under_pipelined_load),
        cmocka_unit_test(test_a_frozen_module_parks_until_thaw),
        cmocka_unit_test(test_a_freeze_ends_by_itself),
        cmocka_unit_test(test_a_faulted_call_is_rescued),
        cmocka_unit_test(test_a_faulted_call_without_rescue),
        cmocka_unit_test(test_failed_loads_leave_the_slot_free),
        cmocka_unit_test(test_a_failed_swap_changes_nothing),
        cmocka_unit_test(test_unknown_orders_are_refused),
        cmocka_unit_test(test_description),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
