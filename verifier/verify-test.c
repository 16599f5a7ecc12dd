// The whole pipeline with real modules, a real preflight and a real store: what each misbehaving
// file gets, and what stays behind.
#include "base/limits.h"
#include "verifier/testing/pipeline.h"
#include "verifier/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct test_bench bench;
static struct gr_verifier *verifier;
static char *modules_dir;

static struct test_outcome verify(const struct test_wish *w)
{
    return test_verify(&bench, verifier, w);
}

static bool is_built(const char *file)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", modules_dir, file);
    return access(path, R_OK) == 0;
}

static void good_modules_pass(void **state)
{
    static const struct test_wish good[] = {
        {"echo", "1.0.0", "echo-1.0.0.so", NULL, NULL, 0},
        {"pay", "1.1.0", "pay-1.1.0.so", NULL, NULL, 0},
        {"auth", "1.0.0", "auth-1.0.0.so", NULL, NULL, 0},
        {"faulty", "1.0.0", "faulty-1.0.0.so", "{\"mode\":\"none\"}", NULL, 0},
        {"echo-rust", "1.0.0", "echo-rust-1.0.0.so", NULL, NULL, 0},
        {"echo-go", "1.0.0", "echo-go-1.0.0.so", NULL, NULL, 0},
    };
    size_t passed = 0;
    (void)state;
    for (size_t i = 0; i < GR_COUNT(good); i++) {
        if (i >= 4 && !is_built(good[i].file)) // the toolchain of another language is missing
            continue;
        passed++;
        struct test_outcome o = verify(&good[i]);
        if (!o.v)
            fail_msg("%s: %s", good[i].file, o.e.message);
        struct stat a, b;
        assert_int_equal(o.stations,
                         1u << GR_VERIFY_CHECK | 1u << GR_VERIFY_STORE | 1u << GR_VERIFY_PREFLIGHT);
        assert_string_equal(gr_verified_module(o.v)->s, good[i].module);
        assert_string_equal(gr_verified_version(o.v)->text, good[i].version);
        assert_string_equal(gr_verified_contract(o.v)->module.s, good[i].module);
        assert_int_equal(strlen(gr_verified_build_id(o.v)), 40);
        assert_int_equal(stat(gr_verified_path(o.v), &a), 0);
        assert_int_equal(fstat(gr_verified_fd(o.v), &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        for (int s = 0; s < GR_VERIFY_STATIONS; s++)
            assert_true(gr_verified_station_usec(o.v, (enum gr_verify_station)s) > 0);
        gr_verified_free(o.v);
    }
    assert_true(test_assert_store_is_whole(&bench) >= passed);
}

#define BROKEN(what) "faulty-" what, "1.0.0", "faulty-" what "-1.0.0.so", NULL, NULL
#define MODE(mode) "faulty", "1.0.0", "faulty-1.0.0.so", "{\"mode\":\"" mode "\"}", NULL
#define SOON 3000000 // for what never ends by itself

static const struct {
    struct test_wish w;
    enum gr_reason reason;
    const char *a, *b;
    unsigned ran; // 1: the bytes may have run (and are in the store)
} BAD[] = {
    {{BROKEN("wrong-name"), 0},
     GR_REASON_CONTRACT_INCOMPATIBLE,
     "faulty-wrong-name 1.0.0",
     "somebody-else",
     0},
    {{BROKEN("wrong-version"), 0}, GR_REASON_CONTRACT_INCOMPATIBLE, "1.0.0", "9.9.9", 0},
    {{BROKEN("wrong-abi"), 0}, GR_REASON_ABI_INCOMPATIBLE, "ABI 99.", "offers 1.0", 0},
    {{BROKEN("no-note"), 0}, GR_REASON_NOT_A_MODULE, "contract note", "grayling_add_module", 0},
    {{BROKEN("no-entry"), 0},
     GR_REASON_NOT_A_MODULE,
     "grayling_module_entry",
     "GRAYLING_EXPORT",
     0},
    {{BROKEN("needs-lib"), 0}, GR_REASON_LOAD_FAILED, "libsqlite3.so.0", "statically", 0},
    {{BROKEN("deny-import"), 0}, GR_REASON_LOAD_FAILED, "calls ", "remove the call", 0},
    {{BROKEN("ctor-exit"), 0}, GR_REASON_LOAD_FAILED, "exit()", "remove the call", 0},
    {{BROKEN("rpath"), 0}, GR_REASON_LOAD_FAILED, "RPATH", "-rpath", 0},
    {{BROKEN("nodelete"), 0}, GR_REASON_LOAD_FAILED, "NODELETE", "-z nodelete", 0},
    {{BROKEN("exec-stack"), 0}, GR_REASON_LOAD_FAILED, "executable stack", "noexecstack", 0},
    {{BROKEN("textrel"), 0}, GR_REASON_LOAD_FAILED, "TEXTREL", "-fPIC", 0},
    {{BROKEN("writable-text"), 0}, GR_REASON_LOAD_FAILED, "writable and executable", "link", 0},
    {{BROKEN("static-tls"), 0}, GR_REASON_LOAD_FAILED, "static TLS", "initial-exec", 0},
    {{BROKEN("go"), 0}, GR_REASON_ABI_INCOMPATIBLE, "written in Go", "isolation: process", 0},
    {{BROKEN("ifunc"), 0}, GR_REASON_LOAD_FAILED, "IFUNC", "target_clones", 0},
    {{BROKEN("undefined-symbol"), 0}, GR_REASON_LOAD_FAILED, "undefined symbol", "in preflight", 1},
    {{BROKEN("abi-block"), 0}, GR_REASON_ABI_INCOMPATIBLE, "in preflight", "2", 1},
    {{BROKEN("ctor-crash"), 0}, GR_REASON_PREFLIGHT_CRASHED, "SIGSEGV", "new version", 1},
    {{BROKEN("ctor-exit-raw"), 0},
     GR_REASON_PREFLIGHT_CRASHED,
     "exit status",
     "never call exit()",
     1},
    {{BROKEN("ctor-hang"), SOON}, GR_REASON_PREFLIGHT_TIMEOUT, "did not finish", "in time", 1},
    {{MODE("init-crash"), 0}, GR_REASON_PREFLIGHT_CRASHED, "SIGSEGV", "faulty 1.0.0", 1},
    {{MODE("abort-in-init"), 0}, GR_REASON_PREFLIGHT_CRASHED, "SIGABRT", "faulty 1.0.0", 1},
    {{MODE("exit-in-init"), 0},
     GR_REASON_PREFLIGHT_CRASHED,
     "exit status 0",
     "never call exit()",
     1},
    {{MODE("init-hang"), SOON}, GR_REASON_PREFLIGHT_TIMEOUT, "did not finish", "in time", 1},
    {{MODE("init-fail"), 0}, GR_REASON_INIT_FAILED, "in preflight", "its configuration says so", 1},
    {{MODE("no-such-mode"), 0}, GR_REASON_INIT_FAILED, "in preflight", "no-such-mode", 1},
    {{MODE("self-test-fail"), 0},
     GR_REASON_SELF_TEST_FAILED,
     "in preflight",
     "its configuration says so",
     1},
    {{MODE("self-test-crash"), 0}, GR_REASON_PREFLIGHT_CRASHED, "SIGSEGV", "faulty 1.0.0", 1},
    {{MODE("self-test-hang"), SOON}, GR_REASON_PREFLIGHT_TIMEOUT, "did not finish", "in time", 1},
};

static void bad_modules_get_their_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(BAD); i++) {
        struct test_outcome o = verify(&BAD[i].w);
        if (o.v)
            fail_msg("%s passed", BAD[i].w.file);
        print_message("%s: %s\n", gr_reason_name(o.e.reason), o.e.message);
        TEST_ASSERT_ERROR(&o.e, BAD[i].reason, BAD[i].a, BAD[i].b, BAD[i].w.module);
        assert_int_equal(o.stations >> GR_VERIFY_PREFLIGHT & 1, BAD[i].ran);
    }
    test_assert_store_is_whole(&bench);
}

