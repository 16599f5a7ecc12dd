// The plan: each kind of item, which keys go together, what refuses a batch and what does not, how
// it meets rollouts in progress, and that carrying plans out always ends in what was wished.
#include "state/plan.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MODULES 6

// One side of the comparison: what is wished, or what is in force. Both own their documents.
struct side {
    struct gr_wish wishes[MODULES];
    struct gr_committed rows[MODULES];
    struct gr_wishes w;
    struct gr_table_rows t;
};

static void side_done(struct side *s)
{
    for (size_t i = 0; i < s->w.n; i++)
        gr_desired_free(s->wishes[i].desired);
    for (size_t i = 0; i < s->t.n; i++)
        gr_desired_free(s->rows[i].release);
}
#define SIDE(name)                                                                                 \
    GR_CLEANUP(side_done) struct side name = {0};                                                  \
    name.w.wishes = name.wishes;                                                                   \
    name.t.rows = name.rows

static struct gr_name name_of(const char *text)
{
    struct gr_name n;
    assert_int_equal(gr_name_parse(text, strlen(text), &n), 0);
    return n;
}

// Releases of one build differ in nothing but `config`.
static struct gr_desired *release(const char *module, int64_t revision, unsigned build,
                                  unsigned config)
{
    char text[256];
    struct gr_name name = name_of(module);
    struct gr_desired *d = NULL;
    snprintf(text, sizeof text,
             "{\"version\":\"%u.0.0\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\",\"config\":{\"n\":%u}}",
             build, build, config);
    assert_int_equal(gr_desired_parse(&name, revision, text, strlen(text), &d, NULL), 0);
    return d;
}

static void wish(struct side *s, const char *module, int64_t revision, unsigned build,
                 unsigned config)
{
    s->wishes[s->w.n++] = (struct gr_wish){.module = name_of(module),
                                           .mod_revision = revision,
                                           .desired = release(module, revision, build, config)};
    if (revision > s->w.revision)
        s->w.revision = revision;
}

static void bad_wish(struct side *s, const char *module, int64_t revision)
{
    struct gr_wish *w = &s->wishes[s->w.n++];
    *w = (struct gr_wish){.module = name_of(module), .mod_revision = revision};
    gr_error_set(&w->error, -EINVAL, GR_REASON_DOCUMENT_INVALID, "version: is missing");
    if (revision > s->w.revision)
        s->w.revision = revision;
}

static void committed(struct side *s, const char *module, unsigned build, unsigned config)
{
    s->rows[s->t.n++] = (struct gr_committed){.module = name_of(module),
                                              .release = release(module, 1, build, config)};
}

static struct gr_plans *plans_of(const struct gr_plan_input *in)
{
    struct gr_plans *p = NULL;
    assert_int_equal(gr_plans_make(in, &p), 0);
    return p;
}
#define AUTO_PLANS GR_CLEANUP(gr_plans_freep)
#define INPUT(before_, now_, actual_, ...)                                                         \
    (&(const struct gr_plan_input){                                                                \
        .before = before_, .now = &(now_).w, .actual = &(actual_).t, __VA_ARGS__})

// The only one.
static const struct gr_plan *one(const struct gr_plans *p)
{
    assert_int_equal(p->n, 1);
    return &p->plans[0];
}

static void assert_item(const struct gr_plan *p, size_t i, const char *module,
                        enum gr_plan_kind kind)
{
    assert_true(i < p->n);
    assert_string_equal(p->items[i].module.s, module);
    assert_int_equal(p->items[i].kind, kind);
    assert_int_equal(p->items[i].to != NULL, kind != GR_PLAN_REMOVE);
    assert_int_equal(p->items[i].from != NULL, kind != GR_PLAN_DEPLOY);
}

