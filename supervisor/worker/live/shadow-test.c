// Shadows over real HTTP: what is compared and counted, what is never run twice, what a slow, a
// crashing and a stuck candidate do to those who only get stable's answers.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define CHARGE "/com.example.pay.PayService/Charge"
#define REFUND "/com.example.pay.PayService/Refund"
#define POKE "/com.example.faulty.FaultyService/Poke"
#define AMOUNT "{\"amount_cents\":1250}"

enum { PAY = 1, PAY_FEE, PAY_CRASHING, CALM, SLOW, STUCK };

static struct fake *f;
static struct client *c;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_load(f, PAY, "pay", "1.0.0", NULL);
    fake_load(f, PAY_FEE, "pay", "1.1.0", NULL);
    fake_load(f, PAY_CRASHING, "pay", "1.2.0", NULL);
    fake_load(f, CALM, "faulty", "1.0.0", NULL);
    fake_load(f, SLOW, "faulty", "1.1.0", "{\"mode\":\"handle-slow\",\"usec\":20000}");
    fake_serve(f);
    c = client_tcp(f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_free(c);
    uint64_t id = fake_begin_drain(f, 20000000);
    cJSON_Delete(fake_await(f, id));
    return fake_finish(f);
}

// --- orders and requests -------------------------------------------------------------------------

static cJSON *exchange(const char *rest)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"type\":\"route\",\"table\":%llu,%s}",
             (unsigned long long)f->next_table++, rest);
    cJSON *m = cJSON_Parse(text);
    if (!m)
        fail_msg("%s", text);
    return fake_order(f, m, -1);
}

static void must_exchange(const char *rest)
{
    cJSON *answer = exchange(rest);
    if (!fake_is(answer, "swapped"))
        fail_msg("%s: %s", rest, cJSON_Print(answer));
    cJSON_Delete(answer);
}

// A candidate that sees shadows only. Each gets a rollout, and so a first turn, of its own.
static void try_out(const char *module, int stable, int candidate, unsigned shadow,
                    const char *more)
{
    static int rollout = 100;
    char rest[768];
    snprintf(rest, sizeof rest,
             "\"set\":[{\"module\":\"%s\",\"stable\":%d,\"candidate\":%d,\"rollout\":%d}],"
             "\"rollouts\":[{\"rollout\":%d,\"salt\":\"00000000000000ff\",\"weight\":0,"
             "\"shadow\":%u%s}]",
             module, stable, candidate, rollout + 1, rollout + 1, shadow, more);
    rollout++;
    must_exchange(rest);
}

static void only_stable(const char *module, int stable)
{
    char rest[128];
    snprintf(rest, sizeof rest, "\"set\":[{\"module\":\"%s\",\"stable\":%d}]", module, stable);
    must_exchange(rest);
}

static void post(const char *path, const char *body)
{
    client_post(c, path, body);
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "x-grayling-role"), "stable");
    assert_null(answer_header(&a, "x-grayling-rescued"));
}

static struct gr_counters counters(unsigned slot)
{
    struct gr_counters n;
    gr_stats_read(f->stats, slot, &n);
    return n;
}

// What became of `chosen` copies more than `before` knew of: looks again after each round trip to a
// page of the front door, which begins no shadow.
static struct gr_shadow_counters outcome(unsigned slot, const struct gr_shadow_counters *before,
                                         uint64_t chosen)
{
    for (;;) {
        struct gr_shadow_counters now = counters(slot).shadow;
        now.same -= before->same;
        now.errors -= before->errors;
        now.diverged -= before->diverged;
        now.dropped -= before->dropped;
        now.noise_same -= before->noise_same;
        now.noise_diverged -= before->noise_diverged;
        if (now.same + now.diverged + now.dropped >= chosen) {
            assert_int_equal(now.same + now.diverged + now.dropped, chosen);
            return now;
        }
        client_text(c, "GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n");
        client_read(c, &a);
    }
}

// --- what is compared ----------------------------------------------------------------------------

// Charges in rounds of 20 copies until one of them was compared in time, on however busy a machine.
static struct gr_shadow_counters charge(unsigned slot, unsigned share, const char *more)
{
    struct gr_shadow_counters before = counters(slot).shadow, n = {0};
    try_out("pay", PAY, (int)slot, share, more);
    for (uint64_t chosen = 20; n.same + n.diverged == 0 || n.noise_same + n.noise_diverged == 0;
         chosen += 20) {
        for (unsigned i = 0; i < 20 * 10000 / share; i++)
            post(CHARGE, AMOUNT);
        n = outcome(slot, &before, chosen);
        assert_true(n.noise_same + n.noise_diverged <= (chosen + 7) / 8);
    }
    only_stable("pay", PAY);
    return n;
}

static void test_another_answer_is_a_divergence(void **state)
{
    (void)state;
    struct gr_shadow_counters n = charge(PAY_FEE, 2500, "");
    assert_true(n.diverged > 0 && n.same == 0 && n.errors == 0); // it names a fee
    assert_int_equal(n.noise_diverged, 0);
    struct gr_counters real = counters(PAY_FEE), stable = counters(PAY);
    assert_int_equal(gr_counters_total(&real), 0);
    assert_int_equal(real.latency_sum_nsec, 0);
    assert_int_equal(gr_counters_total(&stable) % 80, 0); // no copy counts as a request of stable's
}

