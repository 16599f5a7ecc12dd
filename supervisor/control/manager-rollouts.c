// Owns which rollouts are in progress: their order, their recovery after a start, and what they may
// do to the worker and the quarantine.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SWAP_ANSWER_EXTRA_USEC (10 * GR_USEC_PER_SEC)

bool gr_manager_is_waiting(const struct gr_manager *m)
{
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_is_waiting(m->rollouts[i]))
            return true;
    return false;
}

// --- what a rollout does to the worker
// ------------------------------------------------------------

struct staging {
    struct gr_rollout *rollout;
    size_t member;
};

static void on_staged(void *u, int slot, const struct gr_error *e)
{
    struct staging *s = u;
    gr_rollout_staged(s->rollout, s->member, slot, e);
    free(s);
}

static int op_stage(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v)
{
    struct gr_manager *m = u;
    struct staging *s = m->active ? malloc(sizeof *s) : NULL;
    if (!s)
        return m->active ? -ENOMEM : -ECONNRESET;
    *s = (struct staging){r, member};
    int k =
        gr_hosted_load(m->active, v, gr_rollout_row(r)->members[member].to->config, on_staged, s);
    if (k < 0)
        free(s);
    return k;
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

struct swapping {
    struct gr_manager *manager;
    struct gr_rollout *rollout;
    enum gr_direction direction;
};

static void on_swapped(void *u, const cJSON *reply, const struct gr_error *e)
{
    struct swapping s = *(struct swapping *)u;
    free(u);
    s.manager->tally[reply ? GR_TALLY_SWAP_OK : GR_TALLY_SWAP_FAILED]++;
    if (reply && s.direction == GR_FORWARD) {
        uint64_t usec = 0, parked = 0;
        (void)!gr_json_uint(reply, "", "freeze_usec", GR_JSON_OPTIONAL, 0, UINT32_MAX, &usec, NULL);
        (void)!gr_json_uint(reply, "", "parked", GR_JSON_OPTIONAL, 0, UINT32_MAX, &parked, NULL);
        char text[160];
        snprintf(text, sizeof text,
                 "the table was exchanged: dispatch was frozen for %" PRIu64 " us, %" PRIu64
                 " requests were parked",
                 usec, parked);
        const struct gr_rollout_row *row = gr_rollout_row(s.rollout);
        for (size_t i = 0; i < row->n; i++)
            gr_manager_tell(s.manager, GR_MSG_SWAPPED, GR_LOG_INFO, row->members[i].module.s,
                            row->members[i].to ? row->members[i].to->version.text : NULL, row->id,
                            gr_phase_name(row->phase), GR_REASON_NONE, text);
    }
    if (!reply && s.direction == GR_BACK) {
        if (s.manager->active)
            s.manager->active->tainted = true;
        gr_manager_replace_worker(s.manager, "the way back inside it failed");
    }
    gr_rollout_swapped(s.rollout, reply ? NULL : e);
}

static void add_set(cJSON *set, cJSON *removals, const char *module, int stable, int rescue)
{
    if (stable < 0) {
        cJSON_AddItemToArray(removals, cJSON_CreateString(module));
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "module", module);
    cJSON_AddNumberToObject(o, "stable", stable);
    cJSON_AddNumberToObject(o, "rescue", rescue);
    cJSON_AddItemToArray(set, o);
}

static cJSON *swap_message(struct gr_manager *m, struct gr_rollout *r, enum gr_direction d,
                           uint64_t *ret_budget)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    cJSON *msg = cJSON_CreateObject();
    cJSON_AddStringToObject(msg, "type", "swap");
    cJSON *set = cJSON_AddArrayToObject(msg, "set"),
          *removals = cJSON_AddArrayToObject(msg, "remove");
    uint64_t budget = GR_FREEZE_BUDGET_DEFAULT_USEC;
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        struct gr_place *p = gr_hosted_place(m->active, &mem->module);
        if (mem->to && mem->to->strategy.freeze_budget_usec > budget)
            budget = mem->to->strategy.freeze_budget_usec;
        if (d == GR_FORWARD)
            add_set(set, removals, mem->module.s, mem->to ? gr_rollout_slot(r, i) : -1,
                    p && mem->to ? p->stable : -1);
        else if (d == GR_BACK)
            add_set(set, removals, mem->module.s,
                    row->phase == GR_PHASE_STAGED ? (p ? p->stable : -1) : (p ? p->previous : -1),
                    -1);
        else if (p && p->stable >= 0)
            add_set(set, removals, mem->module.s, p->stable, -1);
    }
    cJSON_AddNumberToObject(msg, "table", (double)(m->table.number + 1));
    cJSON_AddNumberToObject(msg, "budget_usec", (double)budget);
    *ret_budget = budget;
    return msg;
}

