// libmicrohttpd with a thread for each connection, so that one that stalls holds up nobody else.
#include "cli/drill/misserver.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/drill/process.h"
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES 65536u
#define HUGE_BYTES (1ull << 40)

struct gr_misserver {
    char directory[PATH_MAX];
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over;
};

enum way { CLOSES, RESETS, STALLS, GOES_ON }; // after what there is to send
struct body {
    struct gr_misserver *server;
    struct MHD_Connection *connection;
    enum way then;
    struct gr_buf bytes;
    size_t len; // of it that are sent
};

static void body_free(void *userdata)
{
    struct body *b = userdata;
    gr_buf_done(&b->bytes);
    free(b);
}

static bool is_over(struct gr_misserver *s, bool wait)
{
    pthread_mutex_lock(&s->lock);
    while (wait && !s->over)
        pthread_cond_wait(&s->ended, &s->lock);
    bool over = s->over;
    pthread_mutex_unlock(&s->lock);
    return over;
}

static void reset(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (i)
        setsockopt(i->connect_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static ssize_t read_body(void *userdata, uint64_t at, char *buf, size_t max)
{
    struct body *b = userdata;
    if (b->then == GOES_ON) {
        memset(buf, 0, max);
        return is_over(b->server, false) ? MHD_CONTENT_READER_END_WITH_ERROR : (ssize_t)max;
    }
    if (at < b->len) {
        size_t n = b->len - (size_t)at < max ? b->len - (size_t)at : max;
        memcpy(buf, b->bytes.data + at, n);
        return (ssize_t)n;
    }
    if (b->then == STALLS)
        is_over(b->server, true);
    if (b->then == RESETS)
        reset(b->connection);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result queue(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    enum MHD_Result done = r ? MHD_queue_response(c, status, r) : MHD_NO;
    if (r)
        MHD_destroy_response(r);
    return done;
}

static enum MHD_Result answer_empty(struct MHD_Connection *c, unsigned status, const char *location)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (r && location && MHD_add_response_header(r, "Location", location) != MHD_YES) {
        MHD_destroy_response(r);
        r = NULL;
    }
    return queue(c, status, r);
}

static enum MHD_Result answer_bytes(struct gr_misserver *s, struct MHD_Connection *c,
                                    const char *how, const char *name)
{
    GR_AUTO_CLOSE int fd = -1;
    struct body *b = calloc(1, sizeof *b);
    if (!b)
        return MHD_NO;
    b->server = s;
    b->connection = c;
    b->bytes = GR_BUF(GR_ARTIFACT_BYTES_DEFAULT);
    if (gr_fs_open_dir(s->directory, &fd) < 0 || gr_fs_read(fd, name, &b->bytes) < 0) {
        body_free(b);
        return answer_empty(c, MHD_HTTP_NOT_FOUND, NULL);
    }
    bool whole = !strcmp(how, "whole"), shorter = !strcmp(how, "shorter");
    uint64_t promised = b->bytes.len;
    b->len = whole ? b->bytes.len : b->bytes.len / 2;
    b->then = !strcmp(how, "reset")                             ? RESETS
              : !strcmp(how, "stalled")                         ? STALLS
              : !strcmp(how, "endless") || !strcmp(how, "huge") ? GOES_ON
                                                                : CLOSES;
    if (shorter)
        promised = b->len;
    if (b->then == GOES_ON)
        promised = strcmp(how, "huge") ? MHD_SIZE_UNKNOWN : HUGE_BYTES;
    struct MHD_Response *r =
        MHD_create_response_from_callback(promised, BLOCK_BYTES, read_body, b, body_free);
    if (!r)
        body_free(b);
    return queue(c, MHD_HTTP_OK, r);
}

static enum MHD_Result handle(void *userdata, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **context)
{
    char how[32], name[128];
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    (void)context;
    if (sscanf(url, "/%31[a-z]/%127[a-z0-9.-]", how, name) != 2 || strstr(name, ".."))
        return answer_empty(c, MHD_HTTP_NOT_FOUND, NULL);
    if (!strcmp(how, "missing"))
        return answer_empty(c, MHD_HTTP_NOT_FOUND, NULL);
    if (!strcmp(how, "broken"))
        return answer_empty(c, MHD_HTTP_SERVICE_UNAVAILABLE, NULL);
    if (!strcmp(how, "private"))
        return answer_empty(c, MHD_HTTP_FOUND, "http://10.0.0.1/artifact.so");
    if (!strcmp(how, "circle"))
        return answer_empty(c, MHD_HTTP_FOUND, url);
    return answer_bytes(userdata, c, how, name);
}

int gr_misserver_new(const char *directory, struct gr_misserver **ret, char ret_url[64],
                     struct gr_error *e)
{
    struct gr_misserver *s = calloc(1, sizeof *s);
    unsigned port = 0;
    if (!s)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    snprintf(s->directory, sizeof s->directory, "%s", directory);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ended, NULL);
    int r = gr_process_free_port(&port);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    if (r >= 0)
        s->daemon = MHD_start_daemon(
            MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle,
            s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_END);
    if (!s->daemon) {
        gr_misserver_free(s);
        return gr_error_set(e, -EADDRINUSE, GR_REASON_INTERNAL, "cannot start an artifact server");
    }
    snprintf(ret_url, 64, "http://127.0.0.1:%u", port);
    *ret = s;
    return 0;
}

void gr_misserver_free(struct gr_misserver *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
