// The etcd source against a scripted gateway: one byte at a time, errors inside the stream, silence
// where words are due, stale members, and answers that are none.
#include "watchers/live/world.h"
#include "watchers/transport/loopback/server.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after its needs
#include <cmocka.h>

#define CLUSTER "15980421797310546720"

struct gateway {
    struct gr_world world;
    struct gr_loopback *server;
    int64_t revision, mod_revision; // of the store, of the only key (0: none)
    size_t piece;                   // bytes in one turn, 0: all
    unsigned ranges, watches;
    struct gr_exchange *watch; // the open one
    // What is wrong with it:
    const char *range_body;  // instead of a sound answer
    int range_status;        // with range_body
    const char *first_line;  // instead of "created", for the first watch
    bool closes_after_first; // and ends the stream in order
    int watch_status;        // of the first watch, 0: 200
    char last_start[32];     // start_revision of the newest watch
};

static void format_header(const struct gateway *g, char *ret, size_t cap)
{
    snprintf(ret, cap,
             "\"header\":{\"cluster_id\":\"" CLUSTER
             "\",\"member_id\":\"1\",\"revision\":\"%" PRId64 "\",\"raft_term\":\"2\"}",
             g->revision);
}

static void answer_range(struct gateway *g, struct gr_exchange *x)
{
    char header[256], body[1024], kvs[256] = "";
    g->ranges++;
    if (g->range_body) {
        gr_exchange_reply(x, g->range_status, "", g->range_body);
        return;
    }
    format_header(g, header, sizeof header);
    if (g->mod_revision) // /modules/order/pay/v2 = {}
        snprintf(kvs, sizeof kvs,
                 ",\"kvs\":[{\"key\":\"L21vZHVsZXMvb3JkZXIvcGF5L3Yy\",\"create_revision\":\"2\","
                 "\"mod_revision\":\"%" PRId64
                 "\",\"version\":\"1\",\"value\":\"e30=\"}],\"count\":\"1\"",
                 g->mod_revision);
    snprintf(body, sizeof body, "{%s%s}", header, kvs);
    char head[128];
    int n =
        snprintf(head, sizeof head, "HTTP/1.1 200 x\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    gr_exchange_send(x, head, (size_t)n, g->piece);
    gr_exchange_send(x, body, strlen(body), g->piece);
}

static void answer_watch(struct gateway *g, struct gr_exchange *x, const char *body)
{
    char line[512], header[256];
    const char *start = strstr(body, "\"start_revision\":\"");
    bool first = g->watches++ == 0;
    assert_non_null(start);
    assert_int_equal(sscanf(start, "\"start_revision\":\"%31[0-9]", g->last_start), 1);
    g->watch = x;
    if (first && g->watch_status) {
        gr_exchange_reply(x, g->watch_status, "", g->first_line);
        return;
    }
    gr_exchange_begin_chunked(x, 200);
    format_header(g, header, sizeof header);
    snprintf(line, sizeof line, "{\"result\":{%s,\"created\":true}}\n", header);
    const char *text = first && g->first_line ? g->first_line : line;
    if (*text)
        gr_exchange_chunk(x, text, g->piece);
    if (first && g->closes_after_first) {
        gr_exchange_send(x, "0\r\n\r\n", 5, g->piece);
        gr_exchange_close(x);
    }
}

static void serve(void *userdata, struct gr_exchange *x, const struct gr_loopback_request *r)
{
    struct gateway *g = userdata;
    assert_non_null(strstr(r->head, "Grpc-Metadata-hasleader: true"));
    if (!strcmp(r->path, "/v3/kv/range"))
        answer_range(g, x);
    else if (!strcmp(r->path, "/v3/watch"))
        answer_watch(g, x, r->body);
    else
        gr_exchange_reply(x, 404, "", "404 page not found\n");
}

// The store changes; a sound member tells the watch as well.
static void change(struct gateway *g, bool tells)
{
    char header[256], line[512];
    g->mod_revision = ++g->revision;
    if (!tells)
        return;
    format_header(g, header, sizeof header);
    snprintf(line, sizeof line,
             "{\"result\":{%s,\"events\":[{\"kv\":{\"key\":\"L21vZHVsZXMvb3JkZXIvcGF5L3Yy\","
             "\"mod_revision\":\"%" PRId64 "\",\"value\":\"e30=\"}}]}}\n",
             header, g->mod_revision);
    gr_exchange_chunk(g->watch, line, g->piece);
}

static int set_up(void **state)
{
    struct gateway *g = calloc(1, sizeof *g);
    gr_world_init(&g->world);
    g->server = gr_loopback_new(g->world.event, serve, g);
    g->revision = 5;
    *state = g;
    return 0;
}

static int tear_down(void **state)
{
    struct gateway *g = *state;
    gr_world_unfollow(&g->world);
    gr_loopback_free(g->server);
    gr_world_done(&g->world);
    free(g);
    return 0;
}

static struct gr_world *follow(struct gateway *g)
{
    const char *endpoints[] = {gr_loopback_url(g->server)};
    struct gr_etcd_config config = {.n_endpoints = 1, .endpoints = endpoints};
    gr_world_follow(&g->world, &config, (struct gr_source_floor){0});
    return &g->world;
}

static uint64_t restarts(const struct gateway *g, enum gr_watch_restart why)
{
    return gr_source_peek_health(g->world.source)->watch_restarts[why];
}

static void one_byte_at_a_time_is_understood(void **state)
{
    struct gateway *g = *state;
    g->piece = 1;
    struct gr_world *w = follow(g);
    GR_UNTIL(w, w->health.up && w->n_snapshots == 1);
    change(g, true);
    GR_UNTIL(w, w->n_snapshots == 2);
    assert_int_equal(w->snapshot->entries[0].mod_revision, 6);
    assert_string_equal(gr_world_value(w, "pay"), "{}");
    assert_int_equal(g->watches, 1);
}

// Back on its feet, and resumed right after the last read.
static void expect_recovery(struct gateway *g, enum gr_watch_restart why)
{
    struct gr_world *w = follow(g);
    GR_UNTIL(w, w->health.up && g->watches >= 2);
    assert_int_equal(restarts(g, why), 1);
    assert_string_equal(g->last_start, "6");
    change(g, true);
    GR_UNTIL(w, w->n_snapshots == 2);
}

static void an_error_inside_the_stream_is_one(void **state)
{
    struct gateway *g = *state;
    g->first_line = "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no "
                    "leader\",\"http_status\":\"Service Unavailable\"}}\n";
    expect_recovery(g, GR_WATCH_RESTART_ERROR);
}

static void an_error_without_a_newline_before_an_orderly_end_is_one(void **state)
{
    struct gateway *g = *state;
    g->first_line = "{\"error\":{\"grpc_code\":14,\"message\":\"transport is closing\"}}";
    g->closes_after_first = true;
    expect_recovery(g, GR_WATCH_RESTART_ERROR);
}

static void an_orderly_end_is_one(void **state)
{
    struct gateway *g = *state;
    g->first_line = "";
    g->closes_after_first = true;
    expect_recovery(g, GR_WATCH_RESTART_CLOSED);
}

static void half_a_line_is_one(void **state)
{
    struct gateway *g = *state;
    g->first_line = "{\"result\":{\"created\":tr";
    g->closes_after_first = true;
    expect_recovery(g, GR_WATCH_RESTART_CLOSED);
}

static void a_canceled_watch_that_stays_open_is_dropped(void **state)
{
    struct gateway *g = *state;
    g->first_line = "{\"result\":{\"header\":{\"cluster_id\":\"" CLUSTER
                    "\"},\"watch_id\":\"-1\",\"created\":true,\"canceled\":true,"
                    "\"cancel_reason\":\"mvcc: watcher range is empty\"}}\n";
    expect_recovery(g, GR_WATCH_RESTART_CANCELED);
}

static void a_watch_that_never_begins_is_dropped(void **state)
{
    struct gateway *g = *state;
    g->first_line = "";
    expect_recovery(g, GR_WATCH_RESTART_NO_ANSWER);
}

static void text_instead_of_json_is_dropped(void **state)
{
    struct gateway *g = *state;
    g->first_line = "<html>proxy</html>";
    expect_recovery(g, GR_WATCH_RESTART_ERROR);
}

static void a_refused_watch_is_tried_again(void **state)
{
    struct gateway *g = *state;
    g->watch_status = 503;
    g->first_line = "{\"error\":\"x\",\"message\":\"etcdserver: no leader\",\"code\":14}";
    expect_recovery(g, GR_WATCH_RESTART_ERROR);
}

static void a_watch_that_answers_for_another_cluster_is_dropped(void **state)
{
    struct gateway *g = *state;
    g->first_line = "{\"result\":{\"header\":{\"cluster_id\":\"1\"},\"created\":true}}\n";
    expect_recovery(g, GR_WATCH_RESTART_CLUSTER);
}

// The member answers linearizable reads and its watch is dead: both changes arrive, the watch is
// replaced.
static void a_watch_that_does_not_tell_is_replaced(void **state)
{
    struct gateway *g = *state;
    struct gr_world *w = follow(g);
    GR_UNTIL(w, w->health.up && w->n_snapshots == 1);
    change(g, false);
    GR_UNTIL(w, w->n_snapshots == 2);
    assert_int_equal(w->snapshot->entries[0].mod_revision, 6);
    GR_UNTIL(w, g->watches == 2 && w->health.up);
    assert_int_equal(restarts(g, GR_WATCH_RESTART_BEHIND), 1);
    assert_true(gr_source_peek_health(w->source)->resyncs[GR_RESYNC_BEHIND] >= 1);
}

static void the_gateway_that_is_off_is_named(void **state)
{
    struct gateway *g = *state;
    g->range_body = "404 page not found\n";
    g->range_status = 404;
    struct gr_world *w = follow(g);
    GR_UNTIL(w, w->n_healths);
    assert_false(w->health.up);
    assert_int_equal(w->health.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_non_null(strstr(w->health.message, "enable-grpc-gateway"));
    g->range_body = NULL;
    GR_UNTIL(w, w->health.up && w->n_snapshots == 1);
}

static void an_answer_that_is_none_is_told(void **state)
{
    struct gateway *g = *state;
    g->range_body = "{\"header\":{\"revision\":\"many\"}}";
    g->range_status = 200;
    struct gr_world *w = follow(g);
    GR_UNTIL(w, w->n_healths);
    assert_int_equal(w->health.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_non_null(strstr(w->health.message, "\"revision\""));
    assert_int_equal(w->n_snapshots, 0);
}

static void free_source(void *userdata, const struct gr_snapshot *s)
{
    struct gateway *g = userdata;
    gr_source_free(gr_steal(g->world.source));
    assert_int_equal(s->revision, 5); // borrowed until the callback ends
    g->world.n_snapshots++;
}

static void ignore_health(void *userdata, const struct gr_source_health *h)
{
    (void)userdata;
    (void)h;
}

static void the_source_may_be_freed_in_its_own_callback(void **state)
{
    struct gateway *g = *state;
    struct gr_world *w = &g->world;
    const char *endpoints[] = {gr_loopback_url(g->server)};
    struct gr_etcd_config config = {.n_endpoints = 1, .endpoints = endpoints};
    struct gr_source_callbacks cb = {
        .snapshot = free_source, .health = ignore_health, .userdata = g};
    const struct gr_source_keys keys = gr_source_keys_documents(&(struct gr_name){"order"});
    assert_int_equal(gr_source_etcd_new(w->event, w->transport, &config, &keys, &cb,
                                        (struct gr_source_floor){0}, &w->source, NULL),
                     0);
    assert_int_equal(gr_source_start(w->source, NULL), 0);
    GR_UNTIL(w, w->n_snapshots);
    assert_null(w->source);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(one_byte_at_a_time_is_understood),
        T(an_error_inside_the_stream_is_one),
        T(an_error_without_a_newline_before_an_orderly_end_is_one),
        T(an_orderly_end_is_one),
        T(half_a_line_is_one),
        T(a_canceled_watch_that_stays_open_is_dropped),
        T(a_watch_that_never_begins_is_dropped),
        T(text_instead_of_json_is_dropped),
        T(a_refused_watch_is_tried_again),
        T(a_watch_that_answers_for_another_cluster_is_dropped),
        T(a_watch_that_does_not_tell_is_replaced),
        T(the_gateway_that_is_off_is_named),
        T(an_answer_that_is_none_is_told),
        T(the_source_may_be_freed_in_its_own_callback),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
