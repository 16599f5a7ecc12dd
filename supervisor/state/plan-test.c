// The plan: each kind of item, what refuses a batch and what does not, and that carrying plans out
// always ends in what was wished.
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

static struct gr_plan *plan(const struct side *before, const struct side *now,
                            const struct side *actual, const struct gr_conviction *c, size_t n)
{
    struct gr_plan *p = NULL;
    assert_int_equal(gr_plan_make(before ? &before->w : NULL, &now->w, &actual->t, c, n, &p), 0);
    return p;
}
static void plan_freep(struct gr_plan **p)
{
    gr_plan_free(*p);
}
#define AUTO_PLAN GR_CLEANUP(plan_freep)

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
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &before, NULL, 0);
    assert_int_equal(p->rollout, 9);
    assert_false(p->refused);
    assert_int_equal(p->n, 4);
    assert_item(p, 0, "auth", GR_PLAN_RECONFIGURE);
    assert_item(p, 1, "new", GR_PLAN_DEPLOY);
    assert_item(p, 2, "pay", GR_PLAN_REPLACE);
    assert_item(p, 3, "old", GR_PLAN_REMOVE);
    assert_ptr_equal(p->items[2].to, now.wishes[2].desired);
    assert_ptr_equal(p->items[2].from, before.rows[2].release);
    GR_AUTO_FREE char *text = gr_plan_format(p);
    assert_string_equal(text, "auth 1.0.0 -> 1.0.0 (reconfigure)\n"
                              "new none -> 1.0.0 (deploy)\n"
                              "pay 1.0.0 -> 2.0.0 (replace)\n"
                              "old 1.0.0 -> none (remove)\n");
}

static void nothing_to_do_is_an_empty_plan(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    wish(&before, "pay", 4, 1, 0);
    committed(&before, "pay", 1, 0);
    wish(&now, "pay", 9, 1, 0); // the key was written again: same release
    AUTO_PLAN struct gr_plan *again = plan(&before, &now, &before, NULL, 0);
    assert_int_equal(again->n, 0);
    assert_false(again->refused);
    AUTO_PLAN struct gr_plan *same = plan(&before, &before, &before, NULL, 0);
    assert_int_equal(same->n, 0);
    GR_AUTO_FREE char *text = gr_plan_format(same);
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
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &before, NULL, 0);
    assert_true(p->refused);
    assert_int_equal(p->n, 3); // all are said, so that one look shows the whole batch
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
    assert_int_equal(p->items[1].kind, GR_PLAN_REFUSE);
    assert_int_equal(p->items[1].refusal.reason, GR_REASON_DOCUMENT_INVALID);
    GR_AUTO_FREE char *text = gr_plan_format(p);
    assert_non_null(strstr(text, "pay none -> none (refused): version: is missing\n"));
}

static void an_old_bad_key_blocks_nothing_new(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    bad_wish(&before, "pay", 4);
    bad_wish(&now, "pay", 4);
    wish(&now, "auth", 9, 1, 0);
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &before, NULL, 0);
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
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &before, NULL, 0);
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
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &before, c, GR_COUNT(c));
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
    AUTO_PLAN struct gr_plan *p = plan(NULL, &bad, &bad, &c, 1);
    assert_true(p->refused);
    assert_int_equal(p->items[0].refusal.reason, GR_REASON_QUARANTINED);
    assert_non_null(strstr(p->items[0].refusal.message, "with this configuration"));
    AUTO_PLAN struct gr_plan *q = plan(NULL, &other, &bad, &c, 1);
    assert_false(q->refused);
    assert_item(q, 0, "pay", GR_PLAN_RECONFIGURE);
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
    AUTO_PLAN struct gr_plan *p = plan(NULL, &now, &now, &c, 1);
    assert_false(p->refused);
    assert_int_equal(p->n, 0);
}

static void at_the_first_start_every_key_counts_as_changed(void **state)
{
    (void)state;
    SIDE(now);
    wish(&now, "auth", 3, 1, 0);
    wish(&now, "pay", 2, 2, 0);
    committed(&now, "gone", 1, 0); // deleted while nobody watched
    committed(&now, "pay", 1, 0);
    AUTO_PLAN struct gr_plan *p = plan(NULL, &now, &now, NULL, 0);
    assert_int_equal(p->rollout, 3);
    assert_int_equal(p->n, 3);
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
    assert_item(p, 1, "pay", GR_PLAN_REPLACE);
    assert_item(p, 2, "gone", GR_PLAN_REMOVE);
}

static void an_absence_that_was_planned_before_is_not_planned_again(void **state)
{
    (void)state;
    SIDE(before);
    SIDE(now);
    committed(&now, "gone", 1, 0); // its removal is under way, or failed
    wish(&now, "auth", 9, 1, 0);
    AUTO_PLAN struct gr_plan *p = plan(&before, &now, &now, NULL, 0);
    assert_int_equal(p->n, 1);
    assert_item(p, 0, "auth", GR_PLAN_DEPLOY);
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
            AUTO_PLAN struct gr_plan *p = plan(restarted ? NULL : before, now, &actual, NULL, 0);
            assert_false(p->refused);
            carry_out(p, &actual);
            assert_int_equal(actual.t.n, now->w.n);
            for (size_t i = 0; i < now->w.n; i++) {
                size_t at = row_of(&actual, &now->wishes[i].module);
                assert_true(at < actual.t.n);
                assert_true(
                    gr_desired_same_release(actual.rows[at].release, now->wishes[i].desired));
            }
            AUTO_PLAN struct gr_plan *again = plan(NULL, now, &actual, NULL, 0);
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
        cmocka_unit_test(an_absence_that_was_planned_before_is_not_planned_again),
        cmocka_unit_test(plans_that_are_carried_out_lead_to_what_is_wished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