static void each_change_becomes_its_kind_of_item(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&before, "auth", 2, 1, 0);
    wish(&before, "old", 3, 1, 0);
    wish(&before, "pay", 4, 1, 0);
    wish(&before, "stay", 5, 1, 0);
    committed(&before, "auth", 1, 0);
    committed(&before, "old", 1, 0);
    committed(&before, "pay", 1, 0);
    committed(&before, "stay", 1, 0);
    wish(&now, "auth", 9, 1, 7);
    wish(&now, "new", 9, 1, 0);
    wish(&now, "pay", 9, 2, 0);
    wish(&now, "stay", 5, 1, 0);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, before));
    const struct gr_plan *p = one(plans);
    assert_int_equal(p->rollout, 9);
    assert_false(p->refused);
    assert_int_equal(p->n, 4);
    assert_item(p, 0, "auth", GR_PLAN_RECONFIGURE);
    assert_item(p, 1, "new", GR_PLAN_DEPLOY);
    assert_item(p, 2, "old", GR_PLAN_REMOVE); // taken together: nobody saw when it was deleted
    assert_item(p, 3, "pay", GR_PLAN_REPLACE);
    assert_ptr_equal(p->items[3].to, now.wishes[2].desired);
    assert_ptr_equal(p->items[3].from, before.rows[2].release);
    GR_AUTO_FREE char *text = gr_plans_format(plans);
    assert_string_equal(text, "rollout 9:\n"
                              "  auth 1.0.0 -> 1.0.0 (reconfigure)\n"
                              "  new none -> 1.0.0 (deploy)\n"
                              "  old 1.0.0 -> none (remove)\n"
                              "  pay 1.0.0 -> 2.0.0 (replace)\n");
}

static void nothing_to_do_is_an_empty_plan(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&before, "pay", 4, 1, 0);
    committed(&before, "pay", 1, 0);
    wish(&now, "pay", 9, 1, 0); // the key was written again: same release
    AUTO_PLANS struct gr_plans *again = plans_of(INPUT(&before.w, now, before));
    assert_int_equal(again->n, 0);
    AUTO_PLANS struct gr_plans *same = plans_of(INPUT(&before.w, before, before));
    assert_int_equal(same->n, 0);
    GR_AUTO_FREE char *text = gr_plans_format(same);
    assert_string_equal(text, "nothing to do\n");
}

static void one_refused_member_refuses_the_batch(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&now, "auth", 9, 1, 0);
    bad_wish(&now, "pay", 9);
    wish(&now, "shop", 9, 1, 0);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, before));
    const struct gr_plan *p = one(plans);
    assert_true(p->refused);
    assert_int_equal(p->n, 3); // all are said, so that one look shows the whole batch
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
    assert_int_equal(p->items[1].kind, GR_PLAN_REFUSE);
    assert_int_equal(p->items[1].refusal.reason, GR_REASON_DOCUMENT_INVALID);
    GR_AUTO_FREE char *text = gr_plans_format(plans);
    assert_non_null(strstr(text, "rollout 9, refused as a whole:\n"));
    assert_non_null(strstr(text, "  pay none -> none (refused): version: is missing\n"));
}

static void an_old_bad_key_blocks_nothing_new(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    bad_wish(&before, "pay", 4);
    bad_wish(&now, "pay", 4);
    wish(&now, "auth", 9, 1, 0);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, before));
    const struct gr_plan *p = one(plans);
    assert_false(p->refused);
    assert_int_equal(p->n, 1);
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
}

static void a_key_that_became_bad_removes_nothing(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&before, "pay", 4, 1, 0);
    committed(&before, "pay", 1, 0);
    bad_wish(&now, "pay", 9);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, before));
    const struct gr_plan *p = one(plans);
    assert_true(p->refused);
    assert_int_equal(p->n, 1);
    assert_int_equal(p->items[0].kind, GR_PLAN_REFUSE);
    assert_ptr_equal(p->items[0].from, before.rows[0].release);
}

