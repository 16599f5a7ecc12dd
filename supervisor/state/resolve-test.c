// Every verdict of the resolver, the sentence that goes with it, and the order of loading; then
// seeded lives of many rollouts at once, in which no requirement is ever unmet.
#include "state/resolve.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// --- contracts of a line each
// ---------------------------------------------------------------------

static struct gr_contract *made[4096]; // of one test
static size_t n_made;

static int forget(void **state)
{
    (void)state;
    while (n_made)
        gr_contract_free(made[--n_made]);
    return 0;
}

// Each pair as before, name, between, value, after.
static size_t add_pairs(char *json, size_t len, size_t cap, const char *pairs,
                        const char *const around[3])
{
    char copy[512], *at = copy, *item;
    snprintf(copy, sizeof copy, "%s", pairs);
    for (bool first = true; (item = strsep(&at, ",")); first = false) {
        char *colon = strchr(item, ':');
        if (!colon)
            continue;
        *colon = '\0';
        len += (size_t)snprintf(json + len, cap - len, "%s%s%s%s%s%s", first ? "" : ",", around[0],
                                item, around[1], colon + 1, around[2]);
    }
    return len;
}

// Lists of "Name:version" or "Name:range", divided by commas. Interfaces have one method, Do.
static const struct gr_contract *contract(const char *module, const char *version,
                                          const char *provides, const char *requires,
                                          const char *optional)
{
    static const char *const face[] = {"{\"interface\":\"x.", "\",\"version\":\"",
                                       "\",\"methods\":{\"Do\":{}}}"};
    static const char *const need[] = {"\"x.", "\":\"", "\""};
    char json[4096];
    const size_t cap = sizeof json;
    size_t len = (size_t)snprintf(json, cap,
                                  "{\"module\":\"%s\",\"version\":\"%s\","
                                  "\"abi\":{\"major\":1,\"minor\":0},\"provides\":[",
                                  module, version);
    len = add_pairs(json, len, cap, provides, face);
    len += (size_t)snprintf(json + len, cap - len, "],\"requires\":{");
    len = add_pairs(json, len, cap, requires, need);
    len += (size_t)snprintf(json + len, cap - len, "},\"optional\":{");
    len = add_pairs(json, len, cap, optional, need);
    len += (size_t)snprintf(json + len, cap - len, "}}");
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    if (gr_contract_parse(json, len, &c, &e) < 0)
        fail_msg("%s\n%s", json, e.message);
    assert_true(n_made < GR_COUNT(made));
    return made[n_made++] = c;
}

// --- worlds
// ---------------------------------------------------------------------------------------

static struct gr_resolve_module set[GR_MODULES_MAX + 1];
static struct gr_resolve_hope hopes[8];
static size_t n, n_hopes;
static struct gr_resolution got;

static int begin(void **state)
{
    (void)state;
    n = n_hopes = 0;
    return 0;
}

static struct gr_name name_of(const struct gr_contract *a, const struct gr_contract *b)
{
    return (a ? a : b)->module;
}
static void in_force(const struct gr_contract *c)
{
    set[n++] = (struct gr_resolve_module){.module = c->module, .contract = c, .settled = true};
}
static void change(const struct gr_contract *from, const struct gr_contract *to)
{
    set[n++] = (struct gr_resolve_module){
        .module = name_of(to, from), .contract = to, .before = from, .changed = true};
}
static void under_way(int64_t rollout, const struct gr_contract *from, const struct gr_contract *to)
{
    set[n++] = (struct gr_resolve_module){
        .module = name_of(to, from), .contract = to, .before = from, .rollout = rollout};
}
static void hoped(int64_t rollout, const char *module, const struct gr_contract *c, bool leaves)
{
    struct gr_resolve_hope *h = &hopes[n_hopes++];
    *h = (struct gr_resolve_hope){.contract = c, .leaves = leaves, .rollout = rollout};
    assert_int_equal(gr_name_parse(module, strlen(module), &h->module), 0);
}

static void ask(void)
{
    const struct gr_resolve_input in = {.modules = set, .n = n, .hopes = hopes, .n_hopes = n_hopes};
    assert_int_equal(gr_resolve(&in, &got), 0);
}

static void expect_go(void)
{
    ask();
    if (got.verdict != GR_RESOLVE_GO)
        fail_msg("expected GO: %s", got.why.message);
}

