// One turn of the loop: wait for answers until the next request is due, read what came, send what
// is due. A request without a free connection waits, and its clock runs.
#include "open-loop.h"
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_NSEC 5000000000u  // for answers after the last request was due
#define DIAL_NSEC 5000000000u   // for the connections before the first one
#define WARM_UP_NSEC 500000000u // requests due so early are sent and counted, not timed
#define EVENTS_MAX 64
#define CONTROL_LINE_MAX 128

enum state { DOWN, CONNECTING, IDLE, BUSY };

struct connection {
    int fd;
    enum state state;
    uint64_t due_nsec, number; // of the request that it carries
    struct bench_response response;
};

struct loop {
    const struct open_loop_options *o;
    struct bench_record *record;
    struct open_loop_result *result;
    int epoll_fd;
    struct connection *connections;
    unsigned *free_ring, free_first, n_free; // those that carry nothing, longest rested first
    uint64_t start_nsec, total, sent;        // total shrinks when the load is ended early
    unsigned dialling;                       // before the start
    char request[OPEN_LOOP_REQUEST_MAX];     // with the user of the one that is sent
    char last_value[BENCH_VALUE_MAX];
    uint64_t last_nsec, last_run; // of that value: when it came last, and how often in a row
    char line[CONTROL_LINE_MAX];
    size_t line_len;
    bool control_open;
};

static uint64_t now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// --- connections -------------------------------------------------------------------------------

static void put_free(struct loop *l, struct connection *c)
{
    unsigned at = (l->free_first + l->n_free++) % l->o->connections;
    l->free_ring[at] = (unsigned)(c - l->connections);
}

static struct connection *take_free(struct loop *l)
{
    struct connection *c = &l->connections[l->free_ring[l->free_first]];
    l->free_first = (l->free_first + 1) % l->o->connections;
    l->n_free--;
    return c;
}

static void hang_up(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = DOWN;
    bench_response_reset(&c->response);
}

static void lose(struct loop *l, struct connection *c, enum open_loop_fate fate)
{
    l->result->fates[fate]++;
    hang_up(c);
    put_free(l, c);
}

static int dial(struct loop *l, struct connection *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    const struct sockaddr *to = (const struct sockaddr *)&l->o->address;
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
        (connect(c->fd, to, sizeof l->o->address) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        return -errno;
    c->state = CONNECTING;
    return 0;
}

// --- requests ----------------------------------------------------------------------------------

static bool is_timed(const struct loop *l, uint64_t due_nsec)
{
    return due_nsec >= l->start_nsec + WARM_UP_NSEC;
}

static void set_user(struct loop *l, const struct connection *c)
{
    uint64_t user = l->o->users ? c->number % l->o->users : 0;
    for (size_t i = OPEN_LOOP_USER_DIGITS; l->o->users && i-- > 0; user /= 10)
        l->request[l->o->user_at + i] = (char)('0' + user % 10);
}

static void transmit(struct loop *l, struct connection *c)
{
    set_user(l, c);
    ssize_t n = send(c->fd, l->request, l->o->request_len, MSG_NOSIGNAL);
    if (n != (ssize_t)l->o->request_len) { // a small request fits or the connection is no good
        lose(l, c, OPEN_LOOP_CLOSED);
        return;
    }
    c->state = BUSY;
    if (is_timed(l, c->due_nsec))
        bench_record_sent(l->record, c->due_nsec, now_nsec());
}

static void send_due(struct loop *l, uint64_t now)
{
    while (l->n_free > 0 && l->sent < l->total) {
        uint64_t due = bench_due_nsec(l->start_nsec, l->o->rate, l->sent);
        if (due > now)
            return;
        struct connection *c = take_free(l);
        c->number = l->sent++;
        c->due_nsec = due;
        if (c->state == IDLE)
            transmit(l, c);
        else if (dial(l, c) < 0)
            lose(l, c, OPEN_LOOP_REFUSED);
    }
}

// --- answers -----------------------------------------------------------------------------------

static void tell_change(struct loop *l, const struct bench_response *r, uint64_t now)
{
    if (l->o->interest && strcmp(r->value, l->last_value) != 0) {
        memcpy(l->last_value, r->value, sizeof l->last_value);
        printf("answer %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", r->value, now, l->last_nsec,
               l->last_run);
        fflush(stdout);
        l->last_run = 0;
    }
    l->last_nsec = now;
    l->last_run++;
}

static void answered(struct loop *l, struct connection *c)
{
    uint64_t now = now_nsec();
    if (c->response.status == 200) {
        l->result->answered++;
        if (is_timed(l, c->due_nsec))
            bench_record_answered(l->record, c->due_nsec, now);
        tell_change(l, &c->response, now);
    } else {
        l->result->fates[OPEN_LOOP_STATUS]++;
    }
    bool closes = c->response.closes;
    bench_response_reset(&c->response);
    c->state = IDLE;
    if (closes)
        hang_up(c);
    put_free(l, c);
}

// Reads until there is no more. What comes while nothing was asked is no answer.
static void receive(struct loop *l, struct connection *c)
{
    char data[4096];
    for (;;) {
        ssize_t n = recv(c->fd, data, sizeof data, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 && c->state == IDLE) {
            l->result->idle_closed++;
            hang_up(c); // it stays in the ring and is dialled when its turn comes
            return;
        }
        if (n <= 0) {
            lose(l, c, OPEN_LOOP_CLOSED);
            return;
        }
        int64_t taken = c->state == BUSY
                            ? bench_response_feed(&c->response, data, (size_t)n, l->o->interest)
                            : -EBADMSG;
        if (taken < 0 || (c->response.done && taken != n)) {
            if (c->state == BUSY)
                lose(l, c, OPEN_LOOP_MALFORMED);
            else
                hang_up(c);
            return;
        }
        if (c->response.done) {
            answered(l, c);
            if (c->state == DOWN)
                return;
        }
    }
}

static void on_connection(struct loop *l, struct connection *c, uint32_t events)
{
    if (l->dialling > 0 && c->state == CONNECTING) {
        l->dialling--;
        c->state = IDLE;
        if (events & (EPOLLERR | EPOLLHUP))
            hang_up(c);
        return;
    }
    if (c->state == CONNECTING && (events & (EPOLLERR | EPOLLHUP))) {
        lose(l, c, OPEN_LOOP_REFUSED);
        return;
    }
    if (c->state == CONNECTING && (events & EPOLLOUT))
        transmit(l, c);
    if ((c->state == BUSY || c->state == IDLE) && (events & ~(uint32_t)EPOLLOUT))
        receive(l, c);
}

// --- control -----------------------------------------------------------------------------------

static void on_control(struct loop *l)
{
    char text[512];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] != '\n') {
            if (l->line_len + 1 < sizeof l->line)
                l->line[l->line_len++] = text[i];
            continue;
        }
        l->line[l->line_len] = '\0';
        l->line_len = 0;
        if (bench_record_window(l->record, l->line) < 0)
            fprintf(stderr, "bench-http: \"%s\" is no window; it is left out\n", l->line);
    }
    if (n > 0)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    l->control_open = false;
    uint64_t so_far = (now_nsec() - l->start_nsec) / 1000 * l->o->rate / 1000000;
    if (so_far < l->sent)
        so_far = l->sent;
    if (so_far < l->total)
        l->total = so_far;
}

