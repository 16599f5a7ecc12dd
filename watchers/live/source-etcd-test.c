// The etcd source against a real etcd: what is delivered, and what becomes of it when etcd stops,
// dies, compacts or goes back in time.
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

#define PAY "/modules/order/pay/v2"
#define AUTH "/modules/order/auth/v2"

struct fixture {
    struct gr_test_etcd etcd;
    struct gr_world world;
};

static void follow(struct fixture *f, struct gr_source_floor floor)
{
    const char *endpoints[] = {f->etcd.url};
    struct gr_etcd_config config = {.n_endpoints = 1, .endpoints = endpoints};
    gr_world_follow(&f->world, &config, floor);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    gr_test_etcd_init(&f->etcd, false);
    gr_world_init(&f->world);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gr_world_done(&f->world);
    gr_test_etcd_done(&f->etcd);
    free(f);
    return 0;
}

static struct gr_world *begin(struct fixture *f)
{
    gr_test_etcd_start(&f->etcd);
    follow(f, (struct gr_source_floor){0});
    GR_UNTIL(&f->world, f->world.health.up && f->world.n_snapshots);
    return &f->world;
}

static bool has(const struct gr_world *w, const char *module, const char *value)
{
    const char *v = gr_world_value(w, module);
    return value ? v && !strcmp(v, value) : !v;
}

static void every_change_is_a_snapshot(void **state)
{
    struct gr_world *w = begin(*state);
    assert_int_equal(w->snapshot->n, 0);
    gr_world_put(w, PAY, "{\"a\":1}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":1}"));
    gr_world_put(w, PAY, "{\"a\":2}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":2}"));
    gr_world_delete(w, PAY);
    GR_UNTIL(w, w->snapshot->n == 0);
    assert_int_equal(w->n_snapshots, 4);
    assert_int_equal(w->health.watch_restarts[GR_WATCH_RESTART_CLOSED], 0);
}

static void an_update_that_is_none_of_ours_is_not_told(void **state)
{
    struct gr_world *w = begin(*state);
    gr_world_put(w, "/modules/order/pay/v1", "old format");
    gr_world_put(w, "/modules/order/pay/deep/er/v2", "x");
    gr_world_put(w, "/modules/order2/pay/v2", "x");
    gr_world_put(w, PAY, "{}");
    GR_UNTIL(w, has(w, "pay", "{}"));
    assert_int_equal(w->n_snapshots, 2);
    assert_int_equal(w->snapshot->n, 1);
}

static void a_transaction_is_one_snapshot(void **state)
{
    struct gr_world *w = begin(*state);
    struct gr_etcd_op ops[] = {
        {GR_ETCD_OP_PUT, gr_bytes_text(PAY), gr_bytes_text("{\"p\":1}"), 0},
        {GR_ETCD_OP_PUT, gr_bytes_text(AUTH), gr_bytes_text("{\"a\":1}"), 0}};
    w->answered = false;
    assert_int_equal(gr_etcd_txn(w->client, NULL, 0, ops, 2, gr_world_answer, w, NULL, NULL), 0);
    GR_UNTIL(w, w->answered && w->n_snapshots == 2);
    assert_true(w->result.succeeded);
    assert_int_equal(w->snapshot->n, 2);
    assert_true(has(w, "pay", "{\"p\":1}") && has(w, "auth", "{\"a\":1}"));
    assert_int_equal(w->snapshot->entries[0].mod_revision, w->snapshot->entries[1].mod_revision);
    assert_string_equal(w->snapshot->entries[0].module.s, "auth");
}

static void a_deletion_is_told_with_its_transaction(void **state)
{
    struct gr_world *w = begin(*state);
    gr_world_put(w, PAY, "{}");
    GR_UNTIL(w, has(w, "pay", "{}"));
    struct gr_etcd_op ops[] = {
        {GR_ETCD_OP_DELETE, gr_bytes_text(PAY), gr_bytes_text(""), 0},
        {GR_ETCD_OP_PUT, gr_bytes_text(AUTH), gr_bytes_text("{\"a\":1}"), 0}};
    w->answered = false;
    assert_int_equal(gr_etcd_txn(w->client, NULL, 0, ops, 2, gr_world_answer, w, NULL, NULL), 0);
    GR_UNTIL(w, w->answered && w->n_snapshots == 3);
    assert_int_equal(w->snapshot->n, 1);
    assert_int_equal(w->snapshot->n_gone, 1);
    assert_string_equal(w->snapshot->gone[0].module.s, "pay");
    assert_int_equal(w->snapshot->gone[0].revision, w->snapshot->entries[0].mod_revision);
    gr_world_put(w, PAY, "{}"); // it is back, and its end is no news any more
    GR_UNTIL(w, has(w, "pay", "{}"));
    assert_int_equal(w->snapshot->n_gone, 0);
}

