// Owns the judgement of starts: whether the one before died, who answers for it, and whether so
// many died without a culprit that this one serves what is known to be good and touches nothing.
// A start has begun when its mark is journaled and has succeeded when a worker has served for
// [Service] StableAfter. How the process before ended is known only from what is left: its mark,
// its last words (a fault of its own), the boot id of the host, and of a worker the wait status and
// the evidence.
#include "base/fault.h"
#include "base/log.h"
#include "control/last-words.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

// --- the start before
// -----------------------------------------------------------------------------

// The unit hands it over, since a service that sees no /proc but processes cannot read it.
static void read_boot_id(char ret[GR_BOOT_ID_MAX])
{
    const char *given = secure_getenv("GRAYLING_BOOT_ID");
    ret[0] = '\0';
    if (given && *given) {
        snprintf(ret, GR_BOOT_ID_MAX, "%s", given);
        return;
    }
    GR_AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret, GR_BOOT_ID_MAX - 1);
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

// A monotonic clock that went back tells of a restart as well.
static bool same_boot(const struct gr_start_row *a, const struct gr_start_row *now)
{
    return strcmp(a->boot, now->boot) == 0 && a->at.usec <= now->at.usec;
}

static bool died(const struct gr_start_row *row, const struct gr_start_row *now)
{
    return row->state == GR_START_BEGUN && same_boot(row, now);
}

static unsigned unexplained_deaths(const struct gr_start_row *rows, size_t n,
                                   const struct gr_start_row *now)
{
    unsigned deaths = 0;
    for (size_t i = 0; i < n; i++) {
        if (!died(&rows[i], now) || now->at.usec - rows[i].at.usec > GR_SAFE_MODE_USEC)
            break;
        deaths += !rows[i].blamed;
    }
    return deaths;
}

void gr_start_begin(struct gr_manager *m)
{
    struct gr_start *s = &m->start;
    struct gr_start_row rows[GR_STARTS_KEPT], now = {.at = gr_mono_now()};
    struct gr_error e = {0};
    char words[GR_LAST_WORDS_MAX];
    size_t n = 0;
    read_boot_id(now.boot);
    int k = gr_last_words_arm(m->config->state_dir, words);
    if (k < 0)
        gr_log(GR_LOG_WARNING,
               "a fault of graylingd would leave no trace for its next start: %s/last-words: %s",
               m->config->state_dir, strerror(-k));
    k = gr_journal_get_safe_mode(m->journal, &s->safe, &e);
    if (k == 0)
        k = gr_journal_starts(m->journal, rows, &n, &e);
    if (k == 0 && n && died(&rows[0], &now)) {
        s->deaths = unexplained_deaths(rows, n, &now);
        s->dead = rows[0].number;
        if (*words)
            snprintf(s->died_of, sizeof s->died_of, "graylingd ended with %.40s", words);
    }
    if (k == 0)
        k = GR_FAULT("start.before-begun");
    if (k == 0)
        k = gr_journal_begin_start(m->journal, &now, &s->number, &e);
    if (k < 0)
        gr_log(GR_LOG_WARNING, "that this start began could not be journaled: %s",
               e.message[0] ? e.message : strerror(-k));
    GR_INSTANT("start.begun");
}

// --- who answers for it
// ---------------------------------------------------------------------------

static bool in_play(enum gr_phase p)
{
    return p != GR_PHASE_PENDING && p != GR_PHASE_ROLLING_BACK && !gr_phase_is_terminal(p);
}

static bool had_its_last(struct gr_manager *m, const struct gr_rollout_row *row, size_t member,
                         const char *how)
{
    const struct gr_rollout_member *mem = &row->members[member];
    struct gr_digest accused;
    struct gr_error e = {0};
    char text[GR_MESSAGE_MAX];
    unsigned tries = 0;
    if (gr_member_accused(mem, &accused) < 0 ||
        gr_journal_add_try(m->journal, &accused, &tries, &e) < 0) {
        gr_log(GR_LOG_ERROR, "a try of %s %s could not be counted: %s", mem->module.s,
               mem->to->version.text, e.message);
        return false;
    }
    snprintf(text, sizeof text,
             "%.600s, with %s %s in play and before the service was stable; that is try %u of %d",
             how, mem->module.s, mem->to->version.text, tries, GR_START_TRIES_MAX);
    gr_manager_tell(m, GR_MSG_START_DIED, GR_LOG_WARNING, mem->module.s, mem->to->version.text,
                    row->id, NULL, GR_REASON_CRASHED, text);
    return tries >= GR_START_TRIES_MAX;
}

