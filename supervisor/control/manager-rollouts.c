// Owns which rollouts are in progress: their order, their recovery after a start, and what they say
// of themselves. What they do to the worker is in manager-ops.c.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include "state/blame.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool gr_manager_is_waiting(const struct gr_manager *m)
{
    for (size_t i = 0; i < m->n_rollouts; i++)
        if (gr_rollout_is_waiting(m->rollouts[i]))
            return true;
    return false;
}

struct gr_rollout *gr_manager_find_rollout(const struct gr_manager *m, int64_t id,
                                           const struct gr_name *module, size_t *ret_member)
{
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; row->id == id && k < row->n; k++)
            if (gr_name_equal(&row->members[k].module, module)) {
                *ret_member = k;
                return m->rollouts[i];
            }
    }
    return NULL;
}

// --- the quarantine
// -------------------------------------------------------------------------------------

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

bool gr_member_reconfigures(const struct gr_rollout_member *mem)
{
    return mem->to && mem->from && gr_digest_equal(&mem->to->digest, &mem->from->digest);
}

// A change of configuration alone convicts code and configuration together: the code by itself
// served well.
int gr_member_accused(const struct gr_rollout_member *mem, struct gr_digest *ret)
{
    if (gr_member_reconfigures(mem))
        return gr_desired_fingerprint(mem->to, ret);
    *ret = mem->to->digest;
    return 0;
}

void gr_manager_convict(struct gr_manager *m, const struct gr_rollout_member *mem, int64_t rollout)
{
    struct gr_conviction c = {.module = mem->module, .reason = mem->reason, .at = gr_wall_now()};
    struct gr_error e = {0};
    if (gr_member_accused(mem, &c.digest) < 0) {
        gr_log(GR_LOG_ERROR, "out of memory: the configuration of %s is not quarantined",
               mem->module.s);
        return;
    }
    snprintf(c.version, sizeof c.version, "%s", mem->to->version.text);
    snprintf(c.evidence, sizeof c.evidence, "%s", mem->message);
    snprintf(c.instance, sizeof c.instance, "%s", m->config->instance.s);
    GR_INSTANT("quarantine.before-convict");
    if (gr_journal_convict(m->journal, &c, &e) < 0)
        gr_log(GR_LOG_ERROR, "the quarantine of %s %s could not be journaled: %s", mem->module.s,
               c.version, e.message);
    if (gr_journal_forget_tries(m->journal, &c.digest, 1, &e) < 0)
        gr_log(GR_LOG_WARNING, "%s", e.message);
    GR_INSTANT("quarantine.convicted");
    gr_manager_reload_convictions(m);
    gr_quarantine_touch(m->quarantine);
    gr_manager_tell(m, GR_MSG_QUARANTINED, GR_LOG_WARNING, mem->module.s, c.version, rollout, NULL,
                    mem->reason, mem->message);
}

