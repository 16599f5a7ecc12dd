// What the examples in other languages do: they answer, a panic stays inside, and they let go. Go
// runs in a child, because its runtime never leaves a process.
#include "modules/test-host/test-host.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 10

static bool is_built(const char *name)
{
    char path[4096];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, sizeof path, "%s/modules/%s.so", build ? build : ".", name);
    return access(path, R_OK) == 0;
}

static int32_t ask(struct instance *i, const char *method, const char *payload)
{
    i->method_name = method;
    return instance_call(i, 0, payload, NULL);
}

// What a failed expectation says ends the child, or the test.
static bool answers(struct instance *i)
{
    return ask(i, "Echo", "any \x01 payload") == GRAYLING_OK &&
           strcmp(seen.answer, "any \x01 payload") == 0 && seen.answers == 1 &&
           strcmp(seen.counted, "calls 1") == 0 && ask(i, "Echo", "") == GRAYLING_OK &&
           seen.answers == 1;
}

static bool panics_and_goes_on(struct instance *i, const char *place)
{
    return ask(i, "Panic", "out of luck") == GRAYLING_INTERNAL &&
           strcmp(seen.sentence, "panic: out of luck") == 0 && seen.answers == 0 &&
           strstr(seen.log, "panicked: out of luck, at ") && strstr(seen.log, place) && answers(i);
}

static bool refuses(struct instance *i)
{
    return ask(i, "Nothing", "") == GRAYLING_UNIMPLEMENTED &&
           strcmp(seen.sentence, "Nothing is not known") == 0;
}

static void test_rust(void **state)
{
    (void)state;
    if (!is_built("echo-rust-1.0.0"))
        skip();
    for (int round = 0; round < ROUNDS; round++) {
        struct instance i = instance_start(round % 2 ? "echo-rust-1.1.0" : "echo-rust-1.0.0", "{}");
        assert_true(answers(&i));
        assert_true(refuses(&i));
        instance_stop(&i);
    }
    struct instance i = instance_start("echo-rust-1.0.0", "{}");
    for (int round = 0; round < ROUNDS; round++)
        assert_true(panics_and_goes_on(&i, "lib.rs:"));
    instance_stop(&i);
}

// The status that a child of its own ends with; -signal when one ended it.
static int in_a_child(void (*f)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        f();
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void serve_in_go(void)
{
    struct instance i = instance_start("echo-go-1.0.0", "{}");
    if (!answers(&i) || !refuses(&i))
        _exit(2);
    for (int round = 0; round < ROUNDS; round++)
        if (!panics_and_goes_on(&i, "main.go:"))
            _exit(3);
    instance_stop(&i); // returns, and leaves everything where it was
    _exit(0);
}

static void panic_elsewhere(void)
{
    signal(SIGABRT, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) // Go tells of it at length
        _exit(2);
    struct instance i = instance_start("echo-go-1.0.0", "{}");
    ask(&i, "PanicElsewhere", "nobody is there to recover");
}

static void test_go(void **state)
{
    (void)state;
    if (!is_built("echo-go-1.0.0"))
        skip();
    assert_int_equal(in_a_child(serve_in_go), 0);
    assert_int_equal(in_a_child(panic_elsewhere), -SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rust),
        cmocka_unit_test(test_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
