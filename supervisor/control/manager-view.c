// Owns the filling of struct gr_view from the manager's parts. Reads only.
#include "base/release.h"
#include "control/manager-internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 3

struct memory { // everything that the view points into
    struct gr_view_module modules[2 * GR_MODULES_MAX];
    struct gr_counters counters[2 * GR_MODULES_MAX];
    size_t n_counters;
    struct gr_view_series series[SERIES];
    struct gr_view_count values[SERIES][GR_RESTART_COUNT];
};

static void fill_breaker(const struct gr_manager *m, struct gr_hosted *h, int slot,
                         struct gr_view_version *ret)
{
    struct gr_breaker b;
    uint64_t now = gr_mono_now().usec;
    gr_stats_breaker(gr_worker_stats(h->worker), (unsigned)slot, &b);
    ret->breaker = gr_breaker_state(&b, now);
    ret->breaker_faults = gr_breaker_recent(&b, &m->config->breaker, now);
    ret->breaker_left_usec = gr_breaker_left_usec(&b, now);
}

static void fill_version(const struct gr_manager *m, struct memory *mem, const struct gr_desired *d,
                         const char *role, unsigned permyriad, int slot,
                         struct gr_view_version *ret)
{
    struct gr_hosted *h = m->active;
    *ret = (struct gr_view_version){.slot = slot, .present = d != NULL};
    if (!d)
        return;
    snprintf(ret->version, sizeof ret->version, "%s", d->version.text);
    gr_digest_format(&d->digest, ret->hash);
    snprintf(ret->role, sizeof ret->role, "%s", role);
    ret->permyriad = permyriad;
    ret->release = d;
    ret->contract = gr_contracts_find(m->contracts, &d->digest);
    ret->faults = gr_fault_book_find(m->faults, &d->module, &d->digest);
    if (h && slot >= 0 && mem->n_counters < GR_COUNT(mem->counters)) {
        ret->counters = &mem->counters[mem->n_counters++];
        gr_stats_read(gr_worker_stats(h->worker), (unsigned)slot, ret->counters);
        fill_breaker(m, h, slot, ret);
        ret->isolated = h->held[slot].isolated;
        ret->pid = h->held[slot].pid;
    }
}

static struct gr_rollout *rollout_of(const struct gr_manager *m, const struct gr_name *module,
                                     size_t *ret_member)
{
    for (size_t i = m->n_rollouts; i-- > 0;) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; k < row->n; k++)
            if (gr_name_equal(&row->members[k].module, module)) {
                *ret_member = k;
                return m->rollouts[i];
            }
    }
    return NULL;
}

static bool lacks(const struct gr_committed *row, const struct gr_told *t)
{
    return row && t && t->lack.reason && gr_manager_row_names(row, &t->lack.digest);
}

static const char *module_phase(const struct gr_rollout *r, const struct gr_committed *row,
                                const struct gr_told *t)
{
    if (r)
        return gr_rollout_is_stuck(r)                        ? "Degraded"
               : gr_rollout_row(r)->phase == GR_PHASE_PAUSED ? "Paused"
                                                             : "Progressing";
    bool bad = lacks(row, t);
    bad |= t && (t->phase == GR_PHASE_REJECTED || t->phase == GR_PHASE_ROLLED_BACK ||
                 (t->phase == GR_PHASE_COUNT && t->reason));
    return bad ? "Degraded" : "Healthy";
}

static void fill_gray(struct gr_rollout *r, size_t member, struct gr_view_gray *g)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_strategy *s = gr_rollout_ladder(r);
    const struct gr_rollout_left left = gr_rollout_left(r);
    *g = (struct gr_view_gray){
        .step = row->step,
        .n_steps = s ? s->n_steps : 0,
        .steps = s ? s->steps : NULL,
        .weight_permyriad = row->gray.weight_permyriad,
        .shadow_permyriad = row->gray.shadow_permyriad,
        .sticky = s ? s->sticky : "",
        .match_json = s ? s->match_json : NULL,
        .salt = row->gray.salt,
        .pause_left_usec = left.pause_usec,
        .pause_requests_left = left.pause_requests,
        .deadline_left_usec = left.deadline_usec,
        .gate = left.gate,
        .hold = row->gray.hold,
        .held_by = row->gray.held_by,
        .door = row->gray.door,
        .door_why = row->gray.door_why,
        .order = &row->gray.order,
        .bake_usec = row->members[member].to ? row->members[member].to->strategy.bake_usec : 0};
    gr_rollout_measure(r); // as of now, not of the last look
    gr_rollout_share(r, member, &g->seen_candidate, &g->seen_stable);
}

