// Owns the plan: a pure function of wishes, the committed table, the rollouts in progress and the
// quarantine.
#include "state/plan.h"
#include "base/buf.h"
#include "state/plan-ladder.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct candidate { // an item and the transaction that asked for it
    int64_t revision;
    struct gr_plan_item item;
};
struct planning {
    const struct gr_plan_input *in;
    struct candidate *c;
    size_t n;
    int error; // -ENOMEM on the way; 0: none
};

// --- what the inputs say of one module
// ----------------------------------------------------------------------------

static const struct gr_wish *find_wish(const struct gr_wishes *w, const struct gr_name *module)
{
    for (size_t i = 0; w && i < w->n; i++)
        if (gr_name_equal(&w->wishes[i].module, module))
            return &w->wishes[i];
    return NULL;
}

static const struct gr_rollout_member *find_member(const struct gr_rollout_row *r,
                                                   const struct gr_name *module)
{
    for (size_t i = 0; i < r->n; i++)
        if (gr_name_equal(&r->members[i].module, module))
            return &r->members[i];
    return NULL;
}

// The newest rollout in progress that still brings something to this module; one that goes back
// brings nothing any more.
static const struct gr_rollout_member *under_way(const struct gr_plan_input *in,
                                                 const struct gr_name *module)
{
    for (size_t i = in->n_open; i-- > 0;) {
        const struct gr_rollout_member *m = find_member(in->open[i], module);
        if (m && in->open[i]->phase != GR_PHASE_ROLLING_BACK)
            return m;
    }
    return NULL;
}

// What is in force already has no use for other steps.
static bool is_in_force(const struct gr_plan_input *in, const struct gr_name *module)
{
    for (size_t i = 0; i < in->n_open; i++)
        if (in->open[i]->phase == GR_PHASE_BAKING && find_member(in->open[i], module))
            return true;
    return false;
}

static bool stays(const struct gr_rollout_row *r)
{
    return r->phase == GR_PHASE_BAKING && r->gray.door != GR_DOOR_NONE;
}

// What a new rollout of this module starts from: the table, once the rollout that is in it and not
// yet Healthy was taken back. One without a way back stays.
static const struct gr_desired *base_of(const struct gr_plan_input *in,
                                        const struct gr_name *module)
{
    for (size_t i = 0; i < in->n_open; i++) {
        enum gr_phase p = in->open[i]->phase;
        const struct gr_rollout_member *m = find_member(in->open[i], module);
        if (m && stays(in->open[i]))
            return m->to;
        if (m && (p == GR_PHASE_BAKING || p == GR_PHASE_ROLLING_BACK))
            return m->from;
    }
    for (size_t i = 0; i < in->actual->n; i++)
        if (gr_name_equal(&in->actual->rows[i].module, module))
            return in->actual->rows[i].release;
    return NULL;
}

// The code, or the code with this configuration.
static const struct gr_conviction *convicted(struct planning *p, const struct gr_desired *d)
{
    const struct gr_plan_input *in = p->in;
    struct gr_digest both;
    int k = in->n_convictions ? gr_desired_fingerprint(d, &both) : 0;
    if (k < 0)
        p->error = k;
    for (size_t i = 0; k == 0 && i < in->n_convictions; i++)
        if (gr_digest_equal(&in->convictions[i].digest, &d->digest) ||
            gr_digest_equal(&in->convictions[i].digest, &both))
            return &in->convictions[i];
    return NULL;
}

// --- items
// --------------------------------------------------------------------------------------------------

static void refuse_quarantined(struct gr_plan_item *it, const struct gr_conviction *c)
{
    char hex[GR_DIGEST_TEXT_MAX];
    bool code = gr_digest_equal(&c->digest, &it->to->digest);
    it->kind = GR_PLAN_REFUSE;
    gr_error_set(&it->refusal, -EKEYREJECTED, GR_REASON_QUARANTINED,
                 "%s %s is quarantined%s by %s (%s: %.300s); expected %s without a conviction. "
                 "Publish a mended %s, or lift it: "
                 "grayctl quarantine lift %s --reason TEXT",
                 it->module.s, it->to->version.text, code ? "" : " with this configuration",
                 c->instance[0] ? c->instance : "this host", gr_reason_name(c->reason), c->evidence,
                 code ? "a digest" : "a configuration", code ? "build" : "configuration",
                 gr_digest_format(&c->digest, hex));
}

