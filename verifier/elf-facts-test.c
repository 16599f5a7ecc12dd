// Facts of real modules of this machine, of another and of another language, and of thousands of
// damaged copies: whatever the bytes, an answer and no step outside of them (the sanitizers watch).
#include "verifier/elf-facts.h"
#include "verifier/elf-policy.h"
#include "verifier/testing/harness.h"
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t *module, *go, *foreign; // foreign: NULL where there is no cross compiler
static size_t module_len, go_len, foreign_len;

static uint64_t random_state = 20261124;

static uint64_t random_next(void) // xorshift64*
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

// An exact copy, so that one byte too far is seen; everything that the facts point to is read.
static bool judge(const uint8_t *bytes, size_t len)
{
    struct gr_elf_facts f;
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    assert_int_equal(gr_elf_facts_read(exact, len, &f), 0);
    struct gr_elf_host host = gr_elf_host_here();
    if (f.machine_known) // a host of its machine
        host.machine = f.machine;
    struct gr_error verdict = {0};
    bool admitted = gr_elf_policy_admits(&f, &host, false, &verdict);
    assert_int_equal(admitted, verdict.reason == GR_REASON_NONE);
    assert_true(admitted || verdict.message[0]);
    size_t sum = f.soname ? strlen(f.soname) : 0;
    for (size_t i = 0; i < f.n_imports; i++)
        sum += strlen(f.imports[i]);
    for (size_t i = 0; i < f.n_exports; i++)
        sum += strlen(f.exports[i]);
    for (size_t i = 0; i < f.contract_len; i++)
        sum += (size_t)f.contract[i];
    for (size_t i = 0; i < f.build_id_len; i++)
        sum += f.build_id[i];
    assert_true(sum > 0 || !admitted);
    gr_elf_facts_done(&f);
    free(exact);
    return admitted;
}

static void describe(const uint8_t *bytes, size_t len, uint16_t machine)
{
    struct gr_elf_facts f;
    assert_int_equal(gr_elf_facts_read(bytes, len, &f), 0);
    assert_true(f.is_elf && f.has_dynamic && f.has_entry && f.machine_known);
    assert_null(f.defect);
    assert_int_equal(f.type, ET_DYN);
    assert_int_equal(f.machine, machine);
    assert_false(f.has_interpreter || f.exec_stack || f.write_and_exec || f.text_relocations);
    assert_false(f.rpath || f.runpath || f.nodelete || f.ifunc || f.gnu_unique || f.static_tls);
    assert_false(f.foreign_relocation);
    assert_int_equal(f.n_exports, 1);
    assert_string_equal(f.exports[0], "grayling_module_entry");
    assert_true(f.contract_len > 0 && f.contract[0] == '{');
    assert_int_equal(f.build_id_len, 20);
    gr_elf_facts_done(&f);
    assert_true(judge(bytes, len));
}

static void a_module_is_described(void **state)
{
    (void)state;
    describe(module, module_len, gr_elf_host_machine());
}

static void so_is_one_of_another_machine(void **state)
{
    (void)state;
    if (!foreign)
        skip();
    describe(foreign, foreign_len, EM_AARCH64);
}

static struct gr_elf_facts facts_of(const uint8_t *bytes, size_t len)
{
    struct gr_elf_facts f;
    assert_int_equal(gr_elf_facts_read(bytes, len, &f), 0);
    assert_null(f.defect);
    return f;
}

// A copy in which one text is spoilt wherever it stands. NULL: none.
static uint8_t *without(const uint8_t *bytes, size_t len, const char *text, size_t text_len)
{
    uint8_t *copy = malloc(len), *at = copy;
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    while (text && (at = memmem(at, len - (size_t)(at - copy), text, text_len)))
        *at = 'x';
    return copy;
}

// Each of its two marks is enough; what it does to a process is as with a true one.
static void a_go_runtime_is_seen(void **state)
{
    static const char note[] = "Go", info[] = "\xff Go buildinf:";
    struct gr_elf_host host = gr_elf_host_here();
    struct gr_elf_facts f = facts_of(go, go_len);
    struct gr_error e = {0};
    (void)state;
    assert_true(f.go_runtime && f.nodelete && f.static_tls && f.has_tls);
    assert_false(gr_elf_policy_admits(&f, &host, false, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_ABI_INCOMPATIBLE, "written in Go", "isolation: process");
    if (!gr_elf_policy_admits(&f, &host, true, &e))
        fail_msg("%s", e.message);
    gr_elf_facts_done(&f);
    for (int round = 0; round < 3; round++) {
        uint8_t *one = without(go, go_len, round == 1 ? NULL : note, sizeof note);
        uint8_t *both = without(one, go_len, round == 0 ? NULL : info, sizeof info - 1);
        f = facts_of(both, go_len);
        assert_int_equal(f.go_runtime, round < 2);
        gr_elf_facts_done(&f);
        free(one);
        free(both);
    }
    f = facts_of(module, module_len);
    assert_false(f.go_runtime);
    gr_elf_facts_done(&f);
}

// The loader needs no section headers, so neither does anything here.
static void section_headers_are_not_needed(void **state)
{
    uint8_t *copy = malloc(module_len);
    Elf64_Ehdr header;
    (void)state;
    assert_non_null(copy);
    memcpy(copy, module, module_len);
    memcpy(&header, copy, sizeof header);
    memset(copy + header.e_shoff, 0xff, (size_t)header.e_shnum * header.e_shentsize);
    header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
    memcpy(copy, &header, sizeof header);
    describe(copy, module_len, gr_elf_host_machine());
    free(copy);
}

static void damage(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len);
    size_t admitted = 0;
    assert_non_null(copy);
    for (int round = 0; round < 6000; round++) {
        // a third each: anywhere, in the headers, in the first pages, where the dynamic tables are
        size_t span = round % 3 == 0 ? len : round % 3 == 1 ? 64 + 12 * 56 : 8192;
        memcpy(copy, bytes, len);
        for (uint64_t n = 1 + random_next() % 8; n; n--)
            copy[random_next() % (span < len ? span : len)] = (uint8_t)random_next();
        admitted += judge(copy, len);
    }
    assert_true(admitted < 6000); // the damage reached what is judged
    free(copy);
}

static void damaged_modules_are_survived(void **state)
{
    (void)state;
    damage(module, module_len);
    if (foreign)
        damage(foreign, foreign_len);
}

static void truncated_modules_are_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < module_len; len += 37)
        (void)judge(module, len);
    assert_false(judge(module, module_len / 2));
    assert_false(judge(module, 64));
    assert_false(judge(module, 0));
}

static uint8_t *load(const char *name, size_t *ret_len)
{
    GR_AUTO_FREE char *path = test_built(name);
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f)
        return NULL;
    uint8_t *bytes = malloc(1u << 20);
    *ret_len = bytes ? fread(bytes, 1, 1u << 20, f) : 0;
    fclose(f);
    return bytes;
}

static int set_up(void **state)
{
    (void)state;
    module = load("modules/echo-1.0.0.so", &module_len);
    go = load("modules/faulty-go-1.0.0.so", &go_len);
    foreign = load("modules/faulty-aarch64-1.0.0.so", &foreign_len);
    return module && module_len > 4096 && go ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(module);
    free(go);
    free(foreign);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_is_described),
        cmocka_unit_test(so_is_one_of_another_machine),
        cmocka_unit_test(a_go_runtime_is_seen),
        cmocka_unit_test(section_headers_are_not_needed),
        cmocka_unit_test(damaged_modules_are_survived),
        cmocka_unit_test(truncated_modules_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
