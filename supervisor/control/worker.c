// Owns a worker's process, channel and pending requests. Must never decide what the worker serves.
#include "control/worker.h"
#include "base/channel.h"
#include "base/fault.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define CHANNEL_CHILD_FD 3
#define ORPHAN_USEC (120 * GR_USEC_PER_SEC)

struct request {
    struct request *next;
    struct gr_worker *worker;
    uint64_t id;
    gr_worker_reply reply;
    void *userdata;
    sd_event_source *timeout;
    char type[16];
};

struct gr_worker {
    sd_event *event;
    struct gr_worker_callbacks cb;
    struct gr_child child;
    int channel;
    sd_event_source *channel_source, *child_source;
    struct gr_stats *stats;
    int stats_fd;
    struct request *requests;
    uint64_t next_id;
    bool reaped;
};

static void request_finish(struct request *q, const cJSON *reply, const struct gr_error *e)
{
    struct gr_worker *w = q->worker;
    for (struct request **p = &w->requests; *p; p = &(*p)->next)
        if (*p == q) {
            *p = q->next;
            break;
        }
    sd_event_source_disable_unref(q->timeout);
    if (q->reply)
        q->reply(q->userdata, reply, e);
    free(q);
}

static struct request *request_find(struct gr_worker *w, uint64_t id)
{
    for (struct request *q = w->requests; q; q = q->next)
        if (q->id == id)
            return q;
    return NULL;
}

static int on_request_timeout(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct request *q = u;
    struct gr_error e = {0};
    gr_error_set(&e, -ETIME, GR_REASON_LOAD_FAILED,
                 "worker %d did not answer '%s' in time; expected an answer within its limit. A "
                 "hook of the module hangs: mend it, "
                 "the worker is replaced",
                 q->worker->child.pid, q->type);
    request_finish(q, NULL, &e);
    return 0;
}

static void answer(struct request *q, const cJSON *m)
{
    const char *type = "", *reason = "", *sentence = "";
    (void)!gr_json_string(m, "", "type", GR_JSON_REQUIRED, &type, NULL);
    if (strcmp(type, "failed") != 0) {
        request_finish(q, m, NULL);
        return;
    }
    struct gr_error e = {0};
    enum gr_reason why = GR_REASON_INTERNAL;
    bool pinned = false;
    (void)!gr_json_string(m, "", "reason", GR_JSON_OPTIONAL, &reason, NULL);
    (void)!gr_json_string(m, "", "message", GR_JSON_OPTIONAL, &sentence, NULL);
    (void)!gr_json_bool(m, "", "pinned", GR_JSON_OPTIONAL, &pinned, NULL);
    if (gr_reason_parse(reason, &why) < 0)
        why = GR_REASON_INTERNAL;
    gr_error_set(&e, pinned ? -EBUSY : -EBADE, why, "%s", sentence);
    request_finish(q, NULL, &e);
}

static void on_message(struct gr_worker *w, const cJSON *m)
{
    uint64_t id = 0;
    const char *type = "";
    if (gr_json_uint(m, "", "id", GR_JSON_OPTIONAL, 0, UINT32_MAX, &id, NULL) < 0 ||
        gr_json_string(m, "", "type", GR_JSON_REQUIRED, &type, NULL) < 0) {
        gr_log(GR_LOG_WARNING, "worker %d sent a message without a type; it is ignored",
               w->child.pid);
        return;
    }
    struct request *q = id ? request_find(w, id) : NULL;
    if (q)
        answer(q, m);
    else if (strcmp(type, "hello-ok") == 0)
        w->cb.hello(w->cb.userdata, w);
    else if (!id)
        w->cb.event(w->cb.userdata, w, m);
}

static int on_channel(sd_event_source *s, int fd, uint32_t events, void *u)
{
    (void)s, (void)events;
    struct gr_worker *w = u;
    cJSON *m GR_AUTO_JSON = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    int k = gr_channel_recv(fd, &m, fds, &n);
    if (k == 1) {
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
        on_message(w, m);
    } else if (k != -EAGAIN) { // gone or garbled: the pidfd tells the rest
        w->channel_source = sd_event_source_disable_unref(w->channel_source);
        if (k < 0) {
            gr_log(GR_LOG_ERROR, "worker %d: channel: %s; it is replaced", w->child.pid,
                   strerror(-k));
            gr_worker_kill(w);
        }
    }
    return 0;
}

