// What a rollout does to the worker: loads, routes, swaps, reads what was counted; and where its
// versions sit there.
#include "base/log.h"
#include "control/manager-internal.h"
#include "control/usage.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_EXTRA_USEC (10 * GR_USEC_PER_SEC)

// --- stage
// ----------------------------------------------------------------------------------------

static void add_station(struct gr_manager *m, unsigned station, uint64_t took_usec)
{
    struct gr_view_station *s = &m->stations[station];
    s->took.count[gr_histogram_bucket(took_usec * 1000)]++;
    s->sum_nsec += took_usec * 1000;
}

void gr_manager_keep_contract(struct gr_manager *m, const struct gr_verified *v)
{
    int k = gr_contracts_put(m->contracts, gr_verified_digest(v), gr_verified_contract(v));
    if (k < 0)
        gr_log(GR_LOG_ERROR, "the contract of %s %s could not be kept: %s",
               gr_verified_module(v)->s, gr_verified_version(v)->text, strerror(-k));
}

const struct gr_contract *gr_manager_contract(struct gr_manager *m, const struct gr_desired *d)
{
    const struct gr_contract *c = d ? gr_contracts_find(m->contracts, &d->digest) : NULL;
    struct gr_verified *v GR_CLEANUP(gr_verified_freep) = NULL;
    struct gr_error e = {0};
    if (!d || c)
        return c;
    if (gr_verified_reopen(m->verifier, &d->module, &d->version, &d->digest, &v, &e) < 0) {
        gr_log(GR_LOG_DEBUG, "the contract of %s %s is not known: %s", d->module.s, d->version.text,
               e.message);
        return NULL;
    }
    gr_manager_keep_contract(m, v);
    return gr_contracts_find(m->contracts, &d->digest);
}

bool gr_manager_holds_state(struct gr_manager *m, const struct gr_committed *row)
{
    const struct gr_contract *c = gr_manager_contract(m, row->release);
    return c && c->has_state;
}

static void op_verified(void *u, const struct gr_verified *v)
{
    gr_manager_keep_contract(u, v);
    for (unsigned s = 0; s < GR_VERIFY_STATIONS; s++) {
        uint64_t took = gr_verified_station_usec(v, (enum gr_verify_station)s);
        if (took > 0) // 0: skipped, the store had it
            add_station(u, s, took);
    }
}

static const struct gr_contract *op_in_force(void *u, const struct gr_name *module)
{
    const struct gr_committed *row = gr_manager_row(u, module);
    return row ? gr_manager_contract(u, row->release) : NULL;
}

struct staging {
    struct gr_manager *manager;
    struct gr_rollout *rollout;
    size_t member;
    struct gr_mono asked;
};

static void on_staged(void *u, int slot, const struct gr_error *e)
{
    struct staging *s = u;
    if (slot >= 0)
        add_station(s->manager, GR_STATION_LOAD, gr_mono_now().usec - s->asked.usec);
    gr_rollout_staged(s->rollout, s->member, slot, e);
    free(s);
}

static int op_stage(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v)
{
    struct gr_manager *m = u;
    struct staging *s = m->active ? malloc(sizeof *s) : NULL;
    if (!s)
        return m->active ? -ENOMEM : -ECONNRESET;
    *s = (struct staging){m, r, member, gr_mono_now()};
    struct gr_error e = {0};
    struct gr_set set;
    gr_manager_set(m, r, GR_FORWARD, &set);
    if (gr_hosted_load(m->active, v, gr_rollout_row(r)->members[member].to->config, &set, on_staged,
                       s, &e) < 0)
        on_staged(s, -1, &e);
    return 0;
}

static void op_unstage(void *u, int slot)
{
    struct gr_manager *m = u;
    if (m->active)
        gr_hosted_unload(m->active, slot);
}

static bool op_can_stage(void *u)
{
    struct gr_manager *m = u;
    for (const struct gr_hosted *h = m->crew; h; h = h->next)
        if (h->state == GR_HOSTED_STARTING)
            return false;
    return m->active && !m->replace_wanted && !m->stopping;
}

// --- the table
// ------------------------------------------------------------------------------------

struct asking {
    struct gr_manager *manager;
    struct gr_rollout *rollout;
    bool swaps, back;
};