// A version in force that answers nothing is worse than whatever was told last.
static void fill_broken(struct gr_view_module *v)
{
    char left[32];
    if (v->stable.breaker == GR_BREAKER_CLOSED)
        return;
    if (strcmp(v->phase, "Healthy") == 0)
        snprintf(v->phase, sizeof v->phase, "Degraded");
    if (v->reason)
        return;
    v->reason = GR_REASON_CRASHED;
    gr_duration_format(v->stable.breaker_left_usec, left);
    snprintf(v->message, sizeof v->message,
             "the breaker of %s %s is %s%s%s: it faulted too often. Publish a mended build, or go "
             "back: grayctl undo %s",
             v->module.s, v->stable.version, gr_breaker_state_name(v->stable.breaker),
             v->stable.breaker == GR_BREAKER_OPEN ? ", half-open in " : "",
             v->stable.breaker == GR_BREAKER_OPEN ? left : "", v->module.s);
}

// Said until the desired state agrees, or asks for something newer.
static void fill_difference(const struct gr_manager *m, struct gr_view_module *v)
{
    const struct gr_desired *wish;
    const struct gr_committed *row = gr_manager_row(m, &v->module);
    if (strcmp(v->phase, "Healthy") || !gr_manager_differs(m, &v->module, &wish))
        return;
    snprintf(v->phase, sizeof v->phase, "Degraded");
    v->reason = GR_REASON_OPERATOR_ABORT;
    snprintf(v->message, sizeof v->message,
             "%s %s serves by an undo of this host alone; the desired state asks for %s (revision "
             "%" PRId64 "). When it can be written, make it agree: grayctl undo %s",
             v->module.s, row->release->version.text, wish->version.text, wish->mod_revision,
             v->module.s);
}

static void fill_module(struct gr_manager *m, struct memory *mem, const struct gr_name *name,
                        struct gr_view_module *v)
{
    size_t member = 0;
    struct gr_rollout *r = rollout_of(m, name, &member);
    const struct gr_rollout_row *rr = r ? gr_rollout_row(r) : NULL;
    const struct gr_committed *row = gr_manager_row(m, name);
    const struct gr_told *t = gr_manager_told(m, name);
    struct gr_hosted *h = m->active;
    unsigned share = 0;
    struct gr_place *p = h ? gr_hosted_place(h, name) : NULL;
    *v = (struct gr_view_module){.module = *name, .updated = t ? t->at : gr_wall_now()};
    snprintf(v->phase, sizeof v->phase, "%s", module_phase(r, row, t));
    if (t) {
        v->reason = t->reason;
        snprintf(v->message, sizeof v->message, "%s", t->message);
        v->rollout = t->rollout;
        v->observed_revision = t->revision;
        snprintf(v->rollout_phase, sizeof v->rollout_phase, "%s",
                 t->phase < GR_PHASE_COUNT ? gr_phase_name(t->phase) : "");
    }
    if (lacks(row, t)) {
        v->reason = t->lack.reason;
        bool older = t->lack.meanwhile[0] != 0;
        snprintf(v->message, sizeof v->message, "%.700s%s%s%s%.128s%s", t->lack.message,
                 older ? ". " : "", older ? name->s : "", older ? " " : "", t->lack.meanwhile,
                 older ? " serves meanwhile" : "");
    }
    if (!v->observed_revision && row)
        v->observed_revision = row->release->mod_revision;
    v->tally = gr_tallies_find(&m->tallies, name);
    if (rr) {
        v->moved = t ? t->moved : rr->updated;
        v->bake_left_usec = gr_rollout_left(r).bake_usec;
        v->verdict = rr->members[member].to ? gr_rollout_verdict(r, member) : NULL;
        fill_gray(r, member, &v->gray);
        if (gr_rollout_is_gray(r) && rr->members[member].to)
            share = rr->gray.weight_permyriad;
        fill_version(m, mem, rr->gray.swapped ? NULL : rr->members[member].to, "candidate", share,
                     gr_rollout_slot(r, member), &v->candidate);
        // what a message says changes while the rollout waits
        if (gr_rollout_is_gray(r))
            snprintf(v->message, sizeof v->message, "%s", rr->message);
    }
    fill_version(m, mem, row ? row->release : NULL, "stable", 10000 - share, p ? p->stable : -1,
                 &v->stable);
    fill_version(m, mem, row ? row->previous : NULL, "previous", 0, p ? p->previous : -1,
                 &v->previous);
    fill_difference(m, v);
    fill_broken(v);
    v->fault = gr_fault_book_newest(m->faults, name);
    v->n_intents = gr_intents_results(m->intents, name, &v->intents);
    if (row && row->last_good)
        snprintf(v->last_good, sizeof v->last_good, "%s", row->last_good->version.text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gr_view_module *)a)->module.s,
                  ((const struct gr_view_module *)b)->module.s);
}

static void add_series(struct gr_view *v, struct memory *mem, const char *name, const char *help,
                       size_t n)
{
    size_t i = v->n_series++;
    mem->series[i] = (struct gr_view_series){
        .name = name, .help = help, .type = "counter", .n = n, .values = mem->values[i]};
}

static void add_tally(struct gr_view *v, struct memory *mem, const char *name, const char *help,
                      const char *label, const char *const *values, const uint64_t *counts,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct gr_view_count *c = &mem->values[v->n_series][i];
        snprintf(c->labels, sizeof c->labels, "%s=\"%s\"", label, values[i]);
        c->value = (double)counts[i];
    }
    add_series(v, mem, name, help, n);
}

