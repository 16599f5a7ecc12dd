// What the cage lets through and what it does not, tried from inside it in a child.
#include "verifier/sandbox/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char readable[64], hidden[64]; // files of the test

// Runs f inside the cage. The child's status: 0 when f answered true; -signal when one ended it.
static int inside(bool (*f)(void))
{
    int alive[2], status;
    assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct gr_error e;
        close(alive[0]);
        if (gr_sandbox_enter(alive[1], readable, &e) < 0)
            _exit(99);
        _exit(f() ? 0 : 1);
    }
    close(alive[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(alive[0]);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void *add_one(void *number)
{
    ++*(int *)number;
    return NULL;
}

static bool computes(void)
{
    pthread_t thread;
    int number = 41;
    char *memory = malloc(10 << 20);
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (!memory || fd < 0)
        return false;
    memset(memory, 1, 10 << 20);
    free(memory);
    close(fd);
    return pthread_create(&thread, NULL, add_one, &number) == 0 &&
           pthread_join(thread, NULL) == 0 && number == 42;
}

static bool refused(long result)
{
    return result < 0 && errno == EPERM;
}

static bool reaches_nothing(void)
{
    struct rlimit none = {0, 0};
    return refused(socket(AF_INET, SOCK_STREAM, 0)) && refused(socket(AF_UNIX, SOCK_STREAM, 0)) &&
           refused(open("/tmp/grayling-sandbox-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) &&
           refused(open("/dev/null", O_RDWR | O_CLOEXEC)) && refused(unlink("/nonexistent")) &&
           refused(mkdir("/tmp/grayling-sandbox-test", 0700)) && refused(kill(getppid(), 0)) &&
           refused(memfd_create("x", 0)) && refused(setrlimit(RLIMIT_NOFILE, &none)) &&
           refused(prctl(PR_SET_DUMPABLE, 1)) && refused(chdir("/"));
}

static bool reads_only_what_is_shown(void)
{
    int shown = open(readable, O_RDONLY | O_CLOEXEC);
    int library = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return shown >= 0 && library >= 0 && open(hidden, O_RDONLY | O_CLOEXEC) < 0 &&
           errno == EACCES && open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
}

static bool starts_process(void)
{
    return fork() >= 0;
}

static bool starts_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return false;
}

static bool aborts(void)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

static bool is_limited(void)
{
    struct rlimit core, files, size;
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
           getrlimit(RLIMIT_FSIZE, &size) == 0 && size.rlim_max == 0 &&
           getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max <= 64;
}

static void computing_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(inside(computes), 0);
    assert_int_equal(inside(is_limited), 0);
    assert_int_equal(inside(aborts), -SIGABRT);
}

static void reaching_out_is_not(void **state)
{
    (void)state;
    assert_int_equal(inside(reaches_nothing), 0);
    assert_int_equal(inside(starts_process), -SIGSYS);
    assert_int_equal(inside(starts_program), -SIGSYS);
}

static void reading_is_limited(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
        skip(); // this kernel has no Landlock
    assert_int_equal(inside(reads_only_what_is_shown), 0);
}

static int make_file(char path[64])
{
    strcpy(path, "/tmp/grayling-sandbox-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int set_up(void **state)
{
    (void)state;
    return make_file(readable) < 0 || make_file(hidden) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(readable) < 0 || unlink(hidden) < 0 ? -1 : 0;
}

static void an_orphan_does_not_begin(void **state)
{
    int alive[2];
    struct gr_error e;
    (void)state;
    assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
    close(alive[0]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(gr_sandbox_enter(alive[1], readable, &e) == -EPIPE ? 0 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(alive[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computing_is_allowed),
        cmocka_unit_test(reaching_out_is_not),
        cmocka_unit_test(reading_is_limited),
        cmocka_unit_test(an_orphan_does_not_begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