// The sentence has these words, and blames the module of this name.
static void expect(enum gr_resolve_verdict verdict, enum gr_reason reason, const char *culprit,
                   const char *words)
{
    ask();
    if (got.verdict != verdict || got.why.reason != reason || !strstr(got.why.message, words))
        fail_msg("expected %d %s \"%s\", got %d %s: %s", (int)verdict, gr_reason_name(reason),
                 words, (int)got.verdict, gr_reason_name(got.why.reason), got.why.message);
    assert_string_equal(set[got.culprit].module.s, culprit);
}

static void expect_order(const char *names)
{
    char text[1024] = "";
    expect_go();
    for (size_t i = 0; i < got.n_order; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 set[got.order[i]].module.s);
    assert_string_equal(text, names);
}

#define PAY(version, requires) contract("pay", version, "Pay:" version, requires, "")
#define AUTH(version, requires) contract("auth", version, "Auth:" version, requires, "")
#define LEDGER(version) contract("ledger", version, "Ledger:" version, "", "")

// --- what the rollout's modules need
// --------------------------------------------------------------

static void test_needs_are_met_by_what_is_there_and_by_what_comes_along(void **state)
{
    (void)state;
    in_force(LEDGER("1.4.2"));
    change(NULL, PAY("1.0.0", "Auth:^2,Ledger:^1"));
    change(NULL, AUTH("2.1.0", ""));
    expect_order("auth pay");
}

