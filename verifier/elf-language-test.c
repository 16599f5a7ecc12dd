// What a file may do depends on its language and on where it wants to run: Go is taken only into a
// process of its own, and there it is excused from what every Go library does.
#include "verifier/elf-policy.h"
#include "verifier/testing/harness.h"
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *imports[2] = {"memcpy"};
static const uint8_t build_id[20];

static struct gr_elf_facts sound(void)
{
    imports[1] = "abort";
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

#define NOTE(isolation)                                                                            \
    "{\"module\":\"pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[{"  \
    "\"interface\":\"a.B\",\"version\":\"1.0.0\",\"methods\":{\"C\":{}}}],\"isolation\":"          \
    "\"" isolation "\"}"

static int read_note(const char *note, struct gr_elf_facts *f, struct gr_error *e)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    f->contract = note;
    f->contract_len = strlen(note);
    *e = (struct gr_error){0};
    return gr_elf_policy_read(f, &host, &c, e);
}

// In a process of its own a Go runtime may do what it does in every Go library, and nothing else.
static void go_needs_a_process(void **state)
{
    static const char *const own[] = {"sigaction", "setenv", "unsetenv", "setresuid", "setgroups"};
    struct gr_elf_facts g = sound();
    struct gr_error e;
    (void)state;
    g.go_runtime = g.nodelete = g.static_tls = g.has_tls = true;
    assert_int_equal(read_note(NOTE("worker"), &g, &e), -ENOEXEC);
    TEST_ASSERT_ERROR(&e, GR_REASON_ABI_INCOMPATIBLE, "isolation: worker", "module.yaml");
    for (size_t i = 0; i < GR_COUNT(own); i++) {
        imports[1] = own[i];
        if (read_note(NOTE("process"), &g, &e) < 0)
            fail_msg("%s", e.message);
    }
    imports[1] = "execve";
    assert_int_equal(read_note(NOTE("process"), &g, &e), -ENOEXEC);
    TEST_ASSERT_ERROR(&e, GR_REASON_LOAD_FAILED, "execve", "remove the call");
    imports[1] = "memcpy";
    g.rpath = true;
    assert_int_equal(read_note(NOTE("process"), &g, &e), -ENOEXEC);
    TEST_ASSERT_ERROR(&e, GR_REASON_LOAD_FAILED, "RPATH", "-rpath");
    g.rpath = false;
    assert_int_equal(read_note("{}", &g, &e), -ENOEXEC); // not said is not allowed
    // isolation alone excuses nobody
    g.go_runtime = g.static_tls = false;
    assert_int_equal(read_note(NOTE("process"), &g, &e), -ENOEXEC);
    TEST_ASSERT_ERROR(&e, GR_REASON_LOAD_FAILED, "NODELETE", "nodelete");
    g.nodelete = false;
    imports[1] = "sigaction";
    assert_int_equal(read_note(NOTE("process"), &g, &e), -ENOEXEC);
    imports[1] = "sigaltstack"; // but its threads have stacks of their own
    assert_int_equal(read_note(NOTE("worker"), &g, &e), -ENOEXEC);
    assert_int_equal(read_note(NOTE("process"), &g, &e), 0);
    imports[1] = "memcpy";
    assert_int_equal(read_note(NOTE("process"), &g, &e), 0);
    assert_int_equal(read_note("{}", &g, &e), -EINVAL);
    assert_int_equal(e.reason, GR_REASON_NOT_A_MODULE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_needs_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