static void tell_freeze(struct gr_manager *m, struct gr_rollout *r, const cJSON *reply)
{
    uint64_t usec = 0, parked = 0;
    char text[160];
    (void)!gr_json_uint(reply, "", "freeze_usec", GR_JSON_OPTIONAL, 0, UINT32_MAX, &usec, NULL);
    (void)!gr_json_uint(reply, "", "parked", GR_JSON_OPTIONAL, 0, UINT32_MAX, &parked, NULL);
    snprintf(text, sizeof text,
             "the table was exchanged: dispatch was frozen for %" PRIu64 " us, %" PRIu64
             " requests were parked",
             usec, parked);
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; i < row->n; i++)
        gr_manager_tell(m, GR_MSG_SWAPPED, GR_LOG_INFO, row->members[i].module.s,
                        row->members[i].to ? row->members[i].to->version.text : NULL, row->id,
                        gr_phase_name(row->phase), GR_REASON_NONE, text);
}

static void count_swap(struct gr_manager *m, const struct gr_rollout_row *row, bool done)
{
    for (size_t i = 0; i < row->n; i++) {
        struct gr_tally *t = gr_tallies_open(&m->tallies, &row->members[i].module);
        if (t && done)
            t->swaps++;
        else if (t)
            t->swaps_failed++;
    }
}

static void on_answer(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct asking a = *(struct asking *)u;
    free(u);
    if (a.swaps)
        count_swap(a.manager, gr_rollout_row(a.rollout), reply != NULL);
    if (a.swaps && reply)
        a.manager->swapped = gr_wall_now();
    if (reply && a.swaps && !a.back)
        tell_freeze(a.manager, a.rollout, reply);
    if (!reply && a.back && !gr_rollout_tries_back_again(a.rollout, e)) {
        if (a.manager->active)
            a.manager->active->tainted = true;
        gr_manager_replace_worker(a.manager, "the way back inside it failed");
    }
    gr_rollout_answered(a.rollout, reply ? NULL : e);
}

static int ask(struct gr_manager *m, struct gr_rollout *r, cJSON *take, struct asking what,
               uint64_t budget)
{
    struct asking *a = malloc(sizeof *a);
    if (!a) {
        cJSON_Delete(take);
        return -ENOMEM;
    }
    *a = what;
    a->manager = m;
    a->rollout = r;
    int k =
        gr_worker_request(m->active->worker, take, -1, budget + ANSWER_EXTRA_USEC, on_answer, a);
    if (k < 0)
        free(a);
    return k;
}

// The largest that was declared; the way back is never given less than the default.
static uint64_t freeze_budget(const struct gr_rollout_row *row, enum gr_direction d)
{
    uint64_t budget = d == GR_FORWARD ? 0 : GR_FREEZE_BUDGET_DEFAULT_USEC;
    for (size_t i = 0; i < row->n; i++)
        if (row->members[i].to && row->members[i].to->strategy.freeze_budget_usec > budget)
            budget = row->members[i].to->strategy.freeze_budget_usec;
    return budget ? budget : GR_FREEZE_BUDGET_DEFAULT_USEC; // removals only
}

void gr_place_join_batch(struct gr_place *p, const struct gr_rollout_row *row)
{
    bool removes = false;
    for (size_t i = 0; i < row->n; i++)
        removes |= !row->members[i].to;
    p->batch = row->n > 1 ? row->id : 0;
    if (p->batch && removes)
        p->previous = -1;
}

// The place of a member as direction d makes it; `swapped`: the rollout's table is committed.
static struct gr_place place_as(struct gr_manager *m, struct gr_rollout *r, size_t i,
                                enum gr_direction d)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_rollout_member *mem = &row->members[i];
    struct gr_place *now = gr_hosted_place(m->active, &mem->module);
    struct gr_place p = {
        .module = mem->module, .stable = -1, .previous = -1, .candidate = -1, .harm = -1};
    if (d == GR_FORWARD) {
        p.stable = mem->to ? gr_rollout_slot(r, i) : -1;
        p.previous = now && mem->to ? now->stable : -1;
        p.harm = gr_manager_harm(m, r, i);
        gr_place_join_batch(&p, row);
    } else if (now) {
        p.stable = d == GR_BACK && row->gray.swapped ? now->previous : now->stable;
    }
    p.one_way = d != GR_SETTLE && gr_rollout_is_one_way(r, i, d);
    return p;
}

static cJSON *order_as(struct gr_manager *m, struct gr_rollout *r, enum gr_direction d,
                       const char *type)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    int64_t number = m->table.number + (d == GR_SETTLE ? 0 : 1); // to settle commits first
    cJSON *o = gr_table_order(type, number, freeze_budget(row, d));
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_place p = place_as(m, r, i, d);
        if (d != GR_SETTLE || p.stable >= 0)
            gr_table_add_place(o, &p);
    }
    return o;
}