static void a_convicted_digest_is_refused(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&before, "pay", 4, 1, 0);
    committed(&before, "pay", 1, 0);
    wish(&now, "auth", 9, 3, 0);
    wish(&now, "pay", 9, 2, 0);
    struct gr_conviction c[2] = {{.reason = GR_REASON_CRASHED, .evidence = "SIGSEGV in pay_total"}};
    c[0].digest.bytes[31] = 2;
    c[1].digest.bytes[31] = 9;
    AUTO_PLANS struct gr_plans *plans =
        plans_of(INPUT(&before.w, now, before, .convictions = c, .n_convictions = GR_COUNT(c)));
    const struct gr_plan *p = one(plans);
    assert_true(p->refused);
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
    assert_int_equal(p->items[1].kind, GR_PLAN_REFUSE);
    assert_int_equal(p->items[1].refusal.reason, GR_REASON_QUARANTINED);
    assert_non_null(strstr(p->items[1].refusal.message, "Crashed: SIGSEGV in pay_total"));
    assert_non_null(strstr(p->items[1].refusal.message, "grayctl quarantine lift sha256:0000"));
}

// A change of configuration that misbehaved: refused again, and no other configuration of the same
// bytes is.
static void a_convicted_configuration_is_refused_alone(void **state)
{
    (void)state;
    SIDE(bad);
    SIDE(other);
    wish(&bad, "pay", 9, 1, 7);
    wish(&other, "pay", 9, 1, 8);
    committed(&bad, "pay", 1, 0);
    struct gr_conviction c = {.reason = GR_REASON_CRASHED, .evidence = "SIGSEGV in pay_total"};
    assert_int_equal(gr_desired_fingerprint(bad.wishes[0].desired, &c.digest), 0);
    AUTO_PLANS struct gr_plans *refused =
        plans_of(INPUT(NULL, bad, bad, .convictions = &c, .n_convictions = 1));
    const struct gr_plan *p = one(refused);
    assert_true(p->refused);
    assert_int_equal(p->items[0].refusal.reason, GR_REASON_QUARANTINED);
    assert_non_null(strstr(p->items[0].refusal.message, "with this configuration"));
    AUTO_PLANS struct gr_plans *taken =
        plans_of(INPUT(NULL, other, bad, .convictions = &c, .n_convictions = 1));
    assert_false(one(taken)->refused);
    assert_item(one(taken), 0, "pay", GR_PLAN_RECONFIGURE);
}

// What runs goes on running, although its digest was convicted elsewhere meanwhile.
static void a_conviction_of_what_is_in_force_stops_nothing(void **state)
{
    (void)state;
    SIDE(now);
    wish(&now, "pay", 9, 1, 0);
    committed(&now, "pay", 1, 0);
    struct gr_conviction c = {.reason = GR_REASON_CRASHED};
    c.digest.bytes[31] = 1;
    AUTO_PLANS struct gr_plans *plans =
        plans_of(INPUT(NULL, now, now, .convictions = &c, .n_convictions = 1));
    assert_int_equal(plans->n, 0);
}

static void at_the_first_start_every_key_counts_as_changed(void **state)
{
    (void)state;
    SIDE(now);
    wish(&now, "auth", 3, 1, 0);
    wish(&now, "pay", 2, 2, 0);
    committed(&now, "pay", 1, 0);
    AUTO_PLANS struct gr_plans *p = plans_of(INPUT(NULL, now, now));
    assert_int_equal(p->n, 2);
    assert_int_equal(p->plans[0].rollout, 2); // the older transaction first
    assert_item(&p->plans[0], 0, "pay", GR_PLAN_REPLACE);
    assert_int_equal(p->plans[1].rollout, 3);
    assert_item(&p->plans[1], 0, "auth", GR_PLAN_DEPLOY);
}

static void a_bad_key_refuses_its_own_transaction_only(void **state)
{
    (void)state;
    SIDE(now);
    wish(&now, "a", 2, 1, 0);
    bad_wish(&now, "b", 3);
    wish(&now, "c", 3, 1, 0);
    wish(&now, "d", 4, 1, 0);
    AUTO_PLANS struct gr_plans *p = plans_of(INPUT(NULL, now, now));
    assert_int_equal(p->n, 3);
    assert_false(p->plans[0].refused);
    assert_true(p->plans[1].refused);
    assert_int_equal(p->plans[1].n, 2);
    assert_false(p->plans[2].refused);
}

