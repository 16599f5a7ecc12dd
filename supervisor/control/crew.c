// Owns the workers: starts one, replaces it, drains it. How one is built is in crew-build.c, who is
// to blame for a fault or a death in crew-blame.c, what one holds in hosted.c.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_USEC (10 * GR_USEC_PER_SEC)
#define RESPAWN_MAX_USEC (5 * GR_USEC_PER_SEC)
#define QUICK_DEATH_USEC (10 * GR_USEC_PER_SEC)
#define DEATHS_WITH_CANDIDATES_MAX 3

// --- faults and deaths
// ----------------------------------------------------------------------------

// It serves, but not what may come.
static void on_unfit(struct gr_hosted *h, const cJSON *msg)
{
    const char *why = "";
    (void)!gr_json_string(msg, "", "why", GR_JSON_OPTIONAL, &why, NULL);
    gr_log(GR_LOG_WARNING, "worker %d: %s", gr_worker_pid(h->worker), why);
    if (h->state == GR_HOSTED_SERVING)
        gr_manager_replace_worker(h->manager, "it asked for it");
}

static void on_event(void *u, struct gr_worker *w, const cJSON *msg)
{
    (void)w;
    struct gr_hosted *h = u;
    const char *type = "";
    (void)!gr_json_string(msg, "", "type", GR_JSON_REQUIRED, &type, NULL);
    if (strcmp(type, "fault") == 0)
        gr_crew_on_fault(h, msg);
    else if (strcmp(type, "breaker") == 0)
        gr_crew_on_breaker(h, msg);
    else if (strcmp(type, "harm") == 0)
        gr_manager_on_harm(h->manager, msg);
    else if (strcmp(type, "process") == 0)
        gr_hosted_on_process(h, msg);
    else if (strcmp(type, "unfit") == 0)
        on_unfit(h, msg);
    else if (strcmp(type, "spans") == 0)
        gr_manager_on_spans(h->manager, msg);
}

// A worker that ends again and again while it is built: the candidates are what can be left out.
static void leave_candidates_out(struct gr_manager *m)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EFAULT, GR_REASON_LOAD_FAILED,
                 "%u workers in a row ended while they were built with its candidate; expected one "
                 "to serve. The version before serves on: publish a mended build",
                 m->deaths_in_a_row);
    for (size_t i = m->n_rollouts; i-- > 0;)
        if (gr_rollout_is_gray(m->rollouts[i]))
            gr_rollout_restore_without_worker(m->rollouts[i], gr_rollout_row(m->rollouts[i])->n,
                                              &e);
}

static int on_respawn(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_manager *m = u;
    struct gr_error e = {0};
    m->respawn = sd_event_source_disable_unref(m->respawn);
    if (gr_crew_start(m, &e) < 0)
        gr_log(GR_LOG_ERROR, "%s", e.message);
    return 0;
}

// One that served until somebody killed it says nothing of what the next one is built of: that one
// is not waited for, and the row is neither longer nor over.
static void respawn(struct gr_manager *m, const struct gr_hosted *dead,
                    const struct gr_worker_death *d)
{
    bool quick = gr_mono_now().usec - dead->spawned.usec < QUICK_DEATH_USEC;
    bool served = dead->state == GR_HOSTED_SERVING && gr_worker_was_killed(d);
    if (!served)
        m->deaths_in_a_row = quick ? m->deaths_in_a_row + 1 : 0;
    uint64_t wait = served || m->deaths_in_a_row < 2
                        ? 0
                        : 20 * GR_USEC_PER_MSEC
                              << (m->deaths_in_a_row < 10 ? m->deaths_in_a_row : 10);
    if (m->respawn)
        return;
    if (sd_event_add_time_relative(m->event, &m->respawn, CLOCK_MONOTONIC,
                                   wait < RESPAWN_MAX_USEC ? wait : RESPAWN_MAX_USEC, 1000,
                                   on_respawn, m) < 0)
        gr_log(GR_LOG_ERROR, "no timer for a new worker");
}

