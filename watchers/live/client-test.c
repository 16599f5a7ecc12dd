// The client against a real etcd: compare and swap, leases, refusals, fail-over, and cancelling.
#include "base/limits.h"
#include "watchers/live/etcd-process.h"
#include "watchers/live/world.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after its needs
#include <cmocka.h>

static struct gr_test_etcd etcd;

struct answer { // what the tests look at, copied out of a borrowed result
    unsigned calls;
    enum gr_reason reason;
    int grpc_code;
    bool ambiguous, succeeded;
    int64_t revision, mod_revision, lease, deleted, count;
    size_t n_kvs;
    char value[64], message[GR_MESSAGE_MAX];
};

static void take(void *userdata, const struct gr_etcd_result *r)
{
    struct answer *a = userdata;
    unsigned calls = a->calls + 1;
    *a = (struct answer){.calls = calls,
                         .reason = r->error.reason,
                         .grpc_code = r->grpc_code,
                         .ambiguous = r->ambiguous,
                         .succeeded = r->succeeded,
                         .revision = r->revision,
                         .lease = r->lease,
                         .deleted = r->deleted,
                         .count = r->count,
                         .n_kvs = r->n_kvs};
    memcpy(a->message, r->error.message, sizeof a->message);
    if (r->n_kvs) {
        a->mod_revision = r->kvs[0].mod_revision;
        snprintf(a->value, sizeof a->value, "%s", r->kvs[0].value);
    }
}

static int set_up(void **state)
{
    static struct gr_world w;
    const char *endpoints[] = {"http://127.0.0.1:1", etcd.url}; // nobody listens on the first
    struct gr_etcd_config config = {.n_endpoints = 2, .endpoints = endpoints};
    struct gr_error e = {0};
    gr_world_init(&w);
    if (gr_etcd_new(w.event, w.transport, &config, &w.client, &e) < 0)
        fail_msg("%s", e.message);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    gr_world_done(*state);
    return 0;
}

static void range(struct gr_world *w, const char *key, struct answer *a)
{
    struct gr_etcd_range r = {.key = gr_bytes_text(key)};
    unsigned before = a->calls;
    assert_int_equal(gr_etcd_range(w->client, &r, take, a, NULL, NULL), 0);
    GR_UNTIL(w, a->calls > before);
}

static void a_dead_endpoint_is_passed_over(void **state)
{
    struct gr_world *w = *state;
    struct answer a = {0};
    gr_world_put(w, "failover", "x"); // a write too: it surely was not sent
    range(w, "failover", &a);
    assert_string_equal(a.value, "x");
}

static void bytes_come_back_as_they_were(void **state)
{
    struct gr_world *w = *state;
    struct answer a = {0};
    static const char key[] = "by\0tes", value[] = {'\xff', '\0', '\n', '"', '\x80'};
    w->answered = false;
    assert_int_equal(gr_etcd_put(w->client, gr_bytes(key, sizeof key),
                                 gr_bytes(value, sizeof value), 0, gr_world_answer, w, NULL, NULL),
                     0);
    GR_UNTIL(w, w->answered);
    struct gr_etcd_range r = {.key = gr_bytes(key, sizeof key)};
    assert_int_equal(gr_etcd_range(w->client, &r, take, &a, NULL, NULL), 0);
    GR_UNTIL(w, a.calls);
    assert_int_equal(a.n_kvs, 1);
    assert_int_equal((unsigned char)a.value[0], 0xff);
}

static void compare_and_swap(struct gr_world *w, int64_t mod_revision, const char *value,
                             struct answer *a)
{
    struct gr_etcd_compare c = {gr_bytes_text("cas"), mod_revision};
    struct gr_etcd_op op = {GR_ETCD_OP_PUT, gr_bytes_text("cas"), gr_bytes_text(value), 0};
    unsigned before = a->calls;
    assert_int_equal(gr_etcd_txn(w->client, &c, 1, &op, 1, take, a, NULL, NULL), 0);
    GR_UNTIL(w, a->calls > before);
    assert_int_equal(a->reason, GR_REASON_NONE);
}

static void who_loses_a_swap_learns_who_won(void **state)
{
    struct gr_world *w = *state;
    struct answer a = {0};
    compare_and_swap(w, 0, "first", &a);
    assert_true(a.succeeded);
    int64_t won = a.revision;
    compare_and_swap(w, 0, "second", &a);
    assert_false(a.succeeded);
    assert_int_equal(a.mod_revision, won);
    assert_string_equal(a.value, "first");
    compare_and_swap(w, won, "third", &a);
    assert_true(a.succeeded);
}

struct keeper {
    int64_t lease;
    unsigned granted, lost;
};

static void on_granted(void *userdata, int64_t lease)
{
    struct keeper *k = userdata;
    k->lease = lease;
    k->granted++;
}

