// Adds to the answer of a question whose requests would go to the pool without their module having
// asked for it, as far as the contracts are known here. Reads only.
#include "control/manager-internal.h"
#include "state/pooling.h"
#include <errno.h>

// What the module will be: by this host's memory, else by whoever asks and has the file; of a
// document that cannot be read, what is in force.
static const struct gr_contract *contract_of(struct gr_manager *m, const struct gr_wish *w)
{
    const struct gr_contract *c = w->desired ? gr_manager_contract(m, w->desired) : NULL;
    if (!c)
        c = w->contract;
    for (size_t i = 0; !c && !w->desired && i < m->table.n; i++)
        if (gr_name_equal(&m->table.rows[i].module, &w->module))
            c = gr_manager_contract(m, m->table.rows[i].release);
    return c;
}

static bool is_asked(const struct gr_wishes *asked, const struct gr_name *module)
{
    for (size_t i = 0; i < asked->n; i++)
        if (gr_name_equal(&asked->wishes[i].module, module))
            return true;
    return false;
}

int gr_manager_note_pooling(struct gr_manager *m, const struct gr_wishes *asked,
                            const struct gr_wishes *now, struct gr_plans *p)
{
    const struct gr_contract *set[GR_MODULES_MAX];
    size_t n = now->n < GR_MODULES_MAX ? now->n : GR_MODULES_MAX;
    p->warnings = calloc(asked->n + 1, sizeof *p->warnings);
    if (!p->warnings)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        set[i] = contract_of(m, &now->wishes[i]);
    for (size_t i = 0; i < n && p->n_warnings < asked->n; i++) {
        struct gr_plan_warning *w = &p->warnings[p->n_warnings];
        if (!is_asked(asked, &now->wishes[i].module) || !gr_pooling_say(set, n, i, w->text))
            continue;
        w->module = now->wishes[i].module;
        p->n_warnings++;
    }
    return 0;
}
