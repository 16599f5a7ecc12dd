// Owns the workers: builds one from the committed table, replaces it, drains it, and finds the
// culprit when one dies.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_USEC (10 * GR_USEC_PER_SEC)
#define SWAP_ANSWER_USEC (20 * GR_USEC_PER_SEC)
#define RESPAWN_MAX_USEC (5 * GR_USEC_PER_SEC)
#define QUICK_DEATH_USEC (10 * GR_USEC_PER_SEC)

// --- building one from the table
// ------------------------------------------------------------------

struct seat { // one version on its way into a worker that is being built
    struct gr_hosted *hosted;
    struct gr_name module;
    bool previous;
    bool fallback; // the last good one, since the committed one cannot be had
};

static void all_loaded(struct gr_hosted *h);
static void seat_load(struct gr_hosted *h, const struct gr_committed *row,
                      const struct gr_desired *d, bool previous, bool fallback);

// A healthy worker that serves is not given up for one that lacks something.
static bool can_wait(const struct gr_manager *m)
{
    return m->active && m->active->state == GR_HOSTED_SERVING && !m->active->tainted;
}

// `lost`: the store has no such bytes any more.
static void seat_failed(struct gr_hosted *h, const struct seat *s, const struct gr_error *e,
                        bool lost)
{
    const struct gr_committed *row = gr_manager_row(h->manager, &s->module);
    if (!row)
        return;
    const struct gr_desired *d = s->previous   ? row->previous
                                 : s->fallback ? row->last_good
                                               : row->release;
    const struct gr_desired *other = row->last_good ? row->last_good : row->previous;
    gr_manager_lacks(h->manager, d, e, h->number, true);
    if (lost)
        gr_mend_want(h->manager, d, h->number);
    if (can_wait(h->manager))
        h->incomplete = true;
    else if (!s->previous && !s->fallback && other && !gr_desired_same_release(other, row->release))
        seat_load(h, row, other, false, true);
}

static void on_seated(void *u, int slot, const struct gr_error *e)
{
    struct seat *s = u;
    struct gr_hosted *h = s->hosted;
    h->loading--;
    struct gr_place *p = slot >= 0 ? gr_hosted_make_place(h, &s->module) : NULL;
    if (p && s->previous)
        p->previous = slot;
    else if (p)
        p->stable = slot;
    else if (e && e->code != -ECONNRESET)
        seat_failed(h, s, e, false);
    free(s);
    if (!h->loading && !(e && e->code == -ECONNRESET))
        all_loaded(h);
}

static void seat_load(struct gr_hosted *h, const struct gr_committed *row,
                      const struct gr_desired *d, bool previous, bool fallback)
{
    struct seat *s = malloc(sizeof *s);
    if (!s)
        return;
    *s = (struct seat){
        .hosted = h, .module = row->module, .previous = previous, .fallback = fallback};
    struct gr_error e = {0};
    struct gr_verified *v GR_CLEANUP(gr_verified_freep) = NULL;
    int k = gr_verified_reopen(h->manager->verifier, &d->module, &d->version, &d->digest, &v, &e);
    bool lost =
        k < 0 && (e.reason == GR_REASON_LOAD_FAILED || e.reason == GR_REASON_DIGEST_MISMATCH);
    if (k == 0) {
        h->loading++;
        k = gr_hosted_load(h, v, d->config, on_seated, s, &e);
        if (k < 0)
            h->loading--;
    }
    if (k < 0) {
        seat_failed(h, s, &e, lost);
        free(s);
    }
}

// What earlier workers lacked and this one has is mended.
static void has_all_but_its_own(struct gr_hosted *h)
{
    struct gr_manager *m = h->manager;
    for (size_t i = 0; i < m->n_told; i++) {
        struct gr_told *t = &m->told[i];
        if (!t->lack.reason || t->lack.worker >= h->number)
            continue;
        t->lack.reason = GR_REASON_NONE;
        gr_mend_forget(m, &t->module);
    }
}

