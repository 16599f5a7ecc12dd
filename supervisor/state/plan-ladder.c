// The steps of a batch: all its members go up one ladder, so that a request never sees some of them
// new and some old. Pure.
#include "state/plan-ladder.h"
#include "state/desired-internal.h"
#include <errno.h>
#include <string.h>

bool gr_plan_same_steps(const struct gr_strategy *a, const struct gr_strategy *b)
{
    bool same = a->n_steps == b->n_steps;
    for (size_t i = 0; same && i < a->n_steps; i++) {
        const struct gr_step *x = &a->steps[i], *y = &b->steps[i];
        same = x->kind == y->kind && x->permyriad == y->permyriad &&
               x->duration_usec == y->duration_usec && x->requests == y->requests;
    }
    return same;
}

void gr_plan_check_ladder(struct gr_plan *p)
{
    const struct gr_plan_item *first = NULL;
    for (size_t i = 0; i < p->n; i++) {
        struct gr_plan_item *it = &p->items[i];
        if (it->kind == GR_PLAN_REFUSE || !it->to || !it->to->strategy.n_steps)
            continue;
        if (!first)
            first = it;
        if (gr_plan_same_steps(&first->to->strategy, &it->to->strategy))
            continue;
        it->kind = GR_PLAN_REFUSE;
        p->refused = true;
        gr_error_set(&it->refusal, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                     "strategy.steps: %s and %s were written in one transaction and declare "
                     "different steps; expected the same ones, since they are released together. "
                     "Write the same steps, or two transactions",
                     first->module.s, it->module.s);
    }
}

bool gr_plan_same_strategy(const struct gr_desired *a, const struct gr_desired *b)
{
    GR_AUTO_JSON cJSON *x = gr_strategy_format(&a->strategy), *y = gr_strategy_format(&b->strategy);
    return !x || !y || cJSON_Compare(x, y, true);
}
