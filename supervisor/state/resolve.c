// Owns the verdict on a set of contracts: what each check asks, and which one speaks first.
#include "state/resolve.h"
#include "base/buf.h"
#include "base/contract-compat.h"
#include "state/resolve-internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// --- looking at the set
// ---------------------------------------------------------------------------

const struct gr_contract *gr_sight_of(const struct gr_sight *s, size_t i)
{
    const struct gr_resolve_module *m = &s->in->modules[i];
    if (m->changed)
        return s->as_before ? m->before : m->contract;
    if (m->settled)
        return m->contract;
    enum gr_world w = s->own && m->rollout == s->own ? s->own_state : s->others;
    return w == GR_WORLD_AFTER ? m->contract : m->before;
}

const struct gr_contract_interface *gr_resolve_provides(const struct gr_contract *c,
                                                        const char *interface)
{
    for (size_t i = 0; c && i < c->n_provides; i++)
        if (strcmp(c->provides[i].name, interface) == 0)
            return &c->provides[i];
    return NULL;
}

struct gr_bond gr_sight_meet(const struct gr_sight *s, const struct gr_contract_need *need)
{
    struct gr_bond b = {.state = GR_BOND_ABSENT};
    for (size_t i = 0; i < s->in->n && b.state != GR_BOND_MET; i++) {
        const struct gr_contract *c = gr_sight_of(s, i);
        const struct gr_contract_interface *f = gr_resolve_provides(c, need->interface);
        if (!f)
            continue;
        bool fits = gr_range_matches(&need->range, &f->version);
        b = (struct gr_bond){
            .state = fits ? GR_BOND_MET : GR_BOND_WRONG, .by = i, .provider = c, .interface = f};
    }
    return b;
}

const struct gr_version *gr_resolve_bind(const struct gr_contract_need *need,
                                         const struct gr_contract *const *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct gr_contract_interface *f = gr_resolve_provides(set[i], need->interface);
        if (f && gr_range_matches(&need->range, &f->version))
            return &f->version;
    }
    return NULL;
}

// --- the verdict
// ----------------------------------------------------------------------------------

struct resolving {
    const struct gr_resolve_input *in;
    struct gr_resolution *ret;
};

static bool is_refused(const struct resolving *v)
{
    return v->ret->verdict == GR_RESOLVE_REFUSE;
}

// A refusal ends the search; of several waits the first one is told: NULL then.
static struct gr_error *decide(struct resolving *v, enum gr_resolve_verdict verdict, size_t culprit)
{
    struct gr_resolution *r = v->ret;
    if (verdict <= r->verdict)
        return NULL;
    r->verdict = verdict;
    r->culprit = culprit;
    return &r->why;
}

// --- what changed under its callers
// ---------------------------------------------------------------

// On the way down the promise is the newer version's too: it keeps what the older one offers.
static void check_interfaces(struct resolving *v, size_t i)
{
    const struct gr_resolve_module *m = &v->in->modules[i];
    struct gr_compat *found = NULL;
    if (!m->before || !m->contract)
        return;
    bool up = gr_version_compare(&m->contract->version, &m->before->version) >= 0;
    const struct gr_contract *older = up ? m->before : m->contract;
    const struct gr_contract *newer = up ? m->contract : m->before;
    int k = gr_contract_compare(older, newer, &found);
    if (k < 0) {
        gr_error_set(decide(v, GR_RESOLVE_REFUSE, i), k, GR_REASON_INTERNAL,
                     "the contracts of %s could not be compared: %s", m->module.s, strerror(-k));
        return;
    }
    const struct gr_compat_finding *worst = gr_compat_first(found, GR_COMPAT_BREAKING);
    if (worst)
        gr_error_set(decide(v, GR_RESOLVE_REFUSE, i), -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                     "%s %s does not keep what %s %s promises: %.600s", m->module.s,
                     newer->version.text, m->module.s, older->version.text, worst->sentence);
    gr_compat_free(found);
}

