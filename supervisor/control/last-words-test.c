// What a child that dies leaves for the next one: its own faults, and nothing of what came from
// outside.
#include "control/last-words.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/grayling-words-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void end_with(int sig)
{
    char words[GR_LAST_WORDS_MAX];
    pid_t pid = fork();
    if (pid == 0) {
        signal(sig, SIG_DFL); // the test framework catches it
        if (gr_last_words_arm(dir, words) < 0)
            _exit(3);
        if (sig == SIGABRT)
            abort();
        raise(SIGSTOP); // until it was sent what the test has for it
        _exit(4);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) {
        assert_int_equal(kill(pid, sig), 0);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_false(WIFEXITED(status) && (WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 4));
}

// In a child, since it installs its handlers for good.
static void assert_found(const char *expected)
{
    char words[GR_LAST_WORDS_MAX];
    pid_t pid = fork();
    if (pid == 0)
        _exit(gr_last_words_arm(dir, words) < 0 ? 2 : strcmp(words, expected) != 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_fault_of_its_own_is_told_once(void **state)
{
    (void)state;
    assert_found("");
    end_with(SIGABRT);
    assert_found("SIGABRT");
    assert_found("");
}

static void a_signal_from_outside_is_not(void **state)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGBUS};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(signals); i++) {
        end_with(signals[i]);
        assert_found("");
    }
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    char words[GR_LAST_WORDS_MAX];
    (void)state;
    assert_true(gr_last_words_arm("/nowhere", words) < 0);
    assert_string_equal(words, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fault_of_its_own_is_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_signal_from_outside_is_not, set_up, tear_down),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
