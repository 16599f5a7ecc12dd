// A candidate beside stable over real HTTP: exact weights, sticky users, rules, the headers that
// tell who answered, rescue, orders that are refused, and routing back while requests run.
#include "worker/live/http-client.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define ECHO "/com.example.echo.EchoService/Echo"
#define CHARGE "/com.example.pay.PayService/Charge"
#define VALIDATE "/com.example.auth.TokenValidator/Validate"
#define POKE "/com.example.faulty.FaultyService/Poke"

enum { ECHO_OLD = 1, ECHO_NEW, PAY_SOUND, PAY_CRASHING, AUTH, EMPTY, FAULTY_SOUND, FAULTY };

static struct fake *f;
static struct client *c;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(2, 0);
    fake_load(f, ECHO_OLD, "echo", "1.0.0", NULL);
    fake_load(f, ECHO_NEW, "echo", "1.0.1", NULL);
    fake_load(f, PAY_SOUND, "pay", "1.0.0", NULL);
    fake_load(f, PAY_CRASHING, "pay", "1.2.0", NULL);
    fake_load(f, AUTH, "auth", "1.0.0", NULL);
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

// --- orders
// ------------------------------------------------------------------------------------------------

static cJSON *order(const char *type, const char *rest)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"type\":\"%s\",\"table\":%llu,\"budget_usec\":10000000,%s}",
             type, (unsigned long long)f->next_table++, rest);
    cJSON *m = cJSON_Parse(text);
    if (!m)
        fail_msg("%s", text);
    return m;
}

static void exchange(const char *type, const char *rest)
{
    cJSON *answer = fake_order(f, order(type, rest), -1);
    if (!fake_is(answer, "swapped"))
        fail_msg("%s: %s", rest, cJSON_Print(answer));
    if (strcmp(type, "route") == 0)
        assert_int_equal((int)gr_json_get(answer, "freeze_usec")->valuedouble, 0);
    cJSON_Delete(answer);
}

// A candidate of one module (stable -1: it has none yet). `rule` is more of the rollout: "" or
// ",\"sticky\":...".
static void try_out(const char *module, int stable, int candidate, unsigned weight,
                    const char *rule)
{
    char rest[512];
    snprintf(rest, sizeof rest,
             "\"set\":[{\"module\":\"%s\",\"stable\":%d,\"rescue\":-1,\"candidate\":%d,"
             "\"rollout\":8812}],\"rollouts\":[{\"rollout\":8812,\"salt\":\"00000000000000ff\","
             "\"weight\":%u,\"shadow\":0%s}]",
             module, stable, candidate, weight, rule);
    exchange("route", rest);
}

static void only_stable(const char *module, int stable)
{
    char rest[128];
    snprintf(rest, sizeof rest, "\"set\":[{\"module\":\"%s\",\"stable\":%d}]", module, stable);
    exchange("route", rest);
}

// --- requests
// ------------------------------------------------------------------------------------------------

static void send_post(struct client *by, const char *path, const char *header)
{
    char request[512];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                     "Content-Length: 2\r\n%s%s\r\n{}",
                     path, header, *header ? "\r\n" : "");
    client_send(by, request, (size_t)n);
}

static void post(const char *path, const char *header)
{
    send_post(c, path, header);
    client_read(c, &a);
}

// Did the candidate answer? Role and version must agree.
static bool by_candidate(const char *stable, const char *candidate)
{
    assert_int_equal(a.status, 200);
    bool yes = strcmp(answer_header(&a, "x-grayling-role"), "candidate") == 0;
    if (!yes)
        assert_string_equal(answer_header(&a, "x-grayling-role"), "stable");
    assert_string_equal(answer_header(&a, "x-grayling-version"), yes ? candidate : stable);
    return yes;
}

static bool echo_with(const char *header)
{
    post(ECHO, header);
    return by_candidate("1.0.0", "1.0.1");
}

// --- who sees it
// ------------------------------------------------------------------------------------------------

static void test_weights_are_exact(void **state)
{
    (void)state;
    static const unsigned weights[] = {0, 100, 2500, 3333, 10000};
    for (size_t w = 0; w < GR_COUNT(weights); w++) {
        try_out("echo", ECHO_OLD, ECHO_NEW, weights[w], "");
        int n = 0;
        for (int i = 0; i < 1000; i++)
            n += echo_with("");
        int off = n * 10 - (int)weights[w]; // permyriad
        assert_true(off > -10 && off < 10); // less than one request
    }
    only_stable("echo", ECHO_OLD);
    assert_false(echo_with(""));
}

