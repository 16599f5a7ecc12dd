// The first order. It builds what all others need, in the order in which each needs the other: the
// guard before modules, the sandbox before threads.
#include "base/log.h"
#include "worker/fault-message.h"
#include "worker/sandbox.h"
#include "worker/spawner.h"
#include "worker/worker.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MORE_THREADS (GR_SHADOW_THREADS + GR_RELIEF_MAX + GR_POOL_THREADS_MAX)
#define THREADS_MAX (GR_THREADS_MAX - MORE_THREADS) // of the front door
#define FIRST_LISTENER 2                            // among the descriptors

// --- what dispatch tells
// ------------------------------------------------------------------------------------------------

static void on_log(void *userdata, unsigned slot, int level, const char *message)
{
    struct gr_worker *w = userdata;
    char module[GR_NAME_MAX + 1], version[GR_VERSION_MAX + 1];
    gr_inventory_names(&w->inventory, slot, module, version);
    enum gr_log_level known = level <= GRAYLING_LOG_ERROR     ? GR_LOG_ERROR
                              : level == GRAYLING_LOG_WARNING ? GR_LOG_WARNING
                              : level <= GRAYLING_LOG_INFO    ? GR_LOG_INFO
                                                              : GR_LOG_DEBUG;
    gr_log_event(&(struct gr_event){
        .level = known, .module = module, .version = version, .message = message});
}

static void on_fault(void *userdata, const struct gr_fault *f)
{
    struct gr_worker *w = userdata;
    gr_wire_send(&w->wire, gr_fault_message(f));
}

static void on_breaker(void *userdata, unsigned slot, enum gr_breaker_state state, unsigned recent,
                       uint64_t left_usec)
{
    struct gr_worker *w = userdata;
    cJSON *m = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(m, "type", "breaker") &&
                 cJSON_AddNumberToObject(m, "instance", slot) &&
                 cJSON_AddStringToObject(m, "state", gr_breaker_state_name(state)) &&
                 gr_json_add_uint(m, "faults", recent) &&
                 gr_json_add_uint(m, "left_usec", left_usec);
    if (!whole)
        cJSON_Delete(m);
    gr_wire_send(&w->wire, whole ? m : NULL);
    pthread_mutex_lock(&w->door_lock);
    if (state == GR_BREAKER_OPEN && w->door)
        gr_door_note_broken(w->door, slot);
    pthread_mutex_unlock(&w->door_lock);
}

static void on_harm(void *userdata, const struct gr_harm *harm)
{
    struct gr_worker *w = userdata;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    bool ok = cJSON_AddStringToObject(m, "type", "harm") &&
              gr_json_add_int(m, "rollout", gr_harm_rollout(harm)) &&
              cJSON_AddStringToObject(m, "module", gr_harm_module(harm));
    gr_wire_send(&w->wire, ok ? gr_steal(m) : NULL);
}

static void on_process(void *userdata, unsigned slot, pid_t pid)
{
    struct gr_worker *w = userdata;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(m, "type", "process") &&
                 cJSON_AddNumberToObject(m, "instance", slot) &&
                 cJSON_AddNumberToObject(m, "pid", pid);
    gr_wire_send(&w->wire, whole ? gr_steal(m) : NULL);
}

static void on_lost(void *userdata)
{
    struct gr_worker *w = userdata;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(m, "type", "unfit") &&
                 cJSON_AddStringToObject(m, "why", "its spawner of isolated modules is gone");
    gr_wire_send(&w->wire, whole ? gr_steal(m) : NULL);
}

// --- building
// ------------------------------------------------------------------------------------------------

struct hello { // the message's texts are borrowed
    uint64_t threads, pool_threads, pool_queue, orphan_usec, call_timeout_usec, call_grace_usec;
    const char *store;
    bool adoptable, access_log;
    struct gr_breaker_policy breaker;
    bool records;
    uint64_t sample;
};