static void other_files_are_no_modules(void **state)
{
    static const struct {
        const char *file;
        enum gr_reason reason;
        const char *a, *b;
    } cases[] = {
        {"/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", GR_REASON_NOT_A_MODULE, "libz.so.1",
         "contract note"},
        {"/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6", GR_REASON_NOT_A_MODULE, "libsqlite3.so.0",
         "contract note"},
        {"/bin/true", GR_REASON_NOT_A_MODULE, "a program", "-shared"},
        {"text.so", GR_REASON_NOT_A_MODULE, "no ELF file", "shared library"},
        {"empty.so", GR_REASON_NOT_A_MODULE, "no ELF file", "shared library"},
        {"truncated.so", GR_REASON_NOT_A_MODULE, "cut off", "whole file"},
        {"header.so", GR_REASON_NOT_A_MODULE, "cut off", "whole file"},
        {"foreign.so", GR_REASON_ABI_INCOMPATIBLE, "aarch64", "x86-64"},
        {"small.so", GR_REASON_ABI_INCOMPATIBLE, "32-bit little-endian", "64-bit little-endian"},
        {"big.so", GR_REASON_ABI_INCOMPATIBLE, "64-bit big-endian", "64-bit little-endian"},
    };
    char in[512], buf[256];
    uint8_t bytes[64 * 1024];
    (void)state;
    snprintf(in, sizeof in, "%s/echo-1.0.0.so", modules_dir);
    FILE *f = fopen(in, "rb");
    assert_non_null(f);
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(len > 4096 && len < sizeof bytes);
    test_write(&bench, "text.so", "#!/bin/sh\necho pay\n", 19);
    test_write(&bench, "empty.so", "", 0);
    test_write(&bench, "truncated.so", bytes, len / 2);
    test_write(&bench, "header.so", bytes, 40);
    bytes[18] = 183; // e_machine: aarch64
    test_write(&bench, "foreign.so", bytes, len);
    bytes[4] = 1; // EI_CLASS: 32-bit
    test_write(&bench, "small.so", bytes, len);
    bytes[4] = 2, bytes[5] = 2; // EI_DATA: big-endian
    test_write(&bench, "big.so", bytes, len);
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        const char *file =
            cases[i].file[0] == '/' ? cases[i].file : test_path(&bench, cases[i].file, buf);
        char copy[4 << 10];
        snprintf(copy, sizeof copy, "%s", file);
        if (access(copy, R_OK) < 0) {
            print_message("not here: %s\n", copy);
            continue;
        }
        struct test_outcome o = verify(&(struct test_wish){"pay", "1.0.0", copy, NULL, NULL, 0});
        assert_null(o.v);
        print_message("%s: %s\n", gr_reason_name(o.e.reason), o.e.message);
        TEST_ASSERT_ERROR(&o.e, cases[i].reason, cases[i].a, cases[i].b, "pay 1.0.0");
        assert_int_equal(o.stations, 1u << GR_VERIFY_CHECK); // neither stored nor run
    }
}