static int op_swap(void *u, struct gr_rollout *r, enum gr_direction d)
{
    struct gr_manager *m = u;
    struct swapping *s = m->active ? malloc(sizeof *s) : NULL;
    if (!s)
        return m->active ? -ENOMEM : -ECONNRESET;
    *s = (struct swapping){m, r, d};
    uint64_t budget = 0;
    cJSON *msg = swap_message(m, r, d, &budget);
    int k = gr_worker_request(m->active->worker, msg, -1, budget + SWAP_ANSWER_EXTRA_USEC,
                              on_swapped, s);
    if (k < 0)
        free(s);
    return k;
}

static void place_forward(struct gr_manager *m, struct gr_rollout *r, size_t i)
{
    const struct gr_rollout_member *mem = &gr_rollout_row(r)->members[i];
    struct gr_place *p = m->active ? gr_hosted_make_place(m->active, &mem->module) : NULL;
    if (!p)
        return;
    p->baseline = (struct gr_error_sample){0};
    if (p->stable >= 0) {
        struct gr_counters c;
        gr_stats_read(gr_worker_stats(m->active->worker), (unsigned)p->stable, &c);
        p->baseline = (struct gr_error_sample){p->carried.requests + gr_counters_total(&c),
                                               p->carried.errors + gr_counters_server_errors(&c)};
    }
    p->baseline_known = true;
    p->carried = (struct gr_error_sample){0};
    p->previous = p->stable;
    p->stable = mem->to ? gr_rollout_slot(r, i) : -1;
}

// A worker that is being built from the rows as they were must not come up.
static void rebuild_starting(struct gr_manager *m)
{
    for (struct gr_hosted *h = m->crew; h; h = h->next)
        if (h->state == GR_HOSTED_STARTING) {
            h->state = GR_HOSTED_DRAINING;
            gr_worker_kill(h->worker);
            gr_manager_replace_worker(m, "the table changed while it was built");
        }
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
    rebuild_starting(m);
    return k;
}

static void op_release(void *u, struct gr_rollout *r, enum gr_direction d)
{
    struct gr_manager *m = u;
    struct gr_hosted *h = m->active;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    if (d == GR_SETTLE)
        gr_manager_collect_store(m);
    if (!h)
        return;
    if (d == GR_SETTLE) { // the table lets go of the versions before, then they leave
        uint64_t budget;
        (void)!gr_worker_request(h->worker, swap_message(m, r, GR_SETTLE, &budget), -1, 0, NULL,
                                 NULL);
    }
    for (size_t i = 0; i < row->n; i++) {
        struct gr_place *p = gr_hosted_place(h, &row->members[i].module);
        if (!p)
            continue;
        if (d == GR_SETTLE) {
            gr_hosted_unload(h, p->previous);
        } else {
            p->stable = p->previous;
            p->carried = p->baseline;
            if (!row->members[i].to && p->stable < 0)
                gr_manager_replace_worker(m, "a removed module has to come back");
        }
        p->previous = -1;
        if (p->stable < 0)
            gr_hosted_drop_place(h, &row->members[i].module);
    }
}

static void op_sample(void *u, struct gr_rollout *r, size_t member,
                      struct gr_error_sample *candidate, struct gr_error_sample *baseline)
{
    struct gr_manager *m = u;
    struct gr_place *p =
        m->active ? gr_hosted_place(m->active, &gr_rollout_row(r)->members[member].module) : NULL;
    if (!p || p->stable < 0 || !p->baseline_known)
        return; // nothing measured: the verdict stays Inconclusive
    struct gr_counters c;
    gr_stats_read(gr_worker_stats(m->active->worker), (unsigned)p->stable, &c);
    *candidate = (struct gr_error_sample){p->carried.requests + gr_counters_total(&c),
                                          p->carried.errors + gr_counters_server_errors(&c)};
    *baseline = p->baseline;
}