static int read_breaker(const cJSON *m, struct gr_breaker_policy *ret, struct gr_error *e)
{
    const cJSON *o = gr_json_get(m, "breaker");
    uint64_t faults = ret->faults;
    int r = 0;
    if (!o)
        return 0;
    r = gr_json_uint(o, "breaker", "faults", GR_JSON_OPTIONAL, 0, GR_BREAKER_FAULTS_MAX, &faults,
                     e);
    if (r == 0)
        r = gr_json_uint(o, "breaker", "window_usec", GR_JSON_OPTIONAL, 1, INT64_MAX >> 10,
                         &ret->window_usec, e);
    if (r == 0)
        r = gr_json_uint(o, "breaker", "backoff_usec", GR_JSON_OPTIONAL, 1, INT64_MAX >> 10,
                         &ret->backoff_usec, e);
    ret->faults = (unsigned)faults;
    return r;
}

static int read_sample(const cJSON *m, struct hello *ret, struct gr_error *e)
{
    ret->records = cJSON_IsNumber(gr_json_get(m, "sample"));
    return ret->records
               ? gr_json_uint(m, "", "sample", GR_JSON_REQUIRED, 0, UINT32_MAX, &ret->sample, e)
               : 0;
}

static int read_hello(const cJSON *m, struct hello *ret, struct gr_error *e)
{
    int r = gr_json_uint(m, "", "threads", GR_JSON_OPTIONAL, 0, GR_THREADS_MAX, &ret->threads, e);
    if (r == 0)
        r = gr_json_uint(m, "", "pool_threads", GR_JSON_OPTIONAL, 1, GR_POOL_THREADS_MAX,
                         &ret->pool_threads, e);
    if (r == 0)
        r = gr_json_uint(m, "", "pool_queue", GR_JSON_OPTIONAL, 0, GR_POOL_QUEUE_MAX,
                         &ret->pool_queue, e);
    if (r == 0)
        r = gr_json_uint(m, "", "orphan_usec", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10,
                         &ret->orphan_usec, e);
    if (r == 0)
        r = gr_json_string(m, "", "store", GR_JSON_OPTIONAL, &ret->store, e);
    if (r == 0)
        r = gr_json_bool(m, "", "adoptable", GR_JSON_OPTIONAL, &ret->adoptable, e);
    if (r == 0)
        r = gr_json_bool(m, "", "access_log", GR_JSON_OPTIONAL, &ret->access_log, e);
    if (r == 0)
        r = gr_json_uint(m, "", "call_timeout_usec", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10,
                         &ret->call_timeout_usec, e);
    if (r == 0)
        r = gr_json_uint(m, "", "call_grace_usec", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10,
                         &ret->call_grace_usec, e);
    if (r == 0)
        r = read_breaker(m, &ret->breaker, e);
    if (r == 0)
        r = read_sample(m, ret, e);
    if (r == 0 && ret->threads == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        ret->threads = processors < 1                ? 1
                       : processors > GR_THREADS_MAX ? GR_THREADS_MAX
                                                     : (uint64_t)processors;
    }
    return r;
}

static int open_dispatch(struct gr_worker *w, const struct hello *h, int stats_fd,
                         struct gr_error *e)
{
    int r = gr_stats_map(stats_fd, &w->stats);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "the statistics segment cannot be mapped: %s; expected one of this "
                            "build, install graylingd and grayling-worker together",
                            strerror(-r));
    r = gr_harms_map(w->harms_fd, &w->inventory.harms);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "the harm budgets cannot be mapped: %s; expected those of this build, "
                            "install graylingd and grayling-worker together",
                            strerror(-r));
    r = gr_dispatch_new(&(struct gr_dispatch_options){.stats = w->stats,
                                                      .max_threads = w->threads + MORE_THREADS,
                                                      .on_log = on_log,
                                                      .on_fault = on_fault,
                                                      .on_breaker = on_breaker,
                                                      .breaker = h->breaker,
                                                      .call_timeout_usec = h->call_timeout_usec,
                                                      .call_grace_usec = h->call_grace_usec,
                                                      .on_harm = on_harm,
                                                      .userdata = w},
                        &w->dispatch, e);
    if (r < 0)
        return r;
    r = gr_guard_install(w->dispatch);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "the fault guard cannot be installed: %s",
                            strerror(-r));
    return 0;
}

