// A version that fails again and again, over the wire: its breaker opens, health says so, the
// supervisor is told, and a worker that is given an open breaker begins with it.
#include "base/clock.h"
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define POKE "/com.example.faulty.FaultyService/Poke"
#define ECHO "/com.example.echo.EchoService/Echo"
#define HOUR_USEC UINT64_C(3600000000)

static struct answer a;

static int post(struct client *c, const char *path)
{
    client_post(c, path, "{}");
    client_read(c, &a);
    return a.status;
}

static int get(struct client *c, const char *page)
{
    char text[128];
    snprintf(text, sizeof text, "GET /-/%s HTTP/1.1\r\nHost: t\r\n\r\n", page);
    client_text(c, text);
    client_read(c, &a);
    return a.status;
}

static struct fake *start_with(const char *config)
{
    struct fake *f = fake_start(2, 0);
    fake_load(f, 1, "faulty", "1.0.0", config);
    fake_load(f, 2, "echo", "1.0.0", NULL);
    cJSON_Delete(fake_swap(f, "faulty", 1, -1));
    cJSON_Delete(fake_swap(f, "echo", 2, -1));
    return f;
}

static void finish(struct fake *f, struct client *c)
{
    client_free(c);
    uint64_t id = fake_begin_drain(f, 20000000);
    cJSON_Delete(fake_await(f, id));
    assert_int_equal(fake_finish(f), 0);
}

static void expect_told(struct fake *f, const char *type, const char *member, const char *value)
{
    cJSON *m = fake_await_unasked(f);
    const cJSON *found = gr_json_get(m, member);
    if (!fake_is(m, type) || !cJSON_IsString(found) || strcmp(found->valuestring, value) != 0)
        fail_msg("expected %s with %s %s, found %s", type, member, value, cJSON_Print(m));
    cJSON_Delete(m);
}

static void test_it_opens(void **state)
{
    (void)state;
    struct fake *f = start_with("{\"mode\":\"handle-assert\"}");
    fake_serve(f);
    struct client *c = client_tcp(f);
    assert_int_equal(get(c, "ready"), 200);
    assert_string_equal(a.body, "ok\n");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(post(c, POKE), 500);
        expect_told(f, "fault", "kind", "assert");
    }
    expect_told(f, "breaker", "state", "open");
    assert_int_equal(post(c, POKE), 503);
    assert_non_null(strstr(a.body, "\"code\":\"unavailable\""));
    assert_string_equal(answer_header(&a, "x-grayling-module"), "faulty");
    assert_int_equal(post(c, ECHO), 200); // nobody else's affair
    assert_int_equal(get(c, "ready"), 503);
    assert_non_null(strstr(a.body, "unavailable\nfaulty 1.0.0: breaker open, half-open in "));
    assert_int_equal(get(c, "healthy"), 200);
    assert_non_null(strstr(a.body, "degraded\nfaulty 1.0.0: breaker open"));
    finish(f, c);
}

static void test_it_is_taken_up(void **state)
{
    (void)state;
    struct fake *f = start_with("{}");
    const struct gr_breaker open = {
        .open = 1, .until_usec = gr_mono_now().usec + HOUR_USEC, .times_opened = 1, .n_faults = 3};
    gr_stats_set_breaker(f->stats, 1, &open);
    fake_serve(f);
    struct client *c = client_tcp(f);
    assert_int_equal(post(c, POKE), 503);
    assert_int_equal(get(c, "ready"), 503);
    finish(f, c);
}

static void test_a_probe_closes_it(void **state)
{
    (void)state;
    struct fake *f = start_with("{}");
    const struct gr_breaker half_open = {
        .open = 1, .until_usec = 1, .times_opened = 1, .n_faults = 3};
    gr_stats_set_breaker(f->stats, 1, &half_open);
    fake_serve(f);
    struct client *c = client_tcp(f);
    assert_int_equal(get(c, "ready"), 200); // else no request would come that tries it
    assert_string_equal(a.body, "degraded\nfaulty 1.0.0: breaker half-open\n");
    assert_int_equal(post(c, POKE), 200);
    expect_told(f, "breaker", "state", "closed");
    assert_int_equal(get(c, "ready"), 200);
    assert_string_equal(a.body, "ok\n");
    finish(f, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens),
        cmocka_unit_test(test_it_is_taken_up),
        cmocka_unit_test(test_a_probe_closes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
