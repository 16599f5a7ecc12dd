// What each change of a contract means to callers, with and without the version that announces it.
#include "base/contract-compat.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_contract *contract(const char *version, const char *provides, const char *rest)
{
    char json[2048];
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    snprintf(json, sizeof json,
             "{\"module\":\"pay\",\"version\":\"%s\",\"abi\":{\"major\":1,\"minor\":0},"
             "\"provides\":[%s]%s}",
             version, provides, rest);
    if (gr_contract_parse(json, strlen(json), &c, &e) < 0)
        fail_msg("%s", e.message);
    return c;
}

#define PAY(version, methods)                                                                      \
    "{\"interface\":\"a.Pay\",\"version\":\"" version "\",\"methods\":{" methods "}}"

struct change {
    const char *from, *to; // what is provided
    enum gr_compat_severity severity;
    const char *findings, *sentence; // kinds in order; a part of the first sentence
};

static void expect(const struct gr_contract *from, const struct gr_contract *to,
                   const struct change *change)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = NULL;
    char kinds[256] = "";
    assert_int_equal(gr_contract_compare(from, to, &c), 0);
    enum gr_compat_severity worst = GR_COMPAT_NOTE;
    for (size_t i = 0; i < c->n; i++) {
        snprintf(kinds + strlen(kinds), sizeof kinds - strlen(kinds), "%s%s", i ? " " : "",
                 gr_compat_kind_name(c->findings[i].kind));
        if (c->findings[i].severity > worst)
            worst = c->findings[i].severity;
    }
    const char *first = c->n ? c->findings[0].sentence : "";
    if (strcmp(kinds, change->findings) != 0 || worst != change->severity ||
        !strstr(first, change->sentence))
        fail_msg("%s -> %s\nexpected %s (%s) \"%s\"\ngot %s (%s) \"%s\"", change->from, change->to,
                 change->findings, gr_compat_severity_name(change->severity), change->sentence,
                 kinds, gr_compat_severity_name(worst), first);
}

