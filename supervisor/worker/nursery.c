// The thread, and what other threads ask of it. It hears of a process's end from the spawner, of
// everything else from the process itself.
#include "worker/nursery.h"
#include "base/channel.h"
#include "base/log.h"
#include "worker/ward.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define COUNT_EVERY_USEC GR_USEC_PER_SEC // counters of the modules' own

static void wake(struct gr_nursery *n)
{
    (void)!eventfd_write(n->wake_fd, 1);
}

// --- the spawner
// ------------------------------------------------------------------------------------------------

static struct ward *find(struct gr_nursery *n, uint64_t id)
{
    for (struct ward *w = n->wards; w && id; w = w->next)
        if (w->id == id)
            return w;
    return NULL;
}

static void on_spawned(struct ward *w, const cJSON *m, int *fds, size_t n_fds)
{
    uint64_t pid = 0;
    if (n_fds != 1 || gr_json_uint(m, "", "pid", GR_JSON_REQUIRED, 1, INT32_MAX, &pid, NULL) < 0)
        gr_ward_not_spawned(w, "the spawner's answer is malformed");
    else
        gr_ward_spawned(w, (pid_t)pid, gr_steal_fd(&fds[0]));
}

static void on_ended(struct ward *w, const cJSON *m)
{
    bool by_signal = false;
    uint64_t status = 0;
    (void)!gr_json_bool(m, "", "by_signal", GR_JSON_OPTIONAL, &by_signal, NULL);
    (void)!gr_json_uint(m, "", "status", GR_JSON_OPTIONAL, 0, INT32_MAX, &status, NULL);
    gr_ward_ended(w, by_signal, (int)status);
}

static void on_message(struct gr_nursery *n, const cJSON *m, int *fds, size_t n_fds)
{
    const char *type = "", *why = "";
    uint64_t id = 0;
    (void)!gr_json_string(m, "", "type", GR_JSON_OPTIONAL, &type, NULL);
    (void)!gr_json_string(m, "", "message", GR_JSON_OPTIONAL, &why, NULL);
    (void)!gr_json_uint(m, "", "id", GR_JSON_OPTIONAL, 0, UINT32_MAX, &id, NULL);
    struct ward *w = find(n, id);
    if (w && strcmp(type, "spawned") == 0)
        on_spawned(w, m, fds, n_fds);
    else if (w && strcmp(type, "failed") == 0)
        gr_ward_not_spawned(w, why);
    else if (w && strcmp(type, "ended") == 0)
        on_ended(w, m);
    for (size_t i = 0; i < n_fds; i++)
        gr_closep(&fds[i]);
}

// Its children are dying with it, and nobody can start others.
static void lose_spawner(struct gr_nursery *n)
{
    n->lost = true;
    gr_closep(&n->o.spawner_channel);
    n->o.spawner_channel = -1;
    gr_log(GR_LOG_ERROR, "the spawner of isolated modules is gone, and their processes with it");
    for (struct ward *w = n->wards; w; w = w->next)
        if (w->state == WARD_SPAWNING)
            gr_ward_not_spawned(w, "the spawner is gone");
        else if (w->id)
            gr_ward_ended(w, true, SIGKILL);
        else if (w->state == WARD_ABSENT)
            w->state = WARD_OVER;
    pthread_cond_broadcast(&n->changed);
    n->o.on_lost(n->o.userdata);
}

static void listen_to_spawner(struct gr_nursery *n)
{
    for (;;) {
        GR_AUTO_JSON cJSON *m = NULL;
        int fds[GR_CHANNEL_FDS_MAX];
        size_t n_fds = 0;
        int r = gr_channel_recv(n->o.spawner_channel, &m, fds, &n_fds);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            lose_spawner(n);
            return;
        }
        on_message(n, m, fds, n_fds);
    }
}

// --- the thread
// ------------------------------------------------------------------------------------------------

struct watch { // one poll()
    struct pollfd *set;
    uint64_t *ids; // of the processes behind set[2...]
    size_t n, cap;
};

static void add(struct watch *p, int fd, uint64_t id)
{
    p->set[p->n] = (struct pollfd){.fd = fd, .events = POLLIN};
    p->ids[p->n++] = id;
}