static void op_convict(void *u, struct gr_rollout *r, size_t member)
{
    gr_manager_convict(u, &gr_rollout_row(r)->members[member], gr_rollout_row(r)->id);
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

static bool is_back(enum gr_phase p)
{
    return p == GR_PHASE_ROLLED_BACK || p == GR_PHASE_SUPERSEDED;
}

// Before the newest phase is noted: counts what it means, once for a batch and once for each
// member.
static void count_end(struct gr_manager *m, const struct gr_rollout_row *row)
{
    const struct gr_told *t = gr_manager_told(m, &row->members[0].module);
    if (t && t->rollout == row->id && t->phase == GR_PHASE_ROLLING_BACK && is_back(row->phase))
        gr_tallies_add_back(&m->tallies, gr_mono_now().usec - t->entered.usec);
    for (size_t i = 0; i < row->n && row->phase == GR_PHASE_ROLLED_BACK; i++) {
        struct gr_tally *c = gr_tallies_open(&m->tallies, &row->members[i].module);
        if (c)
            c->rollbacks[row->reason]++;
    }
    if (row->phase == GR_PHASE_REJECTED)
        m->tallies.refused[row->reason]++;
}

static void note_move(struct gr_told *t, const struct gr_rollout_row *row)
{
    bool fresh = t->rollout != row->id || t->phase != row->phase;
    if (fresh)
        t->entered = gr_mono_now();
    if (fresh || t->step != row->step)
        t->moved = row->updated;
    t->step = row->step;
}

void gr_manager_report(struct gr_manager *m, const struct gr_rollout_row *row)
{
    count_end(m, row);
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        struct gr_told *t = gr_manager_told(m, &mem->module);
        char sentence[GR_MESSAGE_MAX];
        const char *message = gr_rollout_row_sentence(row, i, sentence);
        if (t) {
            note_move(t, row);
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
}

static enum gr_resolve_verdict op_admit(void *u, struct gr_rollout *r, struct gr_admission *ret)
{
    enum gr_resolve_verdict v = gr_manager_lock(u, r, ret); // it may take more along
    return v == GR_RESOLVE_GO ? gr_manager_resolve(u, r, ret) : v;
}

static void op_changed(void *u, struct gr_rollout *r)
{
    struct gr_manager *m = u;
    gr_manager_report(m, gr_rollout_row(r));
    gr_manager_changed(m);
    gr_manager_advance(m);
}

static void op_noted(void *u, struct gr_rollout *r, const char *message_id, const char *sentence)
{
    struct gr_manager *m = u;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        struct gr_told *t = gr_manager_told(m, &mem->module);
        if (t) {
            note_move(t, row);
            t->reason = row->reason;
            t->at = row->updated;
            snprintf(t->message, sizeof t->message, "%s", row->message);
        }
        gr_manager_tell(m, message_id, GR_LOG_INFO, mem->module.s,
                        mem->to ? mem->to->version.text : NULL, row->id, gr_phase_name(row->phase),
                        row->reason, sentence);
    }
    gr_manager_changed(m);
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
            gr_harms_close(m->harms, gr_rollout_row(r)->id);
            break;
        }
    gr_manager_advance(m);
}

void gr_manager_init_ops(struct gr_manager *m)
{
    m->ops = (struct gr_rollout_ops){.admit = op_admit,
                                     .convict = op_convict,
                                     .changed = op_changed,
                                     .noted = op_noted,
                                     .ended = op_ended,
                                     .userdata = m};
    gr_manager_worker_ops(&m->ops);
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

// Does the newer one ask for what served before the older one began? Then its writer took the older
// one back, as grayctl abort and undo do.
static bool asks_back(const struct gr_rollout_row *newer, const struct gr_rollout_row *older)
{
    bool meets = false;
    for (size_t i = 0; i < newer->n; i++)
        for (size_t k = 0; k < older->n; k++) {
            const struct gr_desired *to = newer->members[i].to, *from = older->members[k].from;
            if (!gr_name_equal(&newer->members[i].module, &older->members[k].module))
                continue;
            if (!to || !from || !gr_desired_same_release(to, from))
                return false;
            meets = true;
        }
    return meets;
}

// Where state would be lost by that and the documents do not agree to it, the newer one is refused.
static void take_back(struct gr_rollout *older, struct gr_rollout *by)
{
    const struct gr_rollout_row *newer = gr_rollout_row(by);
    const struct gr_desired *d = newer->members[0].to;
    struct gr_order o = {.verb = GR_ORDER_ABORT, .rollout = gr_rollout_row(older)->id, .step = -1};
    struct gr_error e = {0};
    for (size_t i = 0; i < newer->n && !(d && d->actor[0]); i++)
        d = newer->members[i].to;
    for (size_t i = 0; i < newer->n; i++)
        o.one_way |= newer->members[i].to && newer->members[i].to->one_way;
    snprintf(o.actor, sizeof o.actor, "%s", d ? d->actor : "");
    snprintf(o.reason, sizeof o.reason, "%s",
             d && d->reason[0] ? d->reason : "the version before is desired again");
    int k = gr_rollout_steer(older, &o, &e);
    if (k == -EPERM) {
        gr_error_set(
            &e, k, GR_REASON_STATE_HANDOVER_FAILED,
            "the version before is desired again, and %.300s cannot be taken back without "
            "a loss: %.400s. Write a newer release, or, if the state may go, grayctl abort "
            "--one-way or \"one_way\": true in the document",
            gr_rollout_row(older)->members[0].module.s, gr_rollout_row(older)->gray.door_why);
        gr_rollout_fail(by, newer->n, &e);
    } else if (k < 0) { // on its way back already
        gr_log(GR_LOG_DEBUG, "%s", e.message);
    }
}

// What waits to be admitted is asked again with each change of anything; newer ones may take older
// ones along.
static int reconsider(struct gr_manager *m)
{
    for (size_t i = 0; i < m->n_rollouts; i++) {
        size_t before = m->n_rollouts;
        gr_rollout_reconsider(m->rollouts[i]);
        if (m->n_rollouts != before)
            return 1; // the list moved: look again
    }
    return 0;
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
                    if (asks_back(row, gr_rollout_row(m->rollouts[k])))
                        take_back(m->rollouts[k], r);
                    else
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
    return reconsider(m);
}

// --- after a start
// --------------------------------------------------------------------------------

void gr_manager_adopt_told(struct gr_manager *m, const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++) {
        struct gr_told *t = gr_manager_told(m, &row->members[i].module);
        if (t) {
            note_move(t, row);
            t->phase = row->phase;
            t->rollout = row->id;
            t->reason = row->reason;
            t->revision = row->members[i].to ? row->members[i].to->mod_revision : row->id;
            snprintf(t->message, sizeof t->message, "%s", row->message);
        }
    }
}

