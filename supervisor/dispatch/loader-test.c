// Every refusal of the loader, produced by a real file, and that nothing of it stays mapped.
#include "dispatch/testmodules/fixture.h"
#include <dlfcn.h>
#include <errno.h>

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
        WITH_FIXTURE(test_abi),
        WITH_FIXTURE(test_hooks_that_refuse),
        WITH_FIXTURE(test_hooks_that_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
