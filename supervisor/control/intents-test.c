// Intents as snapshots: obeyed once and in order, refused with a sentence, put off, and remembered
// by a journal across a start.
#include "control/intents.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world {
    char dir[64];
    struct gr_journal *journal;
    struct gr_intents *intents;
    char obeyed[256]; // "pay:promote auth:pause "
    size_t answers;
    struct gr_intent_row last;
    int result; // of the next order
} w;

static int obey(void *u, const struct gr_name *module, int64_t revision, const struct gr_order *o,
                bool late, struct gr_error *e)
{
    (void)u, (void)revision, (void)late;
    if (w.result == -EAGAIN)
        return w.result;
    size_t len = strlen(w.obeyed);
    snprintf(w.obeyed + len, sizeof w.obeyed - len, "%s:%s ", module->s,
             gr_order_verb_name(o->verb));
    return w.result ? gr_error_set(e, w.result, GR_REASON_NONE, "bob was faster") : 0;
}

static void answered(void *u, const struct gr_intent_row *row, const struct gr_order *o)
{
    (void)u, (void)o;
    w.answers++;
    w.last = *row;
}

static void open_intents(void)
{
    static const struct gr_intents_ops ops = {.obey = obey, .answered = answered};
    struct gr_error e = {0};
    assert_int_equal(gr_journal_open(w.dir, &w.journal, &e), 0);
    assert_int_equal(gr_intents_new(w.journal, &ops, &w.intents, &e), 0);
}

static void close_intents(void)
{
    gr_intents_free(w.intents);
    gr_journal_close(w.journal);
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){.dir = "/tmp/grayling-intents-XXXXXX"};
    assert_non_null(mkdtemp(w.dir));
    open_intents();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_intents();
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", w.dir);
    return system(command);
}

static struct gr_entry intent(const char *module, int64_t revision, char *text)
{
    struct gr_entry en = {
        .mod_revision = revision, .value = text, .value_len = text ? strlen(text) : 0};
    snprintf(en.module.s, sizeof en.module.s, "%s", module);
    if (!text)
        gr_error_set(&en.error, -EINVAL, GR_REASON_DOCUMENT_INVALID, "too long");
    return en;
}

static void take(uint64_t cluster, struct gr_entry *entries, size_t n)
{
    const struct gr_snapshot s = {
        .cluster_id = cluster, .revision = 100, .n = n, .entries = entries};
    gr_intents_take(w.intents, &s);
}

static char promote[] = "{\"verb\":\"promote\",\"rollout\":7,\"step\":1,\"actor\":\"alice\"}";
static char pause_it[] = "{\"verb\":\"pause\",\"rollout\":7,\"step\":1,\"actor\":\"bob\"}";

static void each_is_obeyed_once_in_the_order_of_writing(void **state)
{
    (void)state;
    struct gr_entry both[] = {intent("auth", 12, pause_it), intent("pay", 11, promote)};
    take(1, both, 2);
    assert_string_equal(w.obeyed, "pay:promote auth:pause ");
    assert_true(w.last.applied && w.last.revision == 12);
    assert_string_equal(w.last.actor, "bob");
    take(1, both, 2);
    assert_int_equal(w.answers, 2);
    close_intents();
    open_intents();
    take(1, both, 2); // a start remembers
    assert_int_equal(w.answers, 2);
    both[0].mod_revision = 13;
    take(1, both, 2);
    assert_int_equal(w.answers, 3);
    take(2, both, 2); // another etcd
    assert_int_equal(w.answers, 5);
}

static void refusals_have_a_sentence(void **state)
{
    (void)state;
    const struct gr_intent_row *rows;
    char bad[] = "{";
    struct gr_entry one = intent("pay", 11, bad);
    take(1, &one, 1);
    assert_false(w.last.applied);
    assert_non_null(strstr(w.last.message, "cannot be read"));
    one = intent("pay", 12, NULL);
    take(1, &one, 1);
    assert_non_null(strstr(w.last.message, "too long"));
    w.result = -ESTALE;
    one = intent("pay", 13, promote);
    take(1, &one, 1);
    assert_string_equal(w.last.message, "bob was faster");
    assert_string_equal(w.last.verb, "promote");
    assert_int_equal(gr_intents_results(w.intents, &one.module, &rows), 3);
    assert_true(rows[0].revision == 13 && rows[2].revision == 11);
    struct gr_name other = {"auth"};
    assert_int_equal(gr_intents_results(w.intents, &other, &rows), 0);
}

static void what_is_put_off_is_looked_at_again(void **state)
{
    (void)state;
    struct gr_entry one = intent("pay", 11, promote);
    w.result = -EAGAIN;
    take(1, &one, 1);
    assert_int_equal(w.answers, 0);
    gr_intents_look_again(w.intents);
    assert_int_equal(w.answers, 0);
    w.result = 0;
    gr_intents_look_again(w.intents);
    assert_string_equal(w.obeyed, "pay:promote ");
    gr_intents_look_again(w.intents);
    assert_int_equal(w.answers, 1);
}

static void only_the_newest_results_are_kept(void **state)
{
    (void)state;
    const struct gr_intent_row *rows;
    struct gr_entry one = intent("pay", 0, promote);
    for (int64_t i = 1; i <= GR_INTENTS_KEPT + 3; i++) {
        one.mod_revision = i;
        take(1, &one, 1);
    }
    assert_int_equal(gr_intents_results(w.intents, &one.module, &rows), GR_INTENTS_KEPT);
    assert_int_equal(rows[0].revision, GR_INTENTS_KEPT + 3);
    assert_int_equal(rows[GR_INTENTS_KEPT - 1].revision, 4);
}

static void a_restored_etcd_that_is_accepted_counts_anew(void **state)
{
    (void)state;
    struct gr_entry one = intent("pay", 50, promote);
    take(1, &one, 1);
    one.mod_revision = 20;
    take(1, &one, 1);
    assert_int_equal(w.answers, 1);
    gr_intents_accept_rewind(w.intents);
    take(1, &one, 1);
    take(1, &one, 1);
    assert_int_equal(w.answers, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(each_is_obeyed_once_in_the_order_of_writing),  T(refusals_have_a_sentence),
        T(what_is_put_off_is_looked_at_again),           T(only_the_newest_results_are_kept),
        T(a_restored_etcd_that_is_accepted_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
