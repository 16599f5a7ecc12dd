// Every refusal of the loader, produced by a real file, and that nothing of it stays mapped.
#include "dispatch/testmodules/fixture.h"
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

static bool is_mapped(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (handle)
        dlclose(handle);
    return handle != NULL;
}

static void assert_refused(struct fixture *f, const struct gr_load *l, enum gr_reason reason,
                           const char *words)
{
    struct gr_instance *i = NULL;
    memset(&f->e, 0, sizeof(f->e));
    assert_true(gr_instance_load(f->d, l, &i, &f->e) < 0);
    assert_null(i);
    assert_string_equal(gr_reason_name(f->e.reason), gr_reason_name(reason));
    if (!strstr(f->e.message, words))
        fail_msg("expected \"%s\" in: %s", words, f->e.message);
}

static void test_missing_and_foreign_files(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, &(struct gr_load){.path = "/nonexistent/x.so", .fd = -1},
                   GR_REASON_LOAD_FAILED, "the dynamic loader refused it");
    assert_refused(f, &(struct gr_load){.path = "/proc/self/status", .fd = -1},
                   GR_REASON_LOAD_FAILED, "the dynamic loader refused it");
    char path[128];
    struct gr_load l = {.path = fresh_copy(f, "peer-5.0.0", path), .fd = -1};
    assert_refused(f, &l, GR_REASON_NOT_A_MODULE, ".note.grayling");
    assert_false(is_mapped(path));
}

static void test_expectations(void **state)
{
    struct fixture *f = *state;
    char path[128];
    fresh_copy(f, "probe-1.0.0", path);
    assert_refused(f, &(struct gr_load){.path = path, .fd = -1, .module = "pay"},
                   GR_REASON_CONTRACT_INCOMPATIBLE, "asked to load module pay, but the contract");
    assert_refused(f, &(struct gr_load){.path = path, .fd = -1, .version = "1.0.1"},
                   GR_REASON_CONTRACT_INCOMPATIBLE, "says version 1.0.0");
    assert_refused(f, &(struct gr_load){.path = path, .fd = -1, .build_id = "00ff"},
                   GR_REASON_LOAD_FAILED, "with build-id 00ff, but what was mapped has build-id");
    assert_refused(f, &(struct gr_load){.path = path, .fd = -1, .slot = GR_INSTANCES_MAX},
                   GR_REASON_LOAD_FAILED, "slot");
    assert_false(is_mapped(path));
}

