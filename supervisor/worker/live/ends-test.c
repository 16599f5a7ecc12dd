// How a worker ends: drained with nothing lost, on SIGTERM, as an orphan, adopted, or by a crash
// that leaves its evidence; and peers that dawdle are cut off.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define POKE "/com.example.faulty.FaultyService/Poke"
#define LIMIT_USEC 30000000

static struct answer a;

static struct fake *start_with(const char *config, uint64_t orphan_usec)
{
    struct fake *f = fake_start(2, orphan_usec);
    fake_load(f, 1, "faulty", "1.0.0", config);
    cJSON_Delete(fake_swap(f, "faulty", 1, -1));
    fake_serve(f);
    return f;
}

static int post(struct client *c)
{
    client_post(c, POKE, "{}");
    client_read(c, &a);
    return a.status;
}

static void expect_remaining(cJSON *drained, int remaining)
{
    assert_true(fake_is(drained, "drained"));
    assert_int_equal((int)gr_json_get(drained, "remaining")->valuedouble, remaining);
    cJSON_Delete(drained);
}

// Orders are obeyed one after another: once this one is answered, the ones before have begun.
static void settle(struct fake *f)
{
    cJSON_Delete(fake_order(f, fake_message("describe"), -1));
}

static void test_drain_loses_nothing(void **state)
{
    (void)state;
    struct fake *f = start_with("{\"mode\":\"handle-slow\",\"usec\":100000,\"every\":3}", 0);
    struct client *idle = client_tcp(f), *running = client_unix(f);
    assert_int_equal(post(idle), 200);
    assert_int_equal(post(running), 200);
    client_post(running, POKE, "{}"); // the slow one
    uint64_t id = fake_begin_drain(f, LIMIT_USEC);
    settle(f);
    struct client *late = client_tcp(f); // waits in the backlog for another worker
    client_post(late, POKE, "{}");
    client_read(running, &a);
    assert_int_equal(a.status, 200);
    // a request that races with the drain on an open connection is answered, and told to go
    assert_int_equal(post(idle), 200);
    assert_string_equal(answer_header(&a, "connection"), "close");
    assert_true(client_closed(idle));
    client_free(running);
    client_free(idle);
    expect_remaining(fake_await(f, id), 0);
    int accepted = accept(f->tcp, NULL, NULL);
    assert_true(accepted >= 0); // the late one was neither accepted nor refused
    close(accepted);
    client_free(late);
    assert_int_equal(fake_finish(f), 0);
}

static void test_drain_ends_at_its_limit(void **state)
{
    (void)state;
    struct fake *f = start_with("{\"mode\":\"handle-hang\"}", 0);
    struct client *stuck = client_tcp(f), *quick = client_tcp(f);
    client_text(quick, "GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n");
    client_read(quick, &a);
    client_post(stuck, POKE, "{}");
    struct gr_in_call in;
    while (gr_stats_in_calls(f->stats, &in, 1) == 0)
        settle(f); // each turn waits for an answer of the worker
    uint64_t id = fake_begin_drain(f, 200000);
    expect_remaining(fake_await(f, id), 1);
    assert_int_equal(fake_finish(f), 0);
    client_free(stuck);
    client_free(quick);
}

static void test_ready_says_no_while_draining(void **state)
{
    (void)state;
    struct fake *f = start_with(NULL, 0);
    struct client *c = client_tcp(f);
    client_text(c, "GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    uint64_t id = fake_begin_drain(f, LIMIT_USEC);
    settle(f);
    client_text(c, "GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n");
    client_read(c, &a);
    assert_int_equal(a.status, 503);
    assert_true(client_closed(c));
    client_free(c);
    expect_remaining(fake_await(f, id), 0);
    assert_int_equal(fake_finish(f), 0);
}

static void test_sigterm_drains(void **state)
{
    (void)state;
    struct fake *f = start_with(NULL, 0);
    struct client *c = client_tcp(f);
    assert_int_equal(post(c), 200);
    kill(f->child.pid, SIGTERM);
    client_free(c);
    assert_int_equal(fake_finish(f), 0);
}

static void test_an_orphan_serves_on_and_is_adopted(void **state)
{
    (void)state;
    struct fake *f = start_with(NULL, LIMIT_USEC);
    close(f->channel);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, f->adopt_path, strlen(f->adopt_path));
    f->channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(f->channel, (struct sockaddr *)&un, sizeof un), 0);
    struct client *c = client_tcp(f);
    assert_int_equal(post(c), 200);
    cJSON *answer = fake_order(f, fake_message("describe"), -1);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(answer, "modules")), 1);
    cJSON_Delete(answer);
    fake_load(f, 2, "echo", "1.0.0", NULL);
    cJSON_Delete(fake_swap(f, "echo", 2, -1));
    client_post(c, "/com.example.echo.EchoService/Echo", "{}");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    client_free(c);
    uint64_t id = fake_begin_drain(f, LIMIT_USEC);
    expect_remaining(fake_await(f, id), 0);
    assert_int_equal(fake_finish(f), 0);
}

static void test_an_orphan_ends_without_a_successor(void **state)
{
    (void)state;
    struct fake *f = start_with(NULL, 100000);
    close(f->channel);
    f->channel = -1;
    assert_int_equal(fake_finish(f), 0);
}

static void test_a_crash_leaves_evidence(void **state)
{
    (void)state;
    struct fake *f = start_with("{\"mode\":\"thread\"}", 0);
    struct client *c = client_tcp(f);
    struct gr_evidence evidence;
    assert_false(gr_stats_evidence(f->stats, &evidence));
    assert_int_equal(post(c), 0); // the call in flight is what it costs
    client_free(c);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)f->child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(gr_stats_evidence(f->stats, &evidence));
    assert_int_equal(evidence.signal, SIGSEGV);
    assert_int_equal(evidence.pid, f->child.pid);
    assert_int_equal(evidence.slot, 1); // on a thread of the module's own, which cannot be rescued
    assert_int_equal(fake_finish(f), -SIGSEGV);
}

static void test_dawdlers_are_cut_off(void **state)
{
    (void)state;
    struct fake *f = start_with(NULL, 0);
    struct client *silent = client_tcp(f), *slow = client_tcp(f), *honest = client_tcp(f);
    client_text(slow, "POST " POKE " HTTP/1.1\r\nHost: t\r\nX-Slow: ");
    assert_int_equal(post(honest), 200);
    assert_true(client_closed(silent));
    assert_true(client_closed(slow));
    assert_int_equal(post(honest), 200); // idle for as long, but it had been answered
    client_free(silent);
    client_free(slow);
    client_free(honest);
    uint64_t id = fake_begin_drain(f, LIMIT_USEC);
    expect_remaining(fake_await(f, id), 0);
    assert_int_equal(fake_finish(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drain_loses_nothing),
        cmocka_unit_test(test_drain_ends_at_its_limit),
        cmocka_unit_test(test_ready_says_no_while_draining),
        cmocka_unit_test(test_sigterm_drains),
        cmocka_unit_test(test_an_orphan_serves_on_and_is_adopted),
        cmocka_unit_test(test_an_orphan_ends_without_a_successor),
        cmocka_unit_test(test_a_crash_leaves_evidence),
        cmocka_unit_test(test_dawdlers_are_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
