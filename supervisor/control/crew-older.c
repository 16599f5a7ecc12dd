// Owns the choice of what serves when the committed release of a module cannot be had: the newest
// one that served well before, is kept by the journal and was not convicted since.
#include "base/log.h"
#include "control/manager-internal.h"
#include <string.h>

struct choice {
    struct gr_manager *manager;
    const struct gr_committed *row;
    size_t n;
    const struct gr_desired *seen[GR_OLDER_MAX]; // borrowed
};

static bool is_convicted(const struct gr_manager *m, const struct gr_desired *d)
{
    struct gr_digest both;
    bool known = gr_desired_fingerprint(d, &both) == 0;
    for (size_t i = 0; i < m->n_convictions; i++)
        if (gr_digest_equal(&m->convictions[i].digest, &d->digest) ||
            (known && gr_digest_equal(&m->convictions[i].digest, &both)))
            return true;
    return false;
}

static void consider(struct choice *c, const struct gr_desired *d)
{
    if (!d || c->n == GR_OLDER_MAX || gr_desired_same_release(d, c->row->release) ||
        is_convicted(c->manager, d))
        return;
    for (size_t i = 0; i < c->n; i++)
        if (gr_desired_same_release(c->seen[i], d))
            return;
    c->seen[c->n++] = d;
}

static void consider_history(struct choice *c, const struct gr_rollout_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; rows[i].phase == GR_PHASE_HEALTHY && k < rows[i].n; k++)
            if (gr_name_equal(&rows[i].members[k].module, &c->row->module))
                consider(c, rows[i].members[k].to);
}

struct gr_desired *gr_crew_older(struct gr_manager *m, const struct gr_committed *row, size_t nth)
{
    struct choice c = {.manager = m, .row = row};
    struct gr_rollout_row *rows = NULL;
    struct gr_desired *ret = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    consider(&c, row->last_good);
    consider(&c, row->previous);
    if (gr_journal_history(m->journal, row->module.s, GR_OLDER_LOOK_MAX, &rows, &n, &e) < 0)
        gr_log(GR_LOG_ERROR, "older releases of %s cannot be looked up: %s", row->module.s,
               e.message);
    consider_history(&c, rows, n);
    if (nth < c.n && gr_desired_copy(c.seen[nth], &ret) < 0)
        gr_log(GR_LOG_ERROR, "out of memory: no older release of %s", row->module.s);
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    return ret;
}