static void on_lost(void *userdata, const struct gr_error *e)
{
    struct keeper *k = userdata;
    assert_true(e->message[0]);
    k->lost++;
}

static void a_lost_lease_is_told_and_granted_again(void **state)
{
    struct gr_world *w = *state;
    struct keeper k = {0};
    struct answer a = {0};
    struct gr_lease_callbacks cb = {.granted = on_granted, .lost = on_lost, .userdata = &k};
    struct gr_lease *lease = NULL;
    assert_int_equal(gr_lease_new(w->event, w->client, 3, &cb, &lease), 0);
    GR_UNTIL(w, k.granted == 1);
    assert_int_equal(gr_lease_id(lease), k.lease);
    assert_int_equal(gr_etcd_put(w->client, gr_bytes_text("leased"), gr_bytes_text("x"), k.lease,
                                 take, &a, NULL, NULL),
                     0);
    GR_UNTIL(w, a.calls == 1);
    int64_t first = k.lease;
    assert_int_equal(gr_etcd_lease_revoke(w->client, first, take, &a, NULL, NULL), 0);
    GR_UNTIL(w, k.lost == 1 && k.granted == 2);
    assert_true(k.lease != first);
    range(w, "leased", &a);
    assert_int_equal(a.n_kvs, 0);
    gr_lease_free(lease);
}

static void the_word_of_etcd_is_passed_on(void **state)
{
    struct gr_world *w = *state;
    struct answer a = {0};
    assert_int_equal(gr_etcd_lease_revoke(w->client, 12345, take, &a, NULL, NULL), 0);
    GR_UNTIL(w, a.calls == 1);
    assert_int_equal(a.grpc_code, 5);
    assert_non_null(strstr(a.message, "lease not found"));
    size_t len = 2u << 20;
    char *big = calloc(1, len);
    assert_int_equal(
        gr_etcd_put(w->client, gr_bytes_text("big"), gr_bytes(big, len), 0, take, &a, NULL, NULL),
        0);
    free(big);
    GR_UNTIL(w, a.calls == 2);
    assert_int_equal(a.reason, GR_REASON_TOO_LARGE);
    assert_false(a.ambiguous);
}

static void a_cancelled_call_is_silent(void **state)
{
    struct gr_world *w = *state;
    struct answer cancelled = {0}, a = {0};
    struct gr_etcd_range r = {.key = gr_bytes_text("x")};
    struct gr_etcd_call *call = NULL;
    assert_int_equal(gr_etcd_range(w->client, &r, take, &cancelled, &call, NULL), 0);
    gr_etcd_cancel(call);
    range(w, "x", &a);
    assert_int_equal(cancelled.calls, 0);
}

static void free_in_callback(void *userdata, const struct gr_etcd_result *r)
{
    struct gr_world *w = userdata;
    (void)r;
    gr_etcd_free(gr_steal(w->client));
    w->answered = true;
}

static void the_client_may_be_freed_in_its_own_callback(void **state)
{
    struct gr_world *w = *state;
    struct answer never = {0};
    struct gr_etcd_range r = {.key = gr_bytes_text("x")};
    assert_int_equal(gr_etcd_range(w->client, &r, free_in_callback, w, NULL, NULL), 0);
    w->answered = false;
    // Answered after the first one, had the client lived.
    assert_int_equal(gr_etcd_lease_grant(w->client, 60, take, &never, NULL, NULL), 0);
    GR_UNTIL(w, w->answered);
    assert_true(never.calls <= 1);
}

// Last: it stops etcd. Sent and never answered: nobody knows whether it was applied.
static void a_write_without_an_answer_is_ambiguous(void **state)
{
    struct gr_world *w = *state;
    struct answer a = {0};
    gr_world_put(w, "x", "1"); // leaves a connection
    gr_test_etcd_signal(&etcd, SIGSTOP);
    assert_int_equal(
        gr_etcd_put(w->client, gr_bytes_text("x"), gr_bytes_text("2"), 0, take, &a, NULL, NULL), 0);
    GR_UNTIL(w, a.calls);
    assert_int_equal(a.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_true(a.ambiguous);
}

int main(void)
{
    if (!gr_test_etcd_is_installed())
        return 77;
    gr_test_etcd_init(&etcd, false);
    gr_test_etcd_start(&etcd);
    gr_test_etcdctl(&etcd, (const char *[]){"get", "x", NULL}); // returns when it serves
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_dead_endpoint_is_passed_over),
        T(bytes_come_back_as_they_were),
        T(who_loses_a_swap_learns_who_won),
        T(a_lost_lease_is_told_and_granted_again),
        T(the_word_of_etcd_is_passed_on),
        T(a_cancelled_call_is_silent),
        T(the_client_may_be_freed_in_its_own_callback),
        T(a_write_without_an_answer_is_ambiguous),
    };
#undef T
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    gr_test_etcd_done(&etcd);
    return r;
}
