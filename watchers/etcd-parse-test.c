// Answers of etcd as recorded from 3.4.23 and 3.5.30, and what is no answer.
#include "watchers/etcd-codec.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// after its needs
#include <cmocka.h>

#define H                                                                                          \
    "\"header\":{\"cluster_id\":\"15980421797310546720\",\"member_id\":\"4726114963100099360\","   \
    "\"revision\":\"11\",\"raft_term\":\"2\"}"

static struct gr_etcd_result parse(const char *text)
{
    struct gr_etcd_result r;
    struct gr_error e = {0};
    if (gr_etcd_answer_parse(text, strlen(text), &r, NULL, &e) < 0)
        fail_msg("%s", e.message);
    return r;
}

static struct gr_etcd_watch_line line(const char *text)
{
    struct gr_etcd_watch_line l;
    struct gr_error e = {0};
    if (gr_etcd_watch_line_parse(text, strlen(text), &l, &e) < 0)
        fail_msg("%s", e.message);
    return l;
}

static void a_range_is_read(void **state)
{
    (void)state;
    struct gr_etcd_result r =
        parse("{" H ",\"kvs\":[{\"key\":\"azE=\",\"create_revision\":\"2\",\"mod_revision\":\"4\","
              "\"version\":\"3\",\"lease\":\"9223372036854775807\"},{\"key\":\"azI=\",\"value\":"
              "\"/wAK\",\"mod_revision\":\"5\"}],\"more\":true,\"count\":\"7\"}");
    assert_true(r.cluster_id == 15980421797310546720ull); // beyond a signed number
    assert_int_equal(r.revision, 11);
    assert_int_equal(r.n_kvs, 2);
    assert_int_equal(r.count, 7);
    assert_true(r.more);
    assert_string_equal(r.kvs[0].key, "k1");
    assert_string_equal(r.kvs[0].value, ""); // left out
    assert_true(r.kvs[0].lease == INT64_MAX);
    assert_int_equal(r.kvs[1].value_len, 3);
    assert_memory_equal(r.kvs[1].value, "\xff\0\n", 3);
    gr_etcd_result_done(&r);
}

static void what_is_left_out_is_zero(void **state)
{
    (void)state;
    struct gr_etcd_result r = parse("{}");
    assert_false(r.succeeded || r.more);
    assert_int_equal(r.n_kvs, 0);
    assert_int_equal(r.ttl_sec, 0);
}

static void a_lost_transaction_shows_the_present_keys(void **state)
{
    (void)state;
    struct gr_etcd_result r =
        parse("{" H ",\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"9\"},"
              "\"kvs\":[{\"key\":\"RQ==\",\"value\":\"bjE=\",\"mod_revision\":\"9\"}],"
              "\"count\":\"1\"}},{\"response_delete_range\":{\"deleted\":\"2\"}}]}");
    assert_false(r.succeeded);
    assert_int_equal(r.n_kvs, 1);
    assert_string_equal(r.kvs[0].value, "n1");
    assert_int_equal(r.deleted, 2);
    gr_etcd_result_done(&r);
}

static void a_keepalive_is_a_stream_of_one(void **state)
{
    (void)state;
    struct gr_etcd_result r = parse("{\"result\":{" H ",\"ID\":\"4242\",\"TTL\":\"5\"}}\n");
    assert_int_equal(r.lease, 4242);
    assert_int_equal(r.ttl_sec, 5);
    assert_int_equal(parse("{\"result\":{" H ",\"ID\":\"999\"}}").ttl_sec, 0); // dead
}

static void a_token_is_the_callers(void **state)
{
    (void)state;
    static const char text[] = "{" H ", \"token\":\"tbFivCiETgISnlAc.15\"}";
    struct gr_etcd_result r;
    char *token = NULL;
    assert_int_equal(gr_etcd_answer_parse(text, sizeof text - 1, &r, &token, NULL), 0);
    assert_string_equal(token, "tbFivCiETgISnlAc.15");
    free(token);
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "404 page not found",
        "[]",
        "{\"result\":[]}",
        "{\"header\":{\"revision\":\"9223372036854775808\"}}",
        "{\"header\":{\"revision\":\"1x\"}}",
        "{\"header\":{\"revision\":\" 1\"}}",
        "{\"header\":{\"cluster_id\":\"-1\"}}",
        "{\"header\":{\"revision\":1.5}}",
        "{\"count\":true}",
        "{\"kvs\":{}}",
        "{\"kvs\":[1]}",
        "{\"kvs\":[{\"key\":\"a\"}]}",
        "{\"kvs\":[{\"key\":\"azE=\"},{\"key\":\"azI=\",\"value\":\"*\"}]}",
        "{\"more\":\"yes\"}",
        "{\"more\":true,\"more\":false}",
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_etcd_result r;
        struct gr_error e = {0};
        if (gr_etcd_answer_parse(bad[i], strlen(bad[i]), &r, NULL, &e) >= 0)
            fail_msg("taken: %s", bad[i]);
        assert_true(e.message[0]);
    }
}

