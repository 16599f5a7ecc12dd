// The plan: what has to happen so that the actual state becomes the desired one. A value, computed
// by a pure function, printed by `grayctl plan`, checked before anything is touched.
#pragma once
#include "state/journal.h"

enum gr_plan_kind {
    GR_PLAN_DEPLOY,
    GR_PLAN_REPLACE,
    GR_PLAN_RECONFIGURE,
    GR_PLAN_REMOVE,
    GR_PLAN_REFUSE
};
struct gr_plan_item {
    enum gr_plan_kind kind;
    struct gr_name module;
    const struct gr_desired *to;   // borrowed from the inputs; NULL: remove
    const struct gr_desired *from; // borrowed; NULL: first deployment
    struct gr_error refusal;       // REFUSE: why
};
// One rollout: all modules whose keys changed between two snapshots. One refused member refuses the
// batch: `refused` is set, no item is carried out.
struct gr_plan {
    int64_t rollout;
    bool refused;
    size_t n;
    struct gr_plan_item *items;
};

// What a snapshot says of one module: a parsed document, or why it could not be parsed.
struct gr_wish {
    struct gr_name module;
    struct gr_desired *desired;
    struct gr_error error;
    int64_t mod_revision;
};
struct gr_wishes {
    int64_t revision;
    uint64_t cluster_id;
    size_t n;
    struct gr_wish *wishes;
}; // sorted by module

// `before`: the last snapshot that was planned (NULL at first start, when every module counts as
// changed); `now`: the new one. `actual`: the committed table. A changed wish that equals what is
// in force yields no item. A convicted digest, or a convicted fingerprint
// (gr_desired_fingerprint), yields REFUSE Quarantined. Owns: *ret by the caller.
// Fails: -ENOMEM.
GR_MUST_CHECK int gr_plan_make(const struct gr_wishes *before, const struct gr_wishes *now,
                               const struct gr_table_rows *actual,
                               const struct gr_conviction *convictions, size_t n_convictions,
                               struct gr_plan **ret);
void gr_plan_free(struct gr_plan *p);
// For people, one line per item ("pay 1.0.0 -> 1.1.0 (replace)"). Caller frees.
char *gr_plan_format(const struct gr_plan *p);
