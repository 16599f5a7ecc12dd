// What a module's state says to a person: where its rollout is, and which command comes next.
#pragma once
#include "base/clock.h"
#include "cli/cli.h"

// Adds "shown" to a module as the control socket tells it: {"step","weight","pause","verdict",
// "intent","faults","breaker","fault","backtrace"}, each one line, absent when there is nothing to
// say; for tables only.
void gr_explain_add_shown(cJSON *module);
// The next command, or what to do, in half a sentence. `phase` and `reason` are the rollout's,
// `hold` is why it is paused ("": it is not).
void gr_explain_next(const char *module, const char *phase, const char *reason, const char *hold,
                     char *buf, size_t cap);
// The same of a module as the control socket tells it.
void gr_explain_next_of(const cJSON *module, char *buf, size_t cap);
// Who answers for it now, and with how many failures: whether anybody is hurt. Counts are those of
// the worker that serves.
void gr_explain_now_of(const cJSON *module, char *buf, size_t cap);
// ", 3m12s ago"; "" of what is no time, or not past.
const char *gr_explain_age(const char *at, struct gr_wall now, char buf[48]);