static void a_wrong_digest_goes_nowhere(void **state)
{
    struct gr_digest other = test_digest("other", 5);
    char expected[GR_DIGEST_TEXT_MAX];
    (void)state;
    struct test_outcome o =
        verify(&(struct test_wish){"echo", "1.0.0", "echo-1.0.0.so", NULL, &other, 0});
    assert_null(o.v);
    TEST_ASSERT_ERROR(&o.e, GR_REASON_DIGEST_MISMATCH, gr_digest_format(&other, expected));
    assert_int_equal(o.stations, 0);
}

static void refused_sources_fail_at_once(void **state)
{
    struct test_outcome o = {0};
    struct gr_verification *v;
    struct gr_error e;
    (void)state;
    struct test_wish w = {"echo", "1.0.0", "/etc/hostname", NULL, NULL, 0};
    assert_int_equal(test_verification_start(verifier, &w, &o, &v, &e), -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "echo 1.0.0", "FileRoots=");
    assert_false(o.done);
}

static char *store_path_of(const struct test_wish *w, struct gr_digest *ret_digest)
{
    struct test_outcome o = verify(w);
    if (!o.v)
        fail_msg("%s", o.e.message);
    char *path = strdup(gr_verified_path(o.v));
    *ret_digest = *gr_verified_digest(o.v);
    gr_verified_free(o.v);
    return path;
}

static void damage(const char *path)
{
    assert_int_equal(chmod(path, 0644), 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 2000), 1);
    close(fd);
}

