// One function for each order that the main thread obeys itself; what blocks goes to the loader.
#include "base/fault.h"
#include "base/log.h"
#include "worker/worker.h"
#include <errno.h>
#include <string.h>

static int on_hello(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds)
{
    (void)id;
    if (!w->stats) { // a successor says hello to a worker that has everything already
        int r = GR_FAULT("worker.hello");
        if (r == 0)
            r = gr_worker_hello(w, m, fds, n_fds);
        if (r < 0)
            return r;
    }
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "type", "hello-ok");
    cJSON_AddNumberToObject(answer, "pid", getpid());
    gr_wire_send(&w->wire, answer);
    return 0;
}

static int on_describe(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds)
{
    (void)m, (void)fds, (void)n_fds;
    GR_INSTANT("worker.describe");
    GR_AUTO_JSON cJSON *answer = gr_wire_answer("description", id);
    cJSON_AddNumberToObject(answer, "pid", getpid());
    // with the listening sockets: a supervisor that starts anew needs them before anything else;
    // and with the harm budgets, in which this worker goes on to count
    int fds_out[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    for (; n < w->n_listeners; n++)
        fds_out[n] = w->listeners[n];
    fds_out[n++] = w->harms_fd;
    if (gr_inventory_describe(&w->inventory, answer) == 0)
        gr_wire_send_fds(&w->wire, gr_steal(answer), fds_out, n);
    return 0;
}

static int on_serve(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds)
{
    (void)m, (void)fds, (void)n_fds;
    struct gr_error e = {0};
    struct gr_door *door = NULL;
    int r = GR_FAULT("worker.serve");
    if (r < 0)
        gr_error_set(&e, r, GR_REASON_INTERNAL, "the front door could not be opened: %s",
                     strerror(-r));
    else if (!w->door && !w->draining)
        r = gr_door_open(&(struct gr_door_options){.dispatch = w->dispatch,
                                                   .stats = w->stats,
                                                   .shadow = w->shadow,
                                                   .spans = w->spans,
                                                   .threads = w->threads,
                                                   .pool_threads = w->pool_threads,
                                                   .pool_queue = w->pool_queue,
                                                   .access_log = w->access_log,
                                                   .listeners = w->listeners,
                                                   .n_listeners = w->n_listeners,
                                                   .changed_fd = w->changed_fd},
                         &door, &e);
    if (door)
        gr_worker_set_door(w, door);
    gr_wire_send(&w->wire, r < 0 ? gr_wire_failure(id, &e) : gr_wire_answer("serving", id));
    return 0;
}

void gr_worker_drain(struct gr_worker *w, uint64_t limit_usec)
{
    GR_INSTANT("worker.drain");
    uint64_t until = gr_mono_now().usec + limit_usec;
    if (!w->draining || until < w->drain_until.usec)
        w->drain_until.usec = until;
    if (!w->draining && w->door)
        gr_door_drain(w->door);
    gr_shadow_close(w->shadow);
    w->draining = true;
}

static int on_drain(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds)
{
    (void)fds, (void)n_fds;
    uint64_t limit = GR_DRAIN_DEFAULT_USEC;
    struct gr_error e = {0};
    if (gr_json_uint(m, "", "limit_usec", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10, &limit, &e) < 0) {
        gr_wire_send(&w->wire, gr_wire_failure(id, &e));
        return 0;
    }
    w->drain_id = id;
    w->drain_answers = true;
    gr_worker_drain(w, limit);
    return 0;
}

// Answered at its end: gr_profile_turn().
static int on_profile(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds)
{
    uint64_t hz = 0, usec = 0;
    struct gr_error e = {0};
    int r = gr_json_uint(m, "", "hz", GR_JSON_REQUIRED, 1, GR_PROFILE_HZ_MAX, &hz, &e);
    if (r >= 0)
        r = gr_json_uint(m, "", "usec", GR_JSON_REQUIRED, 1, GR_PROFILE_USEC_MAX, &usec, &e);
    if (r >= 0 && (n_fds != 1 || w->profile))
        r = gr_error_set(&e, w->profile ? -EALREADY : -EPROTO, GR_REASON_INTERNAL, "%s",
                         w->profile ? "a profile is being taken already"
                                    : "a profile has no file to go to");
    if (r >= 0)
        r = gr_profile_begin(
            &(struct gr_profile_order){.id = id, .hz = (unsigned)hz, .usec = usec, .fd = fds[0]},
            &w->profile, &e);
    if (r < 0)
        gr_wire_send(&w->wire, gr_wire_failure(id, &e));
    return 0;
}

static const struct {
    const char *type;
    int (*obey)(struct gr_worker *w, const cJSON *m, uint64_t id, int *fds, size_t n_fds);
    bool before_hello;
} orders[] = {
    {"hello", on_hello, true}, {"describe", on_describe, false}, {"serve", on_serve, false},
    {"drain", on_drain, true}, {"profile", on_profile, false},
};

static void refuse(struct gr_worker *w, uint64_t id, const char *type, const char *why)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EPROTO, GR_REASON_INTERNAL, "order \"%s\": %s", type, why);
    gr_wire_send(&w->wire, gr_wire_failure(id, &e));
}

// -1: it is none of the main thread's orders.
static int find_order(const char *type)
{
    for (size_t i = 0; i < GR_COUNT(orders); i++)
        if (strcmp(orders[i].type, type) == 0)
            return (int)i;
    return -1;
}

int gr_worker_obey(struct gr_worker *w, cJSON *message, int *fds, size_t n_fds)
{
    GR_AUTO_JSON cJSON *m = message;
    const char *type = "";
    uint64_t id = 0;
    int r = 0;
    (void)!gr_json_string(m, "", "type", GR_JSON_OPTIONAL, &type, NULL);
    (void)!gr_json_uint(m, "", "id", GR_JSON_OPTIONAL, 0, UINT32_MAX, &id, NULL);
    int order = find_order(type);
    int job_fd = n_fds == 1 ? fds[0] : -1;
    if (!w->stats && (order < 0 || !orders[order].before_hello))
        refuse(w, id, type, "expected hello first");
    else if (order >= 0)
        r = orders[order].obey(w, m, id, fds, n_fds);
    else if (!gr_loader_post(w->loader, type, m, job_fd))
        refuse(w, id, type, "this worker does not know it; update graylingd and worker together");
    else {
        m = NULL;
        if (job_fd >= 0)
            fds[0] = -1;
    }
    for (size_t i = 0; i < n_fds; i++)
        gr_closep(&fds[i]);
    return r;
}