static bool reserve(struct watch *p, size_t n)
{
    if (n <= p->cap)
        return true;
    struct pollfd *set = realloc(p->set, n * sizeof *set);
    if (set)
        p->set = set;
    uint64_t *ids = set ? realloc(p->ids, n * sizeof *ids) : NULL;
    if (ids)
        p->ids = ids;
    p->cap = ids ? n : p->cap;
    return ids != NULL;
}

static int timeout_until(uint64_t next, uint64_t now)
{
    if (next == GR_USEC_INFINITY)
        return -1;
    return next <= now ? 0 : (int)((next - now) / GR_USEC_PER_MSEC + 1);
}

// What is due, and what to wait for. Wards beyond what memory allows are looked at later.
static int step(struct gr_nursery *n, struct watch *p)
{
    uint64_t now = gr_mono_now().usec, next = GR_USEC_INFINITY;
    size_t count = 2;
    for (struct ward *w = n->wards; w; w = w->next, count++) {
        uint64_t due = gr_ward_step(w, now);
        if (w->state == WARD_SERVING) {
            gr_ward_count(w);
            due = due < now + COUNT_EVERY_USEC ? due : now + COUNT_EVERY_USEC;
        }
        next = due < next ? due : next;
    }
    p->n = 0;
    if (!reserve(p, count) && p->cap < 2)
        return -1;
    add(p, n->wake_fd, 0);
    add(p, n->o.spawner_channel, 0);
    for (struct ward *w = n->wards; w && p->n < p->cap; w = w->next)
        if (w->channel >= 0 && w->id)
            add(p, w->channel, w->id);
    return timeout_until(next, now);
}

static void *run(void *userdata)
{
    struct gr_nursery *n = userdata;
    struct watch p = {0};
    pthread_mutex_lock(&n->lock);
    while (!n->stopping) {
        int timeout = step(n, &p);
        pthread_mutex_unlock(&n->lock);
        int ready = poll(p.set, p.n, timeout);
        pthread_mutex_lock(&n->lock);
        if (ready <= 0)
            continue;
        eventfd_t ignored;
        if (p.set[0].revents)
            (void)!eventfd_read(n->wake_fd, &ignored);
        for (size_t i = 2; i < p.n; i++) {
            struct ward *w = p.set[i].revents ? find(n, p.ids[i]) : NULL;
            if (w)
                gr_ward_listen(w);
        }
        if (p.set[1].revents)
            listen_to_spawner(n);
    }
    pthread_mutex_unlock(&n->lock);
    free(p.set);
    free(p.ids);
    return NULL;
}

// --- what dispatch asks
// ------------------------------------------------------------------------------------------------

static void overdue(void *userdata, const char *interface_name, const char *method_name,
                    const char *request_id)
{
    struct ward *w = userdata;
    pthread_mutex_lock(&w->nursery->lock);
    if (w->state == WARD_SERVING) {
        w->late.is = true;
        snprintf(w->late.interface_name, sizeof w->late.interface_name, "%s", interface_name);
        snprintf(w->late.method_name, sizeof w->late.method_name, "%s", method_name);
        snprintf(w->late.request_id, sizeof w->late.request_id, "%s", request_id);
        gr_ward_kill(w);
    }
    pthread_mutex_unlock(&w->nursery->lock);
}

static int hook(void *userdata, struct gr_state_hook *h)
{
    struct ward *w = userdata;
    struct gr_nursery *n = w->nursery;
    pthread_mutex_lock(&n->lock);
    int r = gr_ward_hook(w, h);
    pthread_mutex_unlock(&n->lock);
    return r;
}

static void give_up(void *userdata, const char *why)
{
    struct ward *w = userdata;
    struct gr_nursery *n = w->nursery;
    pthread_mutex_lock(&n->lock);
    gr_ward_give_up(w, why);
    pthread_mutex_unlock(&n->lock);
}

