// What becomes of a module's state when one version takes another's place, as an operator sees it:
// handed over, a door that opens to one side only, or refused. From contracts and documents alone,
// before anything is touched. Pure.
#pragma once
#include "base/handover.h"
#include "state/desired.h"

#define GR_PASSAGE_WHY_MAX 544
struct gr_passage {
    enum gr_handover handover;    // of the state of the version in force
    bool one_way;                 // the way back loses state
    char why[GR_PASSAGE_WHY_MAX]; // one_way or IMPOSSIBLE: the sentence, both sides named; else ""
};
// `from`: of the version in force, NULL: none, or not known; `to` NULL: it goes away, or is not
// known.
void gr_passage_find(const struct gr_contract *from, const struct gr_contract *to,
                     struct gr_passage *ret);

// The first step of `s` that shows the new version to somebody while stable serves; n_steps: only
// match rules do; SIZE_MAX: nobody sees it before the swap.
size_t gr_strategy_first_shown(const struct gr_strategy *s);

// For lint, which knows the new version only: what its state means for its release. Appends.
void gr_passage_warn(const struct gr_contract *to, const struct gr_desired *document,
                     struct gr_warnings *w);

// Whether the release may take the place of the version in force by these steps. `ladder`: those
// that are walked, maybe of another member of the batch; NULL: none. Fails: -EINVAL
// StateHandoverFailed (its state would be lost, and the document does not say one_way),
// DocumentInvalid (two versions at once would each hold a part of the state).
GR_MUST_CHECK int gr_passage_check(const struct gr_contract *from, const struct gr_contract *to,
                                   const struct gr_desired *document,
                                   const struct gr_strategy *ladder, struct gr_error *e);