static void hosted_free(struct gr_hosted *h)
{
    struct gr_manager *m = h->manager;
    for (struct gr_hosted **p = &m->crew; *p; p = &(*p)->next)
        if (*p == h) {
            *p = h->next;
            break;
        }
    if (m->active == h)
        m->active = NULL;
    sd_event_source_disable_unref(h->limit);
    gr_worker_free(h->worker);
    if (h->adopt_path)
        unlink(h->adopt_path);
    free(h->adopt_path);
    free(h);
}

// Places in harm budgets that died with a worker. Others that run calls keep theirs.
static void forget_calls(struct gr_manager *m)
{
    for (const struct gr_hosted *h = m->crew; h; h = h->next)
        if (h->state != GR_HOSTED_STARTING)
            return;
    if (!m->orphans.n)
        gr_harms_forget_calls(m->harms);
}

static void on_died(void *u, struct gr_worker *w, const struct gr_worker_death *d)
{
    struct gr_hosted *h = u;
    struct gr_manager *m = h->manager;
    GR_INSTANT("worker.died");
    bool expected = h->state == GR_HOSTED_DRAINING;
    bool was_active = m->active == h;
    if (expected && was_active && m->stopping) // else the next supervisor does not know
        for (size_t i = 0; i < m->n_rollouts; i++)
            gr_rollout_keep_numbers(m->rollouts[i]);
    if (!expected) {
        struct gr_error e = {0};
        for (size_t i = 0; was_active && i < m->n_rollouts; i++)
            gr_rollout_measure(m->rollouts[i]);
        if (was_active)
            gr_crew_keep_breakers(h);
        const struct gr_blame b = gr_crew_culprit(h, d, &e);
        const struct gr_fault_note *n = gr_crew_note_death(h, &b, d);
        const int64_t rollout = b.r ? gr_rollout_row(b.r)->id : 0;
        m->restarts[GR_RESTART_CRASH]++;
        if (n)
            gr_manager_tell_fault(m, GR_MSG_WORKER_DIED, b.place->module.s, h->held[b.slot].version,
                                  rollout, n, e.message);
        else
            gr_manager_tell(m, GR_MSG_WORKER_DIED, GR_LOG_ERROR, NULL, NULL, rollout, NULL,
                            GR_REASON_CRASHED, e.message);
        gr_crew_count_death(h, &b);
        if (was_active)
            m->active = NULL;
        if (was_active)
            gr_start_worker_lost(m);
        if (b.r)
            gr_rollout_restore_without_worker(b.r, b.member, &e);
        else if (!b.place)
            gr_start_worker_died(h, d, e.message);
        if (!m->stopping)
            respawn(m, h, d);
        if (h->state == GR_HOSTED_STARTING && m->deaths_in_a_row >= DEATHS_WITH_CANDIDATES_MAX &&
            !m->active)
            leave_candidates_out(m);
    }
    (void)w;
    bool was_incomplete = h->incomplete;
    hosted_free(h);
    forget_calls(m);
    if (was_incomplete && m->active && !m->stopping) // what waited for it goes on with the old one
        for (size_t i = m->n_rollouts; i-- > 0;)
            gr_rollout_worker_ready(m->rollouts[i]);
    if (m->stopping && !m->crew)
        sd_event_exit(m->event, 0);
    gr_manager_advance(m);
    gr_manager_changed(m);
}

// --- start, replace, drain
// ------------------------------------------------------------------------

