// Upgrade locks: who is tied to whom, what a change lacks, and how that is said.
#include "state/lock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MODULES 12

static struct set {
    size_t n;
    struct gr_lock_module all[MODULES];
    struct gr_contract *owned[2 * MODULES];
    size_t n_owned;
    struct gr_lock_tie ties[MODULES];
    size_t missing;
} s;

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < s.n_owned; i++)
        gr_contract_free(s.owned[i]);
    s = (struct set){0};
    return 0;
}

// `lock` and `requires` as the note writes them.
static const struct gr_contract *contract(const char *module, const char *lock,
                                          const char *requires)
{
    char text[1024];
    struct gr_error e = {0};
    int n = snprintf(text, sizeof text,
                     "{\"abi\":{\"major\":1,\"minor\":0},\"module\":\"%s\",\"version\":\"1.0.0\","
                     "\"provides\":[{\"interface\":\"com.example.%s.Api\",\"version\":\"1.0.0\","
                     "\"methods\":{\"Do\":{}}}],\"requires\":%s,\"upgrade_lock\":%s}",
                     module, module, requires ? requires : "{}", lock ? lock : "false");
    if (gr_contract_parse(text, (size_t)n, &s.owned[s.n_owned], &e) < 0)
        fail_msg("%s", e.message);
    return s.owned[s.n_owned++];
}
static struct gr_lock_module *add(const char *module, const struct gr_contract *before,
                                  const struct gr_contract *after, bool changes)
{
    s.all[s.n] = (struct gr_lock_module){.module = module,
                                         .in_force = before != NULL,
                                         .before = before,
                                         .after = after,
                                         .changes = changes};
    return &s.all[s.n++];
}
static struct gr_lock_module *stable(const char *module, const char *lock, const char *requires)
{
    return add(module, contract(module, lock, requires), NULL, false);
}
static struct gr_lock_module *changed(const char *module, const char *lock, const char *requires)
{
    return add(module, contract(module, lock, requires), contract(module, lock, requires), true);
}
static void look(void)
{
    s.missing = gr_lock_missing(s.all, s.n, s.ties);
}
// Names, in the order in which they are found.
static void assert_missing(const char *expected)
{
    char names[256] = "";
    look();
    for (size_t i = 0; i < s.missing; i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof names - len, "%s%s", i ? " " : "",
                 s.all[s.ties[i].missing].module);
    }
    assert_string_equal(names, expected);
}

static void what_has_no_lock_changes_alone(void **state)
{
    (void)state;
    changed("pay", NULL, "{\"com.example.auth.Api\":\"^1\"}");
    stable("auth", NULL, NULL);
    stable("shop", "\"till\"", NULL);
    assert_missing("");
}

static void a_group_changes_together(void **state)
{
    (void)state;
    changed("pay", "\"till\"", NULL);
    stable("auth", "\"till\"", NULL);
    stable("echo", "\"other\"", NULL);
    stable("shop", "\"till\"", NULL);
    assert_missing("auth shop");
    s.all[1].changes = true;
    assert_missing("shop");
    s.all[3].changes = true;
    assert_missing("");
}

static void joining_and_leaving_a_group_is_a_change_of_it(void **state)
{
    (void)state;
    add("pay", contract("pay", "\"till\"", NULL), contract("pay", "\"bank\"", NULL), true);
    stable("auth", "\"till\"", NULL);
    stable("ledger", "\"bank\"", NULL);
    assert_missing("auth ledger");
    clear(NULL);
    add("pay", contract("pay", "\"till\"", NULL), contract("pay", NULL, NULL), true);
    stable("auth", "\"till\"", NULL);
    assert_missing("auth");
}

static void a_removal_is_a_change(void **state)
{
    (void)state;
    add("pay", contract("pay", "\"till\"", NULL), NULL, true);
    stable("auth", "\"till\"", NULL);
    assert_missing("auth");
    s.all[1].changes = true; // gone as well
    assert_missing("");
}

static void what_is_new_joins_its_group_alone(void **state)
{
    (void)state;
    add("pay", NULL, contract("pay", "\"till\"", NULL), true);
    stable("auth", "\"till\"", NULL);
    assert_missing("");
    changed("shop", "\"till\"", NULL); // but that one does not
    assert_missing("auth");
}