static void end(void *userdata)
{
    struct ward *w = userdata;
    struct gr_nursery *n = w->nursery;
    pthread_mutex_lock(&n->lock);
    w->ending = true;
    wake(n);
    while (w->state != WARD_OVER)
        pthread_cond_wait(&n->changed, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

static void forget(void *userdata)
{
    struct ward *w = userdata;
    struct gr_nursery *n = w->nursery;
    pthread_mutex_lock(&n->lock);
    struct ward **at = &n->wards;
    while (*at && *at != w)
        at = &(*at)->next;
    if (*at)
        *at = w->next;
    pthread_mutex_unlock(&n->lock);
    gr_ward_free(w);
}

// --- loading
// ------------------------------------------------------------------------------------------------

static struct ward *new_ward(struct gr_nursery *n, const cJSON *message,
                             const struct gr_load_order *o)
{
    struct ward *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct ward){.nursery = n,
                       .slot = o->load.slot,
                       .order = cJSON_Duplicate(message, true),
                       .file_fd = fcntl(o->load.fd, F_DUPFD_CLOEXEC, 3),
                       .channel = -1,
                       .pidfd = -1,
                       .ring_fd = -1,
                       .stats_fd = -1};
    const struct {
        const char *name, **at;
    } fields[] = {{"module", &w->module},
                  {"version", &w->version},
                  {"path", &w->path},
                  {"build_id", &w->build_id}};
    for (size_t i = 0; i < GR_COUNT(fields); i++) {
        *fields[i].at = "";
        (void)!gr_json_string(w->order, "", fields[i].name, GR_JSON_OPTIONAL, fields[i].at, NULL);
    }
    if (w->order && w->file_fd >= 0)
        return w;
    gr_ward_free(w);
    return NULL;
}

int gr_nursery_load(struct gr_nursery *n, const cJSON *message, const struct gr_load_order *o,
                    struct gr_contract *contract, struct gr_instance **ret, struct gr_error *e)
{
    struct ward *w = new_ward(n, message, o);
    if (!w)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_LOAD_FAILED,
                                      "asked to load %s, but memory or descriptors ran out",
                                      o->load.path);
    const struct gr_away_callbacks cb = {.overdue = overdue,
                                         .hook = hook,
                                         .give_up = give_up,
                                         .end = end,
                                         .free = forget,
                                         .userdata = w};
    int r = gr_away_new(n->o.dispatch, &o->load, contract, &cb, &w->instance, e);
    if (r < 0) {
        gr_ward_free(w);
        return r;
    }
    struct gr_instance *instance = w->instance;
    pthread_mutex_lock(&n->lock);
    w->next = n->wards;
    n->wards = w;
    wake(n);
    while (!w->settled)
        pthread_cond_wait(&n->changed, &n->lock);
    struct gr_error how = w->outcome;
    pthread_mutex_unlock(&n->lock);
    if (how.reason == GR_REASON_NONE) {
        *ret = instance;
        return 0;
    }
    *e = how;
    (void)!gr_instance_unload(n->o.dispatch, instance, 0);
    return e->code;
}

// --- beginning and end
// ------------------------------------------------------------------------------------------------

int gr_nursery_start(const struct gr_nursery_options *o, struct gr_nursery **ret)
{
    struct gr_nursery *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->o = *o;
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->changed, NULL);
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = n->wake_fd < 0 ? -errno : -pthread_create(&n->thread, NULL, run, n);
    if (r < 0) {
        gr_closep(&n->wake_fd);
        free(n);
        return r;
    }
    *ret = n;
    return 0;
}

void gr_nursery_stop(struct gr_nursery *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    wake(n);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    pthread_mutex_lock(&n->lock);
    pthread_cond_broadcast(&n->changed);
    while (n->waiting > 0) // hooks of versions that were pinned
        pthread_cond_wait(&n->changed, &n->lock);
    pthread_mutex_unlock(&n->lock);
    gr_closep(&n->o.spawner_channel); // the spawner ends with it
    while (waitpid(n->o.spawner.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    gr_closep(&n->o.spawner.pidfd);
    close(n->wake_fd);
    while (n->wards) { // of instances that were pinned
        struct ward *w = n->wards;
        n->wards = w->next;
        gr_ward_free(w);
    }
    free(n);
}