static void convict(struct gr_manager *m, const struct gr_rollout_row *row, size_t member,
                    const char *how)
{
    struct gr_rollout_member guilty = row->members[member];
    guilty.reason = GR_REASON_CRASHED;
    snprintf(guilty.message, sizeof guilty.message,
             "%d starts died with %s %s in play before the service was stable; expected each to "
             "serve. The last: %.500s. What was before serves, and what changed, digest or "
             "configuration, is quarantined: publish a mended one",
             GR_START_TRIES_MAX, guilty.module.s, guilty.to->version.text, how);
    gr_manager_convict(m, &guilty, row->id);
}

// One more try for each member with this digest (NULL: for all that are new). True: one has had its
// last, and what had is quarantined.
static bool charge(struct gr_manager *m, const struct gr_rollout_row *row,
                   const struct gr_digest *only, const char *how)
{
    bool last = false;
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        if (mem->to && (!only || gr_digest_equal(&mem->to->digest, only)) &&
            had_its_last(m, row, i, how)) {
            convict(m, row, i, how);
            last = true;
        }
    }
    return last;
}

// Those who are guilty are convicted already.
static void take_back(struct gr_manager *m, struct gr_rollout *r, const char *how)
{
    size_t nobody = gr_rollout_row(r)->n;
    struct gr_error e = {0};
    gr_error_set(&e, -EFAULT, GR_REASON_CRASHED,
                 "%d starts died with it in play before the service was stable; expected each to "
                 "serve. The last: %.500s. What was before serves, and what changed is "
                 "quarantined: publish a mended one",
                 GR_START_TRIES_MAX, how);
    if (m->active) // it has the candidate, and serves
        gr_rollout_fail(r, nobody, &e);
    else
        (void)!gr_rollout_restore_without_worker(r, nobody, &e);
}

bool gr_start_accuse(struct gr_manager *m, const struct gr_rollout_row *row)
{
    struct gr_start *s = &m->start;
    struct gr_error e = {0};
    if (!s->died_of[0] || !in_play(row->phase))
        return false;
    if (!s->blamed && gr_journal_blame_start(m->journal, s->dead, &e) < 0)
        gr_log(GR_LOG_ERROR, "%s", e.message);
    if (!s->blamed && s->deaths)
        s->deaths--;
    s->blamed = true;
    return charge(m, row, NULL, s->died_of);
}

void gr_start_take_back(struct gr_manager *m, struct gr_rollout *r)
{
    take_back(m, r, m->start.died_of);
}

void gr_start_worker_died(struct gr_hosted *h, const struct gr_worker_death *d, const char *how)
{
    struct gr_manager *m = h->manager;
    struct gr_evidence ev;
    bool foreign = gr_worker_was_killed(d);
    bool evident = gr_stats_evidence(gr_worker_stats(h->worker), &ev) && ev.slot >= 0 &&
                   ev.slot < GR_INSTANCES_MAX;
    const struct gr_digest *only = evident ? &h->held[ev.slot].digest : NULL;
    if ((foreign && !evident) || (h->state != GR_HOSTED_STARTING && m->start.stable))
        return;
    for (size_t i = m->n_rollouts; i-- > 0;) { // one that ends leaves the list
        struct gr_rollout *r = m->rollouts[i];
        bool loaded = gr_rollout_is_gray(r) || gr_rollout_row(r)->phase == GR_PHASE_BAKING;
        if (loaded && charge(m, gr_rollout_row(r), only, how))
            take_back(m, r, how);
    }
}

// --- stable, ended
// --------------------------------------------------------------------------------

// What was in play and has survived is not held to account for what was.
static void forgive(struct gr_manager *m)
{
    GR_AUTO_FREE struct gr_digest *list = NULL;
    struct gr_error e = {0};
    size_t n = 0, room = m->table.n;
    for (size_t i = 0; i < m->n_rollouts; i++)
        room += gr_rollout_row(m->rollouts[i])->n;
    list = calloc(room + 1, sizeof *list);
    if (!list)
        return;
    for (size_t i = 0; i < m->table.n; i++)
        list[n++] = m->table.rows[i].release->digest;
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; k < row->n; k++)
            if (row->members[k].to && gr_member_accused(&row->members[k], &list[n]) == 0)
                n++;
    }
    if (gr_journal_forget_tries(m->journal, list, n, &e) < 0)
        gr_log(GR_LOG_WARNING, "%s", e.message);
}

static void mark(struct gr_manager *m, enum gr_start_state state)
{
    struct gr_error e = {0};
    if (m->start.number && gr_journal_mark_start(m->journal, m->start.number, state, &e) < 0)
        gr_log(GR_LOG_WARNING, "how this start went could not be journaled: %s", e.message);
}

