// From changes to the next table: gives gates to names, checks what was asked, keeps what was not
// changed. Nothing is in force before swap.c says so.
#include "base/handover.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// --- gates -------------------------------------------------------------------------------------

static bool gate_in_use_locked(const struct gr_dispatch *d, const char *module)
{
    if (gr_table_module(atomic_load(&d->current), module))
        return true;
    for (const struct gr_table *t = d->retired; t; t = t->next_retired)
        if (gr_table_module(t, module))
            return true;
    return false;
}

// The gate of a name, given at first use and kept while any table names it; never one of
// `reserved`, which the same change gave to names that no table has yet. Fails: -ENOSPC.
static int gate_of_locked(struct gr_dispatch *d, const char *module,
                          const struct gr_gates *reserved)
{
    int unused = -1;
    for (int i = 0; i < GR_MODULES_MAX; i++) {
        if (strcmp(d->gates[i].s, module) == 0)
            return i;
        if (unused < 0 && !gr_gates_has(reserved, (unsigned)i) &&
            !gr_gates_has(&d->held_by_operator, (unsigned)i) &&
            (d->gates[i].s[0] == 0 || !gate_in_use_locked(d, d->gates[i].s)))
            unused = i;
    }
    if (unused < 0)
        return -ENOSPC;
    snprintf(d->gates[unused].s, sizeof(d->gates[unused].s), "%s", module);
    return unused;
}

// --- members -----------------------------------------------------------------------------------

static const struct gr_change *change_of(const struct gr_plan *p, const char *module)
{
    for (size_t i = 0; i < p->n_changes; i++)
        if (strcmp(p->changes[i].module, module) == 0)
            return &p->changes[i];
    return NULL;
}

// The gray that the changes give to a rollout; NULL: they do not name it.
static struct gr_gray *gray_of(const struct gr_plan *p, int64_t rollout)
{
    for (size_t i = 0; i < p->n_changes; i++)
        if (p->changes[i].gray && gr_gray_rollout(p->changes[i].gray) == rollout)
            return p->changes[i].gray;
    return NULL;
}

static int check_candidate(const struct gr_plan *p, const struct gr_change *c, struct gr_error *e)
{
    if (!c->candidate != !c->gray)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route module %s to %s; name both or neither", c->module,
                            c->gray ? "a rollout without its candidate"
                                    : "a candidate without a rule that says who sees it");
    if (c->candidate && (c->candidate == c->stable || c->candidate == c->rescue))
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route module %s to one version in two roles; load the "
                            "candidate as a version of its own",
                            c->module);
    if (c->gray && gray_of(p, gr_gray_rollout(c->gray)) != c->gray)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route rollout %lld by two different rules; a request sees "
                            "all members of a rollout alike: give them one rule",
                            (long long)gr_gray_rollout(c->gray));
    return 0;
}

static int check_change(const struct gr_plan *p, const struct gr_change *c, struct gr_error *e)
{
    struct gr_name name;
    if (gr_name_parse(c->module, strlen(c->module), &name) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to exchange \"%s\", which is no module name", c->module);
    if (change_of(p, c->module) != c)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to exchange module %s twice at once; name each module once",
                            c->module);
    const struct gr_instance *versions[] = {c->stable, c->rescue, c->candidate};
    for (size_t i = 0; i < GR_COUNT(versions); i++)
        if (versions[i] && strcmp(versions[i]->contract->module.s, c->module) != 0)
            return gr_error_set(e, -EINVAL, GR_REASON_CONTRACT_INCOMPATIBLE,
                                "asked to route module %s to a version whose contract says module "
                                "%s; load the right file",
                                c->module, versions[i]->contract->module.s);
    return check_candidate(p, c, e);
}

static int add_member(struct gr_plan *p, const struct gr_member *m, struct gr_error *e)
{
    if (p->n_members == GR_MODULES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route more than %d modules; remove one first",
                            GR_MODULES_MAX);
    p->members[p->n_members++] = *m;
    return 0;
}

// On the way back from a version whose process took the state along: the version before it still
// has what it gave, and what began anew since is worth less.
static bool holds_more(const struct gr_pass *p)
{
    return atomic_load(&p->from->lost) && p->from->took_from == p->to->number &&
           !atomic_load(&p->to->lost) && !atomic_load(&p->to->unsettled);
}

