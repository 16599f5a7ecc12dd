// The life of one isolated version's processes, one after the other.
#include "worker/ward.h"
#include "base/channel.h"
#include "base/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

// --- telling
// ------------------------------------------------------------------------------------------------

static void tell(const struct ward *w, int level, const char *text)
{
    w->nursery->o.on_log(w->nursery->o.userdata, w->slot, level, text);
}

static void settle(struct ward *w, const struct gr_error *e)
{
    w->settled = true;
    if (e)
        w->outcome = *e;
    pthread_cond_broadcast(&w->nursery->changed);
}

// --- the process's things
// ------------------------------------------------------------------------------------------------

static void drop_process(struct ward *w)
{
    gr_ring_free(w->ring);
    gr_stats_free(w->stats);
    cJSON_Delete(w->fault);
    gr_closep(&w->channel);
    gr_closep(&w->pidfd);
    gr_closep(&w->ring_fd);
    gr_closep(&w->stats_fd);
    w->ring = NULL;
    w->stats = NULL;
    w->fault = NULL;
    w->channel = w->pidfd = w->ring_fd = w->stats_fd = -1;
    w->pid = 0;
    w->id = 0;
    w->late.is = false;
    w->given_up = NULL;
    w->refusal = (struct gr_error){0};
    w->n_counted = 0;
}

void gr_ward_free(struct ward *w)
{
    drop_process(w);
    gr_closep(&w->file_fd);
    cJSON_Delete(w->order);
    free(w);
}

void gr_ward_kill(struct ward *w)
{
    if (w->pidfd >= 0)
        (void)!pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
    w->due_usec = GR_USEC_INFINITY; // its end is told
}

void gr_ward_give_up(struct ward *w, const char *why)
{
    char text[160];
    if (w->state != WARD_SERVING || w->given_up)
        return;
    w->given_up = why;
    snprintf(text, sizeof text, "its process is replaced: %s", why);
    tell(w, GRAYLING_LOG_WARNING, text);
    gr_ward_kill(w);
}

// --- absent
// ------------------------------------------------------------------------------------------------

// The first death in a while is cured at once; who dies again waits longer each time. A call that
// did not return would not do so again, and while there is no process others can answer.
static uint64_t back_off(const struct ward *w, bool late)
{
    if (late && w->deaths < 5)
        return GR_ISOLATED_LATE_USEC;
    if (w->deaths < 2)
        return 0;
    unsigned doublings = w->deaths - 2 < 16 ? w->deaths - 2 : 16;
    uint64_t wait = GR_ISOLATED_BACKOFF_USEC << doublings;
    return wait < GR_ISOLATED_BACKOFF_USEC_MAX ? wait : GR_ISOLATED_BACKOFF_USEC_MAX;
}

// There is no process (any more). `e`: how it went, if it was never loaded.
static void become_absent(struct ward *w, const struct gr_error *e)
{
    uint64_t now = gr_mono_now().usec;
    bool late = w->late.is || w->given_up;
    w->deaths = now - w->since_usec < GR_ISOLATED_STEADY_USEC ? w->deaths + 1 : 1;
    gr_ward_hook_lost(w);
    drop_process(w);
    bool over = w->ending || !w->settled || w->nursery->lost;
    w->state = over ? WARD_OVER : WARD_ABSENT;
    w->due_usec = over ? GR_USEC_INFINITY : now + back_off(w, late);
    if (!w->settled)
        settle(w, e);
    else if (e && !over)
        tell(w, GRAYLING_LOG_ERROR, e->message);
    pthread_cond_broadcast(&w->nursery->changed);
}