static void the_store_is_read_again_and_never_believed(void **state)
{
    static const struct test_wish echo = {"echo", "1.0.0", "echo-1.0.0.so", NULL, NULL, 0};
    struct gr_name module;
    struct gr_version version;
    struct gr_digest digest;
    struct gr_verified *v;
    struct gr_error e;
    char aside[600];
    (void)state;
    char *path = store_path_of(&echo, &digest);
    assert_int_equal(gr_name_parse("echo", 4, &module), 0);
    assert_int_equal(gr_version_parse("1.0.0", &version), 0);
    assert_int_equal(gr_verified_reopen(verifier, &module, &version, &digest, &v, &e), 0);
    assert_string_equal(gr_verified_path(v), path);
    gr_verified_free(v);

    // what is there is hashed and not fetched: the source may be gone
    struct test_outcome o =
        verify(&(struct test_wish){"echo", "1.0.0", "gone.so", NULL, &digest, 0});
    assert_non_null(o.v);
    assert_int_equal(gr_verified_station_usec(o.v, GR_VERIFY_FETCH), 0);
    gr_verified_free(o.v);

    // bit rot: refused, kept as evidence, fetched again
    damage(path);
    assert_int_equal(gr_verified_reopen(verifier, &module, &version, &digest, &v, &e), -EBADMSG);
    TEST_ASSERT_ERROR(&e, GR_REASON_DIGEST_MISMATCH, "echo 1.0.0", ".damaged", "fetched again");
    snprintf(aside, sizeof aside, "%s.damaged", path);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(gr_verified_reopen(verifier, &module, &version, &digest, &v, &e), -ENOENT);
    assert_int_equal(unlink(aside), 0);
    o = verify(&echo);
    assert_non_null(o.v);
    assert_true(gr_verified_station_usec(o.v, GR_VERIFY_FETCH) > 0);
    gr_verified_free(o.v);
    damage(path);
    o = verify(&echo);
    assert_non_null(o.v);
    gr_verified_free(o.v);
    assert_int_equal(unlink(aside), 0);
    test_assert_store_is_whole(&bench);
    free(path);
}

// What has the name of the file that is to be written, and is not that file, makes way once.
static void somebody_elses_file_makes_way(void **state)
{
    static const struct test_wish echo = {"echo", "1.0.0", "echo-1.0.0.so", NULL, NULL, 0};
    struct gr_digest digest;
    char aside[600];
    struct stat st;
    (void)state;
    char *path = store_path_of(&echo, &digest);
    snprintf(aside, sizeof aside, "%s.damaged", path);
    (void)!unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    struct test_outcome o = verify(&echo);
    if (!o.v)
        fail_msg("%s", o.e.message);
    gr_verified_free(o.v);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(unlink(aside), 0);
    // what cannot make way is an error that says so
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    o = verify(&echo);
    assert_null(o.v);
    TEST_ASSERT_ERROR(&o.e, GR_REASON_INTERNAL, "echo 1.0.0", "cannot be written to the store");
    assert_int_equal(rmdir(path), 0);
    test_assert_store_is_whole(&bench);
    free(path);
}

static ino_t inode_of(const struct gr_verified *v)
{
    struct stat by_path, by_fd;
    assert_int_equal(stat(gr_verified_path(v), &by_path), 0);
    assert_int_equal(fstat(gr_verified_fd(v), &by_fd), 0);
    assert_int_equal(by_path.st_ino, by_fd.st_ino);
    return by_fd.st_ino;
}

static void copies_have_a_path_and_an_inode_of_their_own(void **state)
{
    struct gr_verified *first = NULL, *again = NULL;
    struct gr_error e;
    char *path, aside[600];
    (void)state;
    struct test_outcome o =
        verify(&(struct test_wish){"echo", "1.0.0", "echo-1.0.0.so", NULL, NULL, 0});
    assert_non_null(o.v);
    assert_int_equal(gr_verified_copy(verifier, o.v, 0, &first, &e), -EINVAL);
    assert_int_equal(gr_verified_copy(verifier, o.v, GR_STORE_COPIES_MAX, &first, &e), -EINVAL);
    assert_int_equal(gr_verified_copy(verifier, o.v, 1, &first, &e), 0);
    assert_string_not_equal(gr_verified_path(first), gr_verified_path(o.v));
    ino_t written = inode_of(first);
    assert_int_not_equal(written, inode_of(o.v));
    assert_string_equal(gr_verified_build_id(first), gr_verified_build_id(o.v));
    test_assert_store_is_whole(&bench);
    // written once, then found
    assert_int_equal(gr_verified_copy(verifier, o.v, 1, &again, &e), 0);
    assert_int_equal(inode_of(again), written);
    gr_verified_free(again);
    // and never believed
    assert_non_null(path = strdup(gr_verified_path(first)));
    damage(path);
    assert_int_equal(gr_verified_copy(verifier, o.v, 1, &again, &e), 0);
    assert_int_not_equal(inode_of(again), written);
    snprintf(aside, sizeof aside, "%s.damaged", path);
    assert_int_equal(unlink(aside), 0);
    test_assert_store_is_whole(&bench);
    // a copy is made from what was verified, or not at all
    damage(gr_verified_path(o.v));
    assert_int_equal(unlink(path), 0);
    gr_verified_free(again);
    assert_int_equal(gr_verified_copy(verifier, o.v, 1, &again, &e), -EBADMSG);
    TEST_ASSERT_ERROR(&e, GR_REASON_LOAD_FAILED, "echo 1.0.0", "changed since it was verified");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(gr_verified_path(o.v)), 0);
    gr_verified_free(first);
    gr_verified_free(o.v);
    free(path);
}

