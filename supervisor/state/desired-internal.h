// What the files that read documents share. Private to state/desired*.c. Every complaint begins
// with the field's path: "strategy.steps[2].weight: expected ..., found ...".
#pragma once
#include "base/json.h"
#include "base/utf8.h"
#include "state/desired.h"

#define GR_FIELD_MAX 160 // a field's path inside a document

// Returns -EINVAL with DocumentInvalid.
int gr_desired_refuse(struct gr_error *e, const char *path, const char *format, ...)
    GR_PRINTF(3, 4);
// -ENOMEM with a sentence.
int gr_desired_no_memory(struct gr_error *e);
// A value as a complaint shows it: its JSON, shortened.
const char *gr_desired_show(const cJSON *v, char buf[GR_SHOWN_MAX]);

// Takes `take` (NULL: out of memory) into the object. false: out of memory, nothing was added.
bool gr_desired_add(cJSON *o, const char *field, cJSON *take);

void gr_strategy_default(struct gr_strategy *s);
void gr_strategy_done(struct gr_strategy *s);
// *s holds the defaults before; on failure it may be half filled, and gr_strategy_done() frees it.
GR_MUST_CHECK int gr_strategy_parse(const cJSON *o, struct gr_strategy *s, struct gr_error *e);
// Writes every field, defaults too. NULL: out of memory.
cJSON *gr_strategy_format(const struct gr_strategy *s);

// Shape only: what a rule means is decided by routing.
GR_MUST_CHECK int gr_match_parse(const cJSON *list, char **ret_json, struct gr_error *e);
GR_MUST_CHECK int gr_sticky_parse(const cJSON *v, char *buf, size_t cap, struct gr_error *e);

GR_MUST_CHECK int gr_analysis_parse(const cJSON *o, struct gr_analysis *a, struct gr_error *e);
// NULL: out of memory.
cJSON *gr_analysis_format(const struct gr_analysis *a);