// --- one provider for each interface
// --------------------------------------------------------------

// What is hoped for of a module; NULL: nothing.
static const struct gr_resolve_hope *hope_for(const struct gr_resolve_input *in,
                                              const struct gr_name *module)
{
    for (size_t i = in->n_hopes; i-- > 0;)
        if (gr_name_equal(&in->hopes[i].module, module))
            return &in->hopes[i];
    return NULL;
}

static void check_twice(struct resolving *v, size_t i, size_t other)
{
    const struct gr_contract *mine = v->in->modules[i].contract;
    const struct gr_resolve_module *o = &v->in->modules[other];
    const struct gr_resolve_hope *hope = o->changed ? NULL : hope_for(v->in, &o->module);
    bool unsure = !o->changed && !o->settled;
    for (size_t k = 0; k < mine->n_provides; k++) {
        const char *name = mine->provides[k].name;
        bool stays = gr_resolve_provides(o->contract, name) != NULL;
        bool lingers = unsure && gr_resolve_provides(o->before, name);
        bool goes = hope && (hope->leaves ||
                             (hope->contract && !gr_resolve_provides(hope->contract, name)));
        if (!stays && !lingers)
            continue;
        bool waits = !stays || goes;
        gr_say_twice(mine, stays ? o->contract : o->before, name,
                     !waits   ? 0
                     : !stays ? o->rollout
                              : hope->rollout,
                     decide(v, waits ? GR_RESOLVE_WAIT : GR_RESOLVE_REFUSE, i));
    }
}

// --- what the rollout's modules need
// --------------------------------------------------------------

// Somebody who may bring what is missing: known to do so, or not looked at yet.
static const struct gr_resolve_hope *hope_of(const struct gr_resolve_input *in,
                                             const struct gr_contract_need *need)
{
    for (size_t i = 0; i < in->n_hopes; i++) {
        const struct gr_resolve_hope *h = &in->hopes[i];
        const struct gr_contract_interface *f = gr_resolve_provides(h->contract, need->interface);
        if (!h->leaves && (!h->contract || (f && gr_range_matches(&need->range, &f->version))))
            return h;
    }
    return NULL;
}

static void check_need(struct resolving *v, size_t i, const struct gr_contract_need *need)
{
    struct gr_sight after = {.in = v->in, .others = GR_WORLD_AFTER};
    struct gr_sight back = {.in = v->in, .others = GR_WORLD_BACK};
    struct gr_bond will = gr_sight_meet(&after, need), was = gr_sight_meet(&back, need);
    if (will.state == GR_BOND_MET) {
        const struct gr_resolve_module *by = &v->in->modules[will.by];
        if (was.state != GR_BOND_MET)
            gr_say_wait(&after, i, need, by->module.s, by->rollout, decide(v, GR_RESOLVE_WAIT, i));
        return;
    }
    const struct gr_resolve_hope *h = hope_of(v->in, need);
    if (h)
        gr_say_wait(&after, i, need, h->module.s, h->rollout, decide(v, GR_RESOLVE_WAIT, i));
    else if (will.state == GR_BOND_ABSENT)
        gr_say_missing(&after, i, need, decide(v, GR_RESOLVE_REFUSE, i));
    else
        gr_say_wrong(&after, i, need, &will, decide(v, GR_RESOLVE_REFUSE, i));
}

static void check_member(struct resolving *v, size_t i)
{
    const struct gr_contract *c = v->in->modules[i].contract;
    for (size_t k = 0; c && k < c->n_requires && !is_refused(v); k++)
        check_need(v, i, &c->requires[k]);
    for (size_t k = 0; c && k < v->in->n && !is_refused(v); k++)
        if (k != i)
            check_twice(v, i, k);
}

// --- what others need of the rollout's modules
// ----------------------------------------------------