static struct gr_plan_item item_of(struct planning *p, const struct gr_name *module,
                                   const struct gr_wish *w)
{
    const struct gr_desired *from = base_of(p->in, module);
    struct gr_plan_item it = {.kind = GR_PLAN_REMOVE, .module = *module, .from = from};
    if (!w)
        return it;
    it.to = w->desired;
    if (!w->desired) {
        it.kind = GR_PLAN_REFUSE;
        it.refusal = w->error;
        return it;
    }
    it.kind = !from                                                 ? GR_PLAN_DEPLOY
              : gr_digest_equal(&from->digest, &w->desired->digest) ? GR_PLAN_RECONFIGURE
                                                                    : GR_PLAN_REPLACE;
    const struct gr_conviction *guilty = convicted(p, w->desired);
    if (guilty && !(from && gr_desired_same_release(from, w->desired)))
        refuse_quarantined(&it, guilty);
    return it;
}

static void add(struct planning *p, int64_t revision, const struct gr_plan_item *it)
{
    p->c[p->n++] = (struct candidate){.revision = revision, .item = *it};
}

static void add_changed(struct planning *p, const struct gr_wish *w)
{
    const struct gr_plan_input *in = p->in;
    const struct gr_wish *old = find_wish(in->before, &w->module);
    if (old && old->mod_revision == w->mod_revision)
        return;
    const struct gr_rollout_member *m = under_way(in, &w->module);
    if (m && m->to && w->desired && gr_desired_same_release(m->to, w->desired) &&
        (is_in_force(in, &w->module) || gr_plan_same_strategy(m->to, w->desired)))
        return;
    const struct gr_desired *from = base_of(in, &w->module);
    if (!m && from && w->desired && gr_desired_same_release(from, w->desired))
        return;
    const struct gr_plan_item it = item_of(p, &w->module, w);
    add(p, w->mod_revision, &it);
}

// 0: nobody saw when.
static int64_t gone_at(const struct gr_wishes *now, const struct gr_name *module)
{
    for (size_t i = 0; i < now->n_gone; i++)
        if (gr_name_equal(&now->gone[i].module, module))
            return now->gone[i].revision;
    return 0;
}

// Gone already when the last plan was made, and not written and deleted again since.
static bool was_gone(const struct gr_plan_input *in, const struct gr_name *module)
{
    return in->before && !find_wish(in->before, module) &&
           gone_at(in->now, module) <= in->before->revision;
}

static bool is_planned(const struct planning *p, const struct gr_name *module)
{
    for (size_t i = 0; i < p->n; i++)
        if (gr_name_equal(&p->c[i].item.module, module))
            return true;
    return false;
}

static void add_removal(struct planning *p, const struct gr_name *module)
{
    const struct gr_plan_input *in = p->in;
    const struct gr_rollout_member *m = under_way(in, module);
    if (find_wish(in->now, module) || was_gone(in, module) || is_planned(p, module) ||
        (m ? !m->to : !base_of(in, module)))
        return;
    const struct gr_plan_item it = item_of(p, module, NULL);
    add(p, gone_at(in->now, module), &it);
}

static void add_removals(struct planning *p)
{
    const struct gr_plan_input *in = p->in;
    for (size_t i = 0; i < in->actual->n; i++)
        add_removal(p, &in->actual->rows[i].module);
    for (size_t i = 0; i < in->n_open; i++)
        for (size_t k = 0; k < in->open[i]->n; k++)
            add_removal(p, &in->open[i]->members[k].module);
}

// --- transactions
// -------------------------------------------------------------------------------------------

// Gives the deletions that nobody saw a transaction: see gr_plans_make().
static void place_unseen(struct planning *p)
{
    int64_t since = p->in->before ? p->in->before->revision : p->in->since, newest = 0;
    bool unseen = false;
    for (size_t i = 0; i < p->n; i++) {
        unseen |= p->c[i].revision == 0;
        if (p->c[i].revision > newest && p->c[i].revision > since)
            newest = p->c[i].revision;
    }
    for (size_t i = 0; unseen && i < p->n; i++)
        if (p->c[i].revision == 0 || (newest && p->c[i].revision > since))
            p->c[i].revision = newest ? newest : p->in->now->revision;
}

static bool is_refused(const struct planning *p, int64_t revision)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->c[i].revision == revision && p->c[i].item.kind == GR_PLAN_REFUSE)
            return true;
    return false;
}

static bool meets(const struct planning *p, int64_t revision, const struct gr_rollout_row *r)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->c[i].revision == revision && find_member(r, &p->c[i].item.module))
            return true;
    return false;
}

// What goes on of a rollout that is superseded: what its key says, unless that was written later
// and is no news. Then its transaction was refused as a whole (or it would have superseded the
// rollout), and no part of it is brought in by another one.
static struct gr_plan_item what_goes_on(struct planning *p, const struct gr_rollout_member *m)
{
    const struct gr_wish *w = find_wish(p->in->now, &m->module);
    const struct gr_wish *old = find_wish(p->in->before, &m->module);
    if (!w || !old || old->mod_revision != w->mod_revision ||
        (m->to && m->to->mod_revision >= w->mod_revision))
        return item_of(p, &m->module, w);
    const struct gr_wish asked = {.module = m->module, .desired = m->to};
    return item_of(p, &m->module, m->to ? &asked : NULL);
}

