// Plain blocking sockets with a receive time-out that only a broken worker meets. A socket with a
// time-out is the one kind that Linux does not restart by itself: recv() answers EINTR, without any
// handler, whenever the process was stopped or frozen in it and goes on (signal(7)).
#include "worker/live/http-client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

static struct client *connect_to(int family, const void *address, socklen_t len)
{
    struct client *c = malloc(sizeof *c);
    assert_non_null(c);
    c->len = 0;
    c->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval stuck = {.tv_sec = 60};
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &stuck, sizeof stuck), 0);
    assert_int_equal(connect(c->fd, address, len), 0);
    int on = 1;
    if (family == AF_INET)
        assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    return c;
}

struct client *client_tcp(const struct fake *f)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(f->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect_to(AF_INET, &in, sizeof in);
}

struct client *client_unix(const struct fake *f)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, f->unix_path, strlen(f->unix_path));
    return connect_to(AF_UNIX, &un, sizeof un);
}

void client_free(struct client *c)
{
    close(c->fd);
    free(c);
}

void client_send(struct client *c, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(send(c->fd, at, len, MSG_NOSIGNAL));
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; // the answer, if any, is still to be read
        assert_true(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

void client_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

// false: the end.
static bool receive(struct client *c)
{
    assert_true(c->len < sizeof c->buffer);
    ssize_t n = TEMP_FAILURE_RETRY(recv(c->fd, c->buffer + c->len, sizeof c->buffer - c->len, 0));
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return false;
    if (n < 0)
        fail_msg("recv: %s", strerror(errno));
    c->len += (size_t)n;
    return true;
}

static void consume(struct client *c, size_t n)
{
    memmove(c->buffer, c->buffer + n, c->len - n);
    c->len -= n;
}

void client_read(struct client *c, struct answer *ret)
{
    char *end;
    ret->status = 0;
    ret->head[0] = ret->body[0] = '\0';
    while (!(end = memmem(c->buffer, c->len, "\r\n\r\n", 4)))
        if (!receive(c))
            return;
    size_t head_len = (size_t)(end - c->buffer) + 4;
    assert_true(head_len < sizeof ret->head);
    memcpy(ret->head, c->buffer, head_len);
    ret->head[head_len] = '\0';
    consume(c, head_len);
    assert_int_equal(sscanf(ret->head, "HTTP/1.1 %d", &ret->status), 1);
    const char *length = answer_header(ret, "content-length");
    ret->body_len = length ? strtoul(length, NULL, 10) : 0;
    assert_true(ret->body_len < sizeof ret->body);
    while (c->len < ret->body_len)
        assert_true(receive(c));
    memcpy(ret->body, c->buffer, ret->body_len);
    ret->body[ret->body_len] = '\0';
    consume(c, ret->body_len);
}

bool client_closed(struct client *c)
{
    return c->len == 0 && !receive(c);
}

void client_rest(struct client *c)
{
    while (receive(c))
        continue;
    assert_true(c->len < sizeof c->buffer);
    c->buffer[c->len] = '\0';
}

const char *answer_header(const struct answer *a, const char *name)
{
    static _Thread_local char value[512];
    size_t n = strlen(name);
    for (const char *line = strstr(a->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':')
            continue;
        assert_int_equal(sscanf(line + 3 + n, " %511[^\r]", value), 1);
        return value;
    }
    return NULL;
}

void client_post(struct client *c, const char *path, const char *body)
{
    char request[8192];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     path, strlen(body), body);
    assert_true(n > 0 && (size_t)n < sizeof request);
    client_send(c, request, (size_t)n);
}