static void a_deletion_goes_with_the_transaction_that_was_seen_to_delete(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    committed(&before, "old", 1, 0);
    committed(&before, "older", 1, 0);
    wish(&before, "old", 2, 1, 0);
    wish(&before, "older", 2, 1, 0);
    wish(&now, "a", 8, 1, 0);
    bad_wish(&now, "b", 9);
    struct gr_gone gone[] = {{name_of("old"), 8}, {name_of("older"), 7}};
    now.w.gone = gone;
    now.w.n_gone = GR_COUNT(gone);
    AUTO_PLANS struct gr_plans *p = plans_of(INPUT(&before.w, now, before));
    assert_int_equal(p->n, 3);
    assert_int_equal(p->plans[0].rollout, 7);
    assert_item(&p->plans[0], 0, "older", GR_PLAN_REMOVE);
    assert_int_equal(p->plans[1].rollout, 8);
    assert_item(&p->plans[1], 0, "a", GR_PLAN_DEPLOY);
    assert_item(&p->plans[1], 1, "old", GR_PLAN_REMOVE);
    assert_true(p->plans[2].refused);
}

static void a_deletion_that_nobody_saw_splits_no_transaction(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    committed(&before, "old", 1, 0);
    bad_wish(&now, "a", 4); // known to an earlier run: the deletion came later
    wish(&now, "b", 8, 1, 0);
    wish(&now, "c", 9, 1, 0);
    AUTO_PLANS struct gr_plans *p = plans_of(INPUT(NULL, now, before, .since = 6));
    assert_int_equal(p->n, 2);
    assert_true(p->plans[0].refused);
    assert_int_equal(p->plans[1].rollout, 9);
    assert_int_equal(p->plans[1].n, 3);
    now.w.revision = 12; // and when it came alone, it has the revision at which it was missed
    AUTO_PLANS struct gr_plans *alone = plans_of(INPUT(NULL, now, before, .since = 9));
    assert_int_equal(alone->n, 4);
    assert_int_equal(alone->plans[3].rollout, 12);
    assert_item(&alone->plans[3], 0, "old", GR_PLAN_REMOVE);
}

// --- rollouts in progress
// ----------------------------------------------------------------------------------------

// A rollout of `a` and `b` from build 1 to build 2, asked for at revision 5.
struct progress {
    struct side before, now, actual;
    struct gr_rollout_member members[2];
    struct gr_rollout_row row;
    const struct gr_rollout_row *open[1];
    struct gr_desired *from[2];
};

static struct progress *in_progress(enum gr_phase phase)
{
    static const char *const names[] = {"a", "b"};
    struct progress *x = calloc(1, sizeof *x);
    struct side *sides[] = {&x->before, &x->now, &x->actual};
    for (size_t i = 0; i < GR_COUNT(sides); i++) {
        sides[i]->w.wishes = sides[i]->wishes;
        sides[i]->t.rows = sides[i]->rows;
    }
    for (size_t i = 0; i < GR_COUNT(names); i++) {
        wish(&x->before, names[i], 5, 2, 0);
        committed(&x->actual, names[i], phase == GR_PHASE_BAKING ? 2 : 1, 0);
        x->from[i] = release(names[i], 1, 1, 0);
        x->members[i] = (struct gr_rollout_member){
            .module = name_of(names[i]), .to = x->before.wishes[i].desired, .from = x->from[i]};
    }
    x->row = (struct gr_rollout_row){.id = 5, .phase = phase, .n = 2, .members = x->members};
    x->open[0] = &x->row;
    return x;
}

static void progress_free(struct progress **p)
{
    struct progress *x = *p;
    side_done(&x->before);
    side_done(&x->now);
    side_done(&x->actual);
    gr_desired_free(x->from[0]);
    gr_desired_free(x->from[1]);
    free(x);
}
#define AUTO_PROGRESS GR_CLEANUP(progress_free)

static struct gr_plans *plans_in(struct progress *x)
{
    return plans_of(INPUT(&x->before.w, x->now, x->actual, .open = x->open, .n_open = 1));
}

static const enum gr_phase phases[] = {GR_PHASE_FETCHING, GR_PHASE_BAKING};