static void test_what_nobody_provides_is_named_with_its_chain(void **state)
{
    (void)state;
    change(NULL, PAY("2.0.0", "Auth:^2"));
    change(NULL, AUTH("2.0.0", "Ledger:^1"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "auth",
           "pay 2.0.0 -> auth 2.0.0 -> x.Ledger ^1: nobody provides x.Ledger");
}

static void test_another_version_names_both_sides(void **state)
{
    (void)state;
    in_force(AUTH("3.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "pay",
           "pay 1.0.0 -> x.Auth ^2: pay 1.0.0 requires it, but auth 3.0.0 provides 3.0.0");
}

static void test_a_caller_built_for_2_0_runs_on_2_1(void **state)
{
    (void)state;
    in_force(PAY("1.0.0", "Auth:^2.0.0"));
    change(AUTH("2.0.0", ""), AUTH("2.1.0", ""));
    expect_go();
    begin(NULL);
    in_force(AUTH("2.1.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2.0.0"));
    expect_go();
    begin(NULL);
    in_force(AUTH("2.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2.1.0")); // what it calls may not be there yet
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "pay", "auth 2.0.0 provides 2.0.0");
}

static void test_a_module_may_need_itself(void **state)
{
    (void)state;
    change(NULL, PAY("1.0.0", "Pay:^1"));
    expect_order("pay");
}

// --- what others are doing meanwhile
// --------------------------------------------------------------

static void test_what_may_be_taken_back_is_waited_for(void **state)
{
    (void)state;
    under_way(17, NULL, AUTH("2.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "pay",
           "pay 1.0.0 requires x.Auth ^2 and waits for auth: rollout 17");
    begin(NULL);
    under_way(17, AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "pay", "rollout 17");
}

static void test_who_fits_before_and_after_is_not_waited_for(void **state)
{
    (void)state;
    under_way(17, AUTH("2.0.0", ""), AUTH("2.1.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect_go();
}

static void test_what_is_about_to_go_is_not_built_upon(void **state)
{
    (void)state;
    under_way(17, AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^1"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "pay", "auth 2.0.0 provides 2.0.0");
    begin(NULL);
    under_way(17, AUTH("1.0.0", ""), NULL);
    change(NULL, PAY("1.0.0", "Auth:^1"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "pay", "nobody provides x.Auth");
}

static void test_what_is_on_its_way_is_waited_for(void **state)
{
    (void)state;
    hoped(18, "auth", AUTH("2.0.0", ""), false);
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "pay", "rollout 18");
    begin(NULL);
    hoped(18, "auth", NULL, false); // nobody knows yet what it provides
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "pay", "waits for auth: rollout 18");
    begin(NULL);
    hoped(0, "auth", NULL, false);
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "pay", "the store has lost");
}

static void test_what_does_not_help_is_not_waited_for(void **state)
{
    (void)state;
    hoped(18, "auth", AUTH("1.0.0", ""), false);
    hoped(19, "auth", NULL, true);
    hoped(20, "ledger", LEDGER("2.0.0"), false);
    change(NULL, PAY("1.0.0", "Auth:^2"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "pay", "nobody provides");
}

static void test_a_refusal_counts_more_than_a_wait(void **state)
{
    (void)state;
    under_way(17, NULL, AUTH("2.0.0", ""));
    change(NULL, PAY("1.0.0", "Auth:^2,Ledger:^1"));
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "pay", "nobody provides x.Ledger");
}

// --- what others need
// -----------------------------------------------------------------------------

static void test_removing_what_is_required_is_refused_with_the_chain(void **state)
{
    (void)state;
    in_force(contract("shop", "1.0.0", "Shop:1.0.0", "Pay:^1", ""));
    in_force(PAY("1.0.0", "Auth:^2"));
    change(AUTH("2.0.0", ""), NULL);
    expect(
        GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "auth",
        "shop 1.0.0 -> pay 1.0.0 -> x.Auth ^2: auth would be removed, and pay 1.0.0 requires it");
}

static void test_removing_both_works(void **state)
{
    (void)state;
    change(PAY("1.0.0", "Auth:^2"), NULL);
    change(AUTH("2.0.0", ""), NULL);
    expect_order("");
}

static void test_a_major_version_takes_its_callers_along(void **state)
{
    (void)state;
    in_force(PAY("1.0.0", "Auth:^1"));
    change(AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "auth",
           "pay 1.0.0 -> x.Auth ^1: auth 2.0.0 provides 2.0.0, and pay 1.0.0 requires it");
    begin(NULL);
    change(PAY("1.0.0", "Auth:^1"), PAY("2.0.0", "Auth:^2"));
    change(AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    expect_order("auth pay");
}

static void test_who_is_about_to_go_is_waited_for(void **state)
{
    (void)state;
    under_way(17, PAY("1.0.0", "Auth:^1"), NULL); // nobody knows whether it stays away
    change(AUTH("1.0.0", ""), NULL);
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "auth", "waits for rollout 17");
    begin(NULL);
    under_way(17, PAY("1.0.0", "Auth:^1"), PAY("2.0.0", ""));
    change(AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    expect(GR_RESOLVE_WAIT, GR_REASON_CONTRACT_INCOMPATIBLE, "auth", "waits for rollout 17");
    begin(NULL);
    in_force(PAY("1.0.0", "Auth:^1"));
    hoped(18, "pay", NULL, true);
    change(AUTH("1.0.0", ""), NULL);
    expect(GR_RESOLVE_WAIT, GR_REASON_DEPENDENCY_MISSING, "auth", "waits for rollout 18");
    begin(NULL);
    in_force(PAY("1.0.0", "Auth:^1"));
    hoped(18, "pay", PAY("1.1.0", "Auth:^1"), false); // it goes on requiring it
    change(AUTH("1.0.0", ""), NULL);
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "auth", "auth would be removed");
}

static void test_who_comes_counts_as_who_is_there(void **state)
{
    (void)state;
    under_way(17, PAY("1.0.0", ""), PAY("2.0.0", "Auth:^1"));
    change(AUTH("1.0.0", ""), NULL);
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "auth", "pay 2.0.0 -> x.Auth ^1");
}

static void test_a_batch_under_way_is_judged_as_one(void **state)
{
    (void)state;
    under_way(17, PAY("1.0.0", "Auth:^1"), PAY("2.0.0", "Auth:^2"));
    under_way(17, AUTH("1.0.0", ""), AUTH("2.0.0", ""));
    change(NULL, LEDGER("1.0.0"));
    expect_go();
}

static void test_what_was_amiss_before_is_not_this_ones_fault(void **state)
{
    (void)state;
    in_force(PAY("1.0.0", "Auth:^1,Ledger:^1"));
    in_force(AUTH("2.0.0", ""));
    change(NULL, LEDGER("1.0.0"));
    expect_go();
}

// --- interfaces
// -----------------------------------------------------------------------------------

static void test_an_interface_has_one_provider(void **state)
{
    (void)state;
    in_force(AUTH("1.0.0", ""));
    change(NULL, contract("login", "1.0.0", "Auth:1.0.0", "", ""));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "login",
           "login 1.0.0 provides x.Auth, which auth 1.0.0 provides too");
    begin(NULL);
    change(NULL, AUTH("1.0.0", ""));
    change(NULL, contract("login", "1.0.0", "Auth:1.0.0", "", ""));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "auth", "login 1.0.0");
    begin(NULL);
    change(AUTH("1.0.0", ""), NULL);
    change(NULL, contract("login", "1.0.0", "Auth:1.0.0", "", ""));
    expect_order("login");
    begin(NULL);
    under_way(17, AUTH("1.0.0", ""), NULL);
    change(NULL, contract("login", "1.0.0", "Auth:1.0.0", "", ""));
    expect(GR_RESOLVE_WAIT, GR_REASON_CONTRACT_INCOMPATIBLE, "login", "waits for rollout 17");
    begin(NULL);
    in_force(AUTH("1.0.0", ""));
    hoped(18, "auth", NULL, true);
    change(NULL, contract("login", "1.0.0", "Auth:1.0.0", "", ""));
    expect(GR_RESOLVE_WAIT, GR_REASON_CONTRACT_INCOMPATIBLE, "login", "waits for rollout 18");
}