void gr_manager_reload_convictions(struct gr_manager *m)
{
    struct gr_error e = {0};
    struct gr_conviction *list = NULL;
    size_t n = 0;
    if (gr_journal_convictions(m->journal, &list, &n, &e) < 0) {
        gr_log(GR_LOG_ERROR, "the quarantine could not be read: %s", e.message);
        return;
    }
    free(m->convictions);
    m->convictions = list;
    m->n_convictions = n;
}

static void op_convict(void *u, struct gr_rollout *r, size_t member)
{
    struct gr_manager *m = u;
    const struct gr_rollout_member *mem = &gr_rollout_row(r)->members[member];
    struct gr_conviction c = {.digest = mem->to->digest,
                              .module = mem->module,
                              .reason = mem->reason,
                              .at = gr_wall_now()};
    snprintf(c.version, sizeof c.version, "%s", mem->to->version.text);
    snprintf(c.evidence, sizeof c.evidence, "%s", mem->message);
    snprintf(c.instance, sizeof c.instance, "%s", m->config->instance.s);
    struct gr_error e = {0};
    if (gr_journal_convict(m->journal, &c, &e) < 0)
        gr_log(GR_LOG_ERROR, "the quarantine of %s %s could not be journaled: %s", mem->module.s,
               c.version, e.message);
    gr_manager_reload_convictions(m);
    gr_manager_tell(m, GR_MSG_QUARANTINED, GR_LOG_WARNING, mem->module.s, c.version,
                    gr_rollout_row(r)->id, NULL, mem->reason, mem->message);
}

// --- reports
// --------------------------------------------------------------------------------------

static const char *message_id(enum gr_phase p)
{
    return p == GR_PHASE_HEALTHY       ? GR_MSG_HEALTHY
           : p == GR_PHASE_ROLLED_BACK ? GR_MSG_ROLLED_BACK
           : p == GR_PHASE_REJECTED    ? GR_MSG_REJECTED
                                       : GR_MSG_PHASE;
}

void gr_manager_report(struct gr_manager *m, const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        struct gr_told *t = gr_manager_told(m, &mem->module);
        const char *message = mem->message[0] ? mem->message : row->message;
        if (t) {
            t->phase = row->phase;
            t->rollout = row->id;
            t->reason = row->reason;
            t->revision = mem->to ? mem->to->mod_revision : row->id;
            t->at = row->updated;
            snprintf(t->message, sizeof t->message, "%s", message);
        }
        bool bad = row->phase == GR_PHASE_REJECTED || row->phase == GR_PHASE_ROLLED_BACK;
        const char *id =
            row->phase == GR_PHASE_HEALTHY && !mem->to ? GR_MSG_REMOVED : message_id(row->phase);
        gr_manager_tell(m, id, bad ? GR_LOG_WARNING : GR_LOG_INFO, mem->module.s,
                        mem->to ? mem->to->version.text : NULL, row->id, gr_phase_name(row->phase),
                        row->reason, message);
    }
    if (row->phase == GR_PHASE_ROLLED_BACK)
        m->rollbacks[row->reason]++;
    if (row->phase == GR_PHASE_REJECTED)
        m->refused[row->reason]++;
}

static void op_changed(void *u, struct gr_rollout *r)
{
    struct gr_manager *m = u;
    gr_manager_report(m, gr_rollout_row(r));
    gr_manager_changed(m);
    gr_manager_advance(m);
}

static void op_ended(void *u, struct gr_rollout *r)
{
    struct gr_manager *m = u;
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (m->rollouts[i] == r) {
            for (size_t k = i + 1; k < m->n_rollouts; k++)
                m->rollouts[k - 1] = m->rollouts[k];
            m->n_rollouts--;
            m->ended[m->n_ended++] = r;
            break;
        }
    gr_manager_advance(m);
}

void gr_manager_init_ops(struct gr_manager *m)
{
    m->ops = (struct gr_rollout_ops){.stage = op_stage,
                                     .unstage = op_unstage,
                                     .swap = op_swap,
                                     .commit = op_commit,
                                     .release = op_release,
                                     .sample = op_sample,
                                     .convict = op_convict,
                                     .can_stage = op_can_stage,
                                     .changed = op_changed,
                                     .ended = op_ended,
                                     .userdata = m};
    m->env = (struct gr_rollout_env){
        .event = m->event, .journal = m->journal, .verifier = m->verifier, .ops = &m->ops};
    gr_manager_reload_convictions(m);
}