static void changes_of_an_interface(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {PAY("2.0.0", "\"A\":{}"), PAY("2.0.0", "\"A\":{}"), GR_COMPAT_NOTE, "", ""},
        {PAY("2.0.0", "\"A\":{}"), PAY("2.1.0", "\"A\":{},\"B\":{}"), GR_COMPAT_NOTE,
         "InterfaceRaised MethodAdded", "callers of ^2.0.0 are bridged to it"},
        {PAY("2.0.0", "\"A\":{}"), PAY("2.0.0", "\"A\":{},\"B\":{}"), GR_COMPAT_NOTE, "MethodAdded",
         "raise the minor version"},
        {PAY("2.0.0", "\"A\":{},\"B\":{}"), PAY("2.1.0", "\"A\":{}"), GR_COMPAT_BREAKING,
         "InterfaceRaised MethodRemoved", ""},
        {PAY("2.0.0", "\"A\":{},\"B\":{}"), PAY("2.0.0", "\"B\":{}"), GR_COMPAT_BREAKING,
         "MethodRemoved",
         "a.Pay/A is removed, while the interface kept its version 2.0.0, which promises that "
         "callers go on working; keep it as it was or give the interface version 3.0.0"},
        {PAY("2.0.0", "\"A\":{},\"B\":{}"), PAY("3.0.0", "\"A\":{}"), GR_COMPAT_ANNOUNCED,
         "InterfaceMajor MethodRemoved", "callers of ^2.0.0 are refused"},
        {PAY("2.1.0", "\"A\":{},\"B\":{}"), PAY("2.0.0", "\"A\":{}"), GR_COMPAT_ANNOUNCED,
         "InterfaceBack MethodRemoved", "goes back from 2.1.0 to 2.0.0"},
        {PAY("2.0.0", "\"A\":{}"), PAY("3.0.0-rc.1", "\"B\":{}"), GR_COMPAT_ANNOUNCED,
         "InterfaceMajor MethodRemoved MethodAdded", ""},
        {PAY("2.0.0", "\"A\":{}"), PAY("2.0.1+b", "\"A\":{}"), GR_COMPAT_NOTE, "InterfaceRaised",
         ""},
        // below 1.0.0 the minor number announces, below 0.1.0 the patch number
        {PAY("0.2.0", "\"A\":{}"), PAY("0.3.0", "\"B\":{}"), GR_COMPAT_ANNOUNCED,
         "InterfaceMajor MethodRemoved MethodAdded", ""},
        {PAY("0.2.0", "\"A\":{}"), PAY("0.2.1", "\"B\":{}"), GR_COMPAT_BREAKING,
         "InterfaceRaised MethodRemoved MethodAdded", ""},
        {PAY("0.0.2", "\"A\":{}"), PAY("0.0.3", "\"B\":{}"), GR_COMPAT_ANNOUNCED,
         "InterfaceMajor MethodRemoved MethodAdded", ""},
        // types and codecs
        {PAY("1.0.0", "\"A\":{\"input\":\"a.X\"}"), PAY("1.1.0", "\"A\":{\"input\":\"a.Y\"}"),
         GR_COMPAT_BREAKING, "InterfaceRaised MethodRetyped", ""},
        {PAY("1.0.0", "\"A\":{\"output\":\"a.X\"}"), PAY("1.0.0", "\"A\":{\"output\":\"a.Y\"}"),
         GR_COMPAT_BREAKING, "MethodRetyped", "a.Pay/A changes its output from a.X to a.Y"},
        {PAY("1.0.0", "\"A\":{\"output\":\"a.X\"}"), PAY("1.0.0", "\"A\":{}"), GR_COMPAT_BREAKING,
         "MethodRetyped", "no longer declares its output, which was a.X"},
        {PAY("1.0.0", "\"A\":{}"), PAY("1.0.0", "\"A\":{\"input\":\"a.X\"}"), GR_COMPAT_NOTE,
         "TypeDeclared", "declares its input a.X now"},
        {PAY("1.0.0", "\"A\":{\"input\":\"a.X\"}"), PAY("2.0.0", "\"A\":{\"input\":\"a.Y\"}"),
         GR_COMPAT_ANNOUNCED, "InterfaceMajor MethodRetyped", ""},
        {PAY("1.0.0", "\"A\":{\"codec\":\"json\"}"), PAY("1.0.0", "\"A\":{\"codec\":\"proto\"}"),
         GR_COMPAT_BREAKING, "MethodRetyped", "takes codec proto and no longer json"},
        {PAY("1.0.0", "\"A\":{}"), PAY("1.0.0", "\"A\":{\"codec\":\"json\"}"), GR_COMPAT_BREAKING,
         "MethodRetyped", "takes codec json and no longer any"},
        {PAY("1.0.0", "\"A\":{\"codec\":\"json\"}"), PAY("1.0.0", "\"A\":{}"), GR_COMPAT_NOTE,
         "CodecAdded", "takes codec any, before only json"},
        {PAY("1.0.0", "\"A\":{\"codec\":\"json\"}"),
         PAY("1.0.0", "\"A\":{\"codec\":[\"proto\",\"json\"]}"), GR_COMPAT_NOTE, "CodecAdded", ""},
        {PAY("1.0.0", "\"A\":{\"codec\":[\"json\",\"proto\"]}"),
         PAY("1.0.0", "\"A\":{\"codec\":[\"proto\",\"json\"]}"), GR_COMPAT_NOTE, "", ""},
        {PAY("1.0.0", "\"A\":{\"codec\":[\"json\",\"proto\"]}"),
         PAY("1.0.0", "\"A\":{\"codec\":[\"proto\",\"json5\"]}"), GR_COMPAT_BREAKING,
         "MethodRetyped", ""},
        // promises
        {PAY("1.0.0", "\"A\":{\"idempotent\":true}"), PAY("1.0.0", "\"A\":{}"), GR_COMPAT_BREAKING,
         "IdempotenceLost", "is no longer idempotent"},
        {PAY("1.0.0", "\"A\":{}"), PAY("1.0.0", "\"A\":{\"idempotent\":true}"), GR_COMPAT_NOTE,
         "IdempotenceGained", ""},
        {PAY("1.0.0", "\"A\":{\"deadline\":\"2s\"}"), PAY("1.0.0", "\"A\":{\"deadline\":\"1s\"}"),
         GR_COMPAT_NOTE, "DeadlineChanged", "the deadline 1s, before 2s: slow calls"},
        {PAY("1.0.0", "\"A\":{\"deadline\":\"2s\"}"), PAY("1.0.0", "\"A\":{}"), GR_COMPAT_NOTE,
         "DeadlineChanged", "the deadline none, before 2s"},
        // whole interfaces
        {PAY("1.0.0", "\"A\":{}"), "", GR_COMPAT_BREAKING, "InterfaceRemoved",
         "a.Pay is not provided by pay 1.1.0, while 1.0.0 provides it in version 1.0.0; keep it or "
         "give the module version 2.0.0"},
        {"", PAY("1.0.0", "\"A\":{}"), GR_COMPAT_NOTE, "InterfaceAdded", "a.Pay 1.0.0 is new"},
    };
    for (size_t i = 0; i < GR_COUNT(changes); i++) {
        GR_CLEANUP(gr_contract_freep)
        struct gr_contract *from = contract("1.0.0", changes[i].from, "");
        GR_CLEANUP(gr_contract_freep) struct gr_contract *to = contract("1.1.0", changes[i].to, "");
        expect(from, to, &changes[i]);
    }
}