int gr_crew_start(struct gr_manager *m, struct gr_error *e)
{
    struct gr_hosted *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->manager = m;
    h->number = ++m->n_workers;
    h->spawned = gr_mono_now();
    struct gr_worker_listener l[GR_LISTEN_MAX];
    for (size_t i = 0; i < m->listeners.n; i++)
        l[i] = (struct gr_worker_listener){m->listeners.fd[i], m->listeners.address[i]};
    char store[4096], adopt[4096];
    snprintf(store, sizeof store, "%s/store", m->config->state_dir);
    snprintf(adopt, sizeof adopt, "%s/worker-%d-%" PRIu64 ".sock", m->config->state_dir, getpid(),
             h->number);
    int adopt_fd GR_AUTO_CLOSE = gr_orphan_listen(adopt);
    const struct gr_worker_config c = {.program = &m->worker_program,
                                       .service = m->config->service.s,
                                       .instance = m->config->instance.s,
                                       .store_dir = store,
                                       .harms_fd = m->harms_fd,
                                       .adopt_fd = adopt_fd,
                                       .threads = m->config->threads,
                                       .pool_threads = m->config->pool_threads,
                                       .pool_queue = m->config->pool_queue,
                                       .breaker = m->config->breaker,
                                       .access_log = m->config->access_log,
                                       .records = m->telemetry != NULL,
                                       .sample = gr_manager_sample(m),
                                       .call_timeout_usec = m->config->call_timeout_usec,
                                       .call_grace_usec = m->config->call_grace_usec,
                                       .listeners = l,
                                       .n_listeners = m->listeners.n};
    const struct gr_worker_callbacks cb = {
        .hello = gr_crew_build, .event = on_event, .died = on_died, .userdata = h};
    int k = gr_worker_spawn(m->event, &c, &cb, &h->worker, e);
    if (k < 0) {
        unlink(adopt);
        free(h);
        return k;
    }
    h->adopt_path = strdup(adopt);
    h->next = m->crew;
    m->crew = h;
    return 0;
}

static bool one_is_starting(const struct gr_manager *m)
{
    for (const struct gr_hosted *h = m->crew; h; h = h->next)
        if (h->state == GR_HOSTED_STARTING)
            return true;
    return m->respawn != NULL;
}

void gr_crew_replace_when_quiet(struct gr_manager *m)
{
    if (!m->replace_wanted || m->stopping || one_is_starting(m) || gr_manager_is_waiting(m))
        return;
    m->replace_wanted = false;
    m->restarts[m->replace_counts]++;
    struct gr_error e = {0};
    gr_log(GR_LOG_NOTICE, "the worker is replaced: %s", m->replace_why);
    if (gr_crew_start(m, &e) < 0)
        gr_log(GR_LOG_ERROR, "%s", e.message);
}

static int on_drain_limit(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_hosted *h = u;
    gr_log(GR_LOG_WARNING, "worker %d did not end its drain in time; it is killed",
           gr_worker_pid(h->worker));
    gr_worker_kill(h->worker);
    return 0;
}

static void drain(struct gr_hosted *h)
{
    if (h->limit)
        return;
    GR_INSTANT("worker.retire");
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "drain");
    gr_json_add_uint(m, "limit_usec", DRAIN_USEC);
    if (gr_worker_request(h->worker, m, -1, 0, NULL, NULL) < 0 ||
        sd_event_add_time_relative(h->manager->event, &h->limit, CLOCK_MONOTONIC,
                                   DRAIN_USEC + 5 * GR_USEC_PER_SEC, 1000, on_drain_limit, h) < 0)
        gr_worker_kill(h->worker);
}

void gr_crew_drain_all(struct gr_manager *m)
{
    for (struct gr_hosted *h = m->crew; h; h = h->next) {
        if (m->stopping)
            h->state = GR_HOSTED_DRAINING;
        if (h->state == GR_HOSTED_DRAINING)
            drain(h);
    }
}

void gr_crew_free(struct gr_manager *m)
{
    m->respawn = sd_event_source_disable_unref(m->respawn);
    m->memory.look = sd_event_source_disable_unref(m->memory.look);
    while (m->crew)
        hosted_free(m->crew);
}
