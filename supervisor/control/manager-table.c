// Owns the committed table in memory: how a rollout's members change its rows, always together with
// the journal, and which artifacts it still names.
#include "base/fault.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <string.h>

// --- rows
// ------------------------------------------------------------------------------------------------

const struct gr_committed *gr_manager_row(const struct gr_manager *m, const struct gr_name *module)
{
    for (size_t i = 0; i < m->table.n; i++)
        if (gr_name_equal(&m->table.rows[i].module, module))
            return &m->table.rows[i];
    return NULL;
}

bool gr_manager_row_names(const struct gr_committed *row, const struct gr_digest *digest)
{
    const struct gr_desired *named[] = {row->release, row->previous, row->last_good};
    for (size_t i = 0; i < GR_COUNT(named); i++)
        if (named[i] && gr_digest_equal(&named[i]->digest, digest))
            return true;
    return false;
}

static struct gr_committed *table_row(struct gr_manager *m, const struct gr_name *module)
{
    for (size_t i = 0; i < m->table.n; i++)
        if (gr_name_equal(&m->table.rows[i].module, module))
            return &m->table.rows[i];
    return NULL;
}

static void row_done(struct gr_committed *c)
{
    gr_desired_free(c->release);
    gr_desired_free(c->previous);
    gr_desired_free(c->last_good);
}

static int copy_or_null(const struct gr_desired *d, struct gr_desired **ret)
{
    return d ? gr_desired_copy(d, ret) : 0;
}

// The row of one member as direction d makes it. Borrowed parts.
static struct gr_committed next_row(struct gr_manager *m, const struct gr_rollout_member *mem,
                                    enum gr_direction d)
{
    const struct gr_committed *now = gr_manager_row(m, &mem->module);
    struct gr_committed c = {.module = mem->module};
    if (d == GR_FORWARD) {
        c.release = mem->to;
        c.previous = now ? now->release : NULL;
        c.last_good = now ? now->last_good : NULL;
    } else if (d == GR_SETTLE) {
        c.release = mem->to;
        c.last_good = mem->to;
    } else {
        c.release = now && now->previous ? now->previous : mem->to ? NULL : mem->from;
        c.last_good = now && now->last_good ? now->last_good : c.release;
    }
    return c;
}

static void take_up(struct gr_manager *m, const struct gr_committed *c)
{
    struct gr_committed *now = table_row(m, &c->module);
    struct gr_committed fresh = {.module = c->module};
    if (copy_or_null(c->release, &fresh.release) < 0 ||
        copy_or_null(c->previous, &fresh.previous) < 0 ||
        copy_or_null(c->last_good, &fresh.last_good) < 0) {
        row_done(&fresh);
        gr_log(GR_LOG_ERROR,
               "out of memory: the table in memory lags the journal; restart graylingd");
        return;
    }
    if (!fresh.release) {
        row_done(&fresh);
        if (now) {
            row_done(now);
            *now = m->table.rows[--m->table.n];
        }
        return;
    }
    if (!now) {
        struct gr_committed *more = reallocarray(m->table.rows, m->table.n + 1, sizeof *more);
        if (!more) {
            row_done(&fresh);
            return;
        }
        m->table.rows = more;
        now = &more[m->table.n++];
        *now = fresh;
        return;
    }
    row_done(now);
    *now = fresh;
}

int gr_manager_commit_rows(struct gr_manager *m, const struct gr_rollout_row *row,
                           enum gr_direction d, const struct gr_rollout_row *as, struct gr_error *e)
{
    struct gr_committed *rows GR_AUTO_FREE = calloc(row->n ? row->n : 1, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < row->n; i++)
        rows[i] = next_row(m, &row->members[i], d);
    int k = GR_FAULT("manager.before-commit");
    if (k == 0)
        k = gr_journal_commit_table(m->journal, as, m->table.number + 1, rows, row->n, e);
    if (k < 0 && d == GR_FORWARD)
        return k;
    GR_INSTANT("manager.after-commit");
    for (size_t i = 0; i < row->n; i++)
        take_up(m, &rows[i]);
    m->table.number++;
    return k;
}

// --- the store
// -------------------------------------------------------------------------------------------

// The newest convictions keep their artifacts: a core file, perf or a profile that was taken before
// finds its functions there, and who forgives one looks at it first.
static size_t keep_evidence(const struct gr_manager *m, struct gr_digest *keep)
{
    size_t n = 0;
    int64_t before = INT64_MAX;
    while (n < GR_STORE_EVIDENCE_MAX) {
        const struct gr_conviction *newest = NULL;
        for (size_t i = 0; i < m->n_convictions; i++) {
            const struct gr_conviction *c = &m->convictions[i];
            if (c->at.usec < before && (!newest || c->at.usec > newest->at.usec))
                newest = c;
        }
        if (!newest)
            break;
        before = newest->at.usec;
        keep[n++] = newest->digest;
    }
    return n;
}

// Old artifacts go when a release has become the last good one; never one that a row or a rollout
// names, or that is evidence.
void gr_manager_collect_store(struct gr_manager *m)
{
    size_t cap = 3 * m->table.n + GR_STORE_EVIDENCE_MAX, n = 0;
    for (size_t i = 0; i < m->n_rollouts; i++)
        cap += gr_rollout_row(m->rollouts[i])->n;
    GR_AUTO_FREE struct gr_digest *keep = calloc(cap + 1, sizeof *keep);
    if (!keep)
        return;
    for (size_t i = 0; i < m->table.n; i++) {
        const struct gr_committed *c = &m->table.rows[i];
        const struct gr_desired *named[] = {c->release, c->previous, c->last_good};
        for (size_t k = 0; k < GR_COUNT(named); k++)
            if (named[k])
                keep[n++] = named[k]->digest;
    }
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; k < row->n; k++)
            if (row->members[k].to)
                keep[n++] = row->members[k].to->digest;
    }
    n += keep_evidence(m, keep + n);
    int k = GR_FAULT("store.collect");
    if (k == 0)
        k = gr_verifier_collect(m->verifier, keep, n);
    if (k < 0)
        gr_log(GR_LOG_WARNING, "the store could not be tidied: %s", strerror(-k));
}