static void test_sticky_users(void **state)
{
    (void)state;
    enum { USERS = 100 };
    static const unsigned weights[] = {1000, 5000, 1000};
    static const char *const keys[] = {"header:X-User-Id", "cookie:uid", "tenant"};
    static const char *const headers[] = {"X-User-Id: ", "Cookie: a=b; uid=", "x-tenant-id: "};
    for (size_t k = 0; k < GR_COUNT(keys); k++) {
        bool member[GR_COUNT(weights)][USERS];
        for (size_t w = 0; w < GR_COUNT(weights); w++) {
            char rule[64], header[64];
            snprintf(rule, sizeof rule, ",\"sticky\":\"%s\"", keys[k]);
            try_out("echo", ECHO_OLD, ECHO_NEW, weights[w], rule);
            for (int user = 0; user < USERS; user++) {
                snprintf(header, sizeof header, "%s%d", headers[k], user);
                member[w][user] = echo_with(header);
                assert_int_equal(echo_with(header), member[w][user]);
            }
        }
        unsigned n = 0;
        for (int user = 0; user < USERS; user++) {
            assert_true(!member[0][user] || member[1][user]); // raising only adds
            assert_int_equal(member[2][user], member[0][user]);
            n += member[1][user];
        }
        assert_true(n > 0 && n < USERS);
    }
}

static void test_rules_win_over_the_weight(void **state)
{
    (void)state;
    try_out("echo", ECHO_OLD, ECHO_NEW, 0,
            ",\"match\":[{\"header\":\"X-Canary\",\"exact\":\"0\",\"to\":\"stable\"},"
            "{\"header\":\"x-canary\",\"regex\":\"^[0-9]+$\"},"
            "{\"cookie\":\"beta\",\"prefix\":\"y\"}]");
    assert_true(echo_with("x-canary: 17"));
    assert_false(echo_with("x-canary: 0"));
    assert_false(echo_with("x-canary: no"));
    assert_true(echo_with("cookie: alpha=1; beta=yes"));
    assert_false(echo_with(""));
    try_out("echo", ECHO_OLD, ECHO_NEW, 10000,
            ",\"match\":[{\"path\":true,\"prefix\":\"" ECHO "\",\"to\":\"stable\"}]");
    assert_false(echo_with(""));
    only_stable("echo", ECHO_OLD);
}

static void test_a_first_deployment(void **state)
{
    (void)state;
    try_out("auth", -1, AUTH, 0, ",\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"}]");
    post(VALIDATE, "x-canary: 1");
    assert_string_equal(answer_header(&a, "x-grayling-role"), "candidate");
    post(VALIDATE, "");
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.body, "no stable version yet"));
    exchange("swap", "\"remove\":[\"auth\"]");
    post(VALIDATE, "x-canary: 1");
    assert_int_equal(a.status, 404);
}

// --- what it breaks
// ------------------------------------------------------------------------------------------------

static void test_stable_answers_for_a_candidate(void **state)
{
    (void)state;
    unsigned rescued = 0;
    try_out("pay", PAY_SOUND, PAY_CRASHING, 10000, "");
    for (int i = 0; i < 100; i++) {
        post(CHARGE, "");
        bool candidate = by_candidate("1.0.0", "1.2.0");
        bool was = answer_header(&a, "x-grayling-rescued") != NULL;
        assert_int_equal(candidate, !was);
        rescued += was;
    }
    assert_int_equal(rescued, 2); // every 50th crashes
    struct gr_counters counters;
    gr_stats_read(f->stats, PAY_CRASHING, &counters);
    assert_true(counters.faults == 2 && counters.rescued == 2);
    for (int i = 0; i < 2; i++) {
        cJSON *m = fake_await_unasked(f);
        assert_true(fake_is(m, "fault"));
        assert_int_equal((int)gr_json_get(m, "instance")->valuedouble, PAY_CRASHING);
        cJSON_Delete(m);
    }
    only_stable("pay", PAY_SOUND);
}

// --- what is refused
// ------------------------------------------------------------------------------------------------

static void refuse(const char *rest, const char *part)
{
    static const char *const types[] = {"route", "swap"};
    for (size_t i = 0; i < GR_COUNT(types); i++) {
        cJSON *answer = fake_order(f, order(types[i], rest), -1);
        const cJSON *message = gr_json_get(answer, "message");
        if (!fake_is(answer, "failed") || !strstr(message->valuestring, part))
            fail_msg("%s: %s", rest, cJSON_Print(answer));
        cJSON_Delete(answer);
    }
}

#define RULE(more) "\"rollouts\":[{\"rollout\":1,\"salt\":\"0000000000000001\"," more "}]"
#define TRIAL(stable, candidate)                                                                   \
    "\"set\":[{\"module\":\"echo\",\"stable\":" stable ",\"candidate\":" candidate                 \
    ",\"rollout\":1}],"

