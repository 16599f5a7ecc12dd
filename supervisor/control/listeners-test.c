// Listening sockets: each address kind is opened and named as it really is, and a refusal says
// which one it was.
#include "control/listeners.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

struct place {
    char dir[64], path[96], address[112]; // address: "unix:" and the path
};

static int enter_place(void **state)
{
    static struct place p;
    snprintf(p.dir, sizeof p.dir, "/tmp/grayling-listen-XXXXXX");
    if (!mkdtemp(p.dir))
        return -1;
    snprintf(p.path, sizeof p.path, "%s/sock", p.dir);
    snprintf(p.address, sizeof p.address, "unix:%s", p.path);
    *state = &p;
    return 0;
}

static int leave_place(void **state)
{
    const struct place *p = *state;
    unlink(p->path);
    return rmdir(p->dir);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    GR_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)&un, sizeof un) < 0 ? -errno : 0;
}

static int open_one(const char *address, char **ret_real)
{
    int fd = -1;
    struct gr_error e = {0};
    if (gr_listener_open_one(address, &fd, ret_real, &e) < 0)
        fail_msg("%s: %s", address, e.message);
    return fd;
}

static void assert_refused(const char *address, int code)
{
    int fd = -1;
    char *real = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_listener_open_one(address, &fd, &real, &e), code);
    assert_int_equal(fd, -1);
    assert_null(real);
    assert_non_null(strstr(e.message, "cannot listen on"));
    assert_non_null(strstr(e.message, address));
    assert_non_null(strstr(e.message, strerror(-code)));
}

static void port_0_becomes_a_real_one(void **state)
{
    (void)state;
    GR_AUTO_FREE char *real = NULL, *second = NULL;
    GR_AUTO_CLOSE int fd = open_one("127.0.0.1:0", &real);
    GR_AUTO_CLOSE int other = open_one("localhost:0", &second);
    int listening = 0;
    socklen_t len = sizeof listening;
    unsigned port = 0;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len), 0);
    assert_int_equal(listening, 1);
    assert_int_equal(sscanf(real, "127.0.0.1:%u", &port), 1);
    assert_true(port > 0);
    assert_int_equal(strncmp(second, "127.0.0.1:", 10), 0);
    assert_string_not_equal(real, second);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void an_address_in_use_is_named(void **state)
{
    (void)state;
    GR_AUTO_FREE char *real = NULL;
    GR_AUTO_CLOSE int fd = open_one("127.0.0.1:0", &real);
    assert_true(fd >= 0);
    assert_refused(real, -EADDRINUSE);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "8080",        ":8080",          "127.0.0.1:", "127.0.0.1:x",
        "256.0.0.1:1", "example.org:80", "[::1:80",    "127.0.0.1:65536x"};
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_refused(bad[i], -EINVAL);
    char path[160] = "unix:/tmp/";
    memset(path + 10, 'a', 140);
    path[150] = '\0';
    assert_refused(path, -ENAMETOOLONG);
    assert_refused("unix:/nonexistent/sock", -ENOENT);
}

static void a_unix_socket_is_opened_for_its_group(void **state)
{
    const struct place *p = *state;
    GR_AUTO_FREE char *real = NULL;
    GR_AUTO_CLOSE int fd = open_one(p->address, &real);
    struct stat st;
    assert_true(fd >= 0);
    assert_string_equal(real, p->address);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(connect_unix(p->path), 0);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    const struct place *p = *state;
    GR_AUTO_FREE char *before = NULL, *after = NULL;
    close(open_one(p->address, &before)); // its file stays
    assert_int_equal(connect_unix(p->path), -ECONNREFUSED);
    GR_AUTO_CLOSE int fd = open_one(p->address, &after);
    assert_true(fd >= 0);
    assert_int_equal(connect_unix(p->path), 0);
}

static void a_living_unix_socket_is_left_alone(void **state)
{
    const struct place *p = *state;
    GR_AUTO_FREE char *real = NULL;
    GR_AUTO_CLOSE int fd = open_one(p->address, &real);
    assert_true(fd >= 0);
    assert_refused(p->address, -EADDRINUSE);
    assert_int_equal(connect_unix(p->path), 0);
}