// The worker was built when the store had lost what a member goes back to: a table without it would
// take the module away, and what serves now is better than nobody.
static bool lacks_what_was_before(struct gr_manager *m, const struct gr_rollout_row *row)
{
    bool lacks = false;
    for (size_t i = 0; row->gray.swapped && i < row->n; i++) {
        const struct gr_committed *c = gr_manager_row(m, &row->members[i].module);
        const struct gr_place *p = gr_hosted_place(m->active, &row->members[i].module);
        lacks |= row->members[i].to && c && c->previous && (!p || p->previous < 0);
    }
    return lacks;
}

static int op_swap(void *u, struct gr_rollout *r, enum gr_direction d)
{
    struct gr_manager *m = u;
    if (!m->active)
        return -ECONNRESET;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    if (d == GR_BACK && lacks_what_was_before(m, row)) {
        gr_manager_replace_worker(m, "it lacks the version before"); // once the store has it again
        return -ENOENT;
    }
    // what was never in force goes without a freeze
    bool routes =
        d == GR_BACK && gr_rollout_ladder(r) && !row->gray.swapped && !gr_rollout_swap_was_asked(r);
    return ask(m, r, order_as(m, r, d, routes ? "route" : "swap"),
               (struct asking){.swaps = !routes, .back = d == GR_BACK}, freeze_budget(row, d));
}

static int op_route(void *u, struct gr_rollout *r)
{
    struct gr_manager *m = u;
    if (!m->active)
        return -ECONNRESET;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    cJSON *o = gr_table_order("route", m->table.number, GR_FREEZE_BUDGET_DEFAULT_USEC);
    for (size_t i = 0; i < row->n; i++) {
        struct gr_place *p =
            row->members[i].to ? gr_hosted_make_place(m->active, &row->members[i].module) : NULL;
        if (!p)
            continue;
        p->candidate = gr_rollout_slot(r, i);
        p->rollout = row->id;
        p->harm = gr_manager_harm(m, r, i);
        gr_table_add_place(o, p);
    }
    gr_table_add_rollout(o, r);
    return ask(m, r, o, (struct asking){.swaps = false}, 0);
}

// A worker that is being built with what is not wanted any more must not come up.
void gr_manager_rebuild_starting(struct gr_manager *m)
{
    for (struct gr_hosted *h = m->crew; h; h = h->next)
        if (h->state == GR_HOSTED_STARTING) {
            h->state = GR_HOSTED_DRAINING;
            gr_worker_kill(h->worker);
            gr_manager_replace_worker(m, "the table changed while it was built");
        }
}

static void place_forward(struct gr_manager *m, struct gr_rollout *r, size_t i)
{
    const struct gr_rollout_member *mem = &gr_rollout_row(r)->members[i];
    struct gr_place *p = m->active ? gr_hosted_make_place(m->active, &mem->module) : NULL;
    if (!p)
        return;
    p->previous_carried = p->carried;
    p->carried = (struct gr_arm_sample){0};
    p->previous = p->stable;
    p->stable = mem->to ? gr_rollout_slot(r, i) : -1;
    p->candidate = -1;
}

static int op_commit(void *u, struct gr_rollout *r, enum gr_direction d,
                     const struct gr_rollout_row *as, struct gr_error *e)
{
    struct gr_manager *m = u;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    int k = gr_manager_commit_rows(m, row, d, as, e);
    if (k < 0 && d == GR_FORWARD)
        return k;
    for (size_t i = 0; d == GR_FORWARD && i < row->n; i++)
        place_forward(m, r, i);
    gr_manager_rebuild_starting(m);
    return k;
}

struct settling { // versions that leave once no table names them, in that order
    struct gr_hosted *hosted;
    size_t n;
    int slots[GR_MODULES_MAX];
};

static void on_settled(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct settling *s = u;
    if (!reply && e->code != -ECONNRESET)
        gr_log(GR_LOG_WARNING,
               "the versions before a release stay loaded, since the table did not let go of them: "
               "%s",
               e->message);
    for (size_t i = 0; reply && i < s->n; i++)
        gr_hosted_unload(s->hosted, s->slots[i]);
    free(s);
}