static void test_wrong_orders_change_nothing(void **state)
{
    (void)state;
    refuse("\"set\":[{\"module\":\"echo\",\"stable\":1,\"candidate\":2,\"rollout\":2}]",
           "set[0].rollout: 2 is not described");
    refuse("\"set\":[{\"module\":\"echo\",\"stable\":1,\"candidate\":2}]", "set[0].rollout");
    refuse("\"set\":[{\"module\":\"echo\"}]", "set[0].stable: required for echo");
    refuse(TRIAL("1", "6") RULE("\"weight\":1"), "set[0].candidate: slot 6 is empty");
    refuse(TRIAL("1", "1") RULE("\"weight\":1"), "two roles");
    refuse(TRIAL("1", "3") RULE("\"weight\":1"), "contract says module pay");
    refuse(TRIAL("1", "2") RULE("\"weight\":10001"), "rollouts[0].weight");
    refuse(TRIAL("1", "2") RULE("\"weight\":0.5"), "rollouts[0].weight");
    refuse(TRIAL("1", "2") RULE("\"shadow\":0"), "rollouts[0].weight");
    refuse(TRIAL("1", "2") RULE("\"weight\":1,\"sticky\":\"user\""), "sticky: expected");
    refuse(TRIAL("1", "2") RULE("\"weight\":1,\"match\":[{\"path\":true,\"regex\":\"(\"}]"),
           "match[0].regex");
    refuse(TRIAL("1", "2") RULE("\"weight\":1,\"colour\":\"red\""), "rollouts[0].colour");
    refuse(TRIAL("1", "2") "\"rollouts\":[{\"rollout\":1,\"salt\":\"1\",\"weight\":1}]",
           "rollouts[0].salt: expected 16 digits");
    refuse("\"rollouts\":{}", "rollouts: expected a list");
    refuse("\"colour\":1", "colour");
    assert_false(echo_with(""));
}

static void test_description(void **state)
{
    (void)state;
    try_out("echo", ECHO_OLD, ECHO_NEW, 1, "");
    try_out("auth", -1, AUTH, 1, "");
    cJSON *answer = fake_order(f, fake_message("describe"), -1);
    const cJSON *m;
    unsigned seen = 0;
    cJSON_ArrayForEach(m, gr_json_get(answer, "modules"))
    {
        const cJSON *candidate = gr_json_get(m, "candidate");
        const char *name = gr_json_get(m, "module")->valuestring;
        if (strcmp(name, "pay") == 0) {
            assert_null(candidate);
            continue;
        }
        bool first = strcmp(name, "auth") == 0;
        assert_int_equal((int)gr_json_get(m, "slot")->valuedouble, first ? -1 : ECHO_OLD);
        assert_string_equal(gr_json_get(m, "version")->valuestring, first ? "" : "1.0.0");
        assert_int_equal((int)gr_json_get(candidate, "slot")->valuedouble, first ? AUTH : ECHO_NEW);
        assert_string_equal(gr_json_get(candidate, "version")->valuestring,
                            first ? "1.0.0" : "1.0.1");
        assert_int_equal((int)gr_json_get(candidate, "rollout")->valuedouble, 8812);
        seen++;
    }
    assert_int_equal(seen, 2);
    cJSON_Delete(answer);
    exchange("route", "\"remove\":[\"auth\"],\"set\":[{\"module\":\"echo\",\"stable\":1}]");
}

// --- under load
// ------------------------------------------------------------------------------------------------

#define PIPELINE 16
#define ROUNDS 60

struct load {
    pthread_t thread;
    struct client *client;
    _Atomic bool *stop;
    uint64_t wrong;
    _Atomic uint64_t by[2];
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
            bool candidate = strstr(answer->head, "x-grayling-role: candidate") != NULL;
            bool new = strstr(answer->head, "x-grayling-version: 1.0.1") != NULL;
            l->wrong +=
                answer->status != 200 || strcmp(answer->body, "{\"n\":1}") != 0 || candidate != new;
            l->by[new]++;
        }
    }
    free(answer);
    return NULL;
}

static bool all_met_both(struct load *loads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&loads[i].by[0]) == 0 || atomic_load(&loads[i].by[1]) == 0)
            return false;
    return true;
}