// --- the loop ----------------------------------------------------------------------------------

static int prepare(struct loop *l)
{
    if (l->o->request_len > sizeof l->request ||
        (l->o->users && l->o->user_at + OPEN_LOOP_USER_DIGITS > l->o->request_len))
        return -E2BIG;
    memcpy(l->request, l->o->request, l->o->request_len);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->connections = calloc(l->o->connections, sizeof *l->connections);
    l->free_ring = calloc(l->o->connections, sizeof *l->free_ring);
    if (l->epoll_fd < 0 || !l->connections || !l->free_ring)
        return l->epoll_fd < 0 ? -errno : -ENOMEM;
    for (unsigned i = 0; i < l->o->connections; i++) {
        l->connections[i].fd = -1;
        put_free(l, &l->connections[i]);
    }
    prctl(PR_SET_TIMERSLACK, 1UL); // else the kernel may wake us 50 us late
    return 0;
}

static int listen_to_control(struct loop *l)
{
    struct epoll_event control = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->o->control && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &control) < 0)
        return -errno;
    l->control_open = l->o->control;
    return 0;
}

static int wait_for_events(struct loop *l, uint64_t until)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = now_nsec(), left = until > now ? until - now : 0;
    struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    int n = epoll_pwait2(l->epoll_fd, events, EVENTS_MAX, &t, NULL);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            on_connection(l, events[i].data.ptr, events[i].events);
        else
            on_control(l);
    }
    return 0;
}

// All connections before the first request is due. One that cannot be made is tried again when its
// turn comes, and that request is then refused.
static int dial_all(struct loop *l)
{
    for (unsigned i = 0; i < l->o->connections; i++) {
        if (dial(l, &l->connections[i]) == 0)
            l->dialling++;
        else
            hang_up(&l->connections[i]);
    }
    uint64_t end = now_nsec() + DIAL_NSEC;
    while (l->dialling > 0) {
        int k = wait_for_events(l, end);
        if (k < 0)
            return k;
        if (now_nsec() >= end)
            return -ETIMEDOUT;
    }
    return 0;
}

static uint64_t wait_until(const struct loop *l, uint64_t end)
{
    if (l->sent < l->total && l->n_free > 0)
        return bench_due_nsec(l->start_nsec, l->o->rate, l->sent);
    return end;
}

static int turn(struct loop *l, uint64_t end)
{
    int k = wait_for_events(l, wait_until(l, end));
    if (k == 0)
        send_due(l, now_nsec());
    return k;
}

static void finish(struct loop *l)
{
    for (unsigned i = 0; i < l->o->connections; i++) {
        struct connection *c = &l->connections[i];
        if (c->state == BUSY || c->state == CONNECTING)
            l->result->fates[OPEN_LOOP_UNANSWERED]++;
        hang_up(c);
    }
    l->result->due = l->total;
    l->result->fates[OPEN_LOOP_UNANSWERED] += l->total - l->sent;
}

int open_loop_run(const struct open_loop_options *o, struct bench_record *record,
                  struct open_loop_result *ret)
{
    struct open_loop_result result = {0};
    struct loop l = {.o = o, .record = record, .result = &result, .epoll_fd = -1};
    int k = prepare(&l);
    if (k == 0)
        k = dial_all(&l);
    if (k == 0 && o->control)
        k = listen_to_control(&l);
    l.total = o->rate * o->seconds;
    l.start_nsec = now_nsec();
    uint64_t end = l.start_nsec + o->seconds * 1000000000u + DRAIN_NSEC;
    while (k == 0 && (l.sent < l.total || l.n_free < o->connections || l.control_open) &&
           now_nsec() < end)
        k = turn(&l, end);
    result.elapsed_nsec = now_nsec() - l.start_nsec;
    if (l.connections && l.free_ring)
        finish(&l);
    free(l.connections);
    free(l.free_ring);
    if (l.epoll_fd >= 0)
        close(l.epoll_fd);
    if (k == 0)
        *ret = result;
    return k;
}