static void test_an_interface_keeps_its_promise_within_a_major_version(void **state)
{
    (void)state;
    const struct gr_contract *both = contract("auth", "1.0.0", "Auth:1.0.0,Token:1.0.0", "", "");
    change(both, contract("auth", "1.1.0", "Auth:1.1.0", "", ""));
    expect(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "auth",
           "auth 1.1.0 does not keep what auth 1.0.0 promises");
    begin(NULL);
    change(contract("auth", "1.1.0", "Auth:1.1.0,Token:1.0.0", "", ""), AUTH("1.0.0", ""));
    expect_go(); // the way back to what did not have it yet
}

// --- cycles and order
// -----------------------------------------------------------------------------

static void test_a_cycle_is_named(void **state)
{
    (void)state;
    in_force(AUTH("1.0.0", "Ledger:^1"));
    in_force(PAY("1.0.0", "Auth:^1"));
    change(LEDGER("1.0.0"), contract("ledger", "1.1.0", "Ledger:1.1.0", "Pay:^1", ""));
    expect(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "ledger",
           "ledger 1.1.0 -> pay 1.0.0 -> auth 1.0.0 -> ledger 1.1.0: ");
}

static void test_a_cycle_through_an_optional_need_is_none(void **state)
{
    (void)state;
    change(NULL, contract("a", "1.0.0", "A:1.0.0", "", "C:^1"));
    change(NULL, contract("b", "1.0.0", "B:1.0.0", "A:^1", ""));
    change(NULL, contract("c", "1.0.0", "C:1.0.0", "B:^1", ""));
    expect_order("a b c");
}

static void test_optional_providers_come_first_where_they_can(void **state)
{
    (void)state;
    change(NULL, contract("a", "1.0.0", "A:1.0.0", "", "B:^1"));
    change(NULL, contract("b", "1.0.0", "B:1.0.0", "C:^1", ""));
    change(NULL, contract("c", "1.0.0", "C:1.0.0", "", ""));
    expect_order("c b a");
}

static void test_order_leads_through_what_does_not_change(void **state)
{
    (void)state;
    change(contract("a", "1.0.0", "A:1.0.0", "B:^1", ""),
           contract("a", "1.1.0", "A:1.1.0", "B:^1", ""));
    in_force(contract("b", "1.0.0", "B:1.0.0", "C:^1", ""));
    change(contract("c", "1.0.0", "C:1.0.0", "", ""), contract("c", "1.1.0", "C:1.1.0", "", ""));
    expect_order("c a");
}

static void test_a_chain_of_32_in_any_order(void **state)
{
    (void)state;
    char names[200] = "";
    for (unsigned k = 0; k < 32; k++) {
        unsigned i = k * 13 % 32; // a permutation
        char name[8], provides[16], requires[16] = "";
        snprintf(name, sizeof name, "m%02u", i);
        snprintf(provides, sizeof provides, "M%02u:2.0.0", i);
        if (i)
            snprintf(requires, sizeof requires, "M%02u:^2", i - 1);
        change(NULL, contract(name, "2.0.0", provides, requires, ""));
        snprintf(names + 4 * k, sizeof names - 4 * k, "%sm%02u", k ? " " : "", k);
    }
    // " m01" takes four characters and the first three: written anew, in order
    names[0] = '\0';
    for (unsigned k = 0; k < 32; k++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%sm%02u", k ? " " : "", k);
    expect_order(names);
}

static void test_too_many_modules_are_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= GR_MODULES_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", i);
        change(NULL, contract(name, "1.0.0", "", "", ""));
    }
    ask();
    assert_int_equal(got.verdict, GR_RESOLVE_REFUSE);
}