static void a_file_is_never_replaced(void **state)
{
    const struct place *p = *state;
    struct stat st;
    close(open(p->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_refused(p->address, -EADDRINUSE);
    assert_int_equal(lstat(p->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void all_of_a_configuration_or_none(void **state)
{
    const struct place *p = *state;
    struct gr_config c = {.n_listen = 2, .listen = {(char *)p->address, "127.0.0.1:0"}};
    struct gr_listeners l = {0}, none = {0}, adopted = {0};
    struct gr_error e = {0};
    assert_int_equal(gr_listeners_open(&c, &adopted, &l, &e), 0);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.address[0], p->address);
    assert_int_equal(connect_unix(p->path), 0);
    c = (struct gr_config){.n_listen = 2, .listen = {"127.0.0.1:0", l.address[1]}};
    assert_int_equal(gr_listeners_open(&c, &adopted, &none, &e), -EADDRINUSE);
    assert_int_equal(none.n, 0);
    assert_non_null(strstr(e.message, l.address[1]));
    gr_listeners_done(&l);
    assert_int_equal(l.n, 0);
    assert_int_equal(connect_unix(p->path), -ECONNREFUSED);
}

static void adopted_sockets_are_taken_as_they_are(void **state)
{
    const struct place *p = *state;
    struct gr_config two = {.n_listen = 2, .listen = {(char *)p->address, "127.0.0.1:0"}};
    struct gr_listeners none = {0}, adopted = {0}, l = {0};
    struct gr_error e = {0};
    assert_int_equal(gr_listeners_open(&two, &none, &adopted, &e), 0);
    int unix_fd = adopted.fd[0], tcp_fd = adopted.fd[1];
    struct gr_config c = {.n_listen = 2, .listen = {adopted.address[1], "127.0.0.1:0"}};
    assert_int_equal(gr_listeners_open(&c, &adopted, &l, &e), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.fd[0], tcp_fd); // opened again it would be in use
    assert_string_not_equal(l.address[0], l.address[1]);
    assert_int_equal(adopted.n, 1); // what nobody wants any more stays with the caller
    assert_int_equal(adopted.fd[0], unix_fd);
    assert_string_equal(adopted.address[0], p->address);
    gr_listeners_done(&adopted);
    gr_listeners_done(&l);
}

static void an_adopted_unix_socket_without_its_file_is_opened_again(void **state)
{
    const struct place *p = *state;
    struct gr_config c = {.n_listen = 1, .listen = {(char *)p->address}};
    struct gr_listeners none = {0}, adopted = {0}, l = {0};
    struct gr_error e = {0};
    assert_int_equal(gr_listeners_open(&c, &none, &adopted, &e), 0);
    assert_int_equal(unlink(p->path), 0); // as systemd clears a runtime directory
    assert_int_equal(gr_listeners_open(&c, &adopted, &l, &e), 0);
    assert_int_equal(adopted.n, 1);
    assert_int_equal(connect_unix(p->path), 0);
    gr_listeners_done(&adopted);
    gr_listeners_done(&l);
}

// --- what the service manager passes and keeps
// ----------------------------------------------------------------------------------

static int open_notify_socket(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof un), 0);
    return fd;
}

static void assert_told(int notify, const char *expected)
{
    char text[256] = "";
    ssize_t n = recv(notify, text, sizeof text - 1, 0);
    assert_true(n >= 0 || !*expected);
    assert_string_equal(text, expected);
}

// As the manager starts a service: its sockets from descriptor 3 on, their names beside them. `f`
// runs in a child, whose descriptors are nobody else's.
static void with_passed(const struct place *p, size_t n, const char *names,
                        void (*f)(const struct place *, char *const *, int))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char text[16], *real[2] = {NULL, NULL};
        int fds[2], notify = open_notify_socket(p->path);
        notify = fcntl(notify, F_DUPFD_CLOEXEC, 20);
        for (size_t i = 0; i < n; i++)
            fds[i] = fcntl(open_one("127.0.0.1:0", &real[i]), F_DUPFD_CLOEXEC, 10);
        for (size_t i = 0; i < n; i++)
            dup2(fds[i], 3 + (int)i);
        snprintf(text, sizeof text, "%d", getpid());
        setenv("LISTEN_PID", text, 1);
        snprintf(text, sizeof text, "%zu", n);
        setenv("LISTEN_FDS", text, 1);
        setenv("LISTEN_FDNAMES", names, 1);
        setenv("NOTIFY_SOCKET", p->path, 1);
        f(p, real, notify);
        _exit(42); // a failure does not come here
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void take_stored(const struct place *p, char *const *real, int notify)
{
    struct gr_config c = {.n_listen = 2, .listen = {real[0], "127.0.0.1:0"}};
    struct gr_listeners none = {0}, l = {0};
    struct gr_error e = {0};
    (void)p;
    assert_int_equal(gr_listeners_open(&c, &none, &l, &e), 0);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.fd[0], 3); // opened again it would be in use
    assert_string_not_equal(l.address[1], real[1]);
    assert_int_equal(fcntl(4, F_GETFD), -1); // stored once, and not wanted any more
    assert_told(notify, "FDSTOREREMOVE=1\nFDNAME=front-door");
    assert_told(notify, "FDSTORE=1\nFDNAME=front-door");
    assert_told(notify, "FDSTORE=1\nFDNAME=front-door");
    assert_told(notify, "");
}

static void take_passed(const struct place *p, char *const *real, int notify)
{
    struct gr_config c = {.n_listen = 1, .listen = {real[0]}};
    struct gr_listeners none = {0}, l = {0};
    struct gr_error e = {0};
    (void)p;
    assert_int_equal(gr_listeners_open(&c, &none, &l, &e), 0);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.address[0], real[1]);
    assert_int_equal(fcntl(3, F_GETFD), -1);
    assert_told(notify, "FDSTOREREMOVE=1\nFDNAME=front-door");
    assert_told(notify, ""); // the manager has its own sockets already
}

static void stored_sockets_come_back(void **state)
{
    with_passed(*state, 2, "front-door:front-door", take_stored);
}

static void sockets_of_a_unit_win(void **state)
{
    with_passed(*state, 2, "front-door:grayling.socket", take_passed);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_becomes_a_real_one),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(what_is_no_address_is_refused),
        T(a_unix_socket_is_opened_for_its_group),
        T(a_stale_unix_socket_is_replaced),
        T(a_living_unix_socket_is_left_alone),
        T(a_file_is_never_replaced),
        T(all_of_a_configuration_or_none),
        T(adopted_sockets_are_taken_as_they_are),
        T(an_adopted_unix_socket_without_its_file_is_opened_again),
        T(stored_sockets_come_back),
        T(sockets_of_a_unit_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