static void on_serving(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct gr_hosted *h = u;
    struct gr_manager *m = h->manager;
    if (h->state == GR_HOSTED_DRAINING) // not wanted any more, though it came up
        return;
    if (!reply) {
        if (e->code != -ECONNRESET)
            gr_worker_kill(h->worker);
        return;
    }
    struct gr_hosted *old = m->active;
    for (size_t i = 0; i < h->n_places && old; i++) { // what the old worker counted still counts
        struct gr_place *p = &h->places[i], *q = gr_hosted_place(old, &p->module);
        if (!q || q->stable < 0)
            continue;
        struct gr_counters c;
        gr_stats_read(gr_worker_stats(old->worker), (unsigned)q->stable, &c);
        p->carried = (struct gr_error_sample){q->carried.requests + gr_counters_total(&c),
                                              q->carried.errors + gr_counters_server_errors(&c)};
        p->baseline = q->baseline;
        p->baseline_known = q->baseline_known;
    }
    h->state = GR_HOSTED_SERVING;
    m->active = h;
    has_all_but_its_own(h);
    gr_orphans_release(&m->orphans);
    char text[128];
    snprintf(text, sizeof text, "worker %d serves %zu modules", gr_worker_pid(h->worker),
             h->n_places);
    gr_manager_tell(m, GR_MSG_WORKER_STARTED, GR_LOG_INFO, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    text);
    for (size_t i = 0; i < m->n_rollouts; i++)
        for (size_t k = 0; k < gr_rollout_row(m->rollouts[i])->n; k++) {
            const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
            struct gr_place *p = gr_hosted_place(h, &row->members[k].module);
            if (row->phase == GR_PHASE_BAKING)
                gr_rollout_set_slot(m->rollouts[i], k, p ? p->stable : -1);
        }
    if (old) {
        old->state = GR_HOSTED_DRAINING;
        gr_crew_drain_all(m);
    }
    for (size_t i = 0; i < m->n_rollouts; i++)
        gr_rollout_worker_ready(m->rollouts[i]);
    gr_manager_advance(m);
    gr_manager_changed(m);
}

static void on_table_set(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct gr_hosted *h = u;
    if (!reply) {
        if (e->code != -ECONNRESET)
            gr_worker_kill(h->worker);
        return;
    }
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "serve");
    if (gr_worker_request(h->worker, m, -1, SWAP_ANSWER_USEC, on_serving, h) < 0)
        gr_worker_kill(h->worker);
}

static void all_loaded(struct gr_hosted *h)
{
    if (h->incomplete && can_wait(h->manager)) {
        gr_log(GR_LOG_WARNING,
               "worker %d lacks something of the table and is not taken; worker %d serves on",
               gr_worker_pid(h->worker), gr_worker_pid(h->manager->active->worker));
        h->state = GR_HOSTED_DRAINING;
        gr_worker_kill(h->worker);
        return;
    }
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "swap");
    gr_json_add_int(m, "table", h->manager->table.number);
    gr_json_add_uint(m, "budget_usec", GR_FREEZE_BUDGET_DEFAULT_USEC);
    cJSON *set = cJSON_AddArrayToObject(m, "set");
    cJSON_AddArrayToObject(m, "remove");
    for (size_t i = 0; i < h->n_places; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "module", h->places[i].module.s);
        cJSON_AddNumberToObject(o, "stable", h->places[i].stable);
        cJSON_AddNumberToObject(o, "rescue", h->places[i].previous);
        if (h->places[i].stable >= 0)
            cJSON_AddItemToArray(set, o);
        else
            cJSON_Delete(o);
    }
    if (gr_worker_request(h->worker, m, -1, SWAP_ANSWER_USEC, on_table_set, h) < 0)
        gr_worker_kill(h->worker);
}

static void on_hello(void *u, struct gr_worker *w)
{
    (void)w;
    struct gr_hosted *h = u;
    if (h->state == GR_HOSTED_DRAINING) // it drains, or is dead, before it was given anything
        return;
    h->loading = 1; // guards against an answer before all are asked
    for (size_t i = 0; i < h->manager->table.n; i++) {
        const struct gr_committed *row = &h->manager->table.rows[i];
        seat_load(h, row, row->release, false, false);
        if (row->previous)
            seat_load(h, row, row->previous, true, false);
    }
    if (--h->loading == 0)
        all_loaded(h);
}

