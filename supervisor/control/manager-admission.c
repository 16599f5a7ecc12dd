// Owns the answer whether a rollout may come into force as things are now: collects what is in
// force and what other rollouts make of it, and asks the resolver.
#include "base/log.h"
#include "control/manager-internal.h"
#include "state/resolve.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct admission { // what the resolver is asked
    struct gr_manager *manager;
    struct gr_rollout *r;
    size_t n, n_hopes;
    struct gr_resolve_module modules[2 * GR_MODULES_MAX];
    size_t member[2 * GR_MODULES_MAX]; // of those that r changes
    struct gr_resolve_hope hopes[GR_MODULES_MAX + GR_ROLLOUTS_MAX];
};

// --- collecting
// -----------------------------------------------------------------------------------

static size_t find(const struct admission *a, const struct gr_name *module)
{
    size_t i = 0;
    while (i < a->n && !gr_name_equal(&a->modules[i].module, module))
        i++;
    return i;
}

static void hope(struct admission *a, const struct gr_resolve_hope *h)
{
    if (a->n_hopes < GR_COUNT(a->hopes)) // else: one more that is not waited for
        a->hopes[a->n_hopes++] = *h;
}

// A version whose file the store has lost is not judged; it may provide what is missing.
static const struct gr_contract *contract_of(struct admission *a, const struct gr_desired *d)
{
    const struct gr_contract *c = d ? gr_manager_contract(a->manager, d) : NULL;
    if (d && !c)
        hope(a, &(struct gr_resolve_hope){.module = d->module});
    return c;
}

static void put(struct admission *a, const struct gr_resolve_module *m)
{
    size_t i = find(a, &m->module);
    if (i == GR_COUNT(a->modules))
        return; // the resolver refuses so many
    a->n += i == a->n;
    a->modules[i] = *m;
}

static void put_own(struct admission *a)
{
    const struct gr_rollout_row *row = gr_rollout_row(a->r);
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_name *module = &row->members[i].module;
        const struct gr_committed *c = gr_manager_row(a->manager, module);
        put(a, &(struct gr_resolve_module){
                   .module = *module,
                   .contract = row->members[i].to ? gr_rollout_contract(a->r, i) : NULL,
                   .before = contract_of(a, c ? c->release : NULL),
                   .changed = true});
        if (find(a, module) < GR_COUNT(a->member))
            a->member[find(a, module)] = i;
    }
}

// One that was admitted ends as it asks or as it was before: nobody says which.
static void put_admitted(struct admission *a, struct gr_rollout *o)
{
    const struct gr_rollout_row *row = gr_rollout_row(o);
    bool back = row->phase == GR_PHASE_ROLLING_BACK;
    for (size_t i = 0; i < row->n; i++) {
        const struct gr_rollout_member *mem = &row->members[i];
        if (gr_rollout_names(a->r, &mem->module))
            continue;
        const struct gr_contract *to = contract_of(a, mem->to), *from = contract_of(a, mem->from);
        put(a, &(struct gr_resolve_module){.module = mem->module,
                                           .contract = back ? from : to,
                                           .before = back ? to : from,
                                           .rollout = row->id});
    }
}

static bool meets(const struct gr_rollout *r, const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++)
        if (gr_rollout_names(r, &row->members[i].module))
            return true;
    return false;
}

static void put_hopes(struct admission *a, struct gr_rollout *o)
{
    const struct gr_rollout_row *row = gr_rollout_row(o);
    for (size_t i = 0; i < row->n && !meets(a->r, row); i++)
        hope(a, &(struct gr_resolve_hope){.module = row->members[i].module,
                                          .contract = gr_rollout_contract(o, i),
                                          .leaves = !row->members[i].to,
                                          .rollout = row->id});
}

static void collect(struct admission *a)
{
    struct gr_manager *m = a->manager;
    for (size_t i = 0; i < m->table.n; i++) {
        const struct gr_committed *c = &m->table.rows[i];
        if (!gr_rollout_names(a->r, &c->module))
            put(a, &(struct gr_resolve_module){.module = c->module,
                                               .contract = contract_of(a, c->release),
                                               .settled = true});
    }
    for (size_t i = 0; i < m->n_rollouts; i++) {
        if (m->rollouts[i] == a->r)
            continue;
        if (gr_rollout_is_admitted(m->rollouts[i]))
            put_admitted(a, m->rollouts[i]);
        else
            put_hopes(a, m->rollouts[i]);
    }
    put_own(a);
}

// --- the answer
// -----------------------------------------------------------------------------------

static void tell_note(struct gr_manager *m, struct gr_rollout *r, const char *note)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    for (size_t i = 0; *note && i < row->n; i++)
        gr_manager_tell(m, GR_MSG_OPTIONAL_MISSING, GR_LOG_NOTICE, row->members[i].module.s,
                        row->members[i].to ? row->members[i].to->version.text : NULL, row->id, NULL,
                        GR_REASON_NONE, note);
}

static enum gr_resolve_verdict answer(struct admission *a, const struct gr_resolution *r,
                                      struct gr_admission *ret)
{
    ret->why = r->why;
    ret->n_order = r->n_order;
    for (size_t i = 0; i < r->n_order; i++)
        ret->order[i] = a->member[r->order[i]];
    if (r->culprit < a->n && a->modules[r->culprit].changed)
        ret->culprit = a->member[r->culprit];
    if (r->verdict == GR_RESOLVE_GO)
        tell_note(a->manager, a->r, r->note);
    return r->verdict;
}

enum gr_resolve_verdict gr_manager_resolve(struct gr_manager *m, struct gr_rollout *r,
                                           struct gr_admission *ret)
{
    struct admission *a GR_AUTO_FREE = calloc(1, sizeof *a);
    struct gr_resolution *resolution GR_AUTO_FREE = calloc(1, sizeof *resolution);
    int k = a && resolution ? 0 : -ENOMEM;
    if (k == 0) {
        a->manager = m;
        a->r = r;
        collect(a);
        const struct gr_resolve_input in = {
            .modules = a->modules, .n = a->n, .hopes = a->hopes, .n_hopes = a->n_hopes};
        k = gr_resolve(&in, resolution);
    }
    if (k == 0)
        return answer(a, resolution, ret);
    gr_error_set_retryable(&ret->why, k, GR_REASON_INTERNAL,
                           "what the modules of this rollout need could not be looked at: %s. "
                           "Write the key again to try once more",
                           strerror(-k));
    return GR_RESOLVE_REFUSE;
}