// --- their order
// ------------------------------------------------------------------------------------------

static bool in_force(struct gr_manager *m, const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_committed *c = gr_manager_row(m, &row->members[i].module);
        const struct gr_desired *to = row->members[i].to;
        if (to ? !c || !gr_desired_same_release(c->release, to) : c != NULL)
            return false;
    }
    return true;
}

// Newer wins: older rollouts of the same modules are superseded; the newer one begins when they
// have ended.
int gr_manager_advance_rollouts(struct gr_manager *m)
{
    for (size_t i = 0; i < m->n_ended;)
        if (!gr_rollout_is_waiting(m->ended[i])) {
            gr_rollout_free(m->ended[i]);
            m->ended[i] = m->ended[--m->n_ended];
        } else
            i++;
    for (size_t i = 0; i < m->n_rollouts; i++) {
        struct gr_rollout *r = m->rollouts[i];
        const struct gr_rollout_row *row = gr_rollout_row(r);
        if (row->phase != GR_PHASE_PENDING)
            continue;
        for (size_t k = 0; k < i; k++)
            for (size_t j = 0; j < row->n; j++)
                if (gr_rollout_names(m->rollouts[k], &row->members[j].module)) {
                    size_t before = m->n_rollouts;
                    gr_rollout_supersede(m->rollouts[k], row->id);
                    if (m->n_rollouts != before)
                        return 1; // the list moved: look again
                    goto blocked;
                }
        if (in_force(m, row))
            gr_rollout_settle(r);
        else
            gr_rollout_begin(r);
        if (i >= m->n_rollouts || m->rollouts[i] != r)
            return 1;
    blocked:;
    }
    return 0;
}

// --- after a start
// --------------------------------------------------------------------------------

static void recover_one(struct gr_manager *m, struct gr_rollout_row *row)
{
    struct gr_rollout *r = NULL;
    enum gr_phase phase = row->phase;
    int64_t id = row->id;
    char text[160];
    if (phase == GR_PHASE_BAKING || phase == GR_PHASE_ROLLING_BACK) {
        if (gr_rollout_resume(&m->env, row, &r) < 0)
            return;
        m->rollouts[m->n_rollouts++] = r;
        if (phase == GR_PHASE_ROLLING_BACK)
            gr_rollout_restore_without_worker(r, SIZE_MAX, NULL);
        snprintf(
            text, sizeof text,
            phase == GR_PHASE_BAKING
                ? "rollout %" PRId64 " was in its bake when the supervisor ended; the bake goes on"
                : "rollout %" PRId64 " was on its way back when the supervisor ended; it is back",
            id);
    } else { // nothing of it was committed: the desired state asks again
        row->phase = GR_PHASE_SUPERSEDED;
        row->updated = gr_wall_now();
        snprintf(row->message, sizeof row->message,
                 "the supervisor ended before it was in force; the desired state is planned anew");
        struct gr_error e = {0};
        if (gr_journal_put_rollout(m->journal, row, &e) < 0)
            gr_log(GR_LOG_ERROR, "%s", e.message);
        snprintf(text, sizeof text,
                 "rollout %" PRId64 " was %s when the supervisor ended; nothing of it is in force",
                 id, gr_phase_name(phase));
    }
    gr_manager_tell(m, GR_MSG_RECOVERED, GR_LOG_NOTICE, NULL, NULL, id, gr_phase_name(phase),
                    GR_REASON_NONE, text);
}

int gr_manager_recover(struct gr_manager *m, struct gr_error *e)
{
    int k = gr_journal_load_table(m->journal, &m->table, e);
    if (k < 0)
        return k;
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    k = gr_journal_open_rollouts(m->journal, &rows, &n, e);
    if (k < 0)
        return k;
    for (size_t i = 0; i < n; i++) {
        if (m->n_rollouts < GR_ROLLOUTS_MAX)
            recover_one(m, &rows[i]);
        gr_rollout_row_done(&rows[i]);
    }
    free(rows);
    return 0;
}

void gr_manager_free_rollouts(struct gr_manager *m)
{
    for (size_t i = 0; i < m->n_rollouts; i++)
        gr_rollout_free(m->rollouts[i]);
    for (size_t i = 0; i < m->n_ended; i++)
        gr_rollout_free(m->ended[i]);
    m->n_rollouts = m->n_ended = 0;
    free(m->convictions);
}