static bool is_convicted(const struct gr_manager *m, const struct gr_digest *d)
{
    for (size_t i = 0; i < m->n_convictions; i++)
        if (gr_digest_equal(&m->convictions[i].digest, d))
            return true;
    return false;
}

// The way back is journaled before the conviction: where the supervisor died in between, the row
// tells who is guilty, and of what.
static void convict_as_journaled(struct gr_manager *m, const struct gr_rollout_row *row)
{
    struct gr_digest accused;
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        if (mem->to && gr_rollout_convicts(mem->reason) && gr_member_accused(mem, &accused) == 0 &&
            !is_convicted(m, &accused))
            gr_manager_convict(m, mem, row->id);
    }
}

static void recover_one(struct gr_manager *m, struct gr_rollout_row *row)
{
    struct gr_rollout *r = NULL;
    enum gr_phase phase = row->phase;
    int64_t id = row->id;
    char text[200];
    bool gray = phase == GR_PHASE_PROGRESSING || phase == GR_PHASE_PAUSED;
    bool convicted = gr_start_accuse(m, row);
    if (gray || phase == GR_PHASE_BAKING || phase == GR_PHASE_ROLLING_BACK) {
        if (gr_rollout_resume(&m->env, row, &r) < 0)
            return;
        m->rollouts[m->n_rollouts++] = r;
        gr_manager_adopt_told(m, gr_rollout_row(r));
        if (phase == GR_PHASE_ROLLING_BACK) {
            convict_as_journaled(m, gr_rollout_row(r));
            gr_rollout_restore_without_worker(r, SIZE_MAX, NULL);
        }
        if (convicted) {
            gr_start_take_back(m, r);
            return;
        }
        if (gray)
            snprintf(text, sizeof text,
                     "rollout %" PRId64 " was at step %" PRId64 " when the supervisor ended; it "
                     "goes on there with the time that was left",
                     id, gr_rollout_row(r)->step + 1);
        else
            snprintf(text, sizeof text,
                     phase == GR_PHASE_BAKING ? "rollout %" PRId64 " was in its bake when the "
                                                "supervisor ended; the bake goes on"
                                              : "rollout %" PRId64 " was on its way back when the "
                                                "supervisor ended; it is back",
                     id);
    } else { // nothing of it was committed: the desired state asks again
        row->phase = convicted ? GR_PHASE_REJECTED : GR_PHASE_SUPERSEDED;
        row->reason = convicted ? GR_REASON_CRASHED : row->reason;
        row->updated = gr_wall_now();
        snprintf(row->message, sizeof row->message, "%s",
                 convicted
                     ? "starts died again and again while it was looked at; what it brings is "
                       "quarantined: publish a mended build"
                     : "the supervisor ended before it was in force; the desired state is "
                       "planned anew");
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
    gr_start_decide(m);
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