static void drain_channel(struct gr_worker *w)
{
    // what it said last (a fault) still counts
    for (int k = 1; k == 1 && w->channel_source;) {
        cJSON *m GR_AUTO_JSON = NULL;
        int fds[GR_CHANNEL_FDS_MAX];
        size_t n = 0;
        k = gr_channel_recv(w->channel, &m, fds, &n);
        for (size_t i = 0; k == 1 && i < n; i++)
            close(fds[i]);
        if (k == 1)
            on_message(w, m);
    }
}

bool gr_worker_was_killed(const struct gr_worker_death *d)
{
    return d->by_signal && (d->status == SIGKILL || d->status == SIGTERM);
}

// A plain, level-triggered source on the pidfd. An event loop's child source is armed for one shot,
// and the pidfd was seen to become readable a moment before waitid() has anything to tell: that
// shot is lost, and the worker's death would never be heard of.
static int on_child(sd_event_source *s, int fd, uint32_t events, void *u)
{
    (void)s, (void)events;
    struct gr_worker *w = u;
    siginfo_t si = {0};
    if (TEMP_FAILURE_RETRY(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG)) == 0 && !si.si_pid)
        return 0; // not yet: asked again at once
    w->reaped = true;
    drain_channel(w);
    w->channel_source = sd_event_source_disable_unref(w->channel_source);
    struct gr_worker_death d = {.by_signal = si.si_code != CLD_EXITED, .status = si.si_status};
    struct gr_error e = {0};
    if (gr_worker_was_killed(&d)) // which convicts nobody, however often it happens
        gr_error_set_retryable(&e, -ECONNRESET, GR_REASON_INTERNAL,
                               "worker %d was killed from outside (SIG%s) while it was asked",
                               w->child.pid, sigabbrev_np(d.status));
    else
        gr_error_set_retryable(&e, -ECONNRESET, GR_REASON_CRASHED,
                               "worker %d ended while it was asked", w->child.pid);
    while (w->requests)
        request_finish(w->requests, NULL, &e);
    w->cb.died(w->cb.userdata, w, &d);
    return 0;
}

static int send_hello(struct gr_worker *w, const struct gr_worker_config *c)
{
    cJSON *m GR_AUTO_JSON = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "hello");
    cJSON_AddStringToObject(m, "service", c->service);
    cJSON_AddStringToObject(m, "instance", c->instance);
    cJSON_AddNumberToObject(m, "threads", c->threads);
    cJSON_AddStringToObject(m, "store", c->store_dir);
    cJSON *breaker = cJSON_AddObjectToObject(m, "breaker");
    gr_json_add_uint(breaker, "faults", c->breaker.faults);
    gr_json_add_uint(breaker, "window_usec", c->breaker.window_usec);
    gr_json_add_uint(breaker, "backoff_usec", c->breaker.backoff_usec);
    cJSON_AddBoolToObject(m, "access_log", c->access_log);
    if (c->records)
        gr_json_add_uint(m, "sample", c->sample);
    gr_json_add_uint(m, "call_timeout_usec", c->call_timeout_usec);
    gr_json_add_uint(m, "pool_threads", c->pool_threads);
    gr_json_add_uint(m, "pool_queue", c->pool_queue);
    gr_json_add_uint(m, "call_grace_usec", c->call_grace_usec);
    cJSON_AddBoolToObject(m, "adoptable", c->adopt_fd >= 0);
    gr_json_add_uint(m, "orphan_usec", ORPHAN_USEC);
    cJSON *list = cJSON_AddArrayToObject(m, "listeners");
    int fds[GR_CHANNEL_FDS_MAX] = {w->stats_fd, c->harms_fd};
    size_t n = 2;
    for (size_t i = 0; i < c->n_listeners && n < GR_COUNT(fds) - 1; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "address", c->listeners[i].address);
        cJSON_AddStringToObject(o, "kind",
                                strncmp(c->listeners[i].address, "unix:", 5) == 0 ? "unix" : "tcp");
        cJSON_AddItemToArray(list, o);
        fds[n++] = c->listeners[i].fd;
    }
    if (c->adopt_fd >= 0)
        fds[n++] = c->adopt_fd;
    return gr_channel_send(w->channel, m, fds, n);
}

