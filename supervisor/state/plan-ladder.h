// What the steps of a strategy mean for a plan. Pure.
#pragma once
#include "state/plan.h"

// Refuses a plan whose members declare different steps; those without steps go along.
void gr_plan_check_ladder(struct gr_plan *p);
// Two that have steps: are they the same ones?
bool gr_plan_same_steps(const struct gr_strategy *a, const struct gr_strategy *b);
bool gr_plan_same_strategy(const struct gr_desired *a, const struct gr_desired *b);