static void become_stable(struct gr_manager *m)
{
    if (!m->start.stable) {
        GR_INSTANT("start.before-stable");
        mark(m, GR_START_STABLE);
        GR_INSTANT("start.stable");
    }
    m->start.stable = true;
    forgive(m);
}

static int on_stable(sd_event_source *s, uint64_t usec, void *u)
{
    struct gr_manager *m = u;
    (void)s, (void)usec;
    m->start.timer = sd_event_source_disable_unref(m->start.timer);
    become_stable(m);
    return 0;
}

void gr_start_serves(struct gr_manager *m)
{
    m->start.timer = sd_event_source_disable_unref(m->start.timer);
    if (m->config->stable_after_usec == 0)
        become_stable(m);
    else if (sd_event_add_time_relative(m->event, &m->start.timer, CLOCK_MONOTONIC,
                                        m->config->stable_after_usec, GR_USEC_PER_MSEC, on_stable,
                                        m) < 0)
        gr_log(GR_LOG_ERROR, "no timer for the end of the start");
}

void gr_start_worker_lost(struct gr_manager *m)
{
    m->start.timer = sd_event_source_disable_unref(m->start.timer);
}

void gr_start_end(struct gr_manager *m)
{
    GR_INSTANT("start.ending");
    m->start.timer = sd_event_source_disable_unref(m->start.timer);
    mark(m, GR_START_ENDED);
    m->start.number = 0;
}

// --- safe mode
// ------------------------------------------------------------------------------------

bool gr_manager_is_safe(const struct gr_manager *m)
{
    return m->start.safe.since.usec != 0;
}

int gr_start_refuse(struct gr_error *e)
{
    return gr_error_set_retryable(e, -EPERM, GR_REASON_INTERNAL,
                                  "no rollout begins in safe mode; expected the last good versions "
                                  "to serve alone until a person has looked. grayctl status says "
                                  "why, and grayctl safe-mode leave --reason TEXT ends it");
}

static void take_all_back(struct gr_manager *m)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EFAULT, GR_REASON_CRASHED,
                 "this host is in safe mode, since %d starts in a row died without a culprit; "
                 "expected none. Nothing was found wrong with this release: it is tried again when "
                 "safe mode is left",
                 GR_SAFE_MODE_STARTS);
    for (size_t i = m->n_rollouts; i-- > 0;)
        (void)!gr_rollout_restore_without_worker(m->rollouts[i], gr_rollout_row(m->rollouts[i])->n,
                                                 &e);
}

void gr_start_decide(struct gr_manager *m)
{
    struct gr_safe_mode *safe = &m->start.safe;
    struct gr_error e = {0};
    bool enters = !safe->since.usec && m->start.deaths >= GR_SAFE_MODE_STARTS;
    if (enters) {
        safe->since = gr_wall_now();
        snprintf(
            safe->why, sizeof safe->why,
            "safe mode: %u starts in a row died within %d minutes before the service was "
            "stable, and no candidate could be blamed; expected a start to live. The last good "
            "versions serve, the source is not followed and nothing is rolled out. Look for "
            "what ended graylingd, then leave it: grayctl safe-mode leave --reason TEXT",
            m->start.deaths, (int)(GR_SAFE_MODE_USEC / GR_USEC_PER_SEC / 60));
        if (gr_journal_set_safe_mode(m->journal, safe, &e) < 0)
            gr_log(GR_LOG_ERROR, "safe mode could not be journaled: %s", e.message);
    }
    if (!gr_manager_is_safe(m))
        return;
    take_all_back(m);
    gr_manager_tell(m, GR_MSG_SAFE_MODE, GR_LOG_ERROR, NULL, NULL, 0, "Degraded", GR_REASON_CRASHED,
                    safe->why);
}

int gr_manager_leave_safe_mode(struct gr_manager *m, const char *actor, const char *reason,
                               struct gr_error *e)
{
    char text[GR_MESSAGE_MAX];
    if (!gr_manager_is_safe(m))
        return gr_error_set(e, -EALREADY, GR_REASON_NONE, "this host is not in safe mode");
    int k = gr_journal_set_safe_mode(m->journal, NULL, e);
    if (k < 0)
        return k;
    m->start.safe = (struct gr_safe_mode){0};
    snprintf(text, sizeof text, "%.128s left safe mode: %.500s",
             actor && *actor ? actor : "an operator", reason);
    gr_manager_tell(m, GR_MSG_SAFE_MODE_LEFT, GR_LOG_NOTICE, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    text);
    k = gr_manager_follow_source(m, e);
    gr_manager_changed(m);
    return k;
}