static void a_removed_interface_is_announced_by_the_module(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contract_freep)
    struct gr_contract *one = contract("1.0.0", PAY("1.0.0", "\"A\":{}"), "");
    GR_CLEANUP(gr_contract_freep) struct gr_contract *two = contract("2.0.0", "", "");
    GR_CLEANUP(gr_contract_freep) struct gr_contract *old = contract("0.9.0", "", "");
    struct change announced = {.from = "1.0.0",
                               .to = "2.0.0",
                               .severity = GR_COMPAT_ANNOUNCED,
                               .findings = "InterfaceRemoved",
                               .sentence = "the module's version says so"};
    expect(one, two, &announced);
    announced.findings = "VersionBack InterfaceRemoved"; // undone: what was new goes again
    announced.sentence = "pay goes back from 1.0.0 to 0.9.0";
    expect(one, old, &announced);
}

static void the_rest_are_notes(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {"", ",\"requires\":{\"a.B\":\"^1\"}", GR_COMPAT_NOTE, "NeedAdded", "requires a.B ^1 now"},
        {",\"requires\":{\"a.B\":\"^1\"}", "", GR_COMPAT_NOTE, "NeedDropped",
         "no longer requires a.B ^1"},
        {",\"requires\":{\"a.B\":\"^1\"}", ",\"requires\":{\"a.B\":\"^2\"}", GR_COMPAT_NOTE,
         "NeedChanged", "requires a.B ^2, before ^1"},
        {",\"requires\":{\"a.B\":\"^1\"}", ",\"optional\":{\"a.B\":\"^1\"}", GR_COMPAT_NOTE,
         "NeedDropped NeedAdded", ""},
        {"", ",\"upgrade_lock\":\"money\"", GR_COMPAT_NOTE, "LockChanged",
         "upgrade_lock is money, before false"},
        {",\"upgrade_lock\":true", ",\"upgrade_lock\":\"money\"", GR_COMPAT_NOTE, "LockChanged",
         "is money, before true"},
        {"", ",\"sla\":{\"p99\":\"20ms\",\"error_rate\":0.01}", GR_COMPAT_NOTE,
         "SlaChanged SlaChanged", "declares the p99 20ms, before none"},
        {",\"sla\":{\"error_rate\":0.01}", ",\"sla\":{\"error_rate\":0.02}", GR_COMPAT_NOTE,
         "SlaChanged", "the error rate 0.02, before 0.01"},
        {"", ",\"execution\":\"pool\",\"isolation\":\"process\"", GR_COMPAT_NOTE,
         "ExecutionChanged ExecutionChanged", "execution is pool, before inline"},
        {"", ",\"state\":{\"schema\":1}", GR_COMPAT_NOTE, "", ""}, // base/handover.h judges it
    };
    for (size_t i = 0; i < GR_COUNT(changes); i++) {
        GR_CLEANUP(gr_contract_freep)
        struct gr_contract *from = contract("1.0.0", "", changes[i].from);
        GR_CLEANUP(gr_contract_freep) struct gr_contract *to = contract("1.1.0", "", changes[i].to);
        expect(from, to, &changes[i]);
    }
}

static void findings_are_looked_up_by_severity(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contract_freep)
    struct gr_contract *from = contract("1.0.0", PAY("1.0.0", "\"A\":{},\"B\":{}"), "");
    GR_CLEANUP(gr_contract_freep)
    struct gr_contract *to = contract("1.1.0", PAY("1.1.0", "\"C\":{}"), "");
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = NULL;
    assert_int_equal(gr_contract_compare(from, to, &c), 0);
    assert_string_equal(gr_compat_first(c, GR_COMPAT_BREAKING)->subject, "a.Pay/A");
    assert_int_equal(gr_compat_first(c, GR_COMPAT_NOTE)->kind, GR_COMPAT_INTERFACE_RAISED);
    assert_null(gr_compat_first(c, GR_COMPAT_ANNOUNCED));
    assert_int_equal(gr_compat_add(c, GR_COMPAT_STATE_LOST, GR_COMPAT_ANNOUNCED, "state", "%d", 7),
                     0);
    assert_string_equal(gr_compat_first(c, GR_COMPAT_ANNOUNCED)->sentence, "7");
}

static void another_module_is_no_successor(void **state)
{
    (void)state;
    static const char auth[] = "{\"module\":\"auth\",\"version\":\"1.0.0\","
                               "\"abi\":{\"major\":1,\"minor\":0},\"provides\":[]}";
    GR_CLEANUP(gr_contract_freep) struct gr_contract *from = contract("1.0.0", "", "");
    GR_CLEANUP(gr_contract_freep) struct gr_contract *to = NULL;
    assert_int_equal(gr_contract_parse(auth, strlen(auth), &to, NULL), 0);
    struct change change = {.from = "pay",
                            .to = "auth",
                            .severity = GR_COMPAT_BREAKING,
                            .findings = "ModuleRenamed",
                            .sentence = "is module auth and not pay"};
    expect(from, to, &change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_an_interface),
        cmocka_unit_test(a_removed_interface_is_announced_by_the_module),
        cmocka_unit_test(the_rest_are_notes),
        cmocka_unit_test(findings_are_looked_up_by_severity),
        cmocka_unit_test(another_module_is_no_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
