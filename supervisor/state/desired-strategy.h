// Decoding of the document's "strategy". Private to state/desired*.c.
#pragma once
#include "base/json.h"
#include "state/desired.h"

void gr_strategy_default(struct gr_strategy *s);
// Fails: -EINVAL DocumentInvalid, path first. *s may be half filled; gr_strategy_done() frees it.
GR_MUST_CHECK int gr_strategy_parse(const cJSON *o, struct gr_strategy *s, struct gr_error *e);
void gr_strategy_done(struct gr_strategy *s);
cJSON *gr_strategy_format(const struct gr_strategy *s);
