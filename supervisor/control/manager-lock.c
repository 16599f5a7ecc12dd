// Upgrade locks among rollouts: whom a rollout waits for, and which older one that waits too it
// takes along. The rule itself is state/lock.h's.
#include "base/buf.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include "state/lock.h"
#include "state/plan-ladder.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct lock_set { // what is in force, and what changes
    size_t n, n_missing;
    struct gr_lock_module modules[GR_MODULES_MAX];
    struct gr_lock_tie missing[GR_MODULES_MAX];
};

// --- what a rollout is tied to
// --------------------------------------------------------------------

static const struct gr_wish *wish_of(const struct gr_wishes *w, const struct gr_name *module)
{
    for (size_t i = 0; i < w->n; i++)
        if (gr_name_equal(&w->wishes[i].module, module))
            return &w->wishes[i];
    return NULL;
}

static bool asks_for_it(const struct gr_wish *w, const struct gr_committed *row)
{
    return w && w->desired && gr_desired_same_release(row->release, w->desired);
}

// Written in the same transaction as a part of the rollout, it asks for what serves: so it is meant
// to stay. And what came into force later than the rollout was asked for has changed with it.
static bool stays(const struct gr_manager *m, const struct gr_rollout *r,
                  const struct gr_committed *row)
{
    const struct gr_wish *w = wish_of(&m->now, &row->module);
    bool as_it_is = asks_for_it(w, row);
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < gr_rollout_row(r)->n; i++) {
        int64_t revision = gr_rollout_revision(r, i);
        if (as_it_is && w->mod_revision == revision)
            return true;
        if (revision < oldest)
            oldest = revision;
    }
    return row->release->mod_revision > oldest;
}

// Nothing changes yet. The order is the table's; what is not in force yet is tied to nobody.
static void put_table(struct gr_manager *m, struct lock_set *s)
{
    *s = (struct lock_set){0};
    for (size_t i = 0; i < m->table.n && s->n < GR_COUNT(s->modules); i++)
        s->modules[s->n++] =
            (struct gr_lock_module){.module = m->table.rows[i].module.s,
                                    .in_force = true,
                                    .before = gr_manager_contract(m, m->table.rows[i].release)};
}

static struct gr_lock_module *find(struct lock_set *s, const struct gr_name *module)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->modules[i].module, module->s) == 0)
            return &s->modules[i];
    return NULL;
}

static void put_changes(struct lock_set *s, const struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; i < row->n; i++) {
        struct gr_lock_module *x = find(s, &row->members[i].module);
        if (x) {
            x->changes = true;
            x->after = gr_rollout_contract(r, i);
        }
    }
}

static void look(struct gr_manager *m, const struct gr_rollout *r, struct lock_set *s)
{
    put_table(m, s);
    put_changes(s, r);
    for (size_t i = 0; i < s->n; i++)
        s->modules[i].stays = stays(m, r, &m->table.rows[i]);
    s->n_missing = gr_lock_missing(s->modules, s->n, s->missing);
}

// --- taking along
// ---------------------------------------------------------------------------------

static bool names_missing(const struct lock_set *s, const struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; i < s->n_missing; i++)
        for (size_t k = 0; k < row->n; k++)
            if (strcmp(s->modules[s->missing[i].missing].module, row->members[k].module.s) == 0)
                return true;
    return false;
}

// One that waits, is older than r (NULL: any), and brings what is missing.
static struct gr_rollout *find_older(const struct gr_manager *m, const struct lock_set *s,
                                     const struct gr_rollout *r)
{
    for (size_t i = 0; i < m->n_rollouts && m->rollouts[i] != r; i++)
        if (gr_rollout_is_awaiting(m->rollouts[i]) && names_missing(s, m->rollouts[i]))
            return m->rollouts[i];
    return NULL;
}

static const struct gr_desired *laddered(const struct gr_rollout *r)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; i < row->n; i++)
        if (row->members[i].to && row->members[i].to->strategy.n_steps)
            return row->members[i].to;
    return NULL;
}

// All go up one ladder, as those of one transaction do.
static bool fit(const struct gr_rollout *r, const struct gr_rollout *older, struct gr_error *why)
{
    const struct gr_desired *a = laddered(r), *b = laddered(older);
    if (!a || !b || gr_plan_same_steps(&a->strategy, &b->strategy))
        return true;
    gr_error_set(why, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                 "strategy.steps: %s and %s declare different steps; expected the same ones, since "
                 "their upgrade lock releases them together, with rollout %" PRId64
                 ". Write the same steps",
                 a->module.s, b->module.s, gr_rollout_row(older)->id);
    return false;
}

