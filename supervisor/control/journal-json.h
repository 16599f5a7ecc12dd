// Rows of the journal and plans as JSON, for the control socket. Pure.
#pragma once
#include "state/journal.h"
#include "state/plan.h"
#include <cjson/cJSON.h>

// New objects, caller frees; NULL: out of memory.
cJSON *gr_rollout_row_to_json(const struct gr_rollout_row *r);
cJSON *gr_event_row_to_json(const struct gr_event_row *ev);
// "items" lists all of all rollouts; an item's "group" counts the rollouts from 1.
cJSON *gr_plans_to_json(const struct gr_plans *p);
