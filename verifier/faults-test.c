// The named faults of the pipeline: each fails it, or kills the process, at its point. What is left
// is a store of whole files, and the next try succeeds. Every run is a process of its own, because
// faults are armed by the environment.
#include "base/fault.h"
#include "verifier/testing/pipeline.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct test_bench bench;

enum { PASSED = 10, REFUSED_RETRYABLE, REFUSED_FOR_GOOD, REFUSED_FULL };
#define LEFT_OVER 0x1000 // the child that writes the store was killed: its temporary is left

// In a child: one verification with the faults of `spec`, told by the exit status.
static void run_child(const char *spec)
{
    struct gr_verifier *verifier;
    struct gr_error e;
    struct test_bench own = {0};
    setenv("GRAYLING_FAULT", spec, 1);
    snprintf(own.dir, sizeof own.dir, "%s", bench.dir);
    if (sd_event_new(&own.event) < 0 || gr_transport_new(own.event, &own.transport) < 0 ||
        test_verifier_new(&own, &verifier, &e) < 0)
        _exit(1);
    struct test_outcome o = test_verify(
        &own, verifier,
        &(struct test_wish){.module = "echo", .version = "1.0.0", .file = "echo-1.0.0.so"});
    if (o.v)
        _exit(PASSED);
    fprintf(stderr, "%s: %s: %s\n", spec, gr_reason_name(o.e.reason), o.e.message);
    if (o.e.reason == GR_REASON_DISK_FULL)
        _exit(o.e.retryable ? REFUSED_FULL : 1);
    _exit(o.e.retryable ? REFUSED_RETRYABLE : REFUSED_FOR_GOOD);
}

static int run(const char *spec)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(spec);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void faults_leave_nothing_half(void **state)
{
    static const struct {
        const char *spec;
        int outcome;
    } cases[] = {
        {"fetch.open:1:error:EACCES", REFUSED_FOR_GOOD},
        {"fetch.write:1:error:EIO", REFUSED_FOR_GOOD},
        {"fetch.write:1:error:ENOSPC", PASSED}, // tried again
        {"verify.before-store:1:error:EIO", REFUSED_RETRYABLE},
        {"store.write:1:error:ENOSPC", REFUSED_FULL},
        {"fs.open:1:error:EROFS", REFUSED_RETRYABLE},
        {"fs.write:1:error:ENOSPC", REFUSED_FULL},
        {"fs.fsync:1:error:EIO", REFUSED_RETRYABLE},
        {"fs.rename:1:error:EDQUOT", REFUSED_FULL},
        {"verify.after-store:1:error:EIO", REFUSED_RETRYABLE},
        {"preflight.spawn:1:error:EAGAIN", REFUSED_RETRYABLE},
        {"fetch.open:1:kill", -SIGKILL},
        {"fetch.write:1:kill", -SIGKILL},
        {"verify.before-store:1:kill", -SIGKILL},
        {"store.write:1:kill", -SIGKILL},
        {"fs.write:1:kill", REFUSED_RETRYABLE | LEFT_OVER},
        {"fs.fsync:1:kill", REFUSED_RETRYABLE | LEFT_OVER},
        {"fs.rename:1:kill", REFUSED_RETRYABLE | LEFT_OVER},
        {"fs.dirsync:1:kill", REFUSED_RETRYABLE | LEFT_OVER},
        {"verify.after-store:1:kill", -SIGKILL},
        {"preflight.spawn:1:kill", -SIGKILL},
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        test_bench_init(&bench);
        int outcome = run(cases[i].spec), expected = cases[i].outcome;
        bool leaves = expected > 0 && expected & LEFT_OVER;
        if (outcome != (leaves ? expected - LEFT_OVER : expected))
            fail_msg("%s ended with %d instead of %d", cases[i].spec, outcome, expected);
        if (outcome > 0 && !leaves)
            test_assert_store_is_whole(&bench);
        assert_int_equal(run(""), PASSED);
        assert_int_equal(test_assert_store_is_whole(&bench), 1);
        test_bench_done(&bench);
    }
}

// What a killed writer left in the store is taken only when it is sure to survive a power cut. What
// serves already is not refused for that.
static void what_is_found_has_to_last(void **state)
{
    (void)state;
    test_bench_init(&bench);
    assert_int_equal(run(""), PASSED);
    assert_int_equal(run("store.settle:1:error:EIO"), PASSED); // at the opening
    assert_int_equal(run("store.settle:2:error:EIO"), REFUSED_RETRYABLE);
    assert_int_equal(run(""), PASSED);
    test_bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(faults_leave_nothing_half),
                                       cmocka_unit_test(what_is_found_has_to_last)};
    if (!GR_FAULT_POINTS)
        return 77; // this build has none
    return cmocka_run_group_tests(tests, NULL, NULL);
}
