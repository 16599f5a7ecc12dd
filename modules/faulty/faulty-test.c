// Every mode of the faulty module does what its name says: a drill that uses it would otherwise
// prove nothing. What ends the process is tried in a child.
#include "modules/test-host/test-host.h"
#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PASSED 42 // a child's status when init, self_test and one call all returned

static void give_signals_back(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL); // past the sanitizers' handlers
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

// The wait status of a child that loads faulty in this mode and calls it once.
static int run_in_child(const char *mode)
{
    char config[80];
    int status;
    snprintf(config, sizeof config, "{\"mode\":\"%s\"}", mode);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        give_signals_back();
        struct instance i = instance_load("faulty-1.0.0");
        if (instance_init(&i, config) == GRAYLING_OK &&
            i.module->self_test(i.self) == GRAYLING_OK &&
            instance_call(&i, 0, "{}", NULL) == GRAYLING_OK)
            _exit(PASSED);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_none(void **state)
{
    (void)state;
    int status = run_in_child("none");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), PASSED);
}

static void test_deadly_modes(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        int signal;
    } modes[] = {
        {"init-crash", SIGSEGV},   {"abort-in-init", SIGABRT}, {"self-test-crash", SIGSEGV},
        {"handle-crash", SIGSEGV}, {"handle-abort", SIGABRT},  {"handle-stack-overflow", SIGSEGV},
        {"handle-div0", SIGFPE},   {"handle-illegal", SIGILL}, {"handle-bus", SIGBUS},
        {"thread", SIGSEGV},       {"libc-crash", SIGSEGV},    {"handle-assert", SIGABRT},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        int status = run_in_child(modes[i].mode);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != modes[i].signal)
            fail_msg("%s: expected signal %d, got wait status %#x", modes[i].mode, modes[i].signal,
                     (unsigned)status);
    }
}

// glibc aborts and a sanitizer exits; what may not happen is that the call returns.
static void test_heap_corruption(void **state)
{
    (void)state;
    int status = run_in_child("heap-corrupt");
    assert_false(WIFEXITED(status) && (WEXITSTATUS(status) == PASSED || WEXITSTATUS(status) == 0));
}

static void test_exits(void **state)
{
    (void)state;
    static const char *const modes[] = {"exit-in-init", "handle-exit"};
    for (size_t i = 0; i < 2; i++) {
        int status = run_in_child(modes[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_failing_modes(void **state)
{
    (void)state;
    struct instance i = instance_load("faulty-1.0.0");
    assert_int_equal(instance_init(&i, "{\"mode\":\"init-fail\"}"), GRAYLING_INTERNAL);
    assert_non_null(strstr(seen.log, "because its configuration says so"));
    assert_int_equal(instance_init(&i, "{\"mode\":\"self-test-fail\"}"), GRAYLING_OK);
    assert_int_equal(i.module->self_test(i.self), GRAYLING_INTERNAL);
    instance_stop(&i);
}

static void test_refused_configuration(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"mode\":\"nap\"}", "config.mode \"nap\" is not known"},
        {"{\"every\":0}", "config.every must be from 1 to 10000, not 0"},
        {"{\"after\":-1}", "config.after must be from 0 to 1000000, not -1"},
        {"{\"code\":17}", "config.code must be from 1 to 16, not 17"},
        {"{\"moed\":\"none\"}", "\"moed\" is not known"},
    };
    struct instance i = instance_load("faulty-1.0.0");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        assert_int_equal(instance_init(&i, cases[k][0]), GRAYLING_INVALID_ARGUMENT);
        assert_non_null(strstr(seen.log, cases[k][1]));
    }
    assert_int_equal(dlclose(i.library), 0);
}

static int count_failures(const char *config, int calls, int32_t code)
{
    struct instance i = instance_start("faulty-1.1.0", config);
    int failed = 0;
    for (int n = 0; n < calls; n++) {
        int32_t got = instance_call(&i, 0, "{}", NULL);
        failed += got == code;
        assert_true(got == code || got == GRAYLING_OK);
    }
    instance_stop(&i);
    return failed;
}

static void test_errors_are_spread(void **state)
{
    (void)state;
    assert_int_equal(count_failures("{\"mode\":\"handle-error\"}", 10, GRAYLING_INTERNAL), 10);
    assert_int_equal(count_failures("{\"mode\":\"handle-error\",\"code\":14,\"share\":2500}", 400,
                                    GRAYLING_UNAVAILABLE),
                     100);
    assert_int_equal(
        count_failures("{\"mode\":\"handle-error\",\"every\":10}", 100, GRAYLING_INTERNAL), 10);
    assert_int_equal(
        count_failures("{\"mode\":\"handle-error\",\"after\":60}", 100, GRAYLING_INTERNAL), 40);
}

static int count_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_descriptor_leak(void **state)
{
    (void)state;
    struct instance i = instance_start("faulty-1.0.0", "{\"mode\":\"leak-fd\"}");
    int before = count_descriptors();
    for (int n = 0; n < 10; n++)
        assert_int_equal(instance_call(&i, 0, "{}", NULL), GRAYLING_OK);
    assert_int_equal(count_descriptors(), before + 10);
    instance_stop(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_deadly_modes),
        cmocka_unit_test(test_heap_corruption),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_failing_modes),
        cmocka_unit_test(test_refused_configuration),
        cmocka_unit_test(test_errors_are_spread),
        cmocka_unit_test(test_descriptor_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
