// Documents in a real etcd: one transaction for all, and the loser of a race is told who won.
#include "cli/docstore.h"
#include "watchers/live/etcd-process.h"
#include "watchers/source.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_test_etcd etcd;
static struct gr_docstore *store;
static struct gr_error e;

static struct gr_docstore_change change(const char *module, int64_t expected, char *value)
{
    struct gr_docstore_change c = {.expected = expected, .value = value};
    assert_int_equal(gr_name_parse(module, strlen(module), &c.module), 0);
    return c;
}

static void read_two(struct gr_docstore_entry entries[2])
{
    for (int i = 0; i < 2; i++)
        gr_docstore_entry_done(&entries[i]);
    memset(entries, 0, 2 * sizeof *entries);
    assert_int_equal(gr_name_parse("pay", 3, &entries[0].module), 0);
    assert_int_equal(gr_name_parse("auth", 4, &entries[1].module), 0);
    if (gr_docstore_get(store, entries, 2, &e) < 0)
        fail_msg("%s", e.message);
}

static void test_several_are_one_change(void **state)
{
    struct gr_docstore_entry entries[2] = {0};
    char first[] = "{\"version\":\"1.0.0\",\"actor\":\"alice\"}",
         second[] = "{\"version\":\"2.0.0\"}";
    int64_t revision = 0;
    (void)state;
    read_two(entries);
    assert_false(entries[0].present || entries[1].present);
    struct gr_docstore_change both[] = {change("pay", 0, first), change("auth", 0, second)};
    assert_int_equal(gr_docstore_put(store, both, 2, &revision, &e), 0);
    read_two(entries);
    assert_string_equal(entries[0].value, first);
    assert_string_equal(entries[1].value, second);
    assert_int_equal(entries[0].revision, revision);
    assert_int_equal(entries[1].revision, revision);
    for (int i = 0; i < 2; i++)
        gr_docstore_entry_done(&entries[i]);
}

static void test_loser_changes_nothing(void **state)
{
    struct gr_docstore_entry entries[2] = {0};
    char bob[] = "{\"version\":\"1.1.0\",\"actor\":\"bob\"}", late[] = "{\"version\":\"1.2.0\"}";
    int64_t revision = 0, lost = 0;
    (void)state;
    read_two(entries);
    int64_t seen = entries[0].revision, auth = entries[1].revision;
    struct gr_docstore_change winner = change("pay", seen, bob);
    assert_int_equal(gr_docstore_put(store, &winner, 1, &revision, &e), 0);
    assert_true(revision > seen);
    struct gr_docstore_change both[] = {change("auth", auth, late), change("pay", seen, late)};
    assert_int_equal(gr_docstore_put(store, both, 2, &lost, &e), -EBUSY);
    assert_int_equal(lost, 0);
    assert_non_null(strstr(e.message, "bob"));
    assert_non_null(strstr(e.message, "1.1.0"));
    assert_int_equal(gr_exit_of_error(&e), GR_EXIT_REFUSED);
    read_two(entries);
    assert_string_equal(entries[0].value, bob);
    assert_int_equal(entries[1].revision, auth); // all or nothing
    for (int i = 0; i < 2; i++)
        gr_docstore_entry_done(&entries[i]);
}

static void test_nobody_answers(void **state)
{
    struct gr_docstore_entry entry = {.module = {"pay"}};
    (void)state;
    gr_test_etcd_signal(&etcd, SIGKILL);
    assert_true(gr_docstore_get(store, &entry, 1, &e) < 0);
    assert_int_equal(e.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_int_equal(gr_exit_of_error(&e), GR_EXIT_UNREACHABLE);
}

static int set_up(void **state)
{
    const struct gr_source_keys keys = gr_source_keys_documents(&(struct gr_name){"order"});
    (void)state;
    gr_test_etcd_init(&etcd, false);
    gr_test_etcd_start(&etcd);
    gr_test_etcdctl(&etcd, (const char *const[]){"get", "nothing", NULL}); // waits until it serves
    const char *endpoint = etcd.url;
    struct gr_etcd_config config = {.n_endpoints = 1, .endpoints = &endpoint};
    return gr_docstore_etcd_new(&config, &keys, &store, &e);
}

static int tear_down(void **state)
{
    (void)state;
    gr_docstore_free(store);
    gr_test_etcd_done(&etcd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_are_one_change),
        cmocka_unit_test(test_loser_changes_nothing),
        cmocka_unit_test(test_nobody_answers),
    };
    if (!gr_test_etcd_is_installed()) {
        puts("skipped: etcd is not installed (package etcd-server)");
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
