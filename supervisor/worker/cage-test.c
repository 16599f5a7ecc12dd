// What the cage of an isolated version lets through and what it does not, tried from inside it in a
// child.
#include "worker/cage.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static char shown[64], hidden[64]; // files of the test

// The child's status: 0 when f answered true.
static int inside(bool (*f)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct gr_error e;
        if (gr_cage_enter(shown, &e) < 0)
            _exit(99);
        _exit(f() ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void *add_one(void *number)
{
    ++*(int *)number;
    return NULL;
}

// What a library may do.
static bool works(void)
{
    pthread_t thread;
    int number = 41, pair[2];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    int memory = memfd_create("scratch", MFD_CLOEXEC);
    if (fd < 0 || memory < 0 || ftruncate(memory, 4096) < 0)
        return false;
    close(fd);
    close(memory);
    return pthread_create(&thread, NULL, add_one, &number) == 0 &&
           pthread_join(thread, NULL) == 0 && number == 42 &&
           socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 &&
           socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && kill(getpid(), 0) == 0;
}

static bool refused(long result)
{
    return result < 0 && errno == EPERM;
}

static bool others_are_out_of_reach(void)
{
    struct rlimit more = {65536, 65536};
    char *none[] = {NULL};
    return refused(fork()) && refused(execve("/bin/true", none, none)) &&
           refused(kill(getppid(), 0)) && refused(syscall(SYS_tgkill, getppid(), getppid(), 0)) &&
           refused(syscall(SYS_tkill, getppid(), 0)) && refused(syscall(SYS_ptrace, 0, 0, 0, 0)) &&
           refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)) &&
           refused(syscall(SYS_pidfd_open, getppid(), 0)) &&
           refused(setrlimit(RLIMIT_NOFILE, &more)) &&
           refused(prlimit(getppid(), RLIMIT_NOFILE, &more, NULL)) &&
           refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) &&
           refused(prctl(PR_SET_PDEATHSIG, 0)) && refused(syscall(SYS_unshare, 0)) &&
           refused(syscall(SYS_bpf, 0, NULL, 0)) && refused(setsid());
}

static bool is_limited(void)
{
    struct rlimit core, files;
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
           getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max <= 1024 &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

static bool files_are_hidden(void)
{
    int own = open(shown, O_RDONLY | O_CLOEXEC);
    return own >= 0 && open(hidden, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES &&
           open(shown, O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES &&
           open("/tmp/grayling-cage-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 &&
           errno == EACCES;
}

static void what_a_library_does_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(inside(works), 0);
}

static void the_rest_is_not(void **state)
{
    (void)state;
    assert_int_equal(inside(others_are_out_of_reach), 0);
    assert_int_equal(inside(is_limited), 0);
}

static void only_its_own_file_is_there(void **state)
{
    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
        skip(); // this kernel has no Landlock
    assert_int_equal(inside(files_are_hidden), 0);
}

static int make_file(char path[64])
{
    strcpy(path, "/tmp/grayling-cage-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int set_up(void **state)
{
    (void)state;
    return make_file(shown) < 0 || make_file(hidden) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(shown) < 0 || unlink(hidden) < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_library_does_is_allowed),
        cmocka_unit_test(the_rest_is_not),
        cmocka_unit_test(only_its_own_file_is_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