static void complaints_have_three_shapes_and_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        {"{\"error\":\"unexpected EOF\",\"message\":\"unexpected EOF\",\"code\":3}", 3,
         "unexpected EOF"},
        {"{\"code\":3, \"message\":\"unexpected EOF\"}", 3, "unexpected EOF"},
        {"{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no leader\"}}",
         14, "etcdserver: no leader"},
        {"{\"error\":{\"code\":14,\"message\":\"etcdserver: no leader\"}}\n", 14,
         "etcdserver: no leader"},
        {"404 page not found\n", 0, "404 page not found"},
        {"<html>\x1b[31m\r\n\xff", 0, "<html> [31m"},
        {"", 0, "no explanation"},
        {"{}", 0, "{}"},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        struct gr_etcd_complaint c;
        gr_etcd_complaint_parse(cases[i].text, strlen(cases[i].text), &c);
        assert_int_equal(c.grpc_code, cases[i].code);
        assert_string_equal(c.message, cases[i].message);
    }
}

static void a_login_is_wanted_for_three_reasons(void **state)
{
    (void)state;
    struct gr_etcd_complaint c = {.message = "etcdserver: revision of auth store is old"};
    assert_true(gr_etcd_complaint_wants_login(400, &c));
    c = (struct gr_etcd_complaint){.message = "etcdserver: user name is empty"};
    assert_true(gr_etcd_complaint_wants_login(400, &c));
    c = (struct gr_etcd_complaint){.message = "x", .grpc_code = 16};
    assert_true(gr_etcd_complaint_wants_login(0, &c));
    c = (struct gr_etcd_complaint){.message = "etcdserver: permission denied", .grpc_code = 7};
    assert_false(gr_etcd_complaint_wants_login(403, &c));
}

static void every_kind_of_watch_line_is_told_apart(void **state)
{
    (void)state;
    struct gr_etcd_watch_line l = line("{\"result\":{" H ",\"created\":true}}");
    assert_true(l.created && !l.canceled && !l.failed && l.n_events == 0);
    l = line("{\"result\":{" H ",\"events\":[{\"kv\":{\"key\":\"azE=\",\"mod_revision\":\"4\"}},"
             "{\"type\":\"DELETE\",\"kv\":{\"key\":\"azE=\",\"mod_revision\":\"5\"}}],"
             "\"fragment\":true}}");
    assert_int_equal(l.n_events, 2);
    assert_int_equal(l.max_mod_revision, 5); // and not the header's 11
    assert_true(l.fragment);
    assert_true(!l.events[0].deleted && l.events[1].deleted);
    assert_string_equal(l.events[1].key, "k1");
    assert_int_equal(l.events[0].mod_revision, 4);
    assert_int_equal(l.events[1].mod_revision, 5);
    gr_etcd_watch_line_done(&l);
    l = line("{\"result\":{" H "}}"); // progress
    assert_true(!l.created && l.n_events == 0 && l.revision == 11);
    l = line("{\"result\":{\"header\":{\"raft_term\":\"2\"},\"canceled\":true,"
             "\"compact_revision\":\"7\"}}");
    assert_true(l.canceled);
    assert_int_equal(l.compact_revision, 7);
    l = line(
        "{\"result\":{" H ",\"watch_id\":\"-1\",\"created\":true,\"canceled\":true,"
        "\"cancel_reason\":\"rpc error: code = Unauthenticated desc = etcdserver: invalid auth "
        "token\"}}");
    assert_true(l.canceled && l.created);
    assert_true(gr_etcd_complaint_wants_login(0, &l.complaint));
    l = line("{\"error\":{\"code\":13,\"message\":\"transport is closing\"}}");
    assert_true(l.failed);
    assert_string_equal(l.complaint.message, "transport is closing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_read),
        cmocka_unit_test(what_is_left_out_is_zero),
        cmocka_unit_test(a_lost_transaction_shows_the_present_keys),
        cmocka_unit_test(a_keepalive_is_a_stream_of_one),
        cmocka_unit_test(a_token_is_the_callers),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(complaints_have_three_shapes_and_none),
        cmocka_unit_test(a_login_is_wanted_for_three_reasons),
        cmocka_unit_test(every_kind_of_watch_line_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
