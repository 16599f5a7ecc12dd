// Routes, reach and refusals of the pure table.
#include "dispatch/table.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// Instances are opaque to the table: any distinct addresses do.
static char places[8];
#define INSTANCE(n) ((struct gr_instance *)&places[n])

// A contract of one interface t.<name>.I with methods M0..Mn-1, that needs the named modules'
// interfaces.
static struct gr_contract *contract(const char *module, unsigned n_methods, const char *needs)
{
    char json[2048], need[128] = "";
    if (*needs)
        snprintf(need, sizeof(need), "\"t.%s.I\":\"^1\"", needs);
    int len = snprintf(
        json, sizeof(json),
        "{\"module\":\"%s\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[{"
        "\"interface\":\"t.%s.I\",\"version\":\"1.0.0\",\"methods\":{",
        module, module);
    for (unsigned i = 0; i < n_methods; i++)
        len += snprintf(json + len, sizeof(json) - (size_t)len, "%s\"M%u\":{\"idempotent\":true}",
                        i ? "," : "", i);
    len += snprintf(json + len, sizeof(json) - (size_t)len, "}}],\"optional\":{%s}}", need);
    struct gr_contract *c;
    struct gr_error e;
    if (gr_contract_parse(json, (size_t)len, &c, &e) < 0)
        fail_msg("%s: %s", json, e.message);
    return c;
}

static const struct gr_route *find(const struct gr_table *t, const char *interface_name,
                                   const char *method_name)
{
    return gr_table_find(t, gr_route_hash(interface_name, method_name), interface_name,
                         method_name);
}

static void test_empty(void **state)
{
    (void)state;
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(1, NULL, 0, &t, NULL), 0);
    assert_null(find(t, "t.a.I", "M0"));
    assert_false(gr_table_names(t, INSTANCE(0)));
}

static void test_routes_and_method_numbers(void **state)
{
    (void)state;
    struct gr_contract *a = contract("a", 3, ""), *old = contract("a", 2, "");
    struct gr_member m = {.gate = 5,
                          .stable = INSTANCE(0),
                          .contract = a,
                          .rescue = INSTANCE(1),
                          .rescue_contract = old};
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(9, &m, 1, &t, NULL), 0);
    const struct gr_route *r = find(t, "t.a.I", "M2");
    assert_non_null(r);
    assert_int_equal(r->method, 2);
    assert_true(r->rescue_method == GR_METHOD_NONE); // the older version lacks it
    assert_int_equal(find(t, "t.a.I", "M1")->rescue_method, 1);
    assert_null(find(t, "t.a.I", "M3"));
    assert_null(find(t, "t.a.IM", "1")); // the border between the names counts
    assert_true(gr_table_names(t, INSTANCE(1)));
    assert_ptr_equal(gr_table_module(t, "a"), r->record);
    gr_contract_free(a);
    gr_contract_free(old);
}

static void test_names_beyond_any_contract(void **state)
{
    (void)state;
    char name[4096];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(1, NULL, 0, &t, NULL), 0);
    assert_null(find(t, name, "M0"));
    assert_null(find(t, "t.a.I", name));
}

static void test_reach_is_transitive_and_follows_rescue(void **state)
{
    (void)state;
    struct gr_contract *a = contract("a", 1, "b"), *b = contract("b", 1, "c"),
                       *c = contract("c", 1, "a"), *d = contract("d", 1, ""),
                       *d_old = contract("d", 1, "e"), *e = contract("e", 1, "nobody");
    const struct gr_member m[] = {
        {.gate = 0, .stable = INSTANCE(0), .contract = a},
        {.gate = 64, .stable = INSTANCE(1), .contract = b},
        {.gate = 255, .stable = INSTANCE(2), .contract = c},
        {.gate = 3,
         .stable = INSTANCE(3),
         .contract = d,
         .rescue = INSTANCE(4),
         .rescue_contract = d_old},
        {.gate = 4, .stable = INSTANCE(5), .contract = e},
    };
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(1, m, GR_COUNT(m), &t, NULL), 0);
    const struct gr_gates *ring = &gr_table_module(t, "a")->reach;
    assert_true(gr_gates_has(ring, 0) && gr_gates_has(ring, 64) && gr_gates_has(ring, 255));
    assert_false(gr_gates_has(ring, 3) || gr_gates_has(ring, 4));
    assert_true(gr_gates_meet(&gr_table_module(t, "c")->reach, ring));
    assert_true(gr_gates_has(&gr_table_module(t, "d")->reach, 4));
    assert_false(gr_gates_meet(&gr_table_module(t, "d")->reach, ring));
    struct gr_contract *all[] = {a, b, c, d, d_old, e};
    for (size_t i = 0; i < GR_COUNT(all); i++)
        gr_contract_free(all[i]);
}