static void what_is_superseded_for_one_module_goes_on_for_the_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(phases); i++) {
        AUTO_PROGRESS struct progress *x = in_progress(phases[i]);
        wish(&x->now, "a", 9, 3, 0);
        wish(&x->now, "b", 5, 2, 0);
        AUTO_PLANS struct gr_plans *plans = plans_in(x);
        const struct gr_plan *p = one(plans);
        assert_int_equal(p->rollout, 9);
        assert_int_equal(p->n, 2);
        assert_item(p, 0, "a", GR_PLAN_REPLACE);
        assert_ptr_equal(p->items[0].to, x->now.wishes[0].desired);
        assert_item(p, 1, "b", GR_PLAN_REPLACE);
        assert_string_equal(p->items[1].from->version.text, "1.0.0");
        assert_string_equal(p->items[1].to->version.text, "2.0.0");
    }
}

// A later transaction wrote b again, beside a bad document, and was refused as a whole.
static void what_was_refused_does_not_go_on_for_the_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(phases); i++) {
        AUTO_PROGRESS struct progress *x = in_progress(phases[i]);
        x->before.wishes[1].mod_revision = 7;
        bad_wish(&x->before, "c", 7);
        wish(&x->now, "a", 9, 4, 0);
        wish(&x->now, "b", 7, 3, 0);
        bad_wish(&x->now, "c", 7);
        AUTO_PLANS struct gr_plans *plans = plans_in(x);
        const struct gr_plan *p = one(plans);
        assert_int_equal(p->rollout, 9);
        assert_int_equal(p->n, 2);
        assert_string_equal(p->items[0].to->version.text, "4.0.0");
        assert_item(p, 1, "b", GR_PLAN_REPLACE);
        assert_string_equal(p->items[1].from->version.text, "1.0.0");
        assert_string_equal(p->items[1].to->version.text, "2.0.0");
    }
}

static void what_has_no_way_back_is_where_the_next_one_starts(void **state)
{
    (void)state;
    AUTO_PROGRESS struct progress *x = in_progress(GR_PHASE_BAKING);
    x->row.gray.door = GR_DOOR_OPEN;
    wish(&x->now, "a", 9, 3, 0);
    wish(&x->now, "b", 5, 2, 0);
    AUTO_PLANS struct gr_plans *plans = plans_in(x);
    const struct gr_plan *p = one(plans);
    assert_int_equal(p->n, 1); // b stays as it is
    assert_item(p, 0, "a", GR_PLAN_REPLACE);
    assert_string_equal(p->items[0].from->version.text, "2.0.0");
    assert_string_equal(p->items[0].to->version.text, "3.0.0");
}

static void a_wish_that_is_taken_back_ends_what_was_under_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(phases); i++) {
        AUTO_PROGRESS struct progress *x = in_progress(phases[i]);
        wish(&x->now, "a", 9, 1, 0); // as it was before
        wish(&x->now, "b", 9, 1, 0);
        AUTO_PLANS struct gr_plans *plans = plans_in(x);
        assert_int_equal(one(plans)->n, 2);
        assert_item(one(plans), 0, "a", GR_PLAN_RECONFIGURE);
    }
}

static void a_first_deployment_under_way_can_be_deleted(void **state)
{
    (void)state;
    AUTO_PROGRESS struct progress *x = in_progress(GR_PHASE_FETCHING);
    x->members[0].from = x->members[1].from = NULL;
    side_done(&x->actual);
    x->actual.t.n = 0;
    wish(&x->now, "b", 5, 2, 0);
    x->now.w.revision = 9;
    AUTO_PLANS struct gr_plans *plans = plans_in(x);
    const struct gr_plan *p = one(plans);
    assert_int_equal(p->n, 2);
    assert_int_equal(p->items[0].kind, GR_PLAN_REMOVE);
    assert_null(p->items[0].from);
    assert_item(p, 1, "b", GR_PLAN_DEPLOY);
}