// What the step from the version in force to the next one does with the state. Nothing is closed
// yet.
static int plan_state_locked(struct gr_dispatch *d, struct gr_plan *p, const struct gr_change *c,
                             struct gr_error *e)
{
    const struct gr_record *now = gr_table_module(atomic_load(&d->current), c->module);
    struct gr_pass pass = {.from = now ? now->member.stable : NULL, .to = c->stable};
    if (!pass.to || pass.to == pass.from)
        return 0;
    struct gr_error why = {0};
    enum gr_handover h = pass.from
                             ? gr_handover_between(pass.from->contract, pass.to->contract, &why)
                             : GR_HANDOVER_NONE;
    if (h == GR_HANDOVER_IMPOSSIBLE && !c->one_way) {
        if (e)
            *e = why;
        return -EINVAL;
    }
    if (h == GR_HANDOVER_STATE && holds_more(&pass))
        p->left[p->n_left++] = pass;
    else if (h == GR_HANDOVER_STATE)
        p->passes[p->n_passes++] = pass;
    if (atomic_load(&pass.to->unsettled) &&
        (h != GR_HANDOVER_STATE || atomic_load(&pass.to->faulted)))
        return gr_error_set(e, -EINVAL, GR_REASON_STATE_HANDOVER_FAILED,
                            "asked to route module %s to version %s, but an earlier import_state() "
                            "of it came to nothing, so that what it holds is not fit to serve; "
                            "load it anew",
                            c->module, pass.to->contract->version.text);
    return 0;
}

static const struct gr_contract *contract_of(const struct gr_instance *i)
{
    return i ? i->contract : NULL;
}

static int plan_changed_locked(struct gr_dispatch *d, struct gr_plan *p, struct gr_error *e)
{
    size_t len =
        (size_t)snprintf(p->what, sizeof(p->what), "module%s", p->n_changes == 1 ? "" : "s");
    for (size_t i = 0; i < p->n_changes; i++) {
        const struct gr_change *c = &p->changes[i];
        int r = check_change(p, c, e);
        if (r == 0)
            r = plan_state_locked(d, p, c, e);
        if (r < 0)
            return r;
        int gate = gate_of_locked(d, c->module, &p->gates);
        if (gate < 0)
            return gr_error_set(
                e, -EINVAL, GR_REASON_INTERNAL,
                "asked to route module %s, but all %d gates are taken; remove a module first",
                c->module, GR_MODULES_MAX);
        gr_gates_add(&p->gates, (unsigned)gate);
        if (len < sizeof(p->what))
            len += (size_t)snprintf(p->what + len, sizeof(p->what) - len, "%s %s", i ? "," : "",
                                    c->module);
        if (!c->stable && !c->candidate)
            continue;
        r = add_member(p,
                       &(struct gr_member){
                           .gate = (unsigned)gate,
                           .stable = c->stable,
                           .contract = contract_of(c->stable),
                           .rescue = c->rescue,
                           .rescue_contract = contract_of(c->rescue),
                           .candidate = c->candidate,
                           .candidate_contract = contract_of(c->candidate),
                           .gray = c->gray,
                           .harm = c->harm,
                           .batch = c->batch,
                       },
                       e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int plan_kept(struct gr_plan *p, const struct gr_table *base, struct gr_error *e)
{
    for (size_t i = 0; i < base->n_records; i++) {
        struct gr_member m = base->records[i].member;
        if (change_of(p, base->records[i].name.s))
            continue;
        struct gr_gray *newer = m.gray ? gray_of(p, gr_gray_rollout(m.gray)) : NULL;
        if (newer) // the rule is the rollout's, not the module's
            m.gray = newer;
        int r = add_member(p, &m, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int gr_plan_next(struct gr_dispatch *d, struct gr_plan *p, struct gr_table **ret,
                 struct gr_error *e)
{
    const struct gr_table *base = atomic_load(&d->current);
    pthread_mutex_lock(&d->lock);
    int r = plan_changed_locked(d, p, e);
    pthread_mutex_unlock(&d->lock);
    if (r == 0)
        r = plan_kept(p, base, e);
    return r < 0 ? r : gr_table_build(base->number + 1, p->members, p->n_members, ret, e);
}