static int prepare(struct ward *w, int *ret_theirs)
{
    int pair[2];
    int r = gr_ring_new(gr_away_slots(w->nursery->o.dispatch), &w->ring, &w->ring_fd);
    if (r == 0)
        r = gr_stats_new(&w->stats, &w->stats_fd);
    if (r == 0)
        r = gr_channel_pair(pair);
    if (r < 0)
        return r;
    gr_stats_bind(w->stats, 0, w->module, w->version);
    w->channel = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

static void start(struct ward *w, uint64_t now_usec)
{
    GR_AUTO_CLOSE int theirs = -1;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    struct gr_error e = {0};
    w->since_usec = now_usec;
    int r = prepare(w, &theirs);
    w->id = ++w->nursery->last_id;
    cJSON_AddStringToObject(m, "type", "spawn");
    gr_json_add_uint(m, "id", w->id);
    if (r == 0)
        r = gr_channel_send(w->nursery->o.spawner_channel, m, &theirs, 1);
    if (r < 0) {
        gr_error_set_retryable(&e, r, GR_REASON_LOAD_FAILED,
                               "no process for %s %s can be started: %s", w->module, w->version,
                               strerror(-r));
        become_absent(w, &e);
        return;
    }
    w->state = WARD_SPAWNING;
    w->due_usec = now_usec + GR_ISOLATED_INIT_USEC;
}

// --- coming
// ------------------------------------------------------------------------------------------------

void gr_ward_not_spawned(struct ward *w, const char *why)
{
    struct gr_error e = {0};
    gr_error_set_retryable(&e, -EAGAIN, GR_REASON_LOAD_FAILED,
                           "no process for %s %s could be started: %s", w->module, w->version, why);
    become_absent(w, &e);
}

void gr_ward_spawned(struct ward *w, pid_t pid, int pidfd)
{
    w->pid = pid;
    w->pidfd = pidfd;
    if (w->settled)
        gr_ward_bind_peers(w);
    const int fds[] = {w->ring_fd, w->stats_fd, w->file_fd};
    if (w->ending || gr_channel_send(w->channel, w->order, fds, GR_COUNT(fds)) < 0)
        gr_ward_kill(w);
    gr_closep(&w->ring_fd);
    gr_closep(&w->stats_fd);
    w->ring_fd = w->stats_fd = -1;
    w->state = WARD_LOADING;
}

static void on_loaded(struct ward *w)
{
    if (w->state != WARD_LOADING || w->ending || gr_away_attach(w->instance, w->ring) < 0) {
        gr_ward_kill(w);
        return;
    }
    w->ring = NULL;
    w->state = WARD_SERVING;
    w->due_usec = GR_USEC_INFINITY;
    w->nursery->o.on_process(w->nursery->o.userdata, w->slot, w->pid);
    if (!w->settled)
        settle(w, NULL);
}

// Its process ends of itself then.
static void on_failed(struct ward *w, const cJSON *m)
{
    const char *name = "", *sentence = "";
    enum gr_reason reason;
    if (gr_json_string(m, "", "reason", GR_JSON_REQUIRED, &name, NULL) < 0 ||
        gr_json_string(m, "", "message", GR_JSON_REQUIRED, &sentence, NULL) < 0 ||
        gr_reason_parse(name, &reason) < 0)
        return;
    gr_error_set(&w->refusal, -ENOEXEC, reason, "%s", sentence);
}

static void on_message(struct ward *w, cJSON *m)
{
    const char *type = "", *text = "";
    uint64_t level = GRAYLING_LOG_INFO;
    (void)!gr_json_string(m, "", "type", GR_JSON_OPTIONAL, &type, NULL);
    if (strcmp(type, "loaded") == 0) {
        on_loaded(w);
    } else if (strcmp(type, "failed") == 0 && w->state == WARD_LOADING) {
        on_failed(w, m);
    } else if (strcmp(type, "fault") == 0 && !w->fault) {
        w->fault = cJSON_Duplicate(m, true);
    } else if (strcmp(type, "hooked") == 0) {
        gr_ward_hooked(w, m);
    } else if (strcmp(type, "log") == 0) {
        (void)!gr_json_uint(m, "", "level", GR_JSON_OPTIONAL, 0, 7, &level, NULL);
        (void)!gr_json_string(m, "", "message", GR_JSON_OPTIONAL, &text, NULL);
        tell(w, (int)level, text);
    }
}

void gr_ward_listen(struct ward *w)
{
    for (int turn = 0; turn < 64 && w->channel >= 0; turn++) { // who talks without end waits
        GR_AUTO_JSON cJSON *m = NULL;
        int fds[GR_CHANNEL_FDS_MAX];
        size_t n_fds = 0;
        int r = gr_channel_recv(w->channel, &m, fds, &n_fds);
        if (r == -EAGAIN)
            return;
        for (size_t i = 0; r == 1 && i < n_fds; i++)
            close(fds[i]);
        if (r == 1) {
            on_message(w, m);
            continue;
        }
        gr_closep(&w->channel); // it ends, or has to
        w->channel = -1;
        gr_ward_kill(w);
    }
}

// --- going
// ------------------------------------------------------------------------------------------------

static void never_loaded(struct ward *w, bool by_signal, int status)
{
    if (w->refusal.reason == GR_REASON_NONE)
        gr_error_set(&w->refusal, -EFAULT, GR_REASON_INIT_FAILED,
                     "the process of %s %s ended with %s %d while it was loaded, initialised or "
                     "tested; expected it to serve. Publish a version whose init() and "
                     "self_test() return",
                     w->module, w->version, by_signal ? "signal" : "status", status);
    struct gr_error e = w->refusal;
    become_absent(w, &e);
}

void gr_ward_ended(struct ward *w, bool by_signal, int status)
{
    struct ward_fault f;
    gr_ward_listen(w); // what it said last
    if (w->state == WARD_SPAWNING || w->state == WARD_LOADING) {
        never_loaded(w, by_signal, status);
        return;
    }
    gr_ward_count(w);
    bool blamed =
        w->state == WARD_SERVING && !w->given_up && gr_ward_blame(w, by_signal, status, &f);
    if (w->state == WARD_SERVING && !blamed && !w->given_up)
        tell(w, GRAYLING_LOG_WARNING,
             "its process was ended from outside; another one is started, and no version is "
             "blamed");
    w->nursery->o.on_process(w->nursery->o.userdata, w->slot, 0);
    gr_away_detach(w->instance, blamed ? &f.fault : NULL);
    become_absent(w, NULL);
}

// --- time
// ------------------------------------------------------------------------------------------------

static void overrun(struct ward *w)
{
    if (w->state == WARD_LOADING && w->refusal.reason == GR_REASON_NONE)
        gr_error_set(&w->refusal, -ETIME, GR_REASON_INIT_FAILED,
                     "%s %s did not load, init() and self_test() within %d s in its process, and "
                     "was killed; make its hooks return",
                     w->module, w->version, (int)(GR_ISOLATED_INIT_USEC / GR_USEC_PER_SEC));
    if (w->state == WARD_SPAWNING) // the spawner does not answer: its own end is told
        w->due_usec = GR_USEC_INFINITY;
    else
        gr_ward_kill(w);
}

uint64_t gr_ward_step(struct ward *w, uint64_t now_usec)
{
    if (w->ending && w->state == WARD_ABSENT) {
        w->state = WARD_OVER;
        pthread_cond_broadcast(&w->nursery->changed);
    } else if (w->ending && w->state == WARD_SERVING) {
        GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
        cJSON_AddStringToObject(m, "type", "end");
        w->state = WARD_LEAVING;
        w->due_usec = now_usec + GR_ISOLATED_END_USEC;
        if (gr_channel_send(w->channel, m, NULL, 0) < 0)
            gr_ward_kill(w);
    }
    if (w->due_usec <= now_usec && w->state == WARD_ABSENT)
        start(w, now_usec);
    else if (w->due_usec <= now_usec && w->state != WARD_OVER)
        overrun(w);
    return w->state == WARD_OVER ? GR_USEC_INFINITY : w->due_usec;
}

void gr_ward_count(struct ward *w)
{
    struct gr_module_counter now[GR_COUNT(w->counted)];
    size_t n = gr_stats_counters(w->stats, 0, now, GR_COUNT(now));
    for (size_t i = 0; i < n; i++) { // they keep their order
        uint64_t before = i < w->n_counted ? w->counted[i].value : 0;
        now[i].name[GR_COUNTER_NAME_MAX] = 0;
        if (now[i].value > before)
            gr_away_count(w->instance, now[i].name, now[i].value - before);
        w->counted[i] = now[i];
    }
    w->n_counted = n;
}