static void what_is_under_way_already_is_not_asked_for_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(phases); i++) {
        AUTO_PROGRESS struct progress *x = in_progress(phases[i]);
        wish(&x->now, "a", 9, 2, 0); // written again, the same
        wish(&x->now, "b", 5, 2, 0);
        AUTO_PLANS struct gr_plans *plans = plans_in(x);
        assert_int_equal(plans->n, 0);
        AUTO_PLANS struct gr_plans *restarted =
            plans_of(INPUT(NULL, x->now, x->actual, .open = x->open, .n_open = 1));
        assert_int_equal(restarted->n, 0);
    }
}

// The same release with other steps.
static void take_steps(struct gr_desired **d, const char *steps)
{
    char text[512];
    struct gr_desired *fresh = NULL;
    struct gr_digest digest = (*d)->digest;
    char hash[GR_DIGEST_TEXT_MAX];
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"%s\",\"source\":"
             "\"https://a.example/x.so\",\"config\":%s,\"strategy\":{\"steps\":%s}}",
             (*d)->version.text, gr_digest_format(&digest, hash), (*d)->config, steps);
    assert_int_equal(
        gr_desired_parse(&(*d)->module, (*d)->mod_revision, text, strlen(text), &fresh, NULL), 0);
    gr_desired_free(*d);
    *d = fresh;
}

static void a_batch_goes_up_one_ladder(void **state)
{
    (void)state;
    static const char first[] = "[{\"weight\":1},{\"weight\":100}]",
                      other[] = "[{\"weight\":2},{\"weight\":100}]";
    SIDE(now);
    SIDE(actual);
    SIDE(before);
    wish(&now, "auth", 5, 1, 0);
    wish(&now, "echo", 5, 1, 0); // without steps: it goes along
    wish(&now, "pay", 5, 1, 0);
    take_steps(&now.wishes[0].desired, first);
    take_steps(&now.wishes[2].desired, first);
    {
        AUTO_PLANS struct gr_plans *p = plans_of(INPUT(&before.w, now, actual));
        assert_false(one(p)->refused);
    }
    take_steps(&now.wishes[2].desired, other);
    AUTO_PLANS struct gr_plans *p = plans_of(INPUT(&before.w, now, actual));
    assert_true(one(p)->refused);
    assert_int_equal(p->plans[0].items[2].kind, GR_PLAN_REFUSE);
    assert_int_equal(p->plans[0].items[2].refusal.reason, GR_REASON_DOCUMENT_INVALID);
    assert_non_null(strstr(p->plans[0].items[2].refusal.message, "auth and pay"));
}

static void other_steps_replace_what_is_on_its_way_but_not_what_is_in_force(void **state)
{
    (void)state;
    static const enum gr_phase in[] = {GR_PHASE_FETCHING, GR_PHASE_PAUSED, GR_PHASE_BAKING};
    SIDE(now);
    SIDE(actual);
    SIDE(before);
    wish(&before, "pay", 5, 2, 0);
    wish(&now, "pay", 6, 2, 0);
    committed(&actual, "pay", 1, 0);
    struct gr_rollout_member m = {
        .module = name_of("pay"), .to = before.wishes[0].desired, .from = actual.rows[0].release};
    struct gr_rollout_row row = {.id = 5, .n = 1, .members = &m};
    const struct gr_rollout_row *open[] = {&row};
    for (size_t i = 0; i < GR_COUNT(in); i++) {
        row.phase = in[i];
        AUTO_PLANS struct gr_plans *p =
            plans_of(INPUT(&before.w, now, actual, .open = open, .n_open = 1));
        assert_int_equal(p->n, 0); // written again as it was
    }
    take_steps(&now.wishes[0].desired, "[{\"weight\":1},{\"weight\":100}]");
    for (size_t i = 0; i < GR_COUNT(in); i++) {
        row.phase = in[i];
        AUTO_PLANS struct gr_plans *p =
            plans_of(INPUT(&before.w, now, actual, .open = open, .n_open = 1));
        assert_int_equal(p->n, in[i] != GR_PHASE_BAKING);
    }
}