static struct gr_gray *gray(int64_t rollout)
{
    struct gr_gray *g = NULL;
    assert_int_equal(gr_gray_new(&(struct gr_gray_spec){.rollout = rollout}, NULL, &g, NULL), 0);
    return g;
}

static void test_candidates_reach_what_they_need(void **state)
{
    (void)state;
    struct gr_contract *a = contract("a", 2, "b"), *later = contract("a", 3, "c"),
                       *b = contract("b", 1, ""), *c = contract("c", 1, "");
    GR_AUTO_GRAY struct gr_gray *g = gray(1);
    const struct gr_member m[] = {
        {.gate = 0,
         .stable = INSTANCE(0),
         .contract = a,
         .candidate = INSTANCE(1),
         .candidate_contract = later,
         .gray = g},
        {.gate = 1, .stable = INSTANCE(2), .contract = b},
        // no stable version yet
        {.gate = 2, .candidate = INSTANCE(3), .candidate_contract = c, .gray = g},
    };
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(1, m, GR_COUNT(m), &t, NULL), 0);
    const struct gr_gates *reach = &gr_table_module(t, "a")->reach;
    assert_true(gr_gates_has(reach, 0) && gr_gates_has(reach, 1) && gr_gates_has(reach, 2));
    assert_true(gr_table_names(t, INSTANCE(1)) && gr_table_names(t, INSTANCE(3)));
    assert_int_equal(t->n_rollouts, 1);
    assert_int_equal(t->rollouts[0].n_members, 2);
    const struct gr_route *r = find(t, "t.a.I", "M1"), *fresh = find(t, "t.a.I", "M2");
    assert_true(r->method == 1 && r->candidate_method == 1 && r->candidate_idempotent);
    assert_true(fresh->method == GR_METHOD_NONE && fresh->candidate_method == 2);
    assert_true(!fresh->idempotent && fresh->candidate_idempotent);
    assert_true(find(t, "t.c.I", "M0")->method == GR_METHOD_NONE);
    struct gr_contract *all[] = {a, later, b, c};
    for (size_t i = 0; i < GR_COUNT(all); i++)
        gr_contract_free(all[i]);
}

static void test_rollouts_have_a_cap(void **state)
{
    (void)state;
    static struct gr_member m[GR_GRAYS_MAX + 1];
    for (unsigned i = 0; i <= GR_GRAYS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%u", i);
        m[i] = (struct gr_member){.gate = i,
                                  .candidate = INSTANCE(0),
                                  .candidate_contract = contract(name, 1, ""),
                                  .gray = gray(i)};
    }
    struct gr_error e = {0};
    GR_AUTO_TABLE struct gr_table *most = NULL, *more = NULL;
    assert_int_equal(gr_table_build(1, m, GR_GRAYS_MAX, &most, &e), 0);
    assert_int_equal(gr_table_build(1, m, GR_GRAYS_MAX + 1, &more, &e), -EINVAL);
    assert_non_null(strstr(e.message, "more than 128 rollouts"));
    for (unsigned i = 0; i <= GR_GRAYS_MAX; i++) {
        gr_contract_free((struct gr_contract *)m[i].candidate_contract);
        gr_gray_unref(m[i].gray);
    }
}

static void test_full_service(void **state)
{
    (void)state;
    static struct gr_member m[GR_MODULES_MAX];
    for (unsigned i = 0; i < GR_MODULES_MAX; i++) {
        char name[16], next[16] = "";
        snprintf(name, sizeof(name), "m%u", i);
        if (i + 1 < GR_MODULES_MAX)
            snprintf(next, sizeof(next), "m%u", i + 1);
        m[i] = (struct gr_member){
            .gate = i, .stable = INSTANCE(0), .contract = contract(name, 4, next)};
    }
    GR_AUTO_TABLE struct gr_table *t = NULL;
    assert_int_equal(gr_table_build(1, m, GR_MODULES_MAX, &t, NULL), 0);
    for (unsigned i = 0; i < GR_MODULES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t.m%u.I", i);
        assert_int_equal(find(t, name, "M3")->record->member.gate, i);
        assert_true(gr_gates_has(&t->records[i].reach, GR_MODULES_MAX - 1));
    }
    for (unsigned i = 0; i < GR_MODULES_MAX; i++)
        gr_contract_free((struct gr_contract *)m[i].contract);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_routes_and_method_numbers),
        cmocka_unit_test(test_names_beyond_any_contract),
        cmocka_unit_test(test_reach_is_transitive_and_follows_rescue),
        cmocka_unit_test(test_candidates_reach_what_they_need),
        cmocka_unit_test(test_rollouts_have_a_cap),
        cmocka_unit_test(test_full_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