static void test_another_file_than_the_verified_one(void **state)
{
    struct fixture *f = *state;
    char verified[128], loaded[128];
    int fd = open(fresh_copy(f, "probe-1.0.0", verified), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct gr_load l = {.path = fresh_copy(f, "probe-1.0.0", loaded), .fd = fd};
    assert_refused(f, &l, GR_REASON_LOAD_FAILED, "another file was mapped");
    assert_false(is_mapped(loaded));
    l.path = verified;
    struct gr_instance *i;
    assert_int_equal(gr_instance_load(f->d, &l, &i, &f->e), 0);
    close(fd);
}

static void test_same_file_twice(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct gr_load l = {.path = fresh_copy(f, "probe-1.0.0", path), .fd = -1};
    struct gr_instance *i;
    assert_int_equal(gr_instance_load(f->d, &l, &i, &f->e), 0);
    assert_refused(f, &l, GR_REASON_LOAD_FAILED, "mapped already");
    assert_int_equal(gr_instance_unload(f->d, i, SECOND), 0);
    assert_int_equal(gr_instance_load(f->d, &l, &i, &f->e), 0); // gone, so it may come back
}

// The file in memory, sealed, under exactly this number.
static int sealed_at(struct fixture *f, int number, const char *file)
{
    char path[128];
    struct stat st;
    int in = open(fresh_copy(f, file, path), O_RDONLY | O_CLOEXEC);
    int memory = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(in >= 0 && memory >= 0 && fstat(in, &st) == 0);
    assert_int_equal(sendfile(memory, in, NULL, (size_t)st.st_size), st.st_size);
    close(in);
    assert_int_equal(
        fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    if (memory != number) {
        assert_int_equal(dup3(memory, number, O_CLOEXEC), number);
        close(memory);
    }
    return number;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

// Two versions through one number of the caller's: without a descriptor of the version's own the
// second load would bring the first one back.
static void test_sealed_memory(void **state)
{
    enum { NUMBER = 200 };
    struct fixture *f = *state;
    struct gr_instance *one, *two, *three;
    unsigned before = open_descriptors();
    struct gr_load l = {.path = "/store/probe-1.0.0-00.so",
                        .fd = sealed_at(f, NUMBER, "probe-1.0.0"),
                        .sealed = true,
                        .version = "1.0.0"};
    assert_int_equal(gr_instance_load(f->d, &l, &one, &f->e), 0);
    l.fd = sealed_at(f, NUMBER, "probe-2.0.0");
    l.version = "2.0.0";
    l.slot = 1;
    if (gr_instance_load(f->d, &l, &two, &f->e) < 0)
        fail_msg("%s", f->e.message);
    assert_refused(f, &l, GR_REASON_LOAD_FAILED, "mapped already"); // the same memory twice
    l.fd = sealed_at(f, NUMBER, "probe-1.0.0");
    l.version = "1.0.0";
    l.slot = 2;
    assert_int_equal(gr_instance_load(f->d, &l, &three, &f->e), 0);
    char answer[64];
    route(f, "probe", two, NULL);
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
    assert_string_equal(answer, "2.0.0");
    assert_int_equal(gr_instance_unload(f->d, one, SECOND), 0);
    assert_int_equal(gr_instance_unload(f->d, three, SECOND), 0);
    route(f, "probe", NULL, NULL);
    assert_int_equal(gr_instance_unload(f->d, two, SECOND), 0);
    close(NUMBER);
    // the refused one keeps its number for ever: the loader knows a version by it
    assert_int_equal(open_descriptors(), before + 1);
}

static void test_unsealed_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    int fd = open(fresh_copy(f, "probe-1.0.0", path), O_RDONLY | O_CLOEXEC);
    struct gr_load l = {.path = path, .fd = fd, .sealed = true};
    assert_refused(f, &l, GR_REASON_LOAD_FAILED, "its seals are");
    close(fd);
    l.fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(fcntl(l.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_refused(f, &l, GR_REASON_LOAD_FAILED, "its seals are 0x6");
    close(l.fd);
}

static void test_abi(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct gr_load l = {.path = fresh_copy(f, "peer-4.0.0", path), .fd = -1};
    assert_refused(f, &l, GR_REASON_ABI_INCOMPATIBLE,
                   "wants module ABI 1.99, but this host offers 1.0");
    assert_false(is_mapped(path));
}

static void test_hooks_that_refuse(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct gr_load l = {
        .path = fresh_copy(f, "probe-1.0.0", path), .fd = -1, .config = "{\"x\":\"init-fail\"}"};
    assert_refused(f, &l, GR_REASON_INIT_FAILED, "init() returned code 9 where 0 is expected");
    assert_string_equal(f->last_log, ""); // no destroy() after a failed init()
    l.config = "{\"x\":\"self-test-fail\"}";
    assert_refused(f, &l, GR_REASON_SELF_TEST_FAILED, "self_test() returned code 13");
    assert_string_equal(f->last_log, "destroyed");
    assert_false(is_mapped(path));
    assert_int_equal(gr_dispatch_pinned(f->d), 0);
}

static void test_hooks_that_crash(void **state)
{
    struct fixture *f = *state;
    char path[128];
    assert_int_equal(gr_guard_install(f->d), 0);
    assert_int_equal(gr_guard_install(f->d), -EALREADY);
    struct gr_load l = {
        .path = fresh_copy(f, "probe-1.0.0", path), .fd = -1, .config = "{\"x\":\"init-crash\"}"};
    assert_refused(f, &l, GR_REASON_INIT_FAILED, "init() crashed with signal 11 at 1.so+0x");
    l.path = fresh_copy(f, "probe-1.0.0", path);
    l.config = "{\"x\":\"self-test-crash\"}";
    assert_refused(f, &l, GR_REASON_SELF_TEST_FAILED,
                   "self_test() crashed with signal 11 at 2.so+0x");
    assert_int_equal(gr_dispatch_pinned(f->d), 2);
    assert_true(is_mapped(path));
    char answer[64];
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL); // the process is none the worse
    assert_int_equal(call_text(f, PROBE, "Version", "", answer), GRAYLING_OK);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_missing_and_foreign_files),
        WITH_FIXTURE(test_expectations),
        WITH_FIXTURE(test_another_file_than_the_verified_one),
        WITH_FIXTURE(test_same_file_twice),
        WITH_FIXTURE(test_sealed_memory),
        WITH_FIXTURE(test_unsealed_memory_is_refused),
        WITH_FIXTURE(test_abi),
        WITH_FIXTURE(test_hooks_that_refuse),
        WITH_FIXTURE(test_hooks_that_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
