// Fault points fire at exactly the passage that was asked for; each case is a child, because the
// environment is read once.
#include "base/child.h"
#include "base/fault.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#if GR_FAULT_POINTS
static int run(const char *fault, const char *trace)
{
    char armed[160], traced[160];
    snprintf(armed, sizeof armed, "GRAYLING_FAULT=%s", fault);
    snprintf(traced, sizeof traced, "GRAYLING_FAULT_TRACE=%s", trace ? trace : "/dev/null");
    char *argv[] = {"/proc/self/exe", "pass", NULL};
    char *envp[] = {armed, traced, NULL};
    GR_AUTO_CLOSE int quiet = memfd_create("stderr", MFD_CLOEXEC);
    struct gr_child_fd map = {quiet, STDERR_FILENO};
    struct gr_child child;
    int status;
    assert_int_equal(gr_child_spawn(argv, envp, &map, 1, &child, NULL), 0);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.pidfd);
    return status;
}

// The child passes a, b, a, b, a and exits with 10 * passage + the number of the error that it met;
// 0: none, 99: several.
static int child_main(void)
{
    static const char *const passages[] = {"a", "b", "a", "b", "a"};
    int met = 0;
    for (int i = 0; i < 5; i++) {
        int r = gr_fault_point(passages[i]);
        if (r < 0)
            met = met ? 99 : 10 * (i + 1) + (r == -ENOSPC ? 1 : r == -EIO ? 2 : 3);
    }
    return met;
}

static void errors_come_at_the_nth_passage(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(run("", NULL)), 0);
    assert_int_equal(WEXITSTATUS(run("a:1:error:ENOSPC", NULL)), 11);
    assert_int_equal(WEXITSTATUS(run("a:3:error:EIO", NULL)), 52);
    assert_int_equal(WEXITSTATUS(run("b:2:error:ENOENT", NULL)), 43);
    assert_int_equal(WEXITSTATUS(run("a:4:error:EIO", NULL)), 0);
    assert_int_equal(WEXITSTATUS(run("ab:1:error:EIO", NULL)), 0);
    assert_int_equal(WEXITSTATUS(run("a:9:kill,a:9:crash,a:1:error:ENOSPC", NULL)), 11);
    assert_int_equal(WEXITSTATUS(run("b:1:error:EIO,a:1:error:ENOSPC", NULL)), 99);
}

static void kill_kills(void **state)
{
    (void)state;
    int status = run("b:2:kill", NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void crash_is_a_fault_of_its_own(void **state)
{
    (void)state;
    int status = run("b:2:crash", NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void a_malformed_fault_stops_the_program(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a",         "a:1",           "a:0:kill", "a:x:kill",     "a:1:kil",
        "a:1:error", "a:1:error:EXX", ":1:kill",  "a:1:kill:x:y", "a:1:kill:x",
        "b:9:kill,a"};
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_true(WIFSIGNALED(run(bad[i], NULL)));
}

static void the_trace_names_every_passage(void **state)
{
    (void)state;
    char path[] = "/tmp/grayling-trace-XXXXXX", text[64];
    GR_AUTO_CLOSE int fd = mkstemp(path);
    assert_int_equal(WEXITSTATUS(run("a:3:error:EIO", path)), 52);
    ssize_t n = read(fd, text, sizeof text - 1);
    unlink(path);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, "a\nb\na\nb\na\nhit:a\n");
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return child_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_come_at_the_nth_passage),
        cmocka_unit_test(kill_kills),
        cmocka_unit_test(crash_is_a_fault_of_its_own),
        cmocka_unit_test(a_malformed_fault_stops_the_program),
        cmocka_unit_test(the_trace_names_every_passage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    puts("skipped: this build has no fault points");
    return 77;
}
#endif
