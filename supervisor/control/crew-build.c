// Builds a worker: loads what the committed table names and the candidates of open rollouts, sets
// its table, lets it serve, and takes over from the one before.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include "state/resolve.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_USEC (20 * GR_USEC_PER_SEC)

enum role { ROLE_STABLE, ROLE_PREVIOUS, ROLE_CANDIDATE };
struct seat { // one version on its way into a worker that is being built
    struct gr_hosted *hosted;
    struct gr_name module;
    enum role role;
    size_t older;    // so many releases were tried before; 0: the committed one
    int64_t rollout; // of a candidate
    struct gr_digest digest;
    char version[GR_VERSION_MAX + 1];
};

struct wanted { // a seat and what its version is loaded from
    struct seat seat;
    const struct gr_desired *release;
    bool opened; // the file was looked at: k and e say how that went
    int k;
    struct gr_error e;
    struct gr_verified *verified;
};

static void all_loaded(struct gr_hosted *h);
static void load(struct gr_hosted *h, struct wanted *w, const struct gr_set *set);

// A healthy worker that serves is not given up for one that lacks something.
static bool can_wait(const struct gr_manager *m)
{
    return m->active && m->active->state == GR_HOSTED_SERVING && !m->active->tainted;
}

static void candidate_failed(struct gr_manager *m, const struct seat *s, const struct gr_error *e)
{
    size_t member = 0;
    struct gr_rollout *r = gr_manager_find_rollout(m, s->rollout, &s->module, &member);
    if (r)
        gr_rollout_fail(r, member, e);
}

// What the row calls by this digest; NULL: nothing.
static const struct gr_desired *named(const struct gr_committed *row, const struct gr_digest *d)
{
    const struct gr_desired *const all[] = {row->release, row->previous, row->last_good};
    for (size_t i = 0; i < GR_COUNT(all); i++)
        if (all[i] && gr_digest_equal(&all[i]->digest, d))
            return all[i];
    return NULL;
}

static void seat_older(struct gr_hosted *h, const struct gr_committed *row, size_t nth)
{
    struct gr_desired *older = gr_crew_older(h->manager, row, nth);
    struct wanted w = {.release = older, .seat = {.role = ROLE_STABLE, .older = nth + 1}};
    struct gr_set set;
    gr_manager_set(h->manager, NULL, GR_FORWARD, &set);
    if (older)
        load(h, &w, &set);
    gr_desired_free(older);
}

// `lost`: the store has no such bytes any more.
static void seat_failed(struct gr_hosted *h, const struct seat *s, const struct gr_error *e,
                        bool lost)
{
    struct gr_manager *m = h->manager;
    const struct gr_committed *row = gr_manager_row(m, &s->module);
    if (s->role == ROLE_CANDIDATE) {
        candidate_failed(m, s, e);
        return;
    }
    const struct gr_desired *d = row ? named(row, &s->digest) : NULL;
    struct gr_told *t = gr_manager_told(m, &s->module);
    if (d && !s->older) {
        if (t)
            t->lack.meanwhile[0] = '\0';
        gr_manager_lacks(m, d, e, h->number, true);
    } else {
        gr_log(GR_LOG_WARNING, "%s %s, which served before, cannot be had either: %s", s->module.s,
               s->version, e->message);
    }
    if (d && lost)
        gr_mend_want(m, d, h->number);
    if (can_wait(m))
        h->incomplete = true;
    else if (row && s->role == ROLE_STABLE)
        seat_older(h, row, s->older);
}

static void tell_older(struct gr_manager *m, const struct seat *s)
{
    struct gr_told *t = gr_manager_told(m, &s->module);
    char text[GR_MESSAGE_MAX];
    if (!t || !s->older)
        return;
    snprintf(t->lack.meanwhile, sizeof t->lack.meanwhile, "%s", s->version);
    snprintf(text, sizeof text, "%.700s. %s %.128s serves meanwhile", t->lack.message, s->module.s,
             s->version);
    gr_manager_tell(m, GR_MSG_DEGRADED, GR_LOG_WARNING, s->module.s, s->version, 0, "Degraded",
                    t->lack.reason, text);
}

