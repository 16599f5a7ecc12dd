// What a process holds is seen, of this one and of a child, and one process is told from another.
#include "control/usage.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES (32u << 20)

static struct gr_usage look(pid_t pid)
{
    struct gr_usage u;
    int r = gr_usage_read(pid, &u);
    if (r < 0)
        fail_msg("%s", strerror(-r));
    return u;
}

static void *wait_for_byte(void *fd)
{
    char c;
    return read(*(int *)fd, &c, 1) == 1 ? NULL : fd;
}

static void more_is_seen(void **state)
{
    pthread_t thread;
    int pipe_fds[2];
    (void)state;
    struct gr_usage before = look(getpid());
    assert_true(before.value[GR_RESOURCE_THREADS] >= 1);
    assert_true(before.value[GR_RESOURCE_MEMORY] > 1u << 20);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_byte, &pipe_fds[0]), 0);
    void *m = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    memset(m, 1, BYTES);
    struct gr_usage now = look(getpid());
    assert_true(now.process == before.process);
    assert_int_equal(now.value[GR_RESOURCE_DESCRIPTORS], before.value[GR_RESOURCE_DESCRIPTORS] + 2);
    assert_int_equal(now.value[GR_RESOURCE_THREADS], before.value[GR_RESOURCE_THREADS] + 1);
    assert_true(now.value[GR_RESOURCE_MEMORY] >= before.value[GR_RESOURCE_MEMORY] + BYTES / 2);
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    munmap(m, BYTES);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(look(getpid()).value[GR_RESOURCE_DESCRIPTORS],
                     before.value[GR_RESOURCE_DESCRIPTORS]);
}

static void another_is_another(void **state)
{
    int pipe_fds[2];
    char c;
    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_NAME, ") R 1 2 3"); // a name that looks like what follows it
        _exit(write(pipe_fds[1], "x", 1) == 1 && pause() ? 1 : 2);
    }
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    struct gr_usage child = look(pid);
    assert_true(child.process != look(getpid()).process);
    assert_int_equal(child.value[GR_RESOURCE_THREADS], 1);
    assert_true(child.value[GR_RESOURCE_MEMORY] > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct gr_usage u = {.process = 4711};
    assert_true(gr_usage_read(pid, &u) < 0);
    assert_true(u.process == 4711); // untouched
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_is_seen),
        cmocka_unit_test(another_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
