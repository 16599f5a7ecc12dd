// State of one module between processes, for transfer.c.
#pragma once
#include "dispatch/carry.h"

struct gr_pass;
struct gr_apart {
    const struct gr_pass *pass;
    int parcel; // -1: both versions are here, and nothing below is called
    struct gr_parcel_label label;
    struct gr_carried carried; // where the importer is here
};
#define GR_APART_WHAT_MAX (GR_CARRY_WHY_MAX + 32)

bool gr_pass_is_apart(const struct gr_pass *p);
// Fails: as gr_parcel_new(). gr_apart_done() follows either way.
GR_MUST_CHECK int gr_apart_init(struct gr_apart *a, const struct gr_pass *p);
// The old version's hook, where it is away. *hook: which one failed.
GR_MUST_CHECK int gr_apart_export(struct gr_apart *a, const char **hook,
                                  char what[GR_APART_WHAT_MAX]);
// From what was given (where the old version is here) to what the new one is shown (where it is).
GR_MUST_CHECK int gr_apart_carry(struct gr_apart *a, const struct grayling_state *given,
                                 struct grayling_state *ret_taken, char why[GR_CARRY_WHY_MAX]);
// The new version's hook, where it is away.
GR_MUST_CHECK int gr_apart_import(struct gr_apart *a, char what[GR_APART_WHAT_MAX]);
// `refused`: an import_state() here returned a code, or was never called.
void gr_apart_done(struct gr_apart *a, bool refused);
