// Serialises senders and waits while the peer's queue is full.
#include "worker/wire.h"
#include "base/channel.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

#define FULL_MSEC_MAX 1000 // the peer reads nothing for so long: the message is given up

void gr_wire_init(struct gr_wire *w, int fd)
{
    pthread_mutex_init(&w->lock, NULL);
    w->fd = fd;
}

void gr_wire_attach(struct gr_wire *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    gr_closep(&w->fd);
    w->fd = fd;
    pthread_mutex_unlock(&w->lock);
}

static int send_locked(struct gr_wire *w, const cJSON *message, const int *fds, size_t n_fds)
{
    int r = gr_channel_send(w->fd, message, fds, n_fds);
    struct pollfd room = {.fd = w->fd, .events = POLLOUT};
    if (r == -EAGAIN && poll(&room, 1, FULL_MSEC_MAX) > 0)
        r = gr_channel_send(w->fd, message, fds, n_fds);
    return r;
}

void gr_wire_send_fds(struct gr_wire *w, cJSON *message, const int *fds, size_t n_fds)
{
    GR_AUTO_JSON cJSON *m = message;
    int r = -ENOMEM;
    pthread_mutex_lock(&w->lock);
    if (m && w->fd >= 0)
        r = send_locked(w, m, fds, n_fds);
    else if (m)
        r = -ENOTCONN;
    pthread_mutex_unlock(&w->lock);
    if (r < 0)
        gr_log(GR_LOG_WARNING, "a message to the supervisor is lost: %s", strerror(-r));
}

void gr_wire_send(struct gr_wire *w, cJSON *message)
{
    gr_wire_send_fds(w, message, NULL, 0);
}

bool gr_wire_offer(struct gr_wire *w, cJSON *message)
{
    GR_AUTO_JSON cJSON *m = message;
    pthread_mutex_lock(&w->lock);
    int r = m && w->fd >= 0 ? gr_channel_send(w->fd, m, NULL, 0) : -ENOTCONN;
    pthread_mutex_unlock(&w->lock);
    return r == 0;
}

cJSON *gr_wire_answer(const char *type, uint64_t id)
{
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(m, "type", type) || !gr_json_add_uint(m, "id", id))
        return NULL;
    return gr_steal(m);
}

cJSON *gr_wire_failure(uint64_t id, const struct gr_error *e)
{
    GR_AUTO_JSON cJSON *m = gr_wire_answer("failed", id);
    if (!cJSON_AddStringToObject(m, "reason", gr_reason_name(e->reason)) ||
        !cJSON_AddStringToObject(m, "message", e->message) ||
        !cJSON_AddBoolToObject(m, "retryable", e->retryable))
        return NULL;
    return gr_steal(m);
}