static void take_seat(struct gr_place *p, const struct seat *s, int slot)
{
    switch (s->role) {
    case ROLE_STABLE:
        p->stable = slot;
        return;
    case ROLE_PREVIOUS:
        p->previous = slot;
        return;
    case ROLE_CANDIDATE:
        p->candidate = slot;
        p->rollout = s->rollout;
        return;
    }
}

static void on_seated(void *u, int slot, const struct gr_error *e)
{
    struct seat *s = u;
    struct gr_hosted *h = s->hosted;
    h->loading--;
    struct gr_place *p = slot >= 0 ? gr_hosted_make_place(h, &s->module) : NULL;
    if (p) {
        take_seat(p, s, slot);
        tell_older(h->manager, s);
    } else if (e && e->code != -ECONNRESET)
        seat_failed(h, s, e, false);
    free(s);
    if (!h->loading && !(e && e->code == -ECONNRESET))
        all_loaded(h);
}

// What the contract promises is known again after a start.
static void tell_contract(struct gr_manager *m, const struct seat *s, const struct gr_verified *v)
{
    size_t member = 0;
    struct gr_rollout *r = gr_manager_find_rollout(m, s->rollout, &s->module, &member);
    gr_manager_keep_contract(m, v);
    if (s->role == ROLE_CANDIDATE && r)
        gr_rollout_set_contract(r, member, gr_verified_contract(v));
}

static void open_file(struct gr_manager *m, struct wanted *w)
{
    const struct gr_desired *d = w->release;
    w->opened = true;
    w->seat.module = d->module;
    w->k =
        gr_verified_reopen(m->verifier, &d->module, &d->version, &d->digest, &w->verified, &w->e);
    if (w->k == 0)
        tell_contract(m, &w->seat, w->verified);
}