static void a_bad_document_disturbs_nothing_that_is_under_way(void **state)
{
    (void)state;
    AUTO_PROGRESS struct progress *x = in_progress(GR_PHASE_BAKING);
    bad_wish(&x->now, "a", 9);
    wish(&x->now, "b", 5, 2, 0);
    AUTO_PLANS struct gr_plans *plans = plans_in(x);
    assert_true(one(plans)->refused);
    assert_int_equal(one(plans)->n, 1);
}

// It failed: what it had asked for is not brought back with the next document.
static void what_goes_back_is_not_drawn_in(void **state)
{
    (void)state;
    AUTO_PROGRESS struct progress *x = in_progress(GR_PHASE_ROLLING_BACK);
    wish(&x->now, "a", 9, 3, 0);
    wish(&x->now, "b", 5, 2, 0);
    AUTO_PLANS struct gr_plans *plans = plans_in(x);
    assert_int_equal(one(plans)->n, 1);
    assert_string_equal(one(plans)->items[0].from->version.text, "1.0.0");
}

static void an_absence_that_was_planned_before_is_not_planned_again(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    committed(&now, "gone", 1, 0); // its removal is under way, or failed
    wish(&now, "auth", 9, 1, 0);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, now));
    const struct gr_plan *p = one(plans);
    assert_int_equal(p->n, 1);
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
}

static void an_absence_that_was_written_and_deleted_anew_is_planned_again(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    committed(&now, "gone", 1, 0); // its removal was refused
    committed(&now, "pay", 1, 0);
    wish(&before, "pay", 2, 1, 0);
    before.w.revision = 7;
    struct gr_gone gone[] = {{name_of("gone"), 9}, {name_of("pay"), 9}};
    now.w.gone = gone;
    now.w.n_gone = GR_COUNT(gone);
    AUTO_PLANS struct gr_plans *plans = plans_of(INPUT(&before.w, now, now));
    assert_int_equal(one(plans)->n, 2);
    assert_item(one(plans), 0, "gone", GR_PLAN_REMOVE);
    assert_item(one(plans), 1, "pay", GR_PLAN_REMOVE);
    gone[0].revision = 7;
    AUTO_PLANS struct gr_plans *known = plans_of(INPUT(&before.w, now, now));
    assert_int_equal(one(known)->n, 1);
    assert_item(one(known), 0, "pay", GR_PLAN_REMOVE);
}

// --- seeded random histories ---------------------------------------------------------------------

static uint64_t next(uint64_t *s) // xorshift64*, so that a failure can be repeated
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545F4914F6CDD1D);
}
static unsigned below(uint64_t *s, unsigned n)
{
    return (unsigned)((next(s) >> 33) % n);
}

static const char *const module_names[MODULES] = {"a", "b", "c", "d", "e", "f"};

// Each module keeps its key, loses it, or gets it (again) with any release.
static void random_wishes(uint64_t *seed, const struct side *before, int64_t revision,
                          struct side *now)
{
    now->w.revision = revision;
    size_t at = 0;
    for (size_t i = 0; i < MODULES; i++) {
        const struct gr_wish *old = NULL;
        if (at < before->w.n && strcmp(before->wishes[at].module.s, module_names[i]) == 0)
            old = &before->wishes[at++];
        unsigned fate = below(seed, 4);
        if (fate == 0)
            continue;
        if (fate == 1)
            wish(now, module_names[i], revision, 1 + below(seed, 3), below(seed, 2));
        else if (old) {
            struct gr_wish *w = &now->wishes[now->w.n++];
            *w = *old;
            assert_int_equal(gr_desired_copy(old->desired, &w->desired), 0);
        }
    }
}

static size_t row_of(const struct side *s, const struct gr_name *module)
{
    size_t i = 0;
    while (i < s->t.n && !gr_name_equal(&s->rows[i].module, module))
        i++;
    return i;
}