// --- faults and deaths
// ----------------------------------------------------------------------------

static struct gr_place *place_of_slot(struct gr_hosted *h, int slot)
{
    for (size_t i = 0; i < h->n_places; i++)
        if (slot >= 0 && h->places[i].stable == slot)
            return &h->places[i];
    return NULL;
}

static struct gr_rollout *baking(struct gr_manager *m, const struct gr_name *module,
                                 size_t *ret_member)
{
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; row->phase == GR_PHASE_BAKING && k < row->n; k++)
            if (row->members[k].to && gr_name_equal(&row->members[k].module, module)) {
                *ret_member = k;
                return m->rollouts[i];
            }
    }
    return NULL;
}

static void on_fault(struct gr_hosted *h, const cJSON *msg)
{
    struct gr_manager *m = h->manager;
    uint64_t slot = GR_INSTANCES_MAX;
    const char *kind = "signal", *name = "", *method = "", *address = "", *request = "";
    (void)!gr_json_uint(msg, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot,
                        NULL);
    (void)!gr_json_string(msg, "", "kind", GR_JSON_OPTIONAL, &kind, NULL);
    (void)!gr_json_string(msg, "", "signal", GR_JSON_OPTIONAL, &name, NULL);
    (void)!gr_json_string(msg, "", "method", GR_JSON_OPTIONAL, &method, NULL);
    (void)!gr_json_string(msg, "", "address", GR_JSON_OPTIONAL, &address, NULL);
    (void)!gr_json_string(msg, "", "request_id", GR_JSON_OPTIONAL, &request, NULL);
    const cJSON *frame = cJSON_GetArrayItem(gr_json_get(msg, "frames"), 0);
    m->faults++;
    struct gr_place *p = place_of_slot(h, (int)slot);
    size_t member = 0;
    struct gr_rollout *r = p ? baking(m, &p->module, &member) : NULL;
    const struct gr_committed *row = p ? gr_manager_row(m, &p->module) : NULL;
    const char *version = row ? row->release->version.text : "";
    struct gr_error e = {0};
    gr_error_set(
        &e, -EFAULT, GR_REASON_CRASHED,
        "%s %s faulted in %s: %s at address %s, code at %s, request %s; expected it to return. %s",
        p ? p->module.s : "a module", version, method, *name ? name : kind, address,
        cJSON_IsString(frame) ? frame->valuestring : "?", request,
        !r ? "The worker is replaced, since its memory is not trusted any more"
        : gr_member_reconfigures(&gr_rollout_row(r)->members[member])
            ? "The configuration before is put in force and this one is quarantined for this "
              "digest: publish a mended configuration"
            : "The version before is put in force and this digest is quarantined: publish a "
              "mended build");
    gr_manager_tell(m, GR_MSG_FAULT, GR_LOG_ERROR, p ? p->module.s : NULL, version,
                    r ? gr_rollout_row(r)->id : 0, NULL, GR_REASON_CRASHED, e.message);
    bool first = !h->tainted;
    h->tainted = true;
    if (r)
        gr_rollout_fail(r, member, &e);
    if (first)
        gr_manager_replace_worker(m, "a module faulted in it");
}

static void on_event(void *u, struct gr_worker *w, const cJSON *msg)
{
    (void)w;
    struct gr_hosted *h = u;
    const char *type = "";
    (void)!gr_json_string(msg, "", "type", GR_JSON_REQUIRED, &type, NULL);
    if (strcmp(type, "fault") == 0)
        on_fault(h, msg);
}

