// The client against a peer that answers, misbehaves or is slow by script: every request gets its
// fate, and waiting for a slow peer counts against the peer.
#include "open-loop.h"
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BEFORE_USER "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-User-Id: "
#define REQUEST BEFORE_USER "00000000\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define SLOW_MSEC 800

enum act { ACT_ANSWER, ACT_STATUS, ACT_CLOSE, ACT_GARBAGE, ACT_ANSWER_AND_CLOSE, ACT_BE_SLOW };

struct peer {
    int listener;
    pthread_t thread;
    enum act (*act)(unsigned n); // by the number of the request, from 1
    unsigned n;
    unsigned users[16]; // who sent the first ones
};

static struct bench_record record;

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// False: the connection is over.
static bool serve_one(struct peer *p, int fd)
{
    char request[sizeof REQUEST];
    if (recv(fd, request, strlen(REQUEST), MSG_WAITALL) != (ssize_t)strlen(REQUEST))
        return false;
    if (p->n < sizeof p->users / sizeof p->users[0])
        p->users[p->n] = (unsigned)strtoul(request + strlen(BEFORE_USER), NULL, 10);
    enum act act = p->act(++p->n);
    if (act == ACT_BE_SLOW)
        poll(NULL, 0, SLOW_MSEC);
    if (act == ACT_CLOSE)
        return false;
    say(fd, act == ACT_STATUS    ? "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
            : act == ACT_GARBAGE ? "what?\r\n\r\n"
                                 : ANSWER);
    return act != ACT_GARBAGE && act != ACT_ANSWER_AND_CLOSE;
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    for (int fd; (fd = accept(p->listener, NULL, NULL)) >= 0; close(fd))
        while (serve_one(p, fd))
            ;
    return NULL;
}

static struct sockaddr_in start(struct peer *p, enum act (*act)(unsigned n))
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    *p = (struct peer){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .act = act};
    assert_int_equal(bind(p->listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
    return a;
}

static void stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

static struct open_loop_options options(struct sockaddr_in to, uint64_t rate)
{
    return (struct open_loop_options){.address = to,
                                      .request = REQUEST,
                                      .request_len = strlen(REQUEST),
                                      .rate = rate,
                                      .seconds = 1,
                                      .connections = 1};
}

static void run(const struct open_loop_options *o, struct open_loop_result *ret)
{
    assert_int_equal(bench_record_init(&record, o->rate * o->seconds), 0);
    assert_int_equal(open_loop_run(o, &record, ret), 0);
    uint64_t sum = ret->answered;
    for (unsigned i = 0; i < OPEN_LOOP_FATES; i++)
        sum += ret->fates[i];
    assert_int_equal(sum, ret->due); // no request is forgotten or counted twice
}

static enum act mixed(unsigned n)
{
    switch (n) {
    case 10:
        return ACT_STATUS;
    case 20:
        return ACT_CLOSE;
    case 30:
        return ACT_GARBAGE;
    case 40:
        return ACT_ANSWER_AND_CLOSE;
    default:
        return ACT_ANSWER;
    }
}

static void test_every_request_has_one_fate(void **state)
{
    (void)state;
    struct peer p;
    struct open_loop_options o = options(start(&p, mixed), 1000);
    struct open_loop_result r;
    run(&o, &r);
    stop(&p);
    assert_int_equal(r.due, 1000);
    assert_int_equal(r.fates[OPEN_LOOP_STATUS], 1);
    assert_int_equal(r.fates[OPEN_LOOP_MALFORMED], 1);
    assert_true(r.fates[OPEN_LOOP_CLOSED] >= 1);
    // the peer that closed after its answer was noticed before or after the next request was sent
    assert_int_equal(r.fates[OPEN_LOOP_CLOSED] + r.idle_closed, 2);
    assert_int_equal(r.fates[OPEN_LOOP_REFUSED] + r.fates[OPEN_LOOP_UNANSWERED], 0);
    assert_true(record.n <= r.answered); // those of the warm-up are not timed
    bench_record_done(&record);
}

static enum act slow_at_first(unsigned n)
{
    return n == 1 ? ACT_BE_SLOW : ACT_ANSWER;
}

static void test_waiting_counts_from_when_a_request_was_due(void **state)
{
    (void)state;
    struct peer p;
    struct open_loop_options o = options(start(&p, slow_at_first), 10);
    struct open_loop_result r;
    run(&o, &r);
    stop(&p);
    assert_int_equal(r.answered, 10);
    // due 500 ms after the start, while the only connection waits until 800 ms
    assert_true(record.n >= 1 && record.samples[0].latency_nsec >= 250000000u);
    assert_true(record.late_nsec[0] >= 250000000u);
    bench_record_done(&record);
}

static enum act good(unsigned n)
{
    (void)n;
    return ACT_ANSWER;
}

static void test_users_take_turns(void **state)
{
    (void)state;
    struct peer p;
    struct open_loop_options o = options(start(&p, good), 10);
    struct open_loop_result r;
    o.user_at = strlen(BEFORE_USER);
    o.users = 4;
    run(&o, &r);
    stop(&p);
    assert_int_equal(r.answered, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(p.users[i], i % 4);
    bench_record_done(&record);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct peer p;
    struct sockaddr_in to = start(&p, mixed);
    stop(&p);
    struct open_loop_options o = options(to, 100);
    struct open_loop_result r;
    run(&o, &r);
    assert_int_equal(r.fates[OPEN_LOOP_REFUSED], 100);
    bench_record_done(&record);
}

static void test_control_brings_windows_and_the_end(void **state)
{
    (void)state;
    static const char text[] = "window 1 2\nnonsense\nwindow 3 4\n";
    struct peer p;
    struct open_loop_options o = options(start(&p, slow_at_first), 10);
    struct open_loop_result r;
    int pipe_fds[2], saved = dup(STDIN_FILENO);
    o.control = true;
    o.seconds = 600;
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], text, strlen(text)), strlen(text));
    close(pipe_fds[1]);
    assert_int_equal(dup2(pipe_fds[0], STDIN_FILENO), STDIN_FILENO);
    close(pipe_fds[0]);
    run(&o, &r);
    stop(&p);
    assert_true(r.due < 6000);
    assert_int_equal(record.n_windows, 2);
    bench_record_done(&record);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_request_has_one_fate),
        cmocka_unit_test(test_waiting_counts_from_when_a_request_was_due),
        cmocka_unit_test(test_users_take_turns),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_control_brings_windows_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