// The worker loads one after the other, in the order in which they are asked for.
static void load(struct gr_hosted *h, struct wanted *w, const struct gr_set *set)
{
    struct seat *s = malloc(sizeof *s);
    if (!s)
        return;
    if (!w->opened)
        open_file(h->manager, w);
    w->seat.hosted = h;
    w->seat.digest = w->release->digest;
    snprintf(w->seat.version, sizeof w->seat.version, "%s", w->release->version.text);
    *s = w->seat;
    struct gr_verified *v GR_CLEANUP(gr_verified_freep) = gr_steal(w->verified);
    int k = w->k;
    bool lost =
        k < 0 && (w->e.reason == GR_REASON_LOAD_FAILED || w->e.reason == GR_REASON_DIGEST_MISMATCH);
    if (k == 0) {
        h->loading++;
        k = gr_hosted_load(h, v, w->release->config, set, on_seated, s, &w->e);
        if (k < 0)
            h->loading--;
    }
    if (k < 0) {
        seat_failed(h, s, &w->e, lost);
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

// What the old worker counted still counts.
static void carry_over(struct gr_hosted *old, struct gr_hosted *h)
{
    for (size_t i = 0; i < h->n_places; i++) {
        struct gr_place *p = &h->places[i], *q = gr_hosted_place(old, &p->module);
        if (!q || q->stable < 0)
            continue;
        const struct gr_arm_sample stable = gr_hosted_arm(old, q->stable);
        p->carried = q->carried;
        gr_arm_add(&p->carried, &stable);
        p->previous_carried = q->previous_carried;
    }
}

static void hand_rollouts_over(struct gr_manager *m, struct gr_hosted *h)
{
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        bool gray = gr_rollout_is_gray(m->rollouts[i]);
        for (size_t k = 0; k < row->n; k++) {
            struct gr_place *p = gr_hosted_place(h, &row->members[k].module);
            if (gray || row->phase == GR_PHASE_BAKING)
                gr_rollout_set_slot(m->rollouts[i], k, !p ? -1 : gray ? p->candidate : p->stable);
        }
        gr_rollout_new_counters(m->rollouts[i]);
    }
}

// What a module had kept went with the worker before, of this supervisor or of one before it.
static void tell_lost_state(struct gr_manager *m)
{
    char text[GR_MESSAGE_MAX];
    for (size_t i = 0; i < m->table.n; i++) {
        const struct gr_committed *row = &m->table.rows[i];
        if (!gr_manager_holds_state(m, row))
            continue;
        snprintf(
            text, sizeof text,
            "the state of %s began anew with another worker: what it held was in the memory of "
            "the one before",
            row->module.s);
        gr_manager_tell(m, GR_MSG_WORKER_STARTED, GR_LOG_WARNING, row->module.s,
                        row->release->version.text, 0, NULL, GR_REASON_NONE, text);
    }
}

static void on_serving(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct gr_hosted *h = u;
    struct gr_manager *m = h->manager;
    GR_INSTANT("worker.serving");
    if (h->state == GR_HOSTED_DRAINING) // not wanted any more, though it came up
        return;
    if (!reply) {
        if (e->code != -ECONNRESET)
            gr_worker_kill(h->worker);
        return;
    }
    struct gr_hosted *old = m->active;
    for (size_t i = 0; i < m->n_rollouts && old; i++)
        gr_rollout_measure(m->rollouts[i]);
    if (old)
        carry_over(old, h);
    h->state = GR_HOSTED_SERVING;
    m->active = h;
    has_all_but_its_own(h);
    gr_orphans_release(&m->orphans);
    char text[128];
    snprintf(text, sizeof text, "worker %d serves %zu modules", gr_worker_pid(h->worker),
             h->n_places);
    gr_manager_tell(m, GR_MSG_WORKER_STARTED, GR_LOG_INFO, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    text);
    tell_lost_state(m);
    hand_rollouts_over(m, h);
    gr_start_serves(m);
    if (old) {
        old->state = GR_HOSTED_DRAINING;
        gr_crew_drain_all(m);
    }
    for (size_t i = m->n_rollouts; i-- > 0;) // one that ends leaves the list
        gr_rollout_worker_ready(m->rollouts[i]);
    gr_manager_advance(m);
    gr_manager_changed(m);
}

static void on_table_set(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct gr_hosted *h = u;
    GR_INSTANT("worker.table-set");
    if (!reply) {
        if (e->code != -ECONNRESET)
            gr_worker_kill(h->worker);
        return;
    }
    if (h->manager->active)
        gr_crew_keep_breakers(h->manager->active);
    gr_crew_give_breakers(h);
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "serve");
    if (gr_worker_request(h->worker, m, -1, ANSWER_USEC, on_serving, h) < 0)
        gr_worker_kill(h->worker);
}

// What is on trial has the budget that is left of it, wherever it was counted.
static void put_on_trial(struct gr_hosted *h, const struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    bool on_trial = gr_rollout_is_gray(r) || row->phase == GR_PHASE_BAKING;
    for (size_t i = 0; on_trial && i < row->n; i++) {
        struct gr_place *p = gr_hosted_place(h, &row->members[i].module);
        if (p)
            p->harm = gr_manager_harm(h->manager, r, i);
    }
}

static void add_place(struct gr_hosted *h, const struct gr_place *place, cJSON *order)
{
    const struct gr_manager *m = h->manager;
    struct gr_place p = *place;
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_row(m->rollouts[i])->phase == GR_PHASE_BAKING &&
            gr_rollout_names(m->rollouts[i], &p.module))
            gr_place_join_batch(&p, gr_rollout_row(m->rollouts[i]));
    if (p.stable >= 0 || p.candidate >= 0)
        gr_table_add_place(order, &p);
}