// Only the rescue leaves the table: that takes no freeze, which a slow call would let fail. The
// worker exchanges tables and unloads on two threads: an unload that is asked for before the
// exchange was answered may overtake it, and is then refused for ever.
static void settle(struct gr_manager *m, struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    struct settling *s = malloc(sizeof *s);
    if (!s)
        return;
    *s = (struct settling){.hosted = m->active};
    struct gr_set set;
    size_t order[GR_MODULES_MAX];
    gr_manager_set(m, r, GR_BACK, &set);
    for (size_t i = gr_set_order(&set, row, order); i-- > 0;) {
        const struct gr_place *p = gr_hosted_place(m->active, &row->members[order[i]].module);
        if (p && p->previous >= 0)
            s->slots[s->n++] = p->previous;
    }
    if (gr_worker_request(m->active->worker, order_as(m, r, GR_SETTLE, "route"), -1, 0, on_settled,
                          s) < 0)
        free(s);
}

static void place_back(struct gr_manager *m, struct gr_place *p, const struct gr_rollout_row *row,
                       size_t i)
{
    if (row->gray.swapped) {
        p->stable = p->previous;
        p->carried = p->previous_carried;
        p->previous = -1;
        if (!row->members[i].to && p->stable < 0)
            gr_manager_replace_worker(m, "a removed module has to come back");
    }
    p->candidate = -1;
}

static void op_release(void *u, struct gr_rollout *r, enum gr_direction d)
{
    struct gr_manager *m = u;
    struct gr_hosted *h = m->active;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    if (d == GR_SETTLE)
        gr_manager_collect_store(m);
    else if (gr_rollout_ladder(r) && !row->gray.swapped) // no commit said so
        gr_manager_rebuild_starting(m);
    if (!h)
        return;
    if (d == GR_SETTLE)
        settle(m, r);
    for (size_t i = 0; i < row->n; i++) {
        struct gr_place *p = gr_hosted_place(h, &row->members[i].module);
        if (!p)
            continue;
        if (d == GR_SETTLE)
            p->previous = -1;
        else
            place_back(m, p, row, i);
        if (p->stable < 0)
            gr_hosted_drop_place(h, &row->members[i].module);
    }
}

// --- what was counted
// -----------------------------------------------------------------------------

struct gr_arm_sample gr_hosted_arm(struct gr_hosted *h, int slot)
{
    struct gr_counters c;
    if (slot < 0)
        return (struct gr_arm_sample){0};
    gr_stats_read(gr_worker_stats(h->worker), (unsigned)slot, &c);
    return (struct gr_arm_sample){.requests = gr_counters_total(&c),
                                  .errors = gr_counters_server_errors(&c),
                                  // a call that was given up is no crash: the worker tells of it
                                  .crashes = c.faults - c.faults_by[GR_FAULT_TIMEOUT],
                                  .latency = c.latency};
}

static bool op_sample(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *candidate,
                      struct gr_arm_sample *stable)
{
    struct gr_manager *m = u;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    struct gr_place *p =
        m->active ? gr_hosted_place(m->active, &row->members[member].module) : NULL;
    int slot = gr_rollout_slot(r, member);
    if (!m->active || slot < 0)
        return false;
    *candidate = gr_hosted_arm(m->active, slot);
    *stable = gr_hosted_arm(m->active, !p ? -1 : row->gray.swapped ? p->previous : p->stable);
    return true;
}

static bool op_usage(void *u, struct gr_rollout *r, size_t member, struct gr_usage *ret)
{
    struct gr_manager *m = u;
    int slot = gr_rollout_slot(r, member);
    if (!m->active || slot < 0 || m->active->held[slot].pid == 0)
        return false;
    return gr_usage_read(m->active->held[slot].pid, ret) == 0; // it may have ended meanwhile
}

static void op_history(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *ret)
{
    struct gr_manager *m = u;
    struct gr_place *p =
        m->active ? gr_hosted_place(m->active, &gr_rollout_row(r)->members[member].module) : NULL;
    *ret = (struct gr_arm_sample){0};
    if (!p)
        return;
    *ret = p->carried;
    const struct gr_arm_sample here = gr_hosted_arm(m->active, p->stable);
    gr_arm_add(ret, &here);
}

void gr_manager_worker_ops(struct gr_rollout_ops *ret)
{
    ret->verified = op_verified;
    ret->in_force = op_in_force;
    ret->stage = op_stage;
    ret->unstage = op_unstage;
    ret->can_stage = op_can_stage;
    ret->route = op_route;
    ret->swap = op_swap;
    ret->commit = op_commit;
    ret->release = op_release;
    ret->sample = op_sample;
    ret->usage = op_usage;
    ret->history = op_history;
    ret->harmed = gr_manager_harmed;
}
