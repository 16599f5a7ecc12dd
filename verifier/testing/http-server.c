// A server that misbehaves in one way per path.
#include "verifier/testing/http-server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct test_server {
    int fd;
    unsigned port;
    atomic_uint hits;
    unsigned flaky; // only the server's thread
    const char *body;
    size_t len;
    pthread_t thread;
};

static int send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static void head(int fd, const char *status, long length)
{
    char text[256];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nConnection: close\r\n", status);
    if (length >= 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %ld\r\n", length);
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    send_all(fd, text, (size_t)n);
}

static void redirect(int fd, const char *target)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                     "Connection: close\r\n\r\n",
                     target);
    send_all(fd, text, (size_t)n);
}

static void wait_for_hangup(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void answer_badly(struct test_server *s, int fd, const char *path)
{
    size_t half = s->len / 2;
    if (strcmp(path, "/truncated") == 0) {
        head(fd, "200 OK", (long)s->len);
        send_all(fd, s->body, half);
    } else if (strcmp(path, "/half") == 0) {
        head(fd, "200 OK", (long)half);
        send_all(fd, s->body, half);
    } else if (strcmp(path, "/reset") == 0) {
        struct linger now = {.l_onoff = 1};
        head(fd, "200 OK", (long)s->len);
        send_all(fd, s->body, half);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    } else if (strcmp(path, "/endless") == 0) {
        head(fd, "200 OK", -1);
        while (send_all(fd, s->body, s->len) == 0)
            ;
    } else if (strcmp(path, "/slow") == 0) {
        head(fd, "200 OK", (long)s->len);
        wait_for_hangup(fd);
    } else {
        head(fd, "404 Not Found", 0);
    }
}

static void answer(struct test_server *s, int fd, const char *path)
{
    char target[128];
    if (strcmp(path, "/flaky") == 0 && s->flaky++ == 0) {
        head(fd, "503 Service Unavailable", 0);
    } else if (strcmp(path, "/good") == 0 || strcmp(path, "/flaky") == 0) {
        head(fd, "200 OK", (long)s->len);
        send_all(fd, s->body, s->len);
    } else if (strcmp(path, "/loop") == 0 || strcmp(path, "/moved") == 0) {
        redirect(fd, path[1] == 'l' ? "/loop" : "/good");
    } else if (strcmp(path, "/to-private") == 0) {
        redirect(fd, "http://10.0.0.1/pay.so");
    } else if (strcmp(path, "/to-name") == 0) {
        snprintf(target, sizeof target, "http://localhost:%u/good", s->port);
        redirect(fd, target);
    } else if (strcmp(path, "/to-file") == 0) {
        redirect(fd, "file:///etc/passwd");
    } else {
        answer_badly(s, fd, path);
    }
}

static void serve(struct test_server *s, int fd)
{
    char request[4096];
    size_t len = 0;
    while (len < sizeof request - 1) {
        ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    char path[128];
    if (sscanf(request, "GET %127s", path) != 1)
        return;
    atomic_fetch_add(&s->hits, 1);
    answer(s, fd, path);
}

static void *run(void *userdata)
{
    struct test_server *s = userdata;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd))
        serve(s, fd);
    return NULL;
}

struct test_server *test_server_start(const void *body, size_t len)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_len = sizeof at;
    struct test_server *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->body = body;
    s->len = len;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, at_len) < 0 || listen(s->fd, 16) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&at, &at_len) < 0 ||
        pthread_create(&s->thread, NULL, run, s) != 0)
        abort();
    s->port = ntohs(at.sin_port);
    return s;
}

unsigned test_server_port(const struct test_server *s)
{
    return s->port;
}

unsigned test_server_hits(const struct test_server *s)
{
    return atomic_load(&s->hits);
}

void test_server_stop(struct test_server *s)
{
    shutdown(s->fd, SHUT_RDWR); // accept() answers
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s);
}