static void an_unusable_key_spoils_itself_only(void **state)
{
    struct gr_world *w = begin(*state);
    size_t len = GR_DOCUMENT_BYTES_MAX + 1;
    char *big = calloc(1, len + 1);
    memset(big, 'x', len);
    gr_world_put(w, AUTH, big);
    free(big);
    gr_world_put(w, "/modules/order/No Name/v2", "{}");
    gr_world_put(w, PAY, "{}");
    GR_UNTIL(w, has(w, "pay", "{}"));
    assert_int_equal(w->snapshot->n, 3);
    const struct gr_entry *nameless = &w->snapshot->entries[0], *large = &w->snapshot->entries[1];
    assert_int_equal(nameless->error.reason, GR_REASON_DOCUMENT_INVALID);
    assert_non_null(strstr(nameless->error.message, "No Name"));
    assert_string_equal(large->module.s, "auth");
    assert_int_equal(large->error.reason, GR_REASON_TOO_LARGE);
    assert_null(large->value);
}

static void more_keys_than_a_page_come_at_one_revision(void **state)
{
    struct gr_world *w = begin(*state);
    char key[64];
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "/modules/order/m%02d/v2", i);
        gr_world_put(w, key, "{}");
    }
    GR_UNTIL(w, w->snapshot->n == 60);
    for (size_t i = 0; i < 60; i++)
        assert_true(w->snapshot->entries[i].mod_revision <= w->snapshot->revision);
}

static void etcd_that_is_down_at_start_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    follow(f, (struct gr_source_floor){0});
    GR_UNTIL(w, w->n_healths);
    assert_false(w->health.up);
    assert_int_equal(w->health.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_non_null(strstr(w->health.message, f->etcd.url));
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.up && w->n_snapshots == 1);
    assert_int_equal(w->health.reason, GR_REASON_NONE);
}

static void a_killed_etcd_is_followed_again(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    gr_world_put(w, PAY, "{\"a\":1}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":1}"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    GR_UNTIL(w, !w->health.up);
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.up);
    unsigned before = w->n_snapshots;
    gr_world_put(w, PAY, "{\"a\":2}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":2}"));
    assert_int_equal(w->n_snapshots, before + 1);
    assert_int_equal(gr_source_peek_health(w->source)->resyncs[GR_RESYNC_START], 1);
}

// Changes and compacts while etcd listens where the source does not look.
static void write_elsewhere(struct fixture *f)
{
    char url[sizeof f->etcd.url];
    memcpy(url, f->etcd.url, sizeof url);
    gr_test_etcd_move(&f->etcd);
    gr_test_etcd_start(&f->etcd);
    gr_test_etcdctl(&f->etcd, (const char *[]){"put", PAY, "{\"a\":2}", NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"del", AUTH, NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"put", "/else", "x", NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"compaction", "6", NULL});
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    memcpy(f->etcd.url, url, sizeof url);
}

static void compaction_while_away_leads_to_a_new_read(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    gr_world_put(w, PAY, "{\"a\":1}");
    gr_world_put(w, AUTH, "{}");
    GR_UNTIL(w, has(w, "auth", "{}"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    GR_UNTIL(w, !w->health.up);
    write_elsewhere(f);
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.up && has(w, "pay", "{\"a\":2}"));
    assert_true(has(w, "auth", NULL));
    GR_UNTIL(w, gr_source_peek_health(w->source)->resyncs[GR_RESYNC_COMPACTED] == 1);
}

struct burst {
    unsigned answers;
    int64_t newest;
};

static void on_burst(void *userdata, const struct gr_etcd_result *r)
{
    struct burst *b = userdata;
    assert_int_equal(r->error.reason, GR_REASON_NONE);
    b->answers++;
    if (r->revision > b->newest)
        b->newest = r->revision;
}

static void a_burst_ends_in_its_last_state(void **state)
{
    struct gr_world *w = begin(*state);
    struct burst b = {0};
    for (int i = 0; i < 300; i++)
        assert_int_equal(gr_etcd_put(w->client, gr_bytes_text(PAY), gr_bytes_text("{}"), 0,
                                     on_burst, &b, NULL, NULL),
                         0);
    GR_UNTIL(w, b.answers == 300 && w->snapshot->n == 1 &&
                    w->snapshot->entries[0].mod_revision == b.newest);
    assert_int_equal(gr_source_peek_health(w->source)->watch_restarts[GR_WATCH_RESTART_BEHIND], 0);
}

static void a_dead_endpoint_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    const char *endpoints[] = {"http://127.0.0.1:1", f->etcd.url};
    struct gr_etcd_config config = {.n_endpoints = 2, .endpoints = endpoints};
    gr_test_etcd_start(&f->etcd);
    gr_world_follow(w, &config, (struct gr_source_floor){0});
    GR_UNTIL(w, w->health.up && w->n_snapshots == 1);
    assert_string_equal(w->health.endpoint, f->etcd.url);
}

