// Owns the rule of upgrade locks. See lock.h.
#include "state/lock.h"
#include "base/buf.h"
#include <stdio.h>
#include <string.h>

#define NAMED_MAX 8 // ties that a sentence spells out

// --- two contracts
// --------------------------------------------------------------------------------

static bool provides(const struct gr_contract *c, const char *interface)
{
    for (size_t i = 0; i < c->n_provides; i++)
        if (strcmp(c->provides[i].name, interface) == 0)
            return true;
    return false;
}

// What `a`, which is locked to what it requires, requires of `b`.
static const char *locked_need(const struct gr_contract *a, const struct gr_contract *b)
{
    for (size_t i = 0; a->upgrade_lock && !a->upgrade_group.s[0] && i < a->n_requires; i++)
        if (provides(b, a->requires[i].interface))
    return a->requires[i].interface;
    return NULL;
}

static bool tie_contracts(const struct gr_contract *because, const struct gr_contract *missing,
                          struct gr_lock_tie *ret)
{
    if (!because || !missing)
        return false;
    if (because->upgrade_group.s[0] &&
        gr_name_equal(&because->upgrade_group, &missing->upgrade_group))
        ret->group = because->upgrade_group.s;
    else if ((ret->interface = locked_need(because, missing)))
        ret->requires_it = true;
    else
        ret->interface = locked_need(missing, because);
    return ret->group || ret->interface;
}

// --- the set
// --------------------------------------------------------------------------------------

size_t gr_lock_missing(const struct gr_lock_module *all, size_t n, struct gr_lock_tie *ret)
{
    size_t found = 0;
    for (size_t at = 0; at < n + found; at++) { // the changed ones, then those found missing
        size_t because = at < n ? at : ret[at - n].missing;
        const struct gr_lock_module *x = &all[because];
        if (!x->in_force || (at < n && !x->changes))
            continue;
        for (size_t i = 0; i < n; i++) {
            struct gr_lock_tie tie = {.missing = i, .because = because};
            bool known = !all[i].in_force || all[i].changes || all[i].stays;
            for (size_t k = 0; !known && k < found; k++)
                known = ret[k].missing == i;
            if (!known && (tie_contracts(x->before, all[i].before, &tie) ||
                           (at < n && tie_contracts(x->after, all[i].before, &tie))))
                ret[found++] = tie;
        }
    }
    return found;
}

// --- for people
// -----------------------------------------------------------------------------------

static int add_names(struct gr_buf *b, const struct gr_lock_module *all,
                     const struct gr_lock_tie *ties, size_t n)
{
    int k = 0;
    for (size_t i = 0; k == 0 && i < n && i < NAMED_MAX; i++)
        k = gr_buf_printf(b, "%s%s",
                          i == 0       ? ""
                          : i + 1 == n ? " and "
                                       : ", ",
                          all[ties[i].missing].module);
    if (k == 0 && n > NAMED_MAX)
        k = gr_buf_printf(b, " and %zu more", n - NAMED_MAX);
    return k;
}

static int add_reason(struct gr_buf *b, const struct gr_lock_module *all,
                      const struct gr_lock_tie *t)
{
    const char *x = all[t->because].module, *y = all[t->missing].module;
    if (t->group)
        return gr_buf_printf(b, "%s and %s only change together (group \"%s\")", x, y, t->group);
    return gr_buf_printf(b, "%s only changes together with %s, which provides %s",
                         t->requires_it ? x : y, t->requires_it ? y : x, t->interface);
}

void gr_lock_say(const struct gr_lock_module *all, const struct gr_lock_tie *ties, size_t n_ties,
                 const char *what, char *buf, size_t cap)
{
    struct gr_buf b GR_AUTO_BUF = GR_BUF(4096);
    int k = gr_buf_printf(&b, "%s waits for ", what);
    if (k == 0)
        k = add_names(&b, all, ties, n_ties);
    for (size_t i = 0; k == 0 && i < n_ties && i < NAMED_MAX; i++) {
        k = gr_buf_printf(&b, "%s", i ? ", and " : ": ");
        if (k == 0)
            k = add_reason(&b, all, &ties[i]);
    }
    if (k == 0)
        k = gr_buf_printf(&b, ". Write what is missing; where one is to stay as it is, write all "
                              "of them in one transaction, that one unchanged.");
    snprintf(buf, cap, "%s", b.data ? b.data : "");
}