static int take_sockets(struct gr_worker *w, const cJSON *m, bool adoptable, int *fds, size_t n_fds,
                        struct gr_error *e)
{
    size_t named = (size_t)cJSON_GetArraySize(gr_json_get(m, "listeners"));
    if (n_fds != FIRST_LISTENER + named + adoptable)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "hello names %zu listeners, but brought %zu descriptors; expected the "
                            "statistics segment, the harm budgets, one for each listener%s",
                            named, n_fds, adoptable ? ", and the successor's socket" : "");
    w->harms_fd = gr_steal_fd(&fds[1]);
    for (size_t i = 0; i < named; i++)
        w->listeners[w->n_listeners++] = gr_steal_fd(&fds[FIRST_LISTENER + i]);
    if (adoptable)
        w->adopt_fd = gr_steal_fd(&fds[FIRST_LISTENER + named]);
    return 0;
}

// The spawner is there before the sandbox, in which nothing can be started.
static int start_nursery(struct gr_worker *w, const struct gr_child *spawner, int channel,
                         struct gr_error *e)
{
    int r = gr_nursery_start(&(struct gr_nursery_options){.dispatch = w->dispatch,
                                                          .spawner = *spawner,
                                                          .spawner_channel = channel,
                                                          .on_log = on_log,
                                                          .on_process = on_process,
                                                          .on_lost = on_lost,
                                                          .userdata = w},
                             &w->nursery);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "the nursery cannot be started: %s",
                            strerror(-r));
    return 0;
}

static int start_loader(struct gr_worker *w, struct gr_error *e)
{
    gr_freezes_init(&w->freezes, w->dispatch);
    int r = gr_loader_start(&(struct gr_loader_options){.dispatch = w->dispatch,
                                                        .inventory = &w->inventory,
                                                        .freezes = &w->freezes,
                                                        .nursery = w->nursery,
                                                        .wire = &w->wire,
                                                        .changed_fd = w->changed_fd},
                            &w->loader);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "the loader thread cannot be started: %s",
                            strerror(-r));
    return 0;
}

static int start_shadow(struct gr_worker *w, struct gr_error *e)
{
    int r = gr_shadow_start(w->dispatch, &w->shadow);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "the threads for shadows cannot be started: %s", strerror(-r));
    return 0;
}

static int start_spans(struct gr_worker *w, const struct hello *h, struct gr_error *e)
{
    int r = h->records ? gr_spans_new((uint32_t)h->sample, w->changed_fd, &w->spans) : 0;
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "out of memory for spans") : 0;
}

int gr_worker_hello(struct gr_worker *w, const cJSON *message, int *fds, size_t n_fds)
{
    struct gr_error e = {0};
    struct hello h = {.orphan_usec = GR_ORPHAN_DEFAULT_USEC,
                      .pool_threads = GR_POOL_THREADS_DEFAULT,
                      .pool_queue = GR_POOL_QUEUE_DEFAULT,
                      .call_timeout_usec = GR_CALL_TIMEOUT_DEFAULT_USEC,
                      .call_grace_usec = GR_CALL_GRACE_DEFAULT_USEC,
                      .breaker = GR_BREAKER_POLICY_DEFAULT};
    int r = read_hello(message, &h, &e);
    if (r == 0)
        r = take_sockets(w, message, h.adoptable, fds, n_fds, &e);
    struct gr_child spawner;
    int channel = -1;
    if (r == 0)
        r = gr_spawner_start(&spawner, &channel, &e);
    if (r == 0) {
        w->threads = h.threads > THREADS_MAX ? THREADS_MAX : (unsigned)h.threads;
        w->pool_threads = (unsigned)h.pool_threads;
        w->pool_queue = (unsigned)h.pool_queue;
        w->orphan_usec = h.orphan_usec;
        w->access_log = h.access_log;
        gr_sandbox_enter(h.store);
        r = open_dispatch(w, &h, fds[0], &e);
    }
    if (r == 0)
        r = start_nursery(w, &spawner, channel, &e);
    if (r == 0)
        r = start_loader(w, &e);
    if (r == 0)
        r = start_shadow(w, &e);
    if (r == 0)
        r = start_spans(w, &h, &e);
    if (r < 0)
        gr_log(GR_LOG_ERROR, "hello: %s", e.message);
    return r;
}