// A rollout that is superseded is taken back with all its modules: what was asked for the others
// goes on with the newer one. One without a way back stays, and so do they.
static size_t draw_in(struct planning *p, int64_t revision, const struct gr_rollout_row *r)
{
    size_t before = p->n;
    if (r->phase == GR_PHASE_ROLLING_BACK || stays(r) || !meets(p, revision, r))
        return 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct gr_name *module = &r->members[i].module;
        if (is_planned(p, module))
            continue;
        const struct gr_plan_item it = what_goes_on(p, &r->members[i]);
        if (it.kind != GR_PLAN_REFUSE)
            add(p, revision, &it);
    }
    return p->n - before;
}

static void draw_in_all(struct planning *p)
{
    size_t changed = p->n, drawn;
    do {
        drawn = 0;
        for (size_t i = 0; i < changed; i++)
            for (size_t k = 0; !is_refused(p, p->c[i].revision) && k < p->in->n_open; k++)
                drawn += draw_in(p, p->c[i].revision, p->in->open[k]);
    } while (drawn);
}

static int by_revision_and_module(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->revision != y->revision)
        return x->revision < y->revision ? -1 : 1;
    return strcmp(x->item.module.s, y->item.module.s);
}

static void split(struct planning *p, struct gr_plans *ret)
{
    if (p->n)
        qsort(p->c, p->n, sizeof *p->c, by_revision_and_module);
    for (size_t i = 0; i < p->n; i++) {
        if (i == 0 || p->c[i].revision != p->c[i - 1].revision)
            ret->plans[ret->n++] =
                (struct gr_plan){.rollout = p->c[i].revision, .items = &ret->items[i]};
        struct gr_plan *plan = &ret->plans[ret->n - 1];
        ret->items[i] = p->c[i].item;
        plan->n++;
        plan->refused |= p->c[i].item.kind == GR_PLAN_REFUSE;
    }
}

int gr_plans_make(const struct gr_plan_input *in, struct gr_plans **ret)
{
    size_t most = in->now->n + in->actual->n + 1;
    for (size_t i = 0; i < in->n_open; i++)
        most += in->open[i]->n;
    GR_AUTO_FREE struct candidate *c = calloc(most, sizeof *c);
    GR_CLEANUP(gr_plans_freep) struct gr_plans *plans = calloc(1, sizeof *plans);
    if (!c || !plans)
        return -ENOMEM;
    struct planning p = {.in = in, .c = c};
    for (size_t i = 0; i < in->now->n; i++)
        add_changed(&p, &in->now->wishes[i]);
    add_removals(&p);
    place_unseen(&p);
    draw_in_all(&p);
    if (p.error < 0)
        return p.error;
    plans->items = calloc(p.n + 1, sizeof *plans->items);
    plans->plans = calloc(p.n + 1, sizeof *plans->plans);
    if (!plans->items || !plans->plans)
        return -ENOMEM;
    split(&p, plans);
    for (size_t i = 0; i < plans->n; i++)
        gr_plan_check_ladder(&plans->plans[i]);
    *ret = gr_steal(plans);
    return 0;
}

void gr_plans_free(struct gr_plans *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        free(p->plans[i].waits);
    free(p->warnings);
    free(p->items);
    free(p->plans);
    free(p);
}

// --- for people
// ---------------------------------------------------------------------------------------------

static int format_one(struct gr_buf *b, const struct gr_plan *p)
{
    static const char *const kinds[] = {"deploy", "replace", "reconfigure", "remove", "refused"};
    int k = gr_buf_printf(b, "rollout %" PRId64 "%s:\n", p->rollout,
                          p->refused ? ", refused as a whole" : "");
    for (size_t i = 0; k == 0 && i < p->n; i++) {
        const struct gr_plan_item *it = &p->items[i];
        k = gr_buf_printf(b, "  %s %s -> %s (%s)%s%s\n", it->module.s,
                          it->from ? it->from->version.text : "none",
                          it->to ? it->to->version.text : "none", kinds[it->kind],
                          it->kind == GR_PLAN_REFUSE ? ": " : "", it->refusal.message);
    }
    if (k == 0 && p->waits)
        k = gr_buf_printf(b, "  %s\n", p->waits);
    return k;
}

char *gr_plans_format(const struct gr_plans *p)
{
    struct gr_buf b GR_AUTO_BUF = GR_BUF(1u << 20);
    int k = p->n ? 0 : gr_buf_printf(&b, "nothing to do\n");
    for (size_t i = 0; k == 0 && i < p->n; i++)
        k = format_one(&b, &p->plans[i]);
    return k < 0 ? NULL : gr_buf_take(&b, NULL);
}
