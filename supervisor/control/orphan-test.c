// Meeting the workers of a supervisor that died: one that has not even begun to run is found and
// waited for, and one that is gone is not.
#include "base/channel.h"
#include "base/limits.h"
#include "control/orphan.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char dir[64], first[96], second[96];
static struct gr_config config = {.state_dir = dir, .n_listen = 1};

static int enter_place(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/grayling-orphan-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(first, sizeof first, "%s/worker-7-1.sock", dir);
    snprintf(second, sizeof second, "%s/worker-7-2.sock", dir);
    return 0;
}

static int leave_place(void **state)
{
    (void)state;
    unlink(first);
    unlink(second);
    return rmdir(dir);
}

// What a worker does that finds its hello in the channel and nobody at its other end.
static void answer_the_successor(int channel, bool answers)
{
    cJSON *m = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    if (gr_channel_recv(channel, &m, fds, &n) != 1 || n != 2)
        _exit(1);
    struct pollfd p = {.fd = fds[1], .events = POLLIN};
    if (poll(&p, 1, -1) != 1)
        _exit(2);
    if (!answers)
        _exit(0);
    int peer = accept(fds[1], NULL, NULL);
    int others[GR_CHANNEL_FDS_MAX];
    size_t none = 0;
    p.fd = peer;
    if (poll(&p, 1, -1) != 1 || gr_channel_recv(peer, &m, others, &none) != 1)
        _exit(3);
    m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "description");
    cJSON_AddNumberToObject(m, "pid", getpid());
    _exit(gr_channel_send(peer, m, fds, 1) == 0 ? 0 : 4);
}

// The sockets are in a message that nobody has read when this process, a supervisor, lets go of
// them.
static pid_t leave_an_orphan(const char *path, int listener, bool answers)
{
    int pair[2], adopt = gr_orphan_listen(path);
    assert_true(adopt >= 0);
    assert_int_equal(gr_channel_pair(pair), 0);
    GR_AUTO_JSON cJSON *hello = cJSON_CreateObject();
    int fds[] = {listener, adopt};
    assert_int_equal(gr_channel_send(pair[0], hello, fds, 2), 0);
    close(adopt);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(listener);
        close(pair[0]);
        answer_the_successor(pair[1], answers);
    }
    close(pair[0]);
    close(pair[1]);
    return pid;
}

// A front door at a port of its own, which the configuration names from now on.
static struct gr_listeners open_front_door(void)
{
    static char address[64];
    struct gr_listeners none = {0}, l = {0};
    struct gr_error e = {0};
    config.listen[0] = (char *)"127.0.0.1:0";
    assert_int_equal(gr_listeners_open(&config, &none, &l, &e), 0);
    snprintf(address, sizeof address, "%s", l.address[0]);
    config.listen[0] = address;
    return l;
}

static void assert_ended_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void an_orphan_that_hardly_runs_is_found(void **state)
{
    (void)state;
    struct gr_orphans orphans = {0};
    struct gr_listeners adopted = {0}, none = {0}, l = open_front_door();
    struct gr_error e = {0};
    pid_t pid = leave_an_orphan(first, l.fd[0], true);
    gr_listeners_done(&l);
    assert_int_equal(gr_listeners_open(&config, &none, &l, &e), -EADDRINUSE);
    gr_orphans_adopt(&config, &orphans, &adopted);
    assert_int_equal(orphans.n, 1);
    assert_int_equal(orphans.list[0].pid, pid);
    assert_int_equal(adopted.n, 1);
    assert_int_equal(gr_listeners_open(&config, &adopted, &l, &e), 0);
    assert_string_equal(l.address[0], config.listen[0]);
    gr_listeners_done(&l);
    gr_orphans_leave(&orphans);
    assert_ended_well(pid);
}

static void two_orphans_hold_one_front_door(void **state)
{
    (void)state;
    struct gr_orphans orphans = {0};
    struct gr_listeners adopted = {0}, l = open_front_door();
    pid_t a = leave_an_orphan(first, l.fd[0], true), b = leave_an_orphan(second, l.fd[0], true);
    gr_listeners_done(&l);
    gr_orphans_adopt(&config, &orphans, &adopted);
    assert_int_equal(orphans.n, 2);
    assert_int_equal(adopted.n, 1);
    gr_listeners_done(&adopted);
    gr_orphans_leave(&orphans);
    assert_ended_well(a);
    assert_ended_well(b);
}

static void an_orphan_that_ends_is_not_waited_for(void **state)
{
    (void)state;
    struct gr_orphans orphans = {0};
    struct gr_listeners adopted = {0}, l = open_front_door();
    pid_t pid = leave_an_orphan(first, l.fd[0], false);
    gr_listeners_done(&l);
    gr_orphans_adopt(&config, &orphans, &adopted);
    assert_int_equal(orphans.n, 0);
    assert_int_equal(adopted.n, 0);
    assert_int_equal(access(first, F_OK), -1);
    assert_ended_well(pid);
}

static void nobody_is_found_where_nobody_waits(void **state)
{
    (void)state;
    struct gr_orphans orphans = {0};
    struct gr_listeners adopted = {0};
    int fd = gr_orphan_listen(first);
    assert_true(fd >= 0);
    close(fd);                    // its file stays
    fd = gr_orphan_listen(first); // and is replaced
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(stat(first, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(fd);
    gr_orphans_adopt(&config, &orphans, &adopted);
    assert_int_equal(orphans.n, 0);
    assert_int_equal(access(first, F_OK), -1);
    assert_int_equal(gr_orphan_listen("/nowhere/worker-7-1.sock"), -1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(an_orphan_that_hardly_runs_is_found),
        T(two_orphans_hold_one_front_door),
        T(an_orphan_that_ends_is_not_waited_for),
        T(nobody_is_found_where_nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
