// One event in its three spellings: journal fields at a real socket, a JSON line, a line for a
// terminal.
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static const struct gr_event example = {
    .message_id = GR_MSG_REJECTED,
    .level = GR_LOG_WARNING,
    .module = "pay",
    .version = "1.2.0",
    .rollout = "17",
    .reason = "DigestMismatch",
    .revision = 17,
    .message = "line\none \"quoted\" \xff \x1b[31m\x7f",
};

// Everything below replaces stderr; these two put it aside and back.
static int saved_stderr = -1;

static void redirect_stderr(int fd)
{
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

static int restore_stderr(void **state)
{
    (void)state;
    if (saved_stderr >= 0) {
        dup2(saved_stderr, STDERR_FILENO);
        close(gr_steal_fd(&saved_stderr));
    }
    unsetenv("JOURNAL_STREAM");
    unsetenv("GRAYLING_LOG_LEVEL");
    return 0;
}

static size_t take(int fd, char *text, size_t cap)
{
    ssize_t n = read(fd, text, cap - 1);
    text[n < 0 ? 0 : n] = '\0';
    return n < 0 ? 0 : (size_t)n;
}

static void a_pipe_gets_one_json_line(void **state)
{
    (void)state;
    int p[2];
    char text[2048];
    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    redirect_stderr(p[1]);
    gr_log_init("log-test");
    gr_log_event(&example);
    restore_stderr(NULL);
    size_t n = take(p[0], text, sizeof text);
    close(p[0]);
    close(p[1]);
    assert_true(n > 0 && text[n - 1] == '\n' && strchr(text, '\n') == text + n - 1);
    GR_AUTO_JSON cJSON *j = NULL;
    assert_int_equal(gr_json_parse(text, n, sizeof text, &j, NULL),
                     0); // the strict reader takes it
    assert_string_equal(gr_json_get(j, "level")->valuestring, "warning");
    assert_string_equal(gr_json_get(j, "identifier")->valuestring, "log-test");
    assert_string_equal(gr_json_get(j, "message_id")->valuestring, GR_MSG_REJECTED);
    assert_string_equal(gr_json_get(j, "module")->valuestring, "pay");
    assert_string_equal(gr_json_get(j, "version")->valuestring, "1.2.0");
    assert_string_equal(gr_json_get(j, "reason")->valuestring, "DigestMismatch");
    assert_int_equal(gr_json_get(j, "revision")->valueint, 17);
    assert_string_equal(gr_json_get(j, "message")->valuestring,
                        "line\none \"quoted\" \xef\xbf\xbd \x1b[31m\x7f");
    assert_int_equal(strlen(gr_json_get(j, "time")->valuestring),
                     strlen("2026-11-24T05:06:07.123456Z"));
    assert_null(gr_json_get(j, "phase")); // what was not said is not there
}

static void the_bar_holds_back_what_is_below(void **state)
{
    (void)state;
    int p[2];
    char text[2048];
    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    redirect_stderr(p[1]);
    gr_log_init("log-test");
    gr_log(GR_LOG_DEBUG, "unheard");
    assert_int_equal(take(p[0], text, sizeof text), 0);
    setenv("GRAYLING_LOG_LEVEL", "debug", 1);
    gr_log_init("log-test");
    gr_log(GR_LOG_DEBUG, "%s", "heard");
    assert_true(take(p[0], text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"message\":\"heard\""));
    setenv("GRAYLING_LOG_LEVEL", "error", 1);
    gr_log_init("log-test");
    gr_log(GR_LOG_WARNING, "unheard");
    assert_int_equal(take(p[0], text, sizeof text), 0);
    restore_stderr(NULL);
    close(p[0]);
    close(p[1]);
}

static void a_terminal_gets_a_line_that_cannot_steer_it(void **state)
{
    (void)state;
    GR_AUTO_CLOSE int outside = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (outside < 0) { // no /dev/pts, as in a bare chroot
        print_message("skipped: no pseudo-terminal: %s\n", strerror(errno));
        skip();
    }
    assert_true(grantpt(outside) == 0 && unlockpt(outside) == 0);
    GR_AUTO_CLOSE int inside = open(ptsname(outside), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(inside >= 0);
    redirect_stderr(inside);
    gr_log_init("log-test");
    gr_log_event(&example);
    restore_stderr(NULL);
    char text[512];
    assert_true(take(outside, text, sizeof text) > 0);
    assert_non_null(strstr(text, " warning pay 1.2.0 [DigestMismatch] line?one \"quoted\" "));
    assert_null(strpbrk(text, "\x1b\x7f"));
}

static bool own_run_directory(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0 &&
           mkdir("/run/systemd/journal", 0755) == 0;
}

static void the_journal_gets_fields_and_stderr_nothing(void **state)
{
    (void)state;
    if (!own_run_directory())
        skip(); // needs the right to make a mount namespace
    GR_AUTO_CLOSE int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    assert_int_equal(bind(journal, (const struct sockaddr *)&address, sizeof address), 0);
    int p[2];
    struct stat st;
    char text[4096], stream[64];
    assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(fstat(p[1], &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    redirect_stderr(p[1]);
    gr_log_init("log-test");
    gr_log_event(&example);
    assert_int_equal(take(p[0], text, sizeof text), 0);
    assert_true(take(journal, text, sizeof text) > 0);
    static const char *const fields[] = {"PRIORITY=4\n",
                                         "SYSLOG_IDENTIFIER=log-test\n",
                                         "MESSAGE_ID=" GR_MSG_REJECTED "\n",
                                         "GRAYLING_MODULE=pay\n",
                                         "GRAYLING_VERSION=1.2.0\n",
                                         "GRAYLING_ROLLOUT=17\n",
                                         "GRAYLING_REVISION=17\n",
                                         "GRAYLING_REASON=DigestMismatch\n"};
    for (size_t i = 0; i < GR_COUNT(fields); i++)
        assert_non_null(strstr(text, fields[i]));
    assert_null(strstr(text, "GRAYLING_PHASE"));
    // inherited, but stderr went elsewhere since
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    gr_log_init("log-test");
    gr_log_event(&example);
    assert_true(take(p[0], text, sizeof text) > 0);
    restore_stderr(NULL);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, restore_stderr)
    const struct CMUnitTest tests[] = {
        T(a_pipe_gets_one_json_line),
        T(the_bar_holds_back_what_is_below),
        T(a_terminal_gets_a_line_that_cannot_steer_it),
        T(the_journal_gets_fields_and_stderr_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
