// A child gets the descriptors that it was given, nothing else, and a clean set of signals.
#include "base/child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LOW 40 // descriptor numbers that nothing else uses here
#define HIGH 41

static char *const report_argv[] = {"/proc/self/exe", "report", NULL};

// What the child finds, on its stdout: descriptors with the text behind them, blocked and ignored
// signals.
static int child_main(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        char text[16] = "";
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        if (fd > 2 && pread(fd, text, sizeof text - 1, 0) < 0)
            strcpy(text, "?");
        printf("%d=%s ", fd, text);
    }
    struct stat in, null;
    if (fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev)
        printf("null ");
    sigset_t mask;
    struct sigaction action;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigaction(SIGUSR2, NULL, &action);
    printf("%s %s", sigismember(&mask, SIGUSR1) ? "blocked" : "open",
           action.sa_handler == SIG_IGN ? "ignored" : "default");
    return 0;
}

static int name_main(void)
{
    char name[16] = "";
    gr_program_take_name();
    prctl(PR_GET_NAME, name, 0, 0, 0);
    printf("%s", name);
    return 0;
}

static int text_fd(const char *text, int number)
{
    GR_AUTO_CLOSE int fd = memfd_create("child-test", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return number < 0 ? gr_steal_fd(&fd) : dup3(fd, number, O_CLOEXEC);
}

// Starts the reporting child with the map and stdout caught; gives back what it said.
static void report(const struct gr_child_fd *fds, size_t n, char *text, size_t cap)
{
    GR_AUTO_CLOSE int out = memfd_create("stdout", MFD_CLOEXEC);
    struct gr_child_fd map[8] = {{out, STDOUT_FILENO}};
    for (size_t i = 0; i < n; i++)
        map[i + 1] = fds[i];
    struct gr_child child;
    struct gr_error e;
    assert_int_equal(gr_child_spawn(report_argv, NULL, map, n + 1, &child, &e), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &info, WEXITED), 0);
    assert_int_equal(info.si_pid, child.pid);
    assert_int_equal(info.si_status, 0);
    assert_true(fcntl(child.pidfd, F_GETFD) & FD_CLOEXEC);
    close(child.pidfd);
    ssize_t len = pread(out, text, cap - 1, 0);
    assert_true(len > 0);
    text[len] = '\0';
}

static void nothing_leaks(void **state)
{
    (void)state;
    char text[512];
    int careless = dup2(STDERR_FILENO, 60); // without O_CLOEXEC
    GR_AUTO_CLOSE int careful = text_fd("mine", HIGH);
    assert_int_equal(careful, HIGH);
    report(NULL, 0, text, sizeof text);
    close(careless);
    assert_string_equal(text, "0= 1= 2= null open default");
}

static void descriptors_arrive_where_they_were_mapped(void **state)
{
    (void)state;
    char text[512];
    GR_AUTO_CLOSE int low = text_fd("A", LOW), high = text_fd("B", HIGH), other = text_fd("C", -1);
    int gap = dup2(STDERR_FILENO, 30); // below the targets, without O_CLOEXEC
    struct gr_child_fd swapped[] = {{LOW, HIGH}, {HIGH, LOW}};
    report(swapped, 2, text, sizeof text);
    assert_string_equal(text, "0= 1= 2= 40=B 41=A null open default");
    struct gr_child_fd same[] = {{LOW, LOW}, {HIGH, 3}};
    report(same, 2, text, sizeof text);
    assert_string_equal(text, "0= 1= 2= 3=B 40=A null open default");
    struct gr_child_fd chain[] = {{HIGH, 5}, {LOW, HIGH}, {other, LOW}, {other, 4}};
    report(chain, 4, text, sizeof text);
    assert_string_equal(text, "0= 1= 2= 4=C 5=B 40=C 41=A null open default");
    // targets that are just the numbers that the next duplicates would get
    int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    close(next);
    char expected[64];
    struct gr_child_fd early[] = {{LOW, next + 3}, {HIGH, next + 4}};
    report(early, 2, text, sizeof text);
    snprintf(expected, sizeof expected, "0= 1= 2= %d=A %d=B null open default", next + 3, next + 4);
    assert_string_equal(text, expected);
    struct gr_child_fd input[] = {{other, STDIN_FILENO}};
    report(input, 1, text, sizeof text);
    assert_string_equal(text, "0= 1= 2= open default");
    close(gap);
    assert_true(fcntl(low, F_GETFD) & FD_CLOEXEC); // the parent's own are as before
    assert_true(fcntl(high, F_GETFD) & FD_CLOEXEC);
}