static void true_means_what_it_requires_and_who_requires_it(void **state)
{
    (void)state;
    changed("pay", "true", "{\"com.example.auth.Api\":\"^1\"}");
    stable("auth", NULL, NULL);
    stable("shop", NULL, "{\"com.example.pay.Api\":\"^1\"}"); // not locked itself
    stable("till", "true", "{\"com.example.pay.Api\":\"^1\"}");
    assert_missing("auth till");
    assert_true(s.ties[0].requires_it);
    assert_false(s.ties[1].requires_it);
    s.all[0].changes = false; // and the other way round
    s.all[1].changes = true;
    assert_missing("pay till");
    s.all[1].changes = false;
    s.all[2].changes = true;
    assert_missing("");
}

static void a_group_says_nothing_of_what_is_required(void **state)
{
    (void)state;
    changed("pay", "\"till\"", "{\"com.example.auth.Api\":\"^1\"}");
    stable("auth", NULL, NULL);
    assert_missing("");
}

static void what_only_the_missing_ones_need_is_named_too(void **state)
{
    (void)state;
    changed("pay", "\"till\"", NULL);
    stable("ledger", NULL, NULL);
    stable("auth", "true", "{\"com.example.ledger.Api\":\"^1\"}");
    stable("shop", "\"till\"", NULL);
    assert_missing("shop"); // auth and ledger are tied to each other only
    stable("desk", "true", "{\"com.example.shop.Api\":\"^1\"}");
    assert_missing("shop desk");
}

static void what_was_said_to_stay_is_not_waited_for(void **state)
{
    (void)state;
    changed("pay", "\"till\"", NULL);
    stable("auth", "\"till\"", NULL)->stays = true;
    assert_missing("");
}

static void a_contract_that_is_not_known_ties_nobody(void **state)
{
    (void)state;
    changed("pay", "\"till\"", NULL);
    stable("auth", "\"till\"", NULL)->before = NULL;
    assert_missing("");
    s.all[1].before = contract("auth", "\"till\"", NULL);
    s.all[0].before = NULL; // what it becomes is known
    assert_missing("auth");
}

static void a_sentence_names_whom_and_why(void **state)
{
    (void)state;
    char text[1024];
    changed("pay", "\"till\"", NULL);
    stable("auth", "\"till\"", NULL);
    stable("desk", "true", "{\"com.example.auth.Api\":\"^1\"}");
    look();
    gr_lock_say(s.all, s.ties, s.missing, "pay 2.0.0", text, sizeof text);
    assert_string_equal(
        text, "pay 2.0.0 waits for auth and desk: pay and auth only change together (group "
              "\"till\"), and desk only changes together with auth, which provides "
              "com.example.auth.Api. Write what is missing; where one is to stay as it is, write "
              "all of them in one transaction, that one unchanged.");
}

static void a_long_list_is_cut(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    char text[2048];
    changed("pay", "\"till\"", NULL);
    for (size_t i = 0; i < GR_COUNT(names); i++)
        stable(names[i], "\"till\"", NULL);
    look();
    assert_int_equal(s.missing, 10);
    gr_lock_say(s.all, s.ties, s.missing, "pay", text, sizeof text);
    assert_non_null(strstr(text, "waits for a, b, c, d, e, f, g, h and 2 more: "));
    gr_lock_say(s.all, s.ties, s.missing, "pay", text, 20);
    assert_int_equal(strlen(text), 19);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, clear)
    const struct CMUnitTest tests[] = {
        T(what_has_no_lock_changes_alone),
        T(a_group_changes_together),
        T(joining_and_leaving_a_group_is_a_change_of_it),
        T(a_removal_is_a_change),
        T(what_is_new_joins_its_group_alone),
        T(true_means_what_it_requires_and_who_requires_it),
        T(a_group_says_nothing_of_what_is_required),
        T(what_only_the_missing_ones_need_is_named_too),
        T(what_was_said_to_stay_is_not_waited_for),
        T(a_contract_that_is_not_known_ties_nobody),
        T(a_sentence_names_whom_and_why),
        T(a_long_list_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
