// Requests as etcd wants them, byte for byte: etcd takes a misspelt word silently for something
// else.
#include "watchers/etcd-codec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// after its needs
#include <cmocka.h>

static void is(char *text, const char *expected)
{
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void ranges(void **state)
{
    (void)state;
    struct gr_etcd_range r = {.key = gr_bytes_text("k")};
    is(gr_etcd_format_range(&r), "{\"key\":\"aw==\"}");
    r = (struct gr_etcd_range){.key = gr_bytes_text("k"),
                               .prefix = true,
                               .limit = 24,
                               .revision = 12,
                               .from = gr_bytes("k1\0", 3)};
    is(gr_etcd_format_range(&r),
       "{\"key\":\"azEA\",\"range_end\":\"bA==\",\"limit\":\"24\",\"revision\":\"12\"}");
    r = (struct gr_etcd_range){.key = gr_bytes_text("k"),
                               .prefix = true,
                               .keys_only = true,
                               .newest_first = true,
                               .limit = 1};
    is(gr_etcd_format_range(&r),
       "{\"key\":\"aw==\",\"range_end\":\"bA==\",\"keys_only\":true,"
       "\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\",\"limit\":\"1\"}");
}

static void prefixes_end_where_the_next_begins(void **state)
{
    (void)state;
    static const struct {
        struct gr_bytes prefix, end;
    } cases[] = {{{"/a/", 3}, {"/a0", 3}},
                 {{"a\xff", 2}, {"b", 1}},
                 {{"\xff\xff", 2}, {"\0", 1}},
                 {{"", 0}, {"\0", 1}}};
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        GR_AUTO_BUF struct gr_buf end = GR_BUF(16);
        assert_int_equal(gr_etcd_prefix_end(cases[i].prefix, &end), 0);
        assert_int_equal(end.len, cases[i].end.len);
        assert_memory_equal(end.data, cases[i].end.data, end.len);
    }
}

static void writes(void **state)
{
    (void)state;
    is(gr_etcd_format_put(gr_bytes_text("k"), gr_bytes_text("v"), 0),
       "{\"key\":\"aw==\",\"value\":\"dg==\"}");
    is(gr_etcd_format_put(gr_bytes_text("k"), gr_bytes_text(""), 7587862094123121000),
       "{\"key\":\"aw==\",\"value\":\"\",\"lease\":\"7587862094123121000\"}");
    is(gr_etcd_format_delete(gr_bytes_text("k"), true),
       "{\"key\":\"aw==\",\"range_end\":\"bA==\"}");
    is(gr_etcd_format_lease(0, 10), "{\"TTL\":\"10\"}");
    is(gr_etcd_format_lease(4242, 0), "{\"ID\":\"4242\"}");
    is(gr_etcd_format_login("d\"", "p"), "{\"name\":\"d\\\"\",\"password\":\"p\"}");
}

static void a_transaction_compares_mod_revisions(void **state)
{
    (void)state;
    struct gr_etcd_compare c = {gr_bytes_text("E"), 0};
    struct gr_etcd_op ops[] = {{GR_ETCD_OP_PUT, gr_bytes_text("E"), gr_bytes_text("n1"), 61},
                               {GR_ETCD_OP_DELETE, gr_bytes_text("F"), {NULL, 0}, 0}};
    is(gr_etcd_format_txn(&c, 1, ops, 2),
       "{\"compare\":[{\"key\":\"RQ==\",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":"
       "\"0\"}],\"success\":[{\"request_put\":{\"key\":\"RQ==\",\"value\":\"bjE=\",\"lease\":"
       "\"61\"}"
       "},{\"request_delete_range\":{\"key\":\"Rg==\"}}],\"failure\":[{\"request_range\":{\"key\":"
       "\"RQ==\"}}]}");
}

static void a_watch_asks_for_fragments(void **state)
{
    (void)state;
    is(gr_etcd_format_watch(gr_bytes_text("k"), 12),
       "{\"create_request\":{\"key\":\"aw==\",\"range_end\":\"bA==\",\"start_revision\":\"12\","
       "\"progress_notify\":true,\"fragment\":true}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(prefixes_end_where_the_next_begins),
        cmocka_unit_test(writes),
        cmocka_unit_test(a_transaction_compares_mod_revisions),
        cmocka_unit_test(a_watch_asks_for_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