static void fill_series(struct gr_manager *m, struct gr_view *v, struct memory *mem)
{
    static const char *const restarts[GR_RESTART_COUNT] = {"crash", "replace", "memory"};
    memset(mem->values, 0, sizeof mem->values);
    v->series = mem->series;
    add_tally(v, mem, "worker_restarts_total", "Workers started anew, by reason.", "reason",
              restarts, m->restarts, GR_RESTART_COUNT);
    mem->values[v->n_series][0] =
        (struct gr_view_count){.value = *gr_journal_damage(m->journal) != 0};
    add_series(v, mem, "journal_damaged",
               "1 when the journal was found damaged at the start of this process.", 1);
    mem->series[v->n_series - 1].type = "gauge";
    mem->values[v->n_series][0] = (struct gr_view_count){.value = gr_manager_is_safe(m)};
    add_series(v, mem, "safe_mode",
               "1 while this host serves the last good versions and begins no rollout.", 1);
    mem->series[v->n_series - 1].type = "gauge";
}

static void fill_stations(struct gr_manager *m, struct gr_view *v)
{
    static const char *const names[GR_STATIONS] = {
        [GR_VERIFY_FETCH] = "fetch", [GR_VERIFY_CHECK] = "check",
        [GR_VERIFY_STORE] = "store", [GR_VERIFY_PREFLIGHT] = "preflight",
        [GR_STATION_LOAD] = "load",
    };
    for (size_t i = 0; i < GR_STATIONS; i++)
        m->stations[i].name = names[i];
    v->stations = m->stations;
    v->n_stations = GR_STATIONS;
}

static size_t fill_modules(struct gr_manager *m, struct memory *mem)
{
    size_t n = 0;
    for (size_t i = 0; i < m->table.n && n < GR_COUNT(mem->modules); i++)
        fill_module(m, mem, &m->table.rows[i].module, &mem->modules[n++]);
    // modules that are wanted, or were refused, and do not serve
    for (size_t i = 0; i < m->now.n && n < GR_COUNT(mem->modules); i++)
        if (!gr_manager_row(m, &m->now.wishes[i].module))
            fill_module(m, mem, &m->now.wishes[i].module, &mem->modules[n++]);
    qsort(mem->modules, n, sizeof *mem->modules, by_name);
    return n;
}

const struct gr_view *gr_manager_view(struct gr_manager *m)
{
    struct memory *mem = m->view_memory;
    if (!mem)
        mem = m->view_memory = calloc(1, sizeof *mem);
    struct gr_view *v = &m->view;
    *v = (struct gr_view){.service = m->config->service.s,
                          .instance = m->config->instance.s,
                          .version = gr_release,
                          .pid = getpid(),
                          .started = m->started,
                          .source_kind = m->config->n_endpoints ? "etcd" : "directory",
                          .trust_root = m->config->trust_root_file != NULL};
    v->worker_pid = m->active ? gr_worker_pid(m->active->worker) : 0;
    v->source = m->source ? *gr_source_peek_health(m->source) : m->health;
    v->intents_trouble = gr_intents_trouble(m->intents);
    v->n_endpoints = m->listeners.n;
    v->endpoints = (const char *const *)m->listeners.address;
    v->admin = m->control ? gr_control_admin_address(m->control) : NULL;
    v->admin_orders = m->config->admin_token_file != NULL;
    v->n_convictions = m->n_convictions;
    v->convictions = m->convictions;
    v->safe_since = m->start.safe.since;
    v->message = gr_manager_is_safe(m)            ? m->start.safe.why
                 : *gr_journal_damage(m->journal) ? gr_journal_damage(m->journal)
                 : m->control                     ? gr_control_trouble(m->control)
                                                  : "";
    bool degraded = v->message[0] != 0;
    if (mem) {
        mem->n_counters = 0;
        v->modules = mem->modules;
        v->n_modules = fill_modules(m, mem);
        for (size_t i = 0; i < v->n_modules; i++)
            degraded |= strcmp(v->modules[i].phase, "Degraded") == 0;
        fill_series(m, v, mem);
        fill_stations(m, v);
        v->tallies = &m->tallies;
        v->spans = gr_telemetry_counts(m->telemetry);
    }
    if (m->active) {
        gr_stats_gauges(gr_worker_stats(m->active->worker), &v->gauges);
        v->swapped = m->swapped;
        for (size_t i = 0; i < GR_INSTANCES_MAX; i++) {
            v->loaded += m->active->slot_used[i];
            v->pinned += m->active->slot_pinned[i];
        }
    }
    snprintf(v->phase, sizeof v->phase, "%s",
             m->stopping  ? "Draining"
             : !m->active ? "Starting"
             : degraded   ? "Degraded"
                          : "Serving");
    return v;
}

void gr_manager_view_done(struct gr_manager *m)
{
    free(m->view_memory);
    m->view_memory = NULL;
}
