// What two files make of each other, one fact at a time; the rules of contracts have a test of
// their own beside them.
#include "verifier/abi-diff.h"
#include "verifier/testing/harness.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const plain_exports[] = {"grayling_module_entry"};
static char libc_and_libm[2][64] = {"libc.so.6", "libm.so.6"};

// A sound file; the contract is freed by done().
static struct gr_inspection sound(const char *version, const char *interface_version,
                                  const char *rest)
{
    char json[512];
    struct gr_inspection i = {.digest = test_digest(version, strlen(version)),
                              .machine = "x86-64",
                              .glibc = "2.34",
                              .n_needed = 1,
                              .needed = libc_and_libm,
                              .n_exports = 1,
                              .exports = (char **)(uintptr_t)plain_exports};
    snprintf(
        json, sizeof json,
        "{\"module\":\"pay\",\"version\":\"%s\",\"abi\":{\"major\":1,\"minor\":0},"
        "\"provides\":[{\"interface\":\"a.Pay\",\"version\":\"%s\",\"methods\":{\"A\":{}}}]%s}",
        version, interface_version, rest);
    assert_int_equal(gr_contract_parse(json, strlen(json), &i.contract, NULL), 0);
    return i;
}

static void done(struct gr_inspection *i) // everything else is static
{
    gr_contract_free(i->contract);
}

// Compares, expects the kinds in their order and frees both contracts.
static void expect(struct gr_inspection *from, struct gr_inspection *to,
                   enum gr_abi_verdict verdict, const char *kinds)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = NULL;
    char found[512] = "";
    assert_int_equal(gr_abi_diff(from, to, &c, NULL), 0);
    for (size_t i = 0; i < c->n; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? " " : "",
                 gr_compat_kind_name(c->findings[i].kind));
    assert_string_equal(found, kinds);
    assert_string_equal(gr_abi_verdict_name(gr_abi_verdict_of(c)), gr_abi_verdict_name(verdict));
    done(from);
    done(to);
}

static void contracts_decide(void **state)
{
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.0", "1.0.0", "");
    expect(&a, &b, GR_ABI_SAME, "");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("1.0.1", "1.0.0", "");
    expect(&a, &b, GR_ABI_SAME, "");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("1.1.0", "1.1.0", "");
    expect(&a, &b, GR_ABI_COMPATIBLE, "InterfaceRaised");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("2.0.0", "2.0.0", "");
    expect(&a, &b, GR_ABI_ANNOUNCED, "InterfaceMajor");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("1.0.0", "1.0.0", "");
    b.digest = test_digest("other", 5);
    expect(&a, &b, GR_ABI_COMPATIBLE, "VersionKept");
}

static void lost_state_is_breaking(void **state)
{
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ",\"state\":{\"schema\":1}");
    struct gr_inspection b = sound("1.0.1", "1.0.0", ",\"state\":{\"schema\":2}");
    expect(&a, &b, GR_ABI_BREAKING, "StateLost");
    a = sound("1.0.0", "1.0.0", ",\"state\":{\"schema\":1}");
    b = sound("1.0.1", "1.0.0", ",\"state\":{\"schema\":2,\"imports\":[1]}");
    expect(&a, &b, GR_ABI_COMPATIBLE, "StateOneWay");
}

static void another_machine_is_breaking(void **state)
{
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.1", "1.0.0", "");
    strcpy(b.machine, "aarch64");
    gr_error_set(&b.verdict, -ENOEXEC, GR_REASON_ABI_INCOMPATIBLE, "not on this host");
    expect(&a, &b, GR_ABI_BREAKING, "MachineChanged"); // and not refused for the same once more
}

static void what_its_own_host_refuses_is_breaking(void **state)
{
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.1", "1.0.0", "");
    gr_error_set(&b.own_verdict, -ENOEXEC, GR_REASON_LOAD_FAILED, "IFUNC");
    b.n_traits = 1;
    b.traits[0] = "IFUNC";
    expect(&a, &b, GR_ABI_BREAKING, "NotAdmissible ElfChanged");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("1.0.1", "1.0.0", "");
    a.n_traits = 1;
    a.traits[0] = "thread-local storage";
    expect(&a, &b, GR_ABI_COMPATIBLE, "ElfChanged");
}

static void libraries_and_symbols_are_notes(void **state)
{
    static const char *const others[] = {"a", "grayling_module_entry", "z"};
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.1", "1.0.0", "");
    b.n_needed = 2;
    strcpy(b.glibc, "2.36");
    strcpy(b.soname, "pay.so");
    b.exports = (char **)(uintptr_t)others;
    b.n_exports = 3;
    expect(&a, &b, GR_ABI_COMPATIBLE, "LibraryAdded ElfChanged ElfChanged SymbolAdded SymbolAdded");
    a = sound("1.0.0", "1.0.0", "");
    b = sound("1.0.1", "1.0.0", "");
    a.exports = (char **)(uintptr_t)(others + 1);
    a.n_exports = 2;
    b.n_needed = 0;
    expect(&a, &b, GR_ABI_COMPATIBLE, "LibraryDropped SymbolRemoved");
}

static void many_symbols_are_counted(void **state)
{
    static char names[GR_ABI_SYMBOLS_TOLD + 3][8];
    static char *exports[GR_ABI_SYMBOLS_TOLD + 3];
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = NULL;
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.1", "1.0.0", "");
    for (size_t i = 0; i < GR_COUNT(names); i++) {
        snprintf(names[i], sizeof names[i], "s%04zu", i);
        exports[i] = names[i];
    }
    a.n_exports = 0;
    b.exports = exports;
    b.n_exports = GR_COUNT(exports);
    assert_int_equal(gr_abi_diff(&a, &b, &c, NULL), 0);
    assert_int_equal(c->n, GR_ABI_SYMBOLS_TOLD + 1);
    assert_string_equal(c->findings[c->n - 1].sentence, "differs in 3 exported symbols more");
    done(&a);
    done(&b);
}

static void files_without_a_contract(void **state)
{
    (void)state;
    struct gr_inspection a = sound("1.0.0", "1.0.0", ""), b = sound("1.0.1", "1.0.0", "");
    struct gr_compat *c = NULL;
    struct gr_error e = {0};
    gr_contract_free(gr_steal(b.contract));
    gr_error_set(&b.own_verdict, -ENOEXEC, GR_REASON_NOT_A_MODULE, "no note");
    assert_int_equal(gr_abi_diff(&b, &a, &c, &e), -EINVAL);
    TEST_ASSERT_ERROR(&e, GR_REASON_NOT_A_MODULE, "nothing is known", "no note");
    expect(&a, &b, GR_ABI_BREAKING, "ContractMissing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contracts_decide),
        cmocka_unit_test(lost_state_is_breaking),
        cmocka_unit_test(another_machine_is_breaking),
        cmocka_unit_test(what_its_own_host_refuses_is_breaking),
        cmocka_unit_test(libraries_and_symbols_are_notes),
        cmocka_unit_test(many_symbols_are_counted),
        cmocka_unit_test(files_without_a_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
