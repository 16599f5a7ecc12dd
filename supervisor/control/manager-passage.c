// Adds to plans what becomes of state: handed over, a swap without a way back, or refused, as far
// as the contracts are known here. Reads only.
#include "control/manager-internal.h"
#include "state/passage.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Of this host's memory, else of whoever asks and has the file.
static const struct gr_contract *contract_to(struct gr_manager *m, const struct gr_wishes *now,
                                             const struct gr_plan_item *it)
{
    const struct gr_contract *c = gr_manager_contract(m, it->to);
    for (size_t i = 0; !c && i < now->n; i++)
        if (gr_name_equal(&now->wishes[i].module, &it->module))
            c = now->wishes[i].contract;
    return c;
}

static const struct gr_strategy *ladder_of(const struct gr_plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].to && p->items[i].to->strategy.n_steps)
            return &p->items[i].to->strategy;
    return NULL;
}

static void say(struct gr_plan_item *it, const struct gr_contract *from,
                const struct gr_contract *to, const struct gr_passage *p)
{
    if (from && from->has_state && !to)
        snprintf(it->passage, sizeof it->passage,
                 "%s %.64s holds state (schema %" PRIu64
                 "); whether %.64s can take it over is not known before this host has its file, or "
                 "plan is asked where the file is",
                 it->module.s, from->version.text, from->state_schema, it->to->version.text);
    else if (p->why[0])
        snprintf(it->passage, sizeof it->passage, "%.500s. %s", p->why,
                 it->to->one_way ? "The document agrees to that"
                                 : "The swap waits for grayctl promote --one-way");
    else if (p->handover == GR_HANDOVER_STATE)
        snprintf(it->passage, sizeof it->passage, "the state of %s %.64s is handed over to %.64s",
                 it->module.s, from->version.text, to->version.text);
}

void gr_manager_note_passages(struct gr_manager *m, const struct gr_wishes *now, struct gr_plans *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct gr_plan *plan = &p->plans[i];
        const struct gr_strategy *ladder = ladder_of(plan);
        for (size_t k = 0; !plan->refused && k < plan->n; k++) {
            struct gr_plan_item *it = &plan->items[k];
            const struct gr_contract *from = gr_manager_contract(m, it->from);
            const struct gr_contract *to = it->to ? contract_to(m, now, it) : NULL;
            struct gr_passage passage;
            if (!it->to)
                continue;
            gr_passage_find(from, to, &passage);
            it->one_way = passage.why[0];
            say(it, from, to, &passage);
            if (gr_passage_check(from, to, it->to, ladder, &it->refusal) < 0) {
                it->kind = GR_PLAN_REFUSE;
                plan->refused = true;
            }
        }
    }
}