// A need of somebody who is not in the rollout, in one of his states, was met by what changes and
// is not met any more. *ret: what it meets then; *ret_by: who met it.
static bool loses(const struct resolving *v, const struct gr_resolve_module *m,
                  enum gr_world own_state, const struct gr_contract_need *need, struct gr_bond *ret,
                  size_t *ret_by)
{
    for (int w = 0; w < GR_WORLDS; w++) {
        struct gr_sight s = {.in = v->in,
                             .others = (enum gr_world)w,
                             .own = m->settled ? 0 : m->rollout,
                             .own_state = own_state};
        *ret = gr_sight_meet(&s, need);
        s.as_before = true;
        struct gr_bond was = gr_sight_meet(&s, need);
        *ret_by = was.by;
        if (ret->state != GR_BOND_MET && was.state == GR_BOND_MET)
            return true;
    }
    return false;
}

// Does what is hoped for of the one who requires it do without?
static bool hope_relieves(const struct resolving *v, const struct gr_resolve_hope *h,
                          const struct gr_contract_need *need)
{
    struct gr_sight s = {.in = v->in, .others = GR_WORLD_AFTER};
    if (!h || h->leaves || !h->contract)
        return h != NULL;
    for (size_t i = 0; i < h->contract->n_requires; i++)
        if (strcmp(h->contract->requires[i].interface, need->interface) == 0)
            return gr_sight_meet(&s, &h->contract->requires[i]).state == GR_BOND_MET;
    return true;
}

static void check_loss(struct resolving *v, size_t i, enum gr_world own_state,
                       const struct gr_contract_need *need)
{
    const struct gr_resolve_module *m = &v->in->modules[i];
    struct gr_bond now;
    size_t by;
    if (!loses(v, m, own_state, need, &now, &by))
        return;
    const struct gr_resolve_hope *h = hope_for(v->in, &m->module);
    bool relieved = hope_relieves(v, h, need);
    int64_t waits_for = own_state == GR_WORLD_BACK ? m->rollout : relieved ? h->rollout : 0;
    struct gr_sight s = {.in = v->in,
                         .others = GR_WORLD_AFTER,
                         .own = m->settled ? 0 : m->rollout,
                         .own_state = own_state};
    gr_say_lost(&s, by, i, need, &now, waits_for,
                decide(v, waits_for ? GR_RESOLVE_WAIT : GR_RESOLVE_REFUSE, by));
}

// What it will be counts first: it decides between refusing and waiting.
static void check_bystander(struct resolving *v, size_t i)
{
    const struct gr_resolve_module *m = &v->in->modules[i];
    const struct gr_contract *states[GR_WORLDS] = {m->contract, m->settled ? NULL : m->before};
    for (int w = 0; w < GR_WORLDS; w++)
        for (size_t k = 0; states[w] && k < states[w]->n_requires && !is_refused(v); k++)
            check_loss(v, i, (enum gr_world)w, &states[w]->requires[k]);
}

// --- cycles
// ---------------------------------------------------------------------------------------

struct walk {
    struct gr_sight sight;
    size_t path[GR_MODULES_MAX], n;
    bool done[GR_MODULES_MAX];
    size_t cycle; // where in the path it begins
};

// 1: the path from w->cycle on is a cycle.
static bool walk(struct walk *w, size_t i) // at most as deep as there are modules
{
    for (size_t k = 0; k < w->n; k++)
        if (w->path[k] == i) {
            w->cycle = k;
            return true;
        }
    const struct gr_contract *c = gr_sight_of(&w->sight, i);
    if (w->done[i] || !c)
        return false;
    w->path[w->n++] = i;
    for (size_t k = 0; k < c->n_requires; k++) {
        struct gr_bond b = gr_sight_meet(&w->sight, &c->requires[k]);
        if (b.state == GR_BOND_MET && b.by != i && walk(w, b.by))
            return true;
    }
    w->n--;
    w->done[i] = true;
    return false;
}

