// See server.h. A test's tool: whatever goes wrong here fails the test.
#include "watchers/transport/loopback/server.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
// after its needs
#include <cmocka.h>

#define BYTES_MAX (64u << 20)

struct gr_exchange {
    struct gr_loopback *server;
    LIST_ENTRY(gr_exchange) link;
    int fd;
    sd_event_source *io;
    struct gr_buf in, out;
    size_t piece;
    enum { KEEP_OPEN, CLOSE_AFTER, RESET_AFTER } after;
};
struct gr_loopback {
    sd_event *event;
    gr_loopback_handler handler;
    void *userdata;
    int fd;
    sd_event_source *io;
    unsigned n_connections;
    char url[64];
    LIST_HEAD(, gr_exchange) exchanges;
};

static void exchange_free(struct gr_exchange *x)
{
    struct linger now = {.l_onoff = 1};
    if (x->after == RESET_AFTER)
        (void)setsockopt(x->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    LIST_REMOVE(x, link);
    sd_event_source_disable_unref(x->io);
    close(x->fd);
    gr_buf_done(&x->in);
    gr_buf_done(&x->out);
    free(x);
}

static void want(struct gr_exchange *x)
{
    bool busy = x->out.len || x->after != KEEP_OPEN;
    assert_true(sd_event_source_set_io_events(x->io, EPOLLIN | (busy ? EPOLLOUT : 0u)) >= 0);
}

// True when a whole request was there.
static bool take_request(struct gr_exchange *x)
{
    char *end = x->in.len ? strstr(x->in.data, "\r\n\r\n") : NULL;
    if (!end)
        return false;
    size_t head_len = (size_t)(end - x->in.data) + 4, body_len = 0;
    char *length = strcasestr(x->in.data, "\r\ncontent-length:");
    if (length && length < end)
        body_len = strtoul(length + 17, NULL, 10);
    if (x->in.len < head_len + body_len)
        return false;
    GR_AUTO_FREE char *head = strndup(x->in.data, head_len);
    GR_AUTO_FREE char *body = strndup(x->in.data + head_len, body_len);
    char method[16], path[1024];
    assert_int_equal(sscanf(head, "%15s %1023s", method, path), 2);
    gr_buf_consume(&x->in, head_len + body_len);
    struct gr_loopback_request r = {method, path, head, body};
    x->server->handler(x->server->userdata, x, &r);
    return true;
}

// False: the peer is gone.
static bool receive(struct gr_exchange *x)
{
    char bytes[16384];
    ssize_t n = recv(x->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    assert_int_equal(gr_buf_append(&x->in, bytes, (size_t)n), 0);
    while (take_request(x))
        continue;
    return true;
}

// False: the peer is gone, or all is said.
static bool transmit(struct gr_exchange *x)
{
    size_t len = x->piece && x->piece < x->out.len ? x->piece : x->out.len;
    ssize_t n = len ? send(x->fd, x->out.data, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0)
        return errno == EAGAIN;
    gr_buf_consume(&x->out, (size_t)n);
    if (x->out.len)
        return true;
    if (x->after == CLOSE_AFTER)
        (void)shutdown(x->fd, SHUT_WR);
    return x->after == KEEP_OPEN;
}

static int on_exchange(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    (void)s;
    (void)fd;
    struct gr_exchange *x = userdata;
    bool lives = !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || receive(x);
    if (lives && events & EPOLLOUT)
        lives = transmit(x);
    if (lives)
        want(x);
    else
        exchange_free(x);
    return 0;
}

static int on_accept(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    (void)s;
    (void)events;
    struct gr_loopback *l = userdata;
    int one = 1, peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0)
        return 0;
    struct gr_exchange *x = calloc(1, sizeof *x);
    assert_non_null(x);
    x->server = l;
    x->fd = peer;
    x->in = x->out = GR_BUF(BYTES_MAX);
    (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    assert_true(sd_event_add_io(l->event, &x->io, peer, EPOLLIN, on_exchange, x) >= 0);
    LIST_INSERT_HEAD(&l->exchanges, x, link);
    l->n_connections++;
    return 0;
}

struct gr_loopback *gr_loopback_new(sd_event *event, gr_loopback_handler handler, void *userdata)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct gr_loopback *l = calloc(1, sizeof *l);
    assert_non_null(l);
    LIST_INIT(&l->exchanges);
    l->event = sd_event_ref(event);
    l->handler = handler;
    l->userdata = userdata;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(l->fd >= 0);
    assert_int_equal(bind(l->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(l->fd, 64), 0);
    assert_int_equal(getsockname(l->fd, (struct sockaddr *)&a, &len), 0);
    assert_true(sd_event_add_io(event, &l->io, l->fd, EPOLLIN, on_accept, l) >= 0);
    snprintf(l->url, sizeof l->url, "http://127.0.0.1:%u", ntohs(a.sin_port));
    return l;
}

void gr_loopback_free(struct gr_loopback *l)
{
    if (!l)
        return;
    while (!LIST_EMPTY(&l->exchanges))
        exchange_free(LIST_FIRST(&l->exchanges));
    sd_event_source_disable_unref(l->io);
    close(l->fd);
    sd_event_unref(l->event);
    free(l);
}

const char *gr_loopback_url(const struct gr_loopback *l)
{
    return l->url;
}

unsigned gr_loopback_connections(const struct gr_loopback *l)
{
    return l->n_connections;
}

void gr_exchange_send(struct gr_exchange *x, const char *bytes, size_t len, size_t piece)
{
    assert_int_equal(gr_buf_append(&x->out, bytes, len), 0);
    x->piece = piece;
    want(x);
}

void gr_exchange_reply(struct gr_exchange *x, int status, const char *headers, const char *body)
{
    char head[1024];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n", status,
                     strlen(body), headers);
    gr_exchange_send(x, head, (size_t)n, 0);
    gr_exchange_send(x, body, strlen(body), 0);
}

void gr_exchange_begin_chunked(struct gr_exchange *x, int status)
{
    char head[128];
    int n =
        snprintf(head, sizeof head, "HTTP/1.1 %d x\r\nTransfer-Encoding: chunked\r\n\r\n", status);
    gr_exchange_send(x, head, (size_t)n, x->piece);
}

void gr_exchange_chunk(struct gr_exchange *x, const char *text, size_t piece)
{
    char size[32];
    int n = snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    gr_exchange_send(x, size, (size_t)n, piece);
    gr_exchange_send(x, text, strlen(text), piece);
    gr_exchange_send(x, "\r\n", 2, piece);
}

void gr_exchange_close(struct gr_exchange *x)
{
    x->after = CLOSE_AFTER;
    want(x);
}

void gr_exchange_reset(struct gr_exchange *x)
{
    x->after = RESET_AFTER;
    want(x);
}