static int spawn(struct gr_worker *w, const struct gr_program *program, struct gr_error *e)
{
    int pair[2];
    int k = gr_channel_pair(pair);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_INTERNAL, "no channel for a worker: %s", strerror(-k));
    w->channel = pair[0];
    int theirs GR_AUTO_CLOSE = pair[1];
    char *argv[] = {(char *)(uintptr_t)program->path, NULL};
    struct gr_child_fd map = {.from = theirs, .to = CHANNEL_CHILD_FD};
    k = GR_FAULT("worker.spawn");
    if (k == 0)
        k = gr_program_spawn(program, argv, NULL, &map, 1, &w->child, e);
    return k;
}

int gr_worker_spawn(sd_event *event, const struct gr_worker_config *c,
                    const struct gr_worker_callbacks *cb, struct gr_worker **ret,
                    struct gr_error *e)
{
    struct gr_worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct gr_worker){.event = event,
                            .cb = *cb,
                            .channel = -1,
                            .stats_fd = -1,
                            .child = {.pid = 0, .pidfd = -1},
                            .next_id = 1,
                            .reaped = true};
    int k = gr_stats_new(&w->stats, &w->stats_fd);
    if (k == 0)
        k = spawn(w, c->program, e);
    if (k == 0) {
        w->reaped = false;
        k = GR_FAULT("worker.before-hello");
    }
    if (k == 0)
        k = send_hello(w, c);
    if (k == 0)
        k = GR_FAULT("worker.after-hello");
    if (k == 0)
        k = sd_event_add_io(event, &w->channel_source, w->channel, EPOLLIN, on_channel, w);
    if (k >= 0)
        k = sd_event_add_io(event, &w->child_source, w->child.pidfd, EPOLLIN, on_child, w);
    if (k < 0) {
        if (e && e->reason == GR_REASON_NONE)
            gr_error_set(e, k, GR_REASON_INTERNAL, "a worker could not be started: %s",
                         strerror(-k));
        gr_worker_free(w);
        return k;
    }
    *ret = w;
    return 0;
}

void gr_worker_free(struct gr_worker *w)
{
    if (!w)
        return;
    while (w->requests) {
        struct request *q = w->requests;
        w->requests = q->next;
        sd_event_source_disable_unref(q->timeout);
        free(q);
    }
    sd_event_source_disable_unref(w->channel_source);
    sd_event_source_disable_unref(w->child_source);
    if (!w->reaped && w->child.pid > 0) {
        kill(w->child.pid, SIGKILL);
        waitpid(w->child.pid, NULL, 0);
    }
    gr_closep(&w->child.pidfd);
    gr_closep(&w->channel);
    gr_stats_free(w->stats);
    gr_closep(&w->stats_fd);
    free(w);
}

int gr_worker_request(struct gr_worker *w, cJSON *message, int fd, uint64_t timeout_usec,
                      gr_worker_reply reply, void *userdata)
{
    cJSON *m GR_AUTO_JSON = message;
    struct request *q = calloc(1, sizeof *q);
    if (!m || !q) {
        free(q);
        return -ENOMEM;
    }
    *q = (struct request){.worker = w, .id = w->next_id++, .reply = reply, .userdata = userdata};
    const char *type = "";
    (void)!gr_json_string(m, "", "type", GR_JSON_REQUIRED, &type, NULL);
    snprintf(q->type, sizeof q->type, "%s", type);
    gr_json_add_uint(m, "id", q->id);
    int k = w->reaped ? -EPIPE : gr_channel_send(w->channel, m, &fd, fd >= 0 ? 1 : 0);
    if (k == -EPIPE) // it is dead, and its pidfd has not been looked at yet
        k = -ECONNRESET;
    if (k == 0 && timeout_usec)
        k = sd_event_add_time_relative(w->event, &q->timeout, CLOCK_MONOTONIC, timeout_usec, 1000,
                                       on_request_timeout, q);
    if (q->timeout) // after a pause of ours, an answer that lies there goes first
        (void)sd_event_source_set_priority(q->timeout, SD_EVENT_PRIORITY_NORMAL + 1);
    if (k < 0) {
        free(q);
        return k;
    }
    q->next = w->requests;
    w->requests = q;
    return 0;
}

struct gr_stats *gr_worker_stats(struct gr_worker *w)
{
    return w->stats;
}
int gr_worker_pid(const struct gr_worker *w)
{
    return w->child.pid;
}
void gr_worker_kill(struct gr_worker *w)
{
    if (!w->reaped)
        kill(w->child.pid, SIGKILL);
}