static int check_cycles(struct resolving *v)
{
    struct walk *w GR_AUTO_FREE = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->sight = (struct gr_sight){.in = v->in, .others = GR_WORLD_AFTER};
    for (size_t i = 0; i < v->in->n && !is_refused(v); i++)
        if (v->in->modules[i].changed && walk(w, i))
            gr_say_cycle(&w->sight, w->path + w->cycle, w->n - w->cycle,
                         decide(v, GR_RESOLVE_REFUSE, i));
    return 0;
}

// --- what goes on with less
// -----------------------------------------------------------------------

static void note(struct gr_buf *b, const struct gr_contract *c, const struct gr_contract_need *need,
                 const struct gr_bond *now)
{
    const char *gap = b->len ? "; " : "";
    if (now->state == GR_BOND_WRONG)
        (void)!gr_buf_printf(b, "%s%s %s does without %s %s: %s %s provides %s", gap, c->module.s,
                             c->version.text, need->interface, need->range.text,
                             now->provider->module.s, now->provider->version.text,
                             now->interface->version.text);
    else
        (void)!gr_buf_printf(b, "%s%s %s does without %s %s: nobody provides it", gap, c->module.s,
                             c->version.text, need->interface, need->range.text);
}

// Of the rollout's modules all that is missing, of the others what they had.
static void note_missing(struct resolving *v)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX - 1);
    for (size_t i = 0; i < v->in->n; i++) {
        const struct gr_resolve_module *m = &v->in->modules[i];
        struct gr_sight s = {.in = v->in, .others = GR_WORLD_AFTER};
        for (size_t k = 0; m->contract && k < m->contract->n_optional; k++) {
            const struct gr_contract_need *need = &m->contract->optional[k];
            s.as_before = false;
            struct gr_bond now = gr_sight_meet(&s, need);
            s.as_before = true;
            bool had = m->changed || gr_sight_meet(&s, need).state == GR_BOND_MET;
            if (now.state != GR_BOND_MET && had)
                note(&text, m->contract, need, &now);
        }
    }
    snprintf(v->ret->note, sizeof v->ret->note, "%s", text.data ? text.data : "");
}

// --- all of it
// ------------------------------------------------------------------------------------

static int order_changed(struct resolving *v)
{
    const struct gr_contract *set[GR_MODULES_MAX];
    size_t order[GR_MODULES_MAX];
    struct gr_sight s = {.in = v->in, .others = GR_WORLD_AFTER};
    for (size_t i = 0; i < v->in->n; i++)
        set[i] = gr_sight_of(&s, i);
    int k = gr_resolve_order(set, v->in->n, order);
    for (size_t i = 0; k == 0 && i < v->in->n; i++)
        if (v->in->modules[order[i]].changed && v->in->modules[order[i]].contract)
            v->ret->order[v->ret->n_order++] = order[i];
    return k;
}

int gr_resolve(const struct gr_resolve_input *in, struct gr_resolution *ret)
{
    *ret = (struct gr_resolution){.culprit = in->n};
    struct resolving v = {.in = in, .ret = ret};
    if (in->n > GR_MODULES_MAX) {
        gr_error_set(decide(&v, GR_RESOLVE_REFUSE, in->n), -E2BIG, GR_REASON_DOCUMENT_INVALID,
                     "%zu modules would be in force; at most %d are possible. Remove some first",
                     in->n, GR_MODULES_MAX);
        return 0;
    }
    for (size_t i = 0; i < in->n && !is_refused(&v); i++)
        if (in->modules[i].changed)
            check_interfaces(&v, i);
    int k = is_refused(&v) ? 0 : check_cycles(&v);
    for (size_t i = 0; i < in->n && k == 0 && !is_refused(&v); i++) {
        if (in->modules[i].changed)
            check_member(&v, i);
        else
            check_bystander(&v, i);
    }
    if (k == 0 && ret->verdict == GR_RESOLVE_GO) {
        note_missing(&v);
        k = order_changed(&v);
    }
    return k;
}