static void all_loaded(struct gr_hosted *h)
{
    struct gr_manager *m = h->manager;
    if (h->incomplete && can_wait(m)) {
        gr_log(GR_LOG_WARNING,
               "worker %d lacks something of the table and is not taken; worker %d serves on",
               gr_worker_pid(h->worker), gr_worker_pid(m->active->worker));
        h->state = GR_HOSTED_DRAINING;
        gr_worker_kill(h->worker);
        return;
    }
    for (size_t i = 0; i < m->n_rollouts; i++)
        put_on_trial(h, m->rollouts[i]);
    cJSON *order = gr_table_order("swap", m->table.number, GR_FREEZE_BUDGET_DEFAULT_USEC);
    for (size_t i = 0; i < h->n_places; i++)
        add_place(h, &h->places[i], order);
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_is_gray(m->rollouts[i]))
            gr_table_add_rollout(order, m->rollouts[i]);
    if (gr_worker_request(h->worker, order, -1, ANSWER_USEC, on_table_set, h) < 0)
        gr_worker_kill(h->worker);
}

// In the order of the set that they serve in: r's with it done (FORWARD) or taken back (BACK). What
// is not known yet is opened first, since the order follows from it.
static void load_all(struct gr_hosted *h, struct wanted *all, size_t n, const struct gr_rollout *r,
                     enum gr_direction d)
{
    struct gr_manager *m = h->manager;
    struct gr_set set;
    size_t order[GR_MODULES_MAX];
    for (size_t i = 0; i < n; i++)
        if (!gr_contracts_find(m->contracts, &all[i].release->digest))
            open_file(m, &all[i]);
    gr_manager_set(m, r, d, &set);
    bool ordered = gr_resolve_order(set.contracts, set.n, order) == 0;
    for (size_t i = 0; i < set.n; i++)
        for (size_t k = 0; k < n; k++)
            if (gr_name_equal(&all[k].release->module, set.modules[ordered ? order[i] : i]))
                load(h, &all[k], &set);
    for (size_t i = 0; i < n; i++)
        gr_verified_free(gr_steal(all[i].verified));
}

static void load_stable(struct gr_hosted *h)
{
    struct gr_manager *m = h->manager;
    struct wanted *all GR_AUTO_FREE = calloc(m->table.n + 1, sizeof *all);
    for (size_t i = 0; all && i < m->table.n; i++)
        all[i] = (struct wanted){.release = m->table.rows[i].release, .seat.role = ROLE_STABLE};
    if (all)
        load_all(h, all, m->table.n, NULL, GR_FORWARD);
}

// BACK: what was there before the rollout, for its way back.
static void load_members(struct gr_hosted *h, const struct gr_rollout *r, enum gr_direction d)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    struct wanted *all GR_AUTO_FREE = calloc(row->n + 1, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; all && i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        const struct gr_committed *c = gr_manager_row(h->manager, &mem->module);
        if (d == GR_FORWARD && mem->to)
            all[n++] = (struct wanted){.release = mem->to,
                                       .seat = {.role = ROLE_CANDIDATE, .rollout = row->id}};
        else if (d == GR_BACK && c && c->previous)
            all[n++] = (struct wanted){.release = c->previous, .seat.role = ROLE_PREVIOUS};
    }
    if (all)
        load_all(h, all, n, r, d);
}

void gr_crew_build(void *u, struct gr_worker *w)
{
    (void)w;
    struct gr_hosted *h = u;
    struct gr_manager *m = h->manager;
    GR_INSTANT("worker.greeted");
    if (h->state == GR_HOSTED_DRAINING) // it drains, or is dead, before it was given anything
        return;
    h->loading = 1; // guards against an answer before all are asked
    load_stable(h);
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_row(m->rollouts[i])->gray.swapped)
            load_members(h, m->rollouts[i], GR_BACK);
    for (size_t i = m->n_rollouts; i-- > 0;) // one that fails leaves the list
        if (gr_rollout_is_gray(m->rollouts[i]))
            load_members(h, m->rollouts[i], GR_FORWARD);
    if (--h->loading == 0)
        all_loaded(h);
}