static void signals_are_reset(void **state)
{
    (void)state;
    char text[512];
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, &before);
    signal(SIGUSR2, SIG_IGN);
    report(NULL, 0, text, sizeof text);
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(text, "0= 1= 2= null open default");
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void failures_are_sentences_and_leak_nothing(void **state)
{
    (void)state;
    char *const absent[] = {"/nonexistent/program", NULL};
    struct gr_child child = {.pid = 7};
    struct gr_child_fd bad = {1000, 3};
    struct gr_error e;
    unsigned before = count_descriptors();
    assert_int_equal(gr_child_spawn(absent, NULL, NULL, 0, &child, &e), -ENOENT);
    assert_non_null(strstr(e.message, "/nonexistent/program"));
    assert_int_equal(gr_child_spawn(report_argv, NULL, &bad, 1, &child, &e), -EBADF);
    assert_int_equal(child.pid, 7);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no child was left
}

static void copy_file(const char *from, const char *to)
{
    GR_AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
    GR_AUTO_CLOSE int out = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    char chunk[65536];
    for (ssize_t n; (n = read(in, chunk, sizeof chunk)) > 0;)
        assert_int_equal(write(out, chunk, (size_t)n), n);
}

// What an upgrade does to a service that goes on: the path has another file, which is not started.
static void a_program_stays_what_it_was_when_it_was_opened(void **state)
{
    (void)state;
    char dir[] = "/tmp/grayling-child-XXXXXX", path[PATH_MAX], fresh[PATH_MAX], text[64] = "";
    struct gr_program p;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/the-program", dir);
    snprintf(fresh, sizeof fresh, "%s/fresh", dir);
    copy_file("/proc/self/exe", path);
    copy_file("/bin/false", fresh);
    setenv("GRAYLING_LIBEXEC", dir, 1);
    assert_int_equal(gr_program_open("the-program", &p), 0);
    unsetenv("GRAYLING_LIBEXEC");
    assert_string_equal(p.path, path);
    assert_int_equal(rename(fresh, path), 0);
    GR_AUTO_CLOSE int out = memfd_create("stdout", MFD_CLOEXEC);
    struct gr_child_fd map = {out, STDOUT_FILENO};
    struct gr_child child;
    char *const argv[] = {p.path, "report", NULL}, *const named[] = {p.path, "name", NULL};
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(ftruncate(out, 0), 0);
        lseek(out, 0, SEEK_SET);
        assert_int_equal(gr_program_spawn(&p, i ? named : argv, NULL, &map, 1, &child, NULL), 0);
        assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
        close(child.pidfd);
        assert_int_equal(status, 0);
        ssize_t n = pread(out, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        assert_string_equal(text, i ? "the-program" : "0= 1= 2= null open default");
    }
    gr_program_done(&p);
    unlink(path);
    rmdir(dir);
    struct gr_program absent = {.fd = 7};
    assert_int_equal(gr_program_open("no-such-program", &absent), -ENOENT);
    assert_int_equal(absent.fd, 7);
}

static void programs_are_found_in_their_order(void **state)
{
    (void)state;
    char self[PATH_MAX], found[PATH_MAX], dir[] = "/tmp/grayling-child-XXXXXX", path[PATH_MAX];
    assert_int_equal(gr_child_self_dir(self, sizeof self), 0);
    assert_int_equal(gr_child_self_dir(found, 3), -E2BIG);
    assert_int_equal(gr_child_find_program("base-child-test", found, sizeof found), 0);
    assert_non_null(strstr(found, "/base-child-test"));
    assert_int_equal(strncmp(found, self, strlen(self)), 0);
    assert_int_equal(gr_child_find_program("base-child-test", found, 4), -E2BIG);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/base-child-test", dir);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
    setenv("GRAYLING_LIBEXEC", dir, 1);
    assert_int_equal(gr_child_find_program("base-child-test", found, sizeof found), 0);
    assert_string_equal(found, path);
    chmod(path, 0644); // what cannot be executed does not count
    assert_int_equal(gr_child_find_program("base-child-test", found, sizeof found), 0);
    assert_int_equal(strncmp(found, self, strlen(self)), 0);
    unsetenv("GRAYLING_LIBEXEC");
    unlink(path);
    rmdir(dir);
    assert_int_equal(gr_child_find_program("no-such-program", found, sizeof found), -ENOENT);
    assert_int_equal(gr_child_find_program("../sh", found, sizeof found), -EINVAL);
    assert_int_equal(gr_child_find_program("", found, sizeof found), -EINVAL);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "name") ? child_main() : name_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_leaks),
        cmocka_unit_test(descriptors_arrive_where_they_were_mapped),
        cmocka_unit_test(signals_are_reset),
        cmocka_unit_test(failures_are_sentences_and_leak_nothing),
        cmocka_unit_test(a_program_stays_what_it_was_when_it_was_opened),
        cmocka_unit_test(programs_are_found_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
