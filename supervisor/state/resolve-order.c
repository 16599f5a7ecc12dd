// The order of loading: a topological one over required interfaces, and over optional ones as far
// as they close no cycle.
#include "state/resolve-internal.h"
#include <errno.h>
#include <string.h>

enum need { NEED_NONE, NEED_OPTIONAL, NEED_REQUIRED };
struct ordering {
    const struct gr_contract *const *set;
    size_t n;
    bool placed[GR_MODULES_MAX];
    unsigned char need[GR_MODULES_MAX][GR_MODULES_MAX]; // who needs whom, and how much
};

static void add_needs(struct ordering *o, size_t i, const struct gr_contract_need *needs, size_t n,
                      enum need how)
{
    for (size_t k = 0; k < n; k++)
        for (size_t p = 0; p < o->n; p++) {
            const struct gr_contract_interface *f =
                gr_resolve_provides(o->set[p], needs[k].interface);
            if (p != i && f && gr_range_matches(&needs[k].range, &f->version) &&
                o->need[i][p] < how)
                o->need[i][p] = (unsigned char)how;
        }
}

static bool is_ready(const struct ordering *o, size_t i, int least)
{
    for (size_t p = 0; p < o->n; p++)
        if (!o->placed[p] && o->need[i][p] >= least)
            return false;
    return true;
}

// The first one that waits for nobody; else one that waits for optional ones only; else (a cycle,
// which is refused before it is loaded) the first one at all.
static size_t next(const struct ordering *o)
{
    static const int patience[] = {NEED_OPTIONAL, NEED_REQUIRED, NEED_REQUIRED + 1};
    for (size_t k = 0; k < GR_COUNT(patience); k++)
        for (size_t i = 0; i < o->n; i++)
            if (!o->placed[i] && is_ready(o, i, patience[k]))
                return i;
    return 0; // not reached: somebody is left
}

int gr_resolve_order(const struct gr_contract *const *set, size_t n, size_t *ret_order)
{
    struct ordering *o GR_AUTO_FREE = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    o->set = set;
    o->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct gr_contract *c = set[i];
        if (!c)
            continue;
        add_needs(o, i, c->requires, c->n_requires, NEED_REQUIRED);
        add_needs(o, i, c->optional, c->n_optional, NEED_OPTIONAL);
    }
    for (size_t k = 0; k < n; k++) {
        size_t i = next(o);
        o->placed[i] = true;
        ret_order[k] = i;
    }
    return 0;
}
