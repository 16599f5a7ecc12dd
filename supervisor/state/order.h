// What an operator asks of a rollout, as a value: from an intent key of etcd (INTERFACES §4) or
// from the control socket. Pure.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include <stddef.h>
#include <stdint.h>

#define GR_ORDER_VERBS(X)                                                                          \
    X(PROMOTE, "promote")                                                                          \
    X(PAUSE, "pause")                                                                              \
    X(RESUME, "resume")                                                                            \
    X(ABORT, "abort")                                                                              \
    X(RETRY, "retry")
enum gr_order_verb {
#define X(id, text) GR_ORDER_##id,
    GR_ORDER_VERBS(X)
#undef X
        GR_ORDER_VERB_COUNT
};
const char *gr_order_verb_name(enum gr_order_verb v);

struct gr_order {
    enum gr_order_verb verb;
    int64_t rollout, step; // what the operator saw; -1: whatever it is
    bool full;             // promote: past all further steps
    bool over_bad_stable;  // promote: although stable is no better
    bool one_way;          // promote: although there is no way back that keeps the state;
                           // abort: back all the same, and what came since is lost
    bool local;            // undo: this host goes back, whatever the desired state says
    char actor[128], reason[512];
};
// {"verb","rollout","step","actor","reason","full","over_bad_stable","one_way","at"}; `rollout` and
// `step` are required, since an intent stays where it is when what it meant has passed; actor,
// reason and `at` (for people) are not. Fails: -EINVAL DocumentInvalid, the sentence begins with
// the field's path.
GR_MUST_CHECK int gr_order_parse(const char *bytes, size_t len, struct gr_order *ret,
                                 struct gr_error *e);
// The same as text; `at` is RFC 3339, NULL: left out. Caller frees. NULL: out of memory.
char *gr_order_format(const struct gr_order *o, const char *at);
