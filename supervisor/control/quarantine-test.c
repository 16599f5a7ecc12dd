// Keys of other hosts as snapshots: what is learned, what is lifted, and which of two is newer.
#include "control/quarantine.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEX "00000000000000000000000000000000000000000000000000000000000000aa"

static struct world {
    char dir[64];
    struct gr_journal *journal;
    struct gr_quarantine *quarantine;
    unsigned learned, lifted;
    char by[128], why[512];
} w;

static void on_learned(void *u, const struct gr_conviction *c)
{
    (void)u;
    w.learned++;
    snprintf(w.by, sizeof w.by, "%s", c->instance);
}

static void on_lifted(void *u, const struct gr_conviction *c, const struct gr_lift *lift)
{
    (void)u, (void)c;
    w.lifted++;
    snprintf(w.by, sizeof w.by, "%s", lift->actor);
    snprintf(w.why, sizeof w.why, "%s", lift->reason);
}

static int set_up(void **state)
{
    const struct gr_quarantine_ops ops = {.learned = on_learned, .lifted = on_lifted};
    const struct gr_name service = {"order"}, instance = {"host-1"};
    struct gr_error e = {0};
    (void)state;
    w = (struct world){.dir = "/tmp/grayling-quarantine-XXXXXX"};
    assert_non_null(mkdtemp(w.dir));
    assert_int_equal(gr_journal_open(w.dir, &w.journal, &e), 0);
    assert_int_equal(gr_quarantine_new(NULL, NULL, NULL, &service, &instance, w.journal, &ops,
                                       &w.quarantine, &e),
                     0);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    gr_quarantine_free(w.quarantine);
    gr_journal_close(w.journal);
    snprintf(command, sizeof command, "rm -rf %s", w.dir);
    return system(command);
}

// One key with this value; NULL: none.
static void take(const char *name, const char *value)
{
    char text[1024];
    struct gr_entry en = {.mod_revision = 5, .value = text};
    const struct gr_snapshot s = {.revision = 5, .n = value ? 1 : 0, .entries = &en};
    snprintf(en.module.s, sizeof en.module.s, "%s", name);
    en.value_len = (size_t)snprintf(text, sizeof text, "%s", value ? value : "");
    gr_quarantine_take(w.quarantine, &s);
}

static void take_conviction(int second)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"module\":\"pay\",\"reason\":\"Crashed\",\"instance\":\"host-2\",\"at\":"
             "\"1970-01-01T00:00:%02dZ\"}",
             second);
    take(HEX, text);
}

static void take_lift(int second)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"module\":\"pay\",\"reason\":\"Crashed\",\"lifted\":{\"actor\":\"alice\","
             "\"reason\":\"mended\",\"at\":\"1970-01-01T00:00:%02dZ\"}}",
             second);
    take(HEX, text);
}

static size_t convictions(void)
{
    GR_AUTO_FREE struct gr_conviction *list = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    assert_int_equal(gr_journal_convictions(w.journal, &list, &n, &e), 0);
    return n;
}

static size_t untold(void)
{
    GR_AUTO_FREE struct gr_lifted *list = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    assert_int_equal(gr_journal_lifts(w.journal, &list, &n, &e), 0);
    return n;
}

static void lift_here(int64_t second)
{
    struct gr_lift lift = {.actor = "bob", .reason = "here", .at = {second * 1000000}};
    struct gr_digest d = {.bytes = {[31] = 0xaa}};
    struct gr_error e = {0};
    assert_int_equal(gr_journal_lift(w.journal, &d, &lift, &e), 0);
}

static void a_conviction_is_learned_once(void **state)
{
    (void)state;
    take_conviction(1);
    take_conviction(1);
    assert_int_equal(w.learned, 1);
    assert_string_equal(w.by, "host-2");
    assert_int_equal(convictions(), 1);
    take(HEX, NULL); // deleted: nobody gave a reason
    assert_int_equal(convictions(), 1);
    assert_int_equal(w.lifted, 0);
}

static void a_lift_ends_what_is_older_and_nothing_newer(void **state)
{
    (void)state;
    take_lift(1); // of what nobody knows here
    assert_int_equal(w.lifted, 0);
    take_conviction(5);
    take_lift(4);
    assert_int_equal(w.lifted, 0);
    assert_int_equal(convictions(), 1);
    take_lift(6);
    assert_int_equal(w.lifted, 1);
    assert_string_equal(w.by, "alice");
    assert_string_equal(w.why, "mended");
    assert_int_equal(convictions(), 0);
    take_conviction(7);
    assert_int_equal(w.learned, 2);
    assert_int_equal(convictions(), 1);
}

static void what_was_lifted_here_is_not_learned_again(void **state)
{
    (void)state;
    take_conviction(1);
    lift_here(2);
    take_conviction(1); // etcd was not told yet
    assert_int_equal(convictions(), 0);
    assert_int_equal(untold(), 1);
    take_conviction(3); // convicted again since
    assert_int_equal(convictions(), 1);
    assert_int_equal(untold(), 0);
    lift_here(4);
    take_lift(4); // told
    assert_int_equal(convictions(), 0);
    assert_int_equal(untold(), 0);
}

static void what_is_no_conviction_hurts_nothing(void **state)
{
    static const char *const values[] = {"", "[]", "{\"module\":\"pay\"}", "{\"module\":1}"};
    (void)state;
    take_conviction(1);
    for (size_t i = 0; i < GR_COUNT(values); i++)
        take(HEX, values[i]);
    take("not-a-digest", "{\"module\":\"pay\",\"reason\":\"Crashed\"}");
    assert_int_equal(w.learned, 1);
    assert_int_equal(w.lifted, 0);
    assert_int_equal(convictions(), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_conviction_is_learned_once),
        T(a_lift_ends_what_is_older_and_nothing_newer),
        T(what_was_lifted_here_is_not_learned_again),
        T(what_is_no_conviction_hurts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
