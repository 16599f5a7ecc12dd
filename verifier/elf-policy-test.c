// The rules for modules, one fact at a time: each refusal has its reason, names what is wrong and
// how to get rid of it.
#include "verifier/elf-policy.h"
#include "verifier/testing/harness.h"
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *imports[2] = {"memcpy"};
static const uint8_t build_id[20];

static struct gr_elf_facts sound(void)
{
    imports[1] = "abort"; // contained by dispatch, so allowed
    return (struct gr_elf_facts){.is_elf = true,
                                 .elf_class = ELFCLASS64,
                                 .data = ELFDATA2LSB,
                                 .type = ET_DYN,
                                 .machine = EM_X86_64,
                                 .has_dynamic = true,
                                 .has_entry = true,
                                 .n_needed = 1,
                                 .needed = {"libc.so.6"},
                                 .n_imports = 2,
                                 .imports = imports,
                                 .glibc = "GLIBC_2.34",
                                 .contract = "{}",
                                 .contract_len = 2,
                                 .build_id = build_id,
                                 .build_id_len = sizeof build_id};
}

static const struct gr_elf_host host = {.machine = EM_X86_64, .glibc = "2.36"};

static void refused(const struct gr_elf_facts *f, enum gr_reason reason, const char *a,
                    const char *b)
{
    struct gr_error e = {0};
    if (gr_elf_policy_admits(f, &host, false, &e))
        fail_msg("admitted: %s", a);
    TEST_ASSERT_ERROR(&e, reason, a, b);
    assert_false(e.retryable);
    assert_false(gr_elf_policy_admits(f, &host, false, NULL));
}