// --- optional needs
// -------------------------------------------------------------------------------

static void test_missing_optional_needs_are_noted(void **state)
{
    (void)state;
    in_force(AUTH("2.0.0", ""));
    change(NULL, contract("pay", "1.0.0", "Pay:1.0.0", "", "Ledger:^1,Auth:^1,Pay:^1"));
    expect_go();
    assert_string_equal(got.note, "pay 1.0.0 does without x.Ledger ^1: nobody provides it; "
                                  "pay 1.0.0 does without x.Auth ^1: auth 2.0.0 provides 2.0.0");
}

static void test_others_lose_optional_needs_and_it_is_noted(void **state)
{
    (void)state;
    in_force(contract("pay", "1.0.0", "Pay:1.0.0", "", "Auth:^1,Ledger:^1"));
    change(AUTH("1.0.0", ""), NULL);
    expect_go();
    assert_string_equal(got.note, "pay 1.0.0 does without x.Auth ^1: nobody provides it");
}

static void test_a_need_is_bound_to_the_version_that_is_provided(void **state)
{
    (void)state;
    const struct gr_contract *both[] = {NULL, AUTH("2.1.0", "")};
    const struct gr_contract *pay = contract("pay", "1.0.0", "Pay:1.0.0", "Auth:^2", "Ledger:^1");
    const struct gr_contract *old = PAY("1.0.0", "Auth:^1");
    assert_string_equal(gr_resolve_bind(&pay->requires[0], both, 2)->text, "2.1.0");
    assert_null(gr_resolve_bind(&pay->optional[0], both, 2));
    assert_null(gr_resolve_bind(&old->requires[0], both, 2));
}

// --- many rollouts at once
// ------------------------------------------------------------------------

#define MODULES 6
#define OPEN_MAX 4
struct life {
    uint64_t seed;
    const struct gr_contract *force[MODULES]; // as the table has them
    struct open {
        bool used, swapped;
        unsigned members; // bits
        const struct gr_contract *from[MODULES], *to[MODULES];
    } open[OPEN_MAX];
    unsigned went, waited, refused;
};

static unsigned draw(struct life *l, unsigned below)
{
    l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(l->seed >> 33) % below;
}

// A version of module i that needs some of those before it: acyclic by construction.
static const struct gr_contract *some_version(struct life *l, unsigned i)
{
    char name[8], version[16], provides[24], requires[128] = "";
    unsigned major = 1 + draw(l, 3);
    snprintf(name, sizeof name, "m%u", i);
    snprintf(version, sizeof version, "%u.%u.0", major, draw(l, 3));
    snprintf(provides, sizeof provides, "M%u:%s", i, version);
    for (unsigned k = 0; k < i; k++)
        if (draw(l, 3) == 0)
            snprintf(requires + strlen(requires), sizeof requires - strlen(requires), "%sM%u:%s",
                     *requires ? "," : "", k,
                     (const char *[]){"^1", "^2", "^1 || ^2", ">=1.1", "*"}[draw(l, 5)]);
    return contract(name, version, provides, requires, "");
}

static bool is_taken(const struct life *l, unsigned i)
{
    for (unsigned k = 0; k < OPEN_MAX; k++)
        if (l->open[k].used && (l->open[k].members >> i & 1))
            return true;
    return false;
}

static void collect(const struct life *l, const struct open *r)
{
    n = n_hopes = 0;
    for (unsigned i = 0; i < MODULES; i++) {
        const struct open *o = NULL;
        for (unsigned k = 0; k < OPEN_MAX; k++)
            if (l->open[k].used && (l->open[k].members >> i & 1))
                o = &l->open[k];
        if (r->members >> i & 1) {
            if (l->force[i] || r->to[i])
                change(l->force[i], r->to[i]);
        } else if (o) {
            under_way(1 + (o - l->open), o->from[i], o->to[i]);
        } else if (l->force[i]) {
            in_force(l->force[i]);
        }
    }
}