static void carry_out(const struct gr_plan *p, struct side *actual)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct gr_plan_item *it = &p->items[i];
        size_t at = row_of(actual, &it->module);
        assert_int_equal(at < actual->t.n, it->from != NULL);
        if (at < actual->t.n) {
            assert_ptr_equal(actual->rows[at].release, it->from);
            gr_desired_free(actual->rows[at].release);
        }
        if (it->kind == GR_PLAN_REMOVE) {
            actual->rows[at] = actual->rows[--actual->t.n];
            continue;
        }
        if (at == actual->t.n)
            actual->t.n++;
        actual->rows[at] = (struct gr_committed){.module = it->module};
        assert_int_equal(gr_desired_copy(it->to, &actual->rows[at].release), 0);
    }
}

static void plans_that_are_carried_out_lead_to_what_is_wished(void **state)
{
    (void)state;
    for (uint64_t first = 1; first <= 40; first++) {
        uint64_t seed = first * UINT64_C(0x9E3779B97F4A7C15);
        SIDE(actual);
        struct side snapshots[2] = {0};
        for (int64_t revision = 1; revision <= 12; revision++) {
            struct side *before = &snapshots[revision % 2], *now = &snapshots[(revision + 1) % 2];
            side_done(now);
            *now = (struct side){.w.wishes = now->wishes};
            random_wishes(&seed, before, revision, now);
            const bool restarted = revision == 1 || below(&seed, 4) == 0;
            AUTO_PLANS struct gr_plans *p =
                plans_of(INPUT(restarted ? NULL : &before->w, *now, actual));
            for (size_t i = 0; i < p->n; i++) {
                assert_false(p->plans[i].refused);
                carry_out(&p->plans[i], &actual);
            }
            assert_int_equal(actual.t.n, now->w.n);
            for (size_t i = 0; i < now->w.n; i++) {
                size_t at = row_of(&actual, &now->wishes[i].module);
                assert_true(at < actual.t.n);
                assert_true(
                    gr_desired_same_release(actual.rows[at].release, now->wishes[i].desired));
            }
            AUTO_PLANS struct gr_plans *again = plans_of(INPUT(NULL, *now, actual));
            assert_int_equal(again->n, 0);
        }
        side_done(&snapshots[0]);
        side_done(&snapshots[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_becomes_its_kind_of_item),
        cmocka_unit_test(nothing_to_do_is_an_empty_plan),
        cmocka_unit_test(one_refused_member_refuses_the_batch),
        cmocka_unit_test(an_old_bad_key_blocks_nothing_new),
        cmocka_unit_test(a_key_that_became_bad_removes_nothing),
        cmocka_unit_test(a_convicted_digest_is_refused),
        cmocka_unit_test(a_convicted_configuration_is_refused_alone),
        cmocka_unit_test(a_conviction_of_what_is_in_force_stops_nothing),
        cmocka_unit_test(at_the_first_start_every_key_counts_as_changed),
        cmocka_unit_test(a_bad_key_refuses_its_own_transaction_only),
        cmocka_unit_test(a_deletion_goes_with_the_transaction_that_was_seen_to_delete),
        cmocka_unit_test(a_deletion_that_nobody_saw_splits_no_transaction),
        cmocka_unit_test(what_is_superseded_for_one_module_goes_on_for_the_others),
        cmocka_unit_test(what_was_refused_does_not_go_on_for_the_others),
        cmocka_unit_test(what_has_no_way_back_is_where_the_next_one_starts),
        cmocka_unit_test(a_wish_that_is_taken_back_ends_what_was_under_way),
        cmocka_unit_test(a_first_deployment_under_way_can_be_deleted),
        cmocka_unit_test(what_is_under_way_already_is_not_asked_for_again),
        cmocka_unit_test(a_batch_goes_up_one_ladder),
        cmocka_unit_test(other_steps_replace_what_is_on_its_way_but_not_what_is_in_force),
        cmocka_unit_test(a_bad_document_disturbs_nothing_that_is_under_way),
        cmocka_unit_test(what_goes_back_is_not_drawn_in),
        cmocka_unit_test(an_absence_that_was_planned_before_is_not_planned_again),
        cmocka_unit_test(an_absence_that_was_written_and_deleted_anew_is_planned_again),
        cmocka_unit_test(plans_that_are_carried_out_lead_to_what_is_wished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
