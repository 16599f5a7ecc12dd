// Clients that are honest: a connection that breaks between two calls is a loss, one that was told
// to close is none, and answers are counted by version.
#include "cli/drill/process.h"
#include "cli/drill/traffic.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PATIENCE (60 * GR_USEC_PER_SEC)

struct server {
    pthread_t thread;
    int fd;
    const char *head; // of each answer: status line and fields
    unsigned per_connection;
};

// Reads one request of a client that waits for its answer. false: it is gone.
static bool read_request(int fd)
{
    char text[4096];
    size_t len = 0;
    while (len < sizeof text - 1) {
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (n <= 0)
            return false;
        text[len += (size_t)n] = '\0';
        char *end = strstr(text, "\r\n\r\n");
        if (end && !strcmp(end + 4, "{}"))
            return true;
    }
    return false;
}

static void *serve(void *userdata)
{
    struct server *s = userdata;
    char answer[512];
    int n = snprintf(answer, sizeof answer, "%sContent-Length: 2\r\n\r\n{}", s->head), fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        for (unsigned i = 0; i < s->per_connection && read_request(fd); i++)
            if (send(fd, answer, (size_t)n, MSG_NOSIGNAL) < 0)
                break;
        close(fd);
    }
    return NULL;
}

static struct gr_traffic *begin(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct gr_traffic *t = NULL;
    struct gr_traffic_asked asked = {.clients = 1, .rate = 1000};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    snprintf(asked.url, sizeof asked.url, "http://127.0.0.1:%u/a.B/C", ntohs(a.sin_port));
    assert_int_equal(gr_traffic_new(&asked, &t, NULL), 0);
    return t;
}

static struct gr_traffic_seen end(struct server *s, struct gr_traffic *t)
{
    struct gr_traffic_seen seen;
    assert_int_equal(gr_traffic_await(t, 10, PATIENCE), 0);
    gr_traffic_look(t, &seen);
    gr_traffic_free(t);
    shutdown(s->fd, SHUT_RDWR); // accept() returns
    pthread_join(s->thread, NULL);
    close(s->fd);
    return seen;
}

static void test_a_connection_that_breaks_is_a_loss(void **state)
{
    struct server s = {.head = "HTTP/1.1 200 OK\r\nx-grayling-version: 1.0.0\r\n",
                       .per_connection = 3};
    (void)state;
    struct gr_traffic_seen seen = end(&s, begin(&s));
    assert_true(seen.lost >= 2 && seen.first_harm.usec > 0);
    assert_int_equal(seen.failed, 0);
    assert_int_equal(seen.n_versions, 1);
    assert_string_equal(seen.versions[0].version, "1.0.0");
}

static void test_a_close_that_is_announced_is_none(void **state)
{
    struct server s = {.head = "HTTP/1.1 200 OK\r\nConnection: close\r\n", .per_connection = 1};
    (void)state;
    struct gr_traffic_seen seen = end(&s, begin(&s));
    assert_int_equal(seen.lost, 0);
    assert_int_equal(seen.first_harm.usec, 0);
}

static void test_failures_and_rescues(void **state)
{
    struct server bad = {.head = "HTTP/1.1 500 Internal Server Error\r\n",
                         .per_connection = UINT32_MAX};
    struct server rescued = {.head = "HTTP/1.1 200 OK\r\nx-grayling-rescued: 1\r\n",
                             .per_connection = UINT32_MAX};
    (void)state;
    struct gr_traffic_seen seen = end(&bad, begin(&bad));
    assert_int_equal(seen.failed, seen.answered);
    assert_int_equal(seen.lost, 0);
    seen = end(&rescued, begin(&rescued));
    assert_int_equal(seen.rescued, seen.answered);
    assert_int_equal(seen.failed, 0);
}

static void test_nobody_listens(void **state)
{
    struct gr_traffic *t = NULL;
    struct gr_traffic_asked asked = {.clients = 2, .rate = 100};
    struct gr_traffic_seen seen;
    unsigned port = 0;
    (void)state;
    assert_int_equal(gr_process_free_port(&port), 0);
    snprintf(asked.url, sizeof asked.url, "http://127.0.0.1:%u/a.B/C", port);
    assert_int_equal(gr_traffic_new(&asked, &t, NULL), 0);
    assert_int_equal(gr_traffic_await_turns(t, 1, PATIENCE), 0);
    gr_traffic_look(t, &seen);
    gr_traffic_free(t);
    assert_int_equal(seen.answered, 0);
    assert_true(seen.lost >= 4 && *seen.why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_that_breaks_is_a_loss),
        cmocka_unit_test(test_a_close_that_is_announced_is_none),
        cmocka_unit_test(test_failures_and_rescues),
        cmocka_unit_test(test_nobody_listens),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