static void cancelling_leaves_nothing(void **state)
{
    struct test_outcome o = {0};
    struct gr_verification *v;
    struct gr_error e;
    (void)state;
    struct test_wish w = {MODE("init-hang"), 0};
    assert_int_equal(test_verification_start(verifier, &w, &o, &v, &e), 0);
    while (!(o.stations >> GR_VERIFY_PREFLIGHT & 1))
        assert_true(sd_event_run(bench.event, UINT64_MAX) >= 0);
    gr_verification_cancel(v);
    assert_false(o.done);
    gr_verification_cancel(NULL);
    test_assert_store_is_whole(&bench);
}

static void sealed_modules_pass_as_memory(void **state)
{
    (void)state;
    test_verifier_seal(&bench, verifier, true);
    struct test_outcome o =
        verify(&(struct test_wish){"echo", "1.0.0", "echo-1.0.0.so", NULL, NULL, 0});
    if (!o.v)
        fail_msg("%s", o.e.message);
    assert_true(gr_verified_sealed(o.v));
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    assert_int_equal(fcntl(gr_verified_fd(o.v), F_GET_SEALS) & seals, seals);
    struct gr_verified *copy;
    struct gr_error e; // it is an inode of its own already
    assert_int_equal(gr_verified_copy(verifier, o.v, 1, &copy, &e), -EINVAL);
    gr_verified_free(o.v);
    test_verifier_seal(&bench, verifier, false);
}

static void files_are_inspected_without_running(void **state)
{
    char path[512];
    struct gr_inspection i;
    struct gr_error e;
    (void)state;
    snprintf(path, sizeof path, "%s/pay-1.0.0.so", modules_dir);
    assert_int_equal(gr_inspect_file(path, &i, &e), 0);
    assert_int_equal(i.verdict.reason, GR_REASON_NONE);
    assert_string_equal(i.type, "DYN");
    assert_int_equal(strlen(i.build_id), 40);
    assert_string_equal(i.contract->module.s, "pay");
    assert_int_equal(i.own_verdict.reason, GR_REASON_NONE);
    assert_int_equal(i.n_exports, 1);
    assert_string_equal(i.exports[0], "grayling_module_entry");
    assert_int_equal(i.n_traits, 0);
    assert_true(i.glibc[0] == '2' && i.soname[0] == '\0');
    gr_inspection_done(&i);
    snprintf(path, sizeof path, "%s/faulty-ctor-exit-1.0.0.so", modules_dir);
    assert_int_equal(gr_inspect_file(path, &i, &e), 0);
    TEST_ASSERT_ERROR(&i.verdict, GR_REASON_LOAD_FAILED, "exit()");
    assert_non_null(i.contract);
    gr_inspection_done(&i);
    assert_int_equal(gr_inspect_file("/nonexistent.so", &i, &e), -ENOENT);
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "/nonexistent.so");
}

static int set_up(void **state)
{
    char path[256];
    struct gr_error e;
    (void)state;
    if (!(modules_dir = test_built("modules")))
        return -1;
    test_bench_init(&bench);
    assert_int_equal(mkdir(test_path(&bench, "store", path), 0755), 0);
    test_write(&bench, "store/.tmp-0123456789abcdef", "half", 4); // what a crash left
    if (test_verifier_new(&bench, &verifier, &e) < 0)
        fail_msg("%s", e.message);
    assert_int_equal(access(test_path(&bench, "store/.tmp-0123456789abcdef", path), F_OK), -1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gr_verifier_free(verifier);
    test_bench_done(&bench);
    free(modules_dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_modules_pass),
        cmocka_unit_test(bad_modules_get_their_reason),
        cmocka_unit_test(other_files_are_no_modules),
        cmocka_unit_test(a_wrong_digest_goes_nowhere),
        cmocka_unit_test(refused_sources_fail_at_once),
        cmocka_unit_test(the_store_is_read_again_and_never_believed),
        cmocka_unit_test(somebody_elses_file_makes_way),
        cmocka_unit_test(copies_have_a_path_and_an_inode_of_their_own),
        cmocka_unit_test(cancelling_leaves_nothing),
        cmocka_unit_test(sealed_modules_pass_as_memory),
        cmocka_unit_test(files_are_inspected_without_running),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
