// Where a module's state goes from one version to the next, as told before anything is touched:
// both sides are named, and two versions never share a state.
#include "state/passage.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// `state`: JSON of the contract's state; NULL: none.
static struct gr_contract *counter(const char *version, const char *state)
{
    char text[512];
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"abi\":{\"major\":1,\"minor\":0},\"module\":\"counter\",\"version\":\"%s\","
             "\"provides\":[{\"interface\":\"com.example.counter.Counter\",\"version\":\"1.0.0\","
             "\"methods\":{\"Increment\":{}}}]%s%s}",
             version, state ? ",\"state\":" : "", state ? state : "");
    if (gr_contract_parse(text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.message);
    return c;
}

static struct gr_desired *document(const char *version, const char *more)
{
    char text[1024];
    struct gr_name name = {"counter"};
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"sha256:%064d\",\"source\":"
             "\"https://a.example/x.so\"%s}",
             version, 1, more);
    if (gr_desired_parse(&name, 7, text, strlen(text), &d, &e) < 0)
        fail_msg("%s", e.message);
    return d;
}

static void each_pair_is_known_before(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        enum gr_handover handover;
        bool one_way;
        const char *says;
    } all[] = {
        {NULL, NULL, GR_HANDOVER_NONE, false, ""},
        {"{\"schema\":1}", "{\"schema\":1}", GR_HANDOVER_STATE, false, ""},
        {"{\"schema\":1,\"imports\":[2]}", "{\"schema\":2,\"imports\":[1]}", GR_HANDOVER_STATE,
         false, ""},
        {"{\"schema\":1}", "{\"schema\":2,\"imports\":[1]}", GR_HANDOVER_STATE, true,
         "counter 2.0.0 (schema 2, imports 1) cannot hand its state back to 1.0.0 (schema 1, "
         "imports none)"},
        {NULL, "{\"schema\":1}", GR_HANDOVER_NONE, true,
         "counter 2.0.0 (schema 1, imports none) cannot hand its state back to 1.0.0 (no state)"},
        {"{\"schema\":1}", "{\"schema\":3,\"imports\":[2]}", GR_HANDOVER_IMPOSSIBLE, true,
         "counter 2.0.0 (schema 3, imports 2) cannot take over the state of 1.0.0 (schema 1, "
         "imports none)"},
        {"{\"schema\":1}", NULL, GR_HANDOVER_IMPOSSIBLE, false,
         "counter 2.0.0 (no state) cannot take over the state of 1.0.0"},
    };
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        GR_CLEANUP(gr_contract_freep) struct gr_contract *from = counter("1.0.0", all[i].from);
        GR_CLEANUP(gr_contract_freep) struct gr_contract *to = counter("2.0.0", all[i].to);
        struct gr_passage p;
        gr_passage_find(from, to, &p);
        if (p.handover != all[i].handover || p.one_way != all[i].one_way)
            fail_msg("pair %zu: %d %d", i, (int)p.handover, p.one_way);
        assert_non_null(strstr(p.why, all[i].says));
        assert_int_equal(p.why[0] == '\0', all[i].says[0] == '\0');
    }
    GR_CLEANUP(gr_contract_freep) struct gr_contract *first = counter("1.0.0", "{\"schema\":1}");
    struct gr_passage p;
    gr_passage_find(NULL, first, &p); // a first deployment
    assert_int_equal(p.handover, GR_HANDOVER_NONE);
    assert_false(p.one_way);
    gr_passage_find(first, NULL, &p); // a removal
    assert_false(p.one_way);
}

static int check(const char *from_state, const char *to_state, const char *more, struct gr_error *e)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *from = counter("1.0.0", from_state);
    GR_CLEANUP(gr_contract_freep) struct gr_contract *to = counter("2.0.0", to_state);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = document("2.0.0", more);
    return gr_passage_check(from, to, d, d->strategy.n_steps ? &d->strategy : NULL, e);
}

static void a_state_that_would_be_lost_is_refused(void **state)
{
    (void)state;
    struct gr_error e = {0};
    assert_int_equal(check("{\"schema\":1}", "{\"schema\":3}", "", &e), -EINVAL);
    assert_int_equal(e.reason, GR_REASON_STATE_HANDOVER_FAILED);
    assert_non_null(strstr(e.message, "counter 2.0.0 (schema 3"));
    assert_non_null(strstr(e.message, "1.0.0 (schema 1"));
    assert_non_null(strstr(e.message, "expected 2.0.0 to import schema 1"));
    assert_int_equal(check("{\"schema\":1}", NULL, "", &e), -EINVAL);
    assert_int_equal(check("{\"schema\":1}", NULL, ",\"one_way\":true", &e), 0);
    assert_int_equal(check("{\"schema\":1}", "{\"schema\":2,\"imports\":[1]}", "", &e), 0);
}

static void two_versions_never_share_a_state(void **state)
{
    (void)state;
    static const struct {
        const char *strategy, *path; // path NULL: accepted
    } all[] = {
        {"{}", NULL},
        {"{\"steps\":[{\"shadow\":10},{\"pause\":{\"duration\":\"1m\"}},{\"weight\":100}]}", NULL},
        {"{\"steps\":[{\"shadow\":10},{\"pause\":{}},{\"weight\":100}]}", NULL},
        {"{\"steps\":[{\"shadow\":10},{\"weight\":2.5},{\"weight\":100}]}",
         "strategy.steps[1].weight: "},
        {"{\"steps\":[{\"weight\":100},{\"pause\":{}},{\"weight\":100}]}",
         "strategy.steps[0].weight: "},
        {"{\"steps\":[{\"pause\":{}},{\"weight\":100}],\"match\":[{\"header\":\"x-canary\","
         "\"exact\":\"1\"}]}",
         "strategy.match: "},
        {"{\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"}]}", NULL}, // without steps: nobody
    };
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        char more[512];
        struct gr_error e = {0};
        snprintf(more, sizeof more, ",\"strategy\":%s", all[i].strategy);
        int k = check("{\"schema\":1}", "{\"schema\":1}", more, &e);
        if ((k < 0) != (all[i].path != NULL))
            fail_msg("%s: %d %s", all[i].strategy, k, e.message);
        if (!all[i].path)
            continue;
        assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
        assert_int_equal(strncmp(e.message, all[i].path, strlen(all[i].path)), 0);
        assert_non_null(strstr(e.message, "Write shadow and pause steps"));
        // a version without state leaves nothing to share
        assert_int_equal(check(NULL, "{\"schema\":1}", more, &e), 0);
    }
}

static void lint_tells_what_one_side_means(void **state)
{
    (void)state;
    struct gr_warnings w = {0};
    GR_CLEANUP(gr_contract_freep) struct gr_contract *with = counter("2.0.0", "{\"schema\":2}");
    GR_CLEANUP(gr_contract_freep) struct gr_contract *without = counter("2.0.0", NULL);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *plain = document("2.0.0", "");
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *shares = document("2.0.0", ",\"strategy\":{\"steps\":[{\"weight\":5},"
                                                  "{\"weight\":100}]}");
    gr_passage_warn(without, shares, &w);
    assert_int_equal(w.n, 0);
    gr_passage_warn(with, plain, &w);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.text[0], "does not read schema 2"));
    gr_passage_warn(with, shares, &w);
    assert_int_equal(w.n, 3);
    assert_non_null(strstr(w.text[2], "strategy.steps: show the new version"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_is_known_before),
        cmocka_unit_test(a_state_that_would_be_lost_is_refused),
        cmocka_unit_test(two_versions_never_share_a_state),
        cmocka_unit_test(lint_tells_what_one_side_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