static void a_frozen_etcd_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    gr_test_etcd_signal(&f->etcd, SIGSTOP);
    GR_UNTIL(w, !w->health.up);
    assert_true(gr_source_peek_health(w->source)->watch_restarts[GR_WATCH_RESTART_NO_ANSWER] > 0);
    gr_test_etcd_signal(&f->etcd, SIGCONT);
    GR_UNTIL(w, w->health.up);
    gr_world_put(w, PAY, "{}");
    GR_UNTIL(w, has(w, "pay", "{}"));
}

static void copy_data(struct fixture *f, const char *to)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", f->etcd.dir, to);
    gr_test_run((char *[]){"/bin/cp", "-a", f->etcd.data, path, NULL});
}

static void an_older_etcd_is_held_until_accepted(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    gr_world_put(w, PAY, "{\"a\":1}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":1}"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    GR_UNTIL(w, !w->health.up);
    copy_data(f, "older");
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.up);
    gr_world_put(w, PAY, "{\"a\":2}");
    gr_world_put(w, PAY, "{\"a\":3}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":3}"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    snprintf(f->etcd.data, sizeof f->etcd.data, "%s/older", f->etcd.dir);
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.held);
    assert_int_equal(w->health.reason, GR_REASON_DESIRED_STATE_REWOUND);
    assert_non_null(strstr(w->health.message, "revision 2 "));
    assert_non_null(strstr(w->health.message, "revision 4 "));
    assert_true(has(w, "pay", "{\"a\":3}"));
    // What the rewound store is told now is not followed either.
    gr_world_put(w, AUTH, "{}");
    gr_source_accept_rewind(w->source);
    GR_UNTIL(w, !w->health.held && w->health.up && has(w, "pay", "{\"a\":1}"));
    assert_true(has(w, "auth", "{}"));
    gr_world_put(w, PAY, "{\"a\":4}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":4}"));
}

static void the_floor_of_an_earlier_run_holds(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    struct gr_source_floor floor = {w->snapshot->cluster_id, w->snapshot->revision + 10, false};
    gr_world_unfollow(w);
    follow(f, floor);
    GR_UNTIL(w, w->health.held);
    assert_int_equal(w->n_snapshots, 0);
    // Accepted, so delivered, though it has nothing new.
    gr_source_accept_rewind(w->source);
    GR_UNTIL(w, w->health.up && !w->health.held && w->n_snapshots == 1);
    gr_world_unfollow(w);
    floor.revision = 1;
    floor.cluster_id++;
    follow(f, floor);
    GR_UNTIL(w, w->health.held);
    assert_non_null(strstr(w->health.message, "cluster"));
    assert_int_equal(w->n_snapshots, 0);
}

static void a_foreign_etcd_is_held_until_the_known_one_is_back(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = begin(f);
    struct gr_test_etcd foreign;
    gr_world_put(w, PAY, "{\"a\":1}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":1}"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    GR_UNTIL(w, !w->health.up);
    gr_test_etcd_init(&foreign, false);
    memcpy(foreign.url, f->etcd.url, sizeof foreign.url);
    gr_test_etcd_start(&foreign);
    GR_UNTIL(w, w->health.held);
    assert_non_null(strstr(w->health.message, "cluster"));
    unsigned before = w->n_snapshots;
    gr_test_etcd_done(&foreign);
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, !w->health.held && w->health.up);
    assert_int_equal(w->n_snapshots, before);
    gr_world_put(w, PAY, "{\"a\":2}");
    GR_UNTIL(w, has(w, "pay", "{\"a\":2}"));
}

int main(void)
{
    if (!gr_test_etcd_is_installed())
        return 77;
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(every_change_is_a_snapshot),
        T(an_update_that_is_none_of_ours_is_not_told),
        T(a_transaction_is_one_snapshot),
        T(a_deletion_is_told_with_its_transaction),
        T(an_unusable_key_spoils_itself_only),
        T(more_keys_than_a_page_come_at_one_revision),
        T(etcd_that_is_down_at_start_is_waited_for),
        T(a_killed_etcd_is_followed_again),
        T(compaction_while_away_leads_to_a_new_read),
        T(a_burst_ends_in_its_last_state),
        T(a_dead_endpoint_is_passed_over),
        T(a_frozen_etcd_is_noticed),
        T(an_older_etcd_is_held_until_accepted),
        T(the_floor_of_an_earlier_run_holds),
        T(a_foreign_etcd_is_held_until_the_known_one_is_back),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