#define REFUSED(change, reason, a, b)                                                              \
    do {                                                                                           \
        struct gr_elf_facts f = sound();                                                           \
        change;                                                                                    \
        refused(&f, GR_REASON_##reason, a, b);                                                     \
    } while (0)

static void sound_ones_are_admitted(void **state)
{
    struct gr_elf_facts f = sound();
    struct gr_error e = {0};
    (void)state;
    if (!gr_elf_policy_admits(&f, &host, false, &e))
        fail_msg("%s", e.message);
    f.glibc = "GLIBC_2.36";
    assert_true(gr_elf_policy_admits(&f, &host, false, &e));
    f.static_tls = true; // without a TLS segment of its own it takes none
    assert_true(gr_elf_policy_admits(&f, &host, false, &e));
    imports[1] = "__assert_fail";
    assert_true(gr_elf_policy_admits(&f, &host, false, &e));
    struct gr_elf_host here = gr_elf_host_here();
    assert_non_null(here.glibc);
    assert_int_equal(here.machine, gr_elf_host_machine());
}

static void other_files_are_refused(void **state)
{
    (void)state;
    REFUSED(f.is_elf = false, NOT_A_MODULE, "no ELF file", "grayling_add_module");
    REFUSED(f.elf_class = ELFCLASS32, ABI_INCOMPATIBLE, "32-bit little-endian",
            "build it for x86-64");
    REFUSED(f.data = ELFDATA2MSB, ABI_INCOMPATIBLE, "64-bit big-endian", "build it for x86-64");
    REFUSED(f.machine = EM_AARCH64, ABI_INCOMPATIBLE, "aarch64", "x86-64");
    REFUSED(f.machine = 4711, ABI_INCOMPATIBLE, "machine 4711", "x86-64");
    REFUSED(f.defect = "it is half", NOT_A_MODULE, "it is half", "whole file");
    REFUSED(f.osabi = ELFOSABI_FREEBSD, NOT_A_MODULE, "ABI 9", "Linux");
    REFUSED(f.type = ET_EXEC, NOT_A_MODULE, "a program", "-shared");
    REFUSED(f.type = ET_REL, NOT_A_MODULE, "an object file", "-shared");
    REFUSED(f.type = ET_CORE, NOT_A_MODULE, "a core dump", "-shared");
    REFUSED(f.has_interpreter = true, NOT_A_MODULE, "a program", "-shared");
    REFUSED(f.has_dynamic = false, NOT_A_MODULE, "a program", "-shared");
    REFUSED((f.contract = NULL, f.soname = "libz.so.1"), NOT_A_MODULE, "libz.so.1",
            "contract note");
    REFUSED(f.has_entry = false, NOT_A_MODULE, "grayling_module_entry", "GRAYLING_EXPORT");
    REFUSED(f.build_id = NULL, LOAD_FAILED, "build-id", "--build-id");
}

static void unsafe_links_are_refused(void **state)
{
    (void)state;
    REFUSED(f.exec_stack = true, LOAD_FAILED, "executable stack", "noexecstack");
    REFUSED(f.text_relocations = true, LOAD_FAILED, "TEXTREL", "-fPIC");
    REFUSED(f.write_and_exec = true, LOAD_FAILED, "writable and executable", "link");
    REFUSED(f.rpath = true, LOAD_FAILED, "RPATH", "-rpath");
    REFUSED(f.runpath = true, LOAD_FAILED, "RUNPATH", "-rpath");
    REFUSED(f.nodelete = true, LOAD_FAILED, "NODELETE", "nodelete");
    REFUSED(f.global = true, LOAD_FAILED, "GLOBAL", "-z global");
    REFUSED(f.initfirst = true, LOAD_FAILED, "INITFIRST", "initfirst");
    REFUSED(f.noopen = true, LOAD_FAILED, "NOOPEN", "nodlopen");
    REFUSED(f.filter = true, LOAD_FAILED, "FILTER", "-F");
    REFUSED(f.audit = true, LOAD_FAILED, "AUDIT", "--audit");
    REFUSED((f.static_tls = f.has_tls = true), LOAD_FAILED, "static TLS", "initial-exec");
    REFUSED(f.gnu_unique = true, LOAD_FAILED, "GNU_UNIQUE", "-fno-gnu-unique");
    REFUSED(f.ifunc = true, LOAD_FAILED, "IFUNC", "target_clones");
    REFUSED(f.foreign_relocation = true, LOAD_FAILED, "relocations", "-shared");
    REFUSED(f.glibc_private = true, LOAD_FAILED, "GLIBC_PRIVATE", "public");
}

static void needs_are_limited(void **state)
{
    static const char *const denied[] = {
        "exit",   "_exit",     "quick_exit",  "pthread_exit", "fork",    "execve", "system",
        "signal", "sigaction", "sigaltstack", "dlopen",       "on_exit", "setuid", "chdir"};
    (void)state;
    REFUSED(f.needed[0] = "libcurl.so.4", LOAD_FAILED, "libcurl.so.4", "statically");
    for (size_t i = 0; i < GR_COUNT(denied); i++)
        REFUSED(imports[1] = denied[i], LOAD_FAILED, denied[i], "remove the call");
    REFUSED(f.glibc = "GLIBC_2.38", DEPENDENCY_MISSING, "2.38", "2.36");
    REFUSED(f.glibc = "GLIBC_3.0", DEPENDENCY_MISSING, "3.0", "2.36");
}

static struct gr_contract contract(const char *name, const char *version, unsigned abi_major)
{
    struct gr_contract c = {.abi_major = abi_major};
    assert_int_equal(gr_name_parse(name, strlen(name), &c.module), 0);
    assert_int_equal(gr_version_parse(version, &c.version), 0);
    return c;
}

static void contracts_match_the_document(void **state)
{
    struct gr_contract pay = contract("pay", "1.0.0", 1), other = contract("auth", "1.0.0", 1),
                       newer = contract("pay", "1.0.1", 1), built = contract("pay", "1.0.0+a", 1),
                       abi = contract("pay", "1.0.0", 2);
    struct gr_error e;
    (void)state;
    assert_true(gr_contract_policy_admits(&pay, &pay.module, &pay.version, &e));
    assert_true(gr_contract_policy_admits(&pay, NULL, NULL, &e));
    assert_false(gr_contract_policy_admits(&other, &pay.module, &pay.version, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_CONTRACT_INCOMPATIBLE, "pay 1.0.0", "auth 1.0.0");
    assert_false(gr_contract_policy_admits(&newer, &pay.module, &pay.version, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_CONTRACT_INCOMPATIBLE, "pay 1.0.0", "pay 1.0.1");
    assert_false(gr_contract_policy_admits(&built, &pay.module, &pay.version, &e));
    assert_false(gr_contract_policy_admits(&abi, &pay.module, &pay.version, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_ABI_INCOMPATIBLE, "ABI 2.0", "offers 1.0");
}

static void an_isolated_module_may_keep_state_and_need_others(void **state)
{
    struct gr_contract c = contract("pay", "1.0.0", 1);
    struct gr_contract_need need = {.interface = "com.example.auth.TokenValidator"};
    struct gr_error e;
    (void)state;
    c.isolation_process = c.has_state = true;
    c.requires = c.optional = &need;
    c.n_requires = c.n_optional = 1;
    assert_true(gr_contract_policy_admits(&c, NULL, NULL, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_ones_are_admitted),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(unsafe_links_are_refused),
        cmocka_unit_test(needs_are_limited),
        cmocka_unit_test(contracts_match_the_document),
        cmocka_unit_test(an_isolated_module_may_keep_state_and_need_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