static void propose(struct life *l, struct open *o)
{
    *o = (struct open){0};
    for (unsigned i = 0; i < MODULES; i++)
        if (draw(l, 3) == 0 && !is_taken(l, i)) {
            o->from[i] = l->force[i];
            o->to[i] = draw(l, 5) ? some_version(l, i) : NULL;
            if (o->from[i] || o->to[i])
                o->members |= 1u << i;
        }
    if (!o->members)
        return;
    collect(l, o);
    ask();
    o->used = got.verdict == GR_RESOLVE_GO;
    l->went += got.verdict == GR_RESOLVE_GO;
    l->waited += got.verdict == GR_RESOLVE_WAIT;
    l->refused += got.verdict == GR_RESOLVE_REFUSE;
}

// Swaps, settles or goes back, as chance will.
static void go_on(struct life *l, struct open *o)
{
    unsigned what = draw(l, 3);
    bool swaps = what == 0 && !o->swapped, back = what == 1;
    for (unsigned i = 0; i < MODULES; i++)
        if ((o->members >> i & 1) && (swaps || back))
            l->force[i] = swaps ? o->to[i] : o->from[i];
    if (swaps)
        o->swapped = true;
    else if (back || o->swapped)
        o->used = false;
}

static void assert_all_met(const struct life *l)
{
    for (unsigned i = 0; i < MODULES; i++)
        for (size_t k = 0; l->force[i] && k < l->force[i]->n_requires; k++) {
            const struct gr_contract_need *need = &l->force[i]->requires[k];
            if (!gr_resolve_bind(need, l->force, MODULES))
                fail_msg("seed %llx: %s %s is in force without %s %s", (unsigned long long)l->seed,
                         l->force[i]->module.s, l->force[i]->version.text, need->interface,
                         need->range.text);
        }
}

static void test_no_requirement_is_ever_unmet(void **state)
{
    (void)state;
    unsigned went = 0, waited = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct life l = {.seed = seed * 0x9e3779b97f4a7c15u};
        for (unsigned step = 0; step < 120; step++) {
            struct open *o = &l.open[draw(&l, OPEN_MAX)];
            if (o->used)
                go_on(&l, o);
            else
                propose(&l, o);
            assert_all_met(&l);
        }
        went += l.went;
        waited += l.waited;
        refused += l.refused;
        forget(NULL);
    }
    // all three happen, or this proves nothing
    assert_true(went > 500 && waited > 50 && refused > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, forget)
        TEST(test_needs_are_met_by_what_is_there_and_by_what_comes_along),
        TEST(test_what_nobody_provides_is_named_with_its_chain),
        TEST(test_another_version_names_both_sides),
        TEST(test_a_caller_built_for_2_0_runs_on_2_1),
        TEST(test_a_module_may_need_itself),
        TEST(test_what_may_be_taken_back_is_waited_for),
        TEST(test_who_fits_before_and_after_is_not_waited_for),
        TEST(test_what_is_about_to_go_is_not_built_upon),
        TEST(test_what_is_on_its_way_is_waited_for),
        TEST(test_what_does_not_help_is_not_waited_for),
        TEST(test_a_refusal_counts_more_than_a_wait),
        TEST(test_removing_what_is_required_is_refused_with_the_chain),
        TEST(test_removing_both_works),
        TEST(test_a_major_version_takes_its_callers_along),
        TEST(test_who_is_about_to_go_is_waited_for),
        TEST(test_who_comes_counts_as_who_is_there),
        TEST(test_a_batch_under_way_is_judged_as_one),
        TEST(test_what_was_amiss_before_is_not_this_ones_fault),
        TEST(test_an_interface_has_one_provider),
        TEST(test_an_interface_keeps_its_promise_within_a_major_version),
        TEST(test_a_cycle_is_named),
        TEST(test_a_cycle_through_an_optional_need_is_none),
        TEST(test_optional_providers_come_first_where_they_can),
        TEST(test_order_leads_through_what_does_not_change),
        TEST(test_a_chain_of_32_in_any_order),
        TEST(test_too_many_modules_are_refused),
        TEST(test_missing_optional_needs_are_noted),
        TEST(test_others_lose_optional_needs_and_it_is_noted),
        TEST(test_a_need_is_bound_to_the_version_that_is_provided),
        TEST(test_no_requirement_is_ever_unmet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