static void test_ignored_fields_are_left_out(void **state)
{
    (void)state;
    struct gr_shadow_counters n = charge(PAY_FEE, 10000, ",\"shadow_ignore\":[\"$.fee_cents\"]");
    assert_true(n.same > 0 && n.diverged == 0 && n.noise_diverged == 0);
}

// Each refund by this stable version has the next number: nobody else has refunded anything.
static void test_what_is_not_idempotent_is_never_run_twice(void **state)
{
    (void)state;
    struct gr_shadow_counters before = counters(PAY_FEE).shadow;
    try_out("pay", PAY, PAY_FEE, 10000, "");
    for (int i = 1; i <= 10; i++) {
        char id[24];
        snprintf(id, sizeof id, "\"re_%d\"", i);
        post(REFUND, AMOUNT);
        assert_non_null(strstr(a.body, id));
    }
    struct gr_shadow_counters n = counters(PAY_FEE).shadow;
    assert_memory_equal(&n, &before, sizeof n);
    only_stable("pay", PAY);
}

static void test_the_mark_is_not_a_clients_to_set(void **state)
{
    (void)state;
    try_out("pay", PAY, PAY_FEE, 0,
            ",\"match\":[{\"header\":\"x-grayling-shadow\",\"exact\":\"1\"}]");
    client_text(c, "POST " CHARGE " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                   "X-Grayling-Shadow: 1\r\nContent-Length: 2\r\n\r\n{}");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(answer_header(&a, "x-grayling-version"), "1.0.0");
    only_stable("pay", PAY);
}

static void test_wrong_paths_are_refused(void **state)
{
    (void)state;
    cJSON *answer =
        exchange("\"rollouts\":[{\"rollout\":1,\"salt\":\"0000000000000001\",\"weight\":1,"
                 "\"shadow_ignore\":[\"fee\"]}]");
    assert_true(fake_is(answer, "failed"));
    assert_non_null(strstr(gr_json_get(answer, "message")->valuestring, "shadow_ignore[0]"));
    cJSON_Delete(answer);
}

// --- what it does not do to others ---------------------------------------------------------------

// One copy takes 20 ms of the pool; the requests are many more than its queue holds.
static void test_a_slow_candidate_drops(void **state)
{
    (void)state;
    enum { REQUESTS = 3 * GR_SHADOW_QUEUE_MAX };
    struct gr_shadow_counters before = {0};
    try_out("faulty", CALM, SLOW, 10000, "");
    for (int i = 0; i < REQUESTS; i++)
        post(POKE, "{}");
    struct gr_shadow_counters n = outcome(SLOW, &before, REQUESTS);
    assert_true(n.dropped > 0 && n.same > 0 && n.diverged == 0);
    // the version goes as any: what is inside is waited for, what waits is forgotten
    for (int i = 0; i < 50; i++)
        post(POKE, "{}");
    only_stable("faulty", CALM);
    cJSON *m = fake_message("unload");
    cJSON_AddNumberToObject(m, "instance", SLOW);
    cJSON *answer = fake_order(f, m, -1);
    assert_true(fake_is(answer, "unloaded") && cJSON_IsFalse(gr_json_get(answer, "pinned")));
    cJSON_Delete(answer);
}

static void test_a_crash_is_told_and_nobody_sees_it(void **state)
{
    (void)state;
    struct gr_shadow_counters before = {0};
    try_out("pay", PAY, PAY_CRASHING, 10000, ",\"shadow_ignore\":[\"$.fee_cents\"]");
    // every 50th charge of its own crashes: until it has, whatever was dropped of the copies
    struct gr_counters n = {0};
    uint64_t asked = 0;
    for (; n.faults == 0; n = counters(PAY_CRASHING)) {
        post(CHARGE, AMOUNT);
        asked++;
    }
    struct gr_shadow_counters told = outcome(PAY_CRASHING, &before, asked);
    assert_true(told.errors >= 1 && told.diverged >= 1);
    assert_int_equal(counters(PAY).faults, 0);
    assert_int_equal(counters(PAY_CRASHING).rescued, 0);
    cJSON *m = fake_await_unasked(f);
    assert_true(fake_is(m, "fault"));
    assert_int_equal((int)gr_json_get(m, "instance")->valuedouble, PAY_CRASHING);
    cJSON_Delete(m);
    only_stable("pay", PAY);
}

// The last test: its copy never comes back. The worker's end does not wait for it.
static void test_a_stuck_candidate(void **state)
{
    (void)state;
    fake_load(f, STUCK, "faulty", "1.1.0", "{\"mode\":\"handle-hang\"}");
    try_out("faulty", CALM, STUCK, 10000, "");
    for (int i = 0; i < 2 * GR_SHADOW_QUEUE_MAX; i++)
        post(POKE, "{}");
    assert_true(counters(STUCK).shadow.dropped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_answer_is_a_divergence),
        cmocka_unit_test(test_ignored_fields_are_left_out),
        cmocka_unit_test(test_what_is_not_idempotent_is_never_run_twice),
        cmocka_unit_test(test_the_mark_is_not_a_clients_to_set),
        cmocka_unit_test(test_wrong_paths_are_refused),
        cmocka_unit_test(test_a_slow_candidate_drops),
        cmocka_unit_test(test_a_crash_is_told_and_nobody_sees_it),
        cmocka_unit_test(test_a_stuck_candidate),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