static void say(const struct lock_set *s, const struct gr_rollout *r, struct gr_error *why)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    char what[200], text[GR_MESSAGE_MAX];
    size_t because = s->missing[0].because;
    for (size_t i = 1; i < s->n_missing && !s->modules[because].changes; i++)
        because = s->missing[i].because;
    const char *version = "";
    for (size_t i = 0; i < row->n; i++)
        if (strcmp(row->members[i].module.s, s->modules[because].module) == 0 && row->members[i].to)
            version = row->members[i].to->version.text;
    snprintf(what, sizeof what, "%s%s%.100s%s", s->modules[because].module, *version ? " " : "",
             version, *version ? "" : "'s removal");
    gr_lock_say(s->modules, s->missing, s->n_missing, what, text, sizeof text);
    gr_error_set_retryable(why, -EAGAIN, GR_REASON_UPGRADE_LOCK_INCOMPLETE, "%s", text);
}

enum gr_resolve_verdict gr_manager_lock(struct gr_manager *m, struct gr_rollout *r,
                                        struct gr_admission *ret)
{
    struct lock_set *s GR_AUTO_FREE = calloc(1, sizeof *s);
    if (!s) {
        gr_error_set(&ret->why, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
        return GR_RESOLVE_REFUSE;
    }
    for (;;) {
        look(m, r, s);
        struct gr_rollout *older = s->n_missing ? find_older(m, s, r) : NULL;
        if (!older)
            break;
        if (!fit(r, older, &ret->why))
            return GR_RESOLVE_REFUSE;
        if (gr_rollout_absorb(r, older) < 0) {
            gr_error_set(&ret->why, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
            return GR_RESOLVE_REFUSE;
        }
    }
    if (!s->n_missing)
        return GR_RESOLVE_GO;
    say(s, r, &ret->why);
    return GR_RESOLVE_WAIT;
}

// --- before there are bytes
// -----------------------------------------------------------------------

static void put_plan(struct gr_manager *m, const struct gr_wishes *now, const struct gr_plan *p,
                     struct lock_set *s)
{
    put_table(m, s);
    for (size_t i = 0; i < s->n; i++) {
        const struct gr_committed *row = &m->table.rows[i];
        const struct gr_wish *w = wish_of(now, &row->module);
        s->modules[i].stays = asks_for_it(w, row) && w->mod_revision == p->rollout;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct gr_lock_module *x = find(s, &p->items[i].module);
        if (x) {
            x->changes = true;
            x->after =
                p->items[i].to ? gr_contracts_find(m->contracts, &p->items[i].to->digest) : NULL;
        }
    }
    s->n_missing = gr_lock_missing(s->modules, s->n, s->missing);
}

static int note_one(struct gr_manager *m, struct lock_set *s, struct gr_buf *b)
{
    struct gr_rollout *older;
    char text[GR_MESSAGE_MAX];
    int k = 0;
    while (k == 0 && (older = find_older(m, s, NULL))) {
        const struct gr_rollout_row *row = gr_rollout_row(older);
        k = gr_buf_printf(b, "takes along rollout %" PRId64 ", which waits (", row->id);
        for (size_t i = 0; k == 0 && i < row->n; i++)
            k = gr_buf_printf(b, "%s%s %s", i ? ", " : "", row->members[i].module.s,
                              row->members[i].to ? row->members[i].to->version.text : "removed");
        if (k == 0)
            k = gr_buf_printf(b, "). ");
        put_changes(s, older);
        s->n_missing = gr_lock_missing(s->modules, s->n, s->missing);
    }
    if (k < 0 || !s->n_missing)
        return k;
    const char *what = s->modules[s->missing[0].because].module;
    gr_lock_say(s->modules, s->missing, s->n_missing, what, text, sizeof text);
    return gr_buf_printf(b, "as the contracts in force say, %s", text);
}

void gr_manager_note_locks(struct gr_manager *m, const struct gr_wishes *now, struct gr_plans *p)
{
    struct lock_set *s GR_AUTO_FREE = malloc(sizeof *s);
    for (size_t i = 0; s && i < p->n; i++) {
        struct gr_buf b GR_AUTO_BUF = GR_BUF(16 * 1024);
        if (p->plans[i].refused)
            continue;
        put_plan(m, now, &p->plans[i], s);
        if (note_one(m, s, &b) == 0 && b.len)
            p->plans[i].waits = gr_buf_take(&b, NULL);
    }
}

// --- the way back of a release
// --------------------------------------------------------------------

size_t gr_manager_locked_with(struct gr_manager *m, const struct gr_name *module,
                              const struct gr_desired *to, const struct gr_committed **ret)
{
    struct lock_set *s GR_AUTO_FREE = malloc(sizeof *s);
    if (!s)
        return 0;
    put_table(m, s);
    struct gr_lock_module *x = find(s, module);
    if (!x)
        return 0;
    x->changes = true;
    x->after = to ? gr_manager_contract(m, to) : NULL;
    s->n_missing = gr_lock_missing(s->modules, s->n, s->missing);
    for (size_t i = 0; i < s->n_missing; i++)
        ret[i] = &m->table.rows[s->missing[i].missing];
    return s->n_missing;
}