// Who did it? Evidence of the dying handler first; else who was inside a call. SIGKILL and SIGTERM
// come from outside and blame nobody.
static struct gr_place *culprit(struct gr_hosted *h, const struct gr_worker_death *d,
                                struct gr_error *e)
{
    struct gr_stats *s = gr_worker_stats(h->worker);
    struct gr_evidence ev;
    struct gr_in_call calls[GR_THREADS_MAX];
    bool evident = gr_stats_evidence(s, &ev);
    bool foreign = d->by_signal && (d->status == SIGKILL || d->status == SIGTERM);
    size_t n = foreign && !evident ? 0 : gr_stats_in_calls(s, calls, GR_COUNT(calls));
    struct gr_place *p = evident ? place_of_slot(h, ev.slot) : NULL;
    const char *method = evident ? ev.method : "", *request = evident ? ev.request_id : "";
    size_t member;
    for (size_t i = 0; i < n && !p; i++)
        if (!evident || ev.thread < 0 || calls[i].thread == (unsigned)ev.thread) {
            struct gr_place *q = place_of_slot(h, (int)calls[i].slot);
            if (q && baking(h->manager, &q->module, &member)) {
                p = q;
                method = calls[i].method;
            }
        }
    const struct gr_committed *row = p ? gr_manager_row(h->manager, &p->module) : NULL;
    gr_error_set(
        e, -EFAULT, GR_REASON_CRASHED,
        "the worker ended with %s %d%s%s%s%s%s%s%s%s; expected it to serve. %s",
        d->by_signal ? "signal" : "status", d->status, p ? " inside " : "", p ? p->module.s : "",
        row ? " " : "", row ? row->release->version.text : "", *method ? ", method " : "", method,
        *request ? ", request " : "", request,
        !p ? "No module could be blamed; a new worker takes the same table"
        : baking(h->manager, &p->module, &member)
            ? "The version before is put in force and what changed, digest or configuration, is "
              "quarantined: publish a mended one"
            : "A new worker takes the same table");
    return p;
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

static void respawn(struct gr_manager *m, const struct gr_hosted *dead)
{
    bool quick = gr_mono_now().usec - dead->spawned.usec < QUICK_DEATH_USEC;
    m->deaths_in_a_row = quick ? m->deaths_in_a_row + 1 : 0;
    uint64_t wait = m->deaths_in_a_row < 2
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

static void on_died(void *u, struct gr_worker *w, const struct gr_worker_death *d)
{
    struct gr_hosted *h = u;
    struct gr_manager *m = h->manager;
    bool expected = h->state == GR_HOSTED_DRAINING;
    bool was_active = m->active == h;
    if (!expected) {
        struct gr_error e = {0};
        struct gr_place *p = culprit(h, d, &e);
        size_t member = 0;
        struct gr_rollout *r = p ? baking(m, &p->module, &member) : NULL;
        m->tally[GR_TALLY_RESTART_CRASH]++;
        gr_manager_tell(m, GR_MSG_WORKER_DIED, GR_LOG_ERROR, p ? p->module.s : NULL, NULL,
                        r ? gr_rollout_row(r)->id : 0, NULL, GR_REASON_CRASHED, e.message);
        if (was_active)
            m->active = NULL;
        if (r)
            gr_rollout_restore_without_worker(r, member, &e);
        if (!m->stopping)
            respawn(m, h);
    }
    (void)w;
    bool was_incomplete = h->incomplete;
    hosted_free(h);
    if (was_incomplete && m->active && !m->stopping) // what waited for it goes on with the old one
        for (size_t i = 0; i < m->n_rollouts; i++)
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
    const struct gr_worker_config c = {.service = m->config->service.s,
                                       .instance = m->config->instance.s,
                                       .store_dir = store,
                                       .adopt_path = adopt,
                                       .threads = m->config->threads,
                                       .listeners = l,
                                       .n_listeners = m->listeners.n};
    const struct gr_worker_callbacks cb = {
        .hello = on_hello, .event = on_event, .died = on_died, .userdata = h};
    int k = gr_worker_spawn(m->event, &c, &cb, &h->worker, e);
    if (k < 0) {
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
    m->tally[GR_TALLY_RESTART_REPLACE]++;
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
    while (m->crew)
        hosted_free(m->crew);
}
