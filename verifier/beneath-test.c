// Every way in and every way out, by the system call and by the walk that stands in for it.
#include "verifier/beneath.h"
#include "verifier/testing/harness.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct test_bench bench;
static int root = -1;

static int open_and_read(const char *path, char text[16])
{
    int fd = -1;
    int r = gr_beneath_open(root, path, &fd);
    if (r < 0) {
        assert_int_equal(fd, -1);
        return r;
    }
    int flags = fcntl(fd, F_GETFD);
    ssize_t n = read(fd, text, 15);
    text[n < 0 ? 0 : n] = '\0';
    close(fd);
    assert_true(flags & FD_CLOEXEC);
    return 0;
}

static void assert_reads(const char *path, const char *expected)
{
    char text[16] = "";
    assert_int_equal(open_and_read(path, text), 0);
    assert_string_equal(text, expected);
}

static void assert_refused(const char *path, int code)
{
    char text[16] = "";
    assert_int_equal(open_and_read(path, text), code);
}

static void assert_all(void)
{
    char longest[NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_reads("file", "at the top");
    assert_reads("a/b/file", "far below");
    assert_reads("./a//b/./file", "far below");
    assert_reads("a", ""); // a directory opens; what it is good for is the caller's to say
    assert_reads("a/", "");
    assert_reads("fifo", ""); // nobody writes to it: a blocking open would never return
    assert_refused("a/b/../b/file", -EXDEV);
    assert_refused("..", -EXDEV);
    assert_refused("../outside", -EXDEV);
    assert_refused("/etc/passwd", -EXDEV);
    assert_refused("link", -ELOOP);
    assert_refused("a/link", -ELOOP); // also when it stays below the root
    assert_refused("linked/file", -ELOOP);
    assert_refused("linked/", -ELOOP);
    assert_refused("dangling", -ELOOP);
    assert_refused("missing", -ENOENT);
    assert_refused("missing/file", -ENOENT);
    assert_refused("", -ENOENT);
    assert_refused("file/below", -ENOTDIR);
    assert_refused("file/", -ENOTDIR);
    assert_refused(longest, -ENAMETOOLONG);
}

static void the_system_call(void **state)
{
    (void)state;
    assert_all();
}

static void the_walk(void **state)
{
    (void)state;
    const int answers[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < GR_COUNT(answers); i++) { // a filter stays: each in a child of its own
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            test_deny_openat2(answers[i]);
            assert_all(); // a failure does not come back from here
            _exit(42);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
    }
}

static void make_link(const char *to, const char *name)
{
    char path[256];
    assert_int_equal(symlink(to, test_path(&bench, name, path)), 0);
}

static int set_up(void **state)
{
    char path[256];
    (void)state;
    test_bench_init(&bench);
    assert_int_equal(mkdir(test_path(&bench, "in", path), 0755), 0);
    assert_int_equal(mkdir(test_path(&bench, "in/a", path), 0755), 0);
    assert_int_equal(mkdir(test_path(&bench, "in/a/b", path), 0755), 0);
    test_write(&bench, "outside", "secret", 6);
    test_write(&bench, "in/file", "at the top", 10);
    test_write(&bench, "in/a/b/file", "far below", 9);
    assert_int_equal(mkfifo(test_path(&bench, "in/fifo", path), 0644), 0);
    make_link("../outside", "in/link");
    make_link("b/file", "in/a/link");
    make_link("a/b", "in/linked");
    make_link("nowhere", "in/dangling");
    root = open(test_path(&bench, "in", path), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(root);
    test_bench_done(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_call),
        cmocka_unit_test(the_walk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