static void test_routing_back_under_pipelined_load(void **state)
{
    (void)state;
    struct load loads[3];
    _Atomic bool enough = false;
    only_stable("echo", ECHO_OLD);
    for (size_t i = 0; i < GR_COUNT(loads); i++) {
        loads[i] = (struct load){.client = i ? client_tcp(f) : client_unix(f), .stop = &enough};
        assert_int_equal(pthread_create(&loads[i].thread, NULL, run_load, &loads[i]), 0);
    }
    for (int i = 0; i < ROUNDS || !all_met_both(loads, GR_COUNT(loads)); i++) {
        try_out("echo", ECHO_OLD, ECHO_NEW, 10000, "");
        assert_true(echo_with(""));
        try_out("echo", ECHO_OLD, ECHO_NEW, 5000, "");
        only_stable("echo", ECHO_OLD);
        assert_false(echo_with("")); // from the answer on, nobody sees the candidate
    }
    atomic_store(&enough, true);
    for (size_t i = 0; i < GR_COUNT(loads); i++) {
        pthread_join(loads[i].thread, NULL);
        assert_int_equal(loads[i].wrong, 0);
        client_free(loads[i].client);
    }
}

// Exactly so many bad answers, whoever asks; the worker says so, and answers by stable from then
// on.
static void test_a_harm_budget_is_spent(void **state)
{
    (void)state;
    enum { BUDGET = 5, CLIENTS = 4 };
    struct client *clients[CLIENTS];
    const struct gr_name module = {"faulty"};
    char rest[512];
    int harm = gr_harms_open(f->harms, 77, &module, BUDGET, 0), bad = 0;
    fake_load(f, FAULTY_SOUND, "faulty", "1.0.0", NULL);
    fake_load(f, FAULTY, "faulty", "1.1.0", "{\"mode\":\"handle-error\"}");
    snprintf(rest, sizeof rest,
             "\"set\":[{\"module\":\"faulty\",\"stable\":%d,\"candidate\":%d,\"rollout\":77,"
             "\"harm\":%d}],\"rollouts\":[{\"rollout\":77,\"salt\":\"00000000000000ff\","
             "\"weight\":5000}]",
             FAULTY_SOUND, FAULTY, harm);
    exchange("route", rest);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_tcp(f);
    for (int n = 0; n < 100; n++) { // all ask before one is answered
        for (int i = 0; i < CLIENTS; i++)
            send_post(clients[i], POKE, "");
        for (int i = 0; i < CLIENTS; i++) {
            client_read(clients[i], &a);
            bool candidate = strcmp(answer_header(&a, "x-grayling-role"), "candidate") == 0;
            assert_int_equal(a.status, candidate ? 500 : 200);
            bad += candidate;
        }
    }
    assert_int_equal(bad, BUDGET);
    for (int i = 0; i < CLIENTS; i++)
        client_free(clients[i]);
    cJSON *m = fake_await_unasked(f);
    assert_true(fake_is(m, "harm"));
    assert_int_equal((int)gr_json_get(m, "rollout")->valuedouble, 77);
    assert_string_equal(gr_json_get(m, "module")->valuestring, "faulty");
    cJSON_Delete(m);
    assert_int_equal(cJSON_GetArraySize(f->unasked), 0); // once
    snprintf(rest, sizeof rest, "\"set\":[],\"remove\":[\"faulty\"]");
    exchange("swap", rest);
}

// The last test: the worker's loading thread never comes back.
static void test_routing_back_does_not_wait_for_a_load(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/modules/faulty-1.0.0.so", getenv("GRAYLING_BUILD"));
    try_out("echo", ECHO_OLD, ECHO_NEW, 10000, "");
    cJSON *m = fake_message("load");
    cJSON_AddNumberToObject(m, "instance", EMPTY);
    cJSON_AddStringToObject(m, "module", "faulty");
    cJSON_AddStringToObject(m, "version", "1.0.0");
    cJSON_AddStringToObject(m, "path", path);
    cJSON_AddItemToObject(m, "config", cJSON_Parse("{\"mode\":\"init-hang\"}"));
    gr_stats_bind(f->stats, EMPTY, "faulty", "1.0.0");
    (void)fake_send(f, m, -1);
    only_stable("echo", ECHO_OLD);
    assert_false(echo_with(""));
}

static int kill_worker(void **state)
{
    (void)state;
    client_free(c);
    kill(f->child.pid, SIGKILL);
    return fake_finish(f) == -SIGKILL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_exact),
        cmocka_unit_test(test_sticky_users),
        cmocka_unit_test(test_rules_win_over_the_weight),
        cmocka_unit_test(test_a_first_deployment),
        cmocka_unit_test(test_stable_answers_for_a_candidate),
        cmocka_unit_test(test_wrong_orders_change_nothing),
        cmocka_unit_test(test_description),
        cmocka_unit_test(test_routing_back_under_pipelined_load),
        cmocka_unit_test(test_a_harm_budget_is_spent),
    };
    const struct CMUnitTest stuck[] = {
        cmocka_unit_test(test_routing_back_does_not_wait_for_a_load),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    return failed + cmocka_run_group_tests(stuck, start, kill_worker);
}
