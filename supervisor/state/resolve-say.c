// The sentences of the resolver: what was asked, what stands in the way with the chain that leads
// there, and what would make it possible.
#include "base/buf.h"
#include "state/resolve-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define CHAIN_BYTES 512

// --- chains
// ---------------------------------------------------------------------------------------

// Somebody who requires what module i provides and is not in the chain yet; the rollout's own
// first. in->n: nobody.
static size_t who_requires(const struct gr_sight *s, size_t i, const bool *seen)
{
    size_t found = s->in->n;
    for (size_t k = 0; k < s->in->n; k++) {
        const struct gr_contract *c = seen[k] ? NULL : gr_sight_of(s, k);
        for (size_t j = 0; c && j < c->n_requires; j++) {
            struct gr_bond b = gr_sight_meet(s, &c->requires[j]);
            if (b.state == GR_BOND_MET && b.by == i &&
                (found == s->in->n || s->in->modules[k].changed))
                found = k;
        }
    }
    return found;
}

// "pay 2.0.0 -> auth 2.0.0": from whom nobody requires down to module i.
static void tell_chain(const struct gr_sight *s, size_t i, char text[CHAIN_BYTES])
{
    size_t path[GR_MODULES_MAX], n = 0;
    bool seen[GR_MODULES_MAX] = {false};
    struct gr_buf b GR_AUTO_BUF = GR_BUF(CHAIN_BYTES - 1);
    for (size_t at = i; at < s->in->n && n < GR_MODULES_MAX; at = who_requires(s, at, seen)) {
        seen[at] = true;
        path[n++] = at;
    }
    while (n--) {
        const struct gr_contract *c = gr_sight_of(s, path[n]);
        if (c &&
            gr_buf_printf(&b, "%s%s %s", b.len ? " -> " : "", c->module.s, c->version.text) < 0)
            break;
    }
    snprintf(text, CHAIN_BYTES, "%s", b.data ? b.data : "");
}

// --- what the rollout's modules need
// --------------------------------------------------------------

void gr_say_missing(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                    struct gr_error *e)
{
    char chain[CHAIN_BYTES];
    tell_chain(s, i, chain);
    gr_error_set(e, -ENOENT, GR_REASON_DEPENDENCY_MISSING,
                 "%s -> %s %s: nobody provides %s; expected a module that does, in force or in the "
                 "same transaction. Write both in one transaction, or the provider first",
                 chain, need->interface, need->range.text, need->interface);
}

void gr_say_wrong(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                  const struct gr_bond *b, struct gr_error *e)
{
    char chain[CHAIN_BYTES];
    const struct gr_contract *c = gr_sight_of(s, i);
    tell_chain(s, i, chain);
    gr_error_set(e, -EPROTO, GR_REASON_CONTRACT_INCOMPATIBLE,
                 "%s -> %s %s: %s %s requires it, but %s %s provides %s. Release a %s that the "
                 "range allows, in the same transaction or before, or a %s that takes %s",
                 chain, need->interface, need->range.text, c->module.s, c->version.text,
                 b->provider->module.s, b->provider->version.text, b->interface->version.text,
                 b->provider->module.s, c->module.s, b->interface->version.text);
}

void gr_say_wait(const struct gr_sight *s, size_t i, const struct gr_contract_need *need,
                 const char *provider, int64_t rollout, struct gr_error *e)
{
    const struct gr_contract *c = gr_sight_of(s, i);
    if (!rollout)
        gr_error_set(e, -EAGAIN, GR_REASON_DEPENDENCY_MISSING,
                     "%s %s requires %s %s and waits for %s, whose file the store has lost: what "
                     "it provides is not known until it was fetched again",
                     c->module.s, c->version.text, need->interface, need->range.text, provider);
    else
        gr_error_set(e, -EAGAIN, GR_REASON_DEPENDENCY_MISSING,
                     "%s %s requires %s %s and waits for %s: rollout %" PRId64
                     " may bring it and is not settled yet. It goes on when that one has ended "
                     "well; what is written in one transaction does not wait",
                     c->module.s, c->version.text, need->interface, need->range.text, provider,
                     rollout);
}

// --- what others need
// -----------------------------------------------------------------------------

void gr_say_lost(const struct gr_sight *s, size_t p, size_t i, const struct gr_contract_need *need,
                 const struct gr_bond *now, int64_t rollout, struct gr_error *e)
{
    char chain[CHAIN_BYTES], ask[400];
    const struct gr_resolve_module *what = &s->in->modules[p];
    const struct gr_contract *c = gr_sight_of(s, i);
    bool wrong = now->state == GR_BOND_WRONG;
    enum gr_reason reason = wrong ? GR_REASON_CONTRACT_INCOMPATIBLE : GR_REASON_DEPENDENCY_MISSING;
    tell_chain(s, i, chain);
    if (what->contract)
        snprintf(ask, sizeof ask, "%s %s%s%.40s", what->module.s, what->contract->version.text,
                 wrong ? " provides " : " does not provide it any more",
                 wrong ? now->interface->version.text : "");
    else
        snprintf(ask, sizeof ask, "%s would be removed", what->module.s);
    if (rollout)
        gr_error_set(e, -EAGAIN, reason,
                     "%s -> %s %s: %s. It waits for rollout %" PRId64
                     ", after which %s may do without it",
                     chain, need->interface, need->range.text, ask, rollout, c->module.s);
    else
        gr_error_set(e, -EPERM, reason,
                     "%s -> %s %s: %s, and %s %s requires it. Change or remove both in one "
                     "transaction, or %s first",
                     chain, need->interface, need->range.text, ask, c->module.s, c->version.text,
                     c->module.s);
}

void gr_say_twice(const struct gr_contract *a, const struct gr_contract *b, const char *interface,
                  int64_t rollout, struct gr_error *e)
{
    if (rollout)
        gr_error_set(e, -EAGAIN, GR_REASON_CONTRACT_INCOMPATIBLE,
                     "%s %s provides %s, which %s %s provides too; an interface has one provider. "
                     "It waits for rollout %" PRId64 ", after which %s may not provide it any more",
                     a->module.s, a->version.text, interface, b->module.s, b->version.text, rollout,
                     b->module.s);
    else
        gr_error_set(e, -EEXIST, GR_REASON_CONTRACT_INCOMPATIBLE,
                     "%s %s provides %s, which %s %s provides too; an interface has one provider. "
                     "Remove one of the two in the same transaction, or before",
                     a->module.s, a->version.text, interface, b->module.s, b->version.text);
}

void gr_say_cycle(const struct gr_sight *s, const size_t *path, size_t n, struct gr_error *e)
{
    struct gr_buf b GR_AUTO_BUF = GR_BUF(CHAIN_BYTES - 1);
    for (size_t k = 0; k <= n; k++) {
        const struct gr_contract *c = gr_sight_of(s, path[k % n]);
        if (gr_buf_printf(&b, "%s%s %s", k ? " -> " : "", c->module.s, c->version.text) < 0)
            break;
    }
    gr_error_set(e, -ELOOP, GR_REASON_DEPENDENCY_MISSING,
                 "%s: these require each other in a cycle, so none of them can be loaded before "
                 "the other; expected requirements that end somewhere. Make one of them optional",
                 b.data ? b.data : "");
}
