// Owns the transition table. Must never know a clock, a journal or a worker.
#include "rollout/transition.h"
#include <errno.h>

struct transition {
    enum gr_phase from;
    enum gr_rollout_event event;
    enum gr_phase to;
};

static const struct transition table[] = {
    {GR_PHASE_PENDING, GR_ROLLOUT_BEGIN, GR_PHASE_FETCHING},
    {GR_PHASE_PENDING, GR_ROLLOUT_REMOVE, GR_PHASE_STAGED},
    {GR_PHASE_PENDING, GR_ROLLOUT_SETTLED, GR_PHASE_HEALTHY},
    {GR_PHASE_PENDING, GR_ROLLOUT_REFUSE, GR_PHASE_REJECTED},
    {GR_PHASE_PENDING, GR_ROLLOUT_SUPERSEDE, GR_PHASE_SUPERSEDED},

    {GR_PHASE_FETCHING, GR_ROLLOUT_FETCHED, GR_PHASE_VERIFYING},
    {GR_PHASE_FETCHING, GR_ROLLOUT_REFUSE, GR_PHASE_REJECTED},
    {GR_PHASE_FETCHING, GR_ROLLOUT_SUPERSEDE, GR_PHASE_SUPERSEDED},

    {GR_PHASE_VERIFYING, GR_ROLLOUT_STAGED, GR_PHASE_STAGED},
    {GR_PHASE_VERIFYING, GR_ROLLOUT_REFUSE, GR_PHASE_REJECTED},
    {GR_PHASE_VERIFYING, GR_ROLLOUT_FAIL, GR_PHASE_ROLLED_BACK},
    {GR_PHASE_VERIFYING, GR_ROLLOUT_SUPERSEDE, GR_PHASE_SUPERSEDED},

    {GR_PHASE_STAGED, GR_ROLLOUT_SWAPPED, GR_PHASE_BAKING},
    {GR_PHASE_STAGED, GR_ROLLOUT_REMOVED, GR_PHASE_HEALTHY},
    {GR_PHASE_STAGED, GR_ROLLOUT_FAIL, GR_PHASE_ROLLED_BACK},
    {GR_PHASE_STAGED, GR_ROLLOUT_SUPERSEDE, GR_PHASE_SUPERSEDED},

    {GR_PHASE_BAKING, GR_ROLLOUT_BAKED, GR_PHASE_HEALTHY},
    {GR_PHASE_BAKING, GR_ROLLOUT_FAIL, GR_PHASE_ROLLING_BACK},
    {GR_PHASE_BAKING, GR_ROLLOUT_SUPERSEDE, GR_PHASE_ROLLING_BACK},

    {GR_PHASE_ROLLING_BACK, GR_ROLLOUT_RESTORED, GR_PHASE_ROLLED_BACK},
    {GR_PHASE_ROLLING_BACK, GR_ROLLOUT_REPLACED, GR_PHASE_SUPERSEDED},
};

const char *gr_rollout_event_name(enum gr_rollout_event ev)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_ROLLOUT_EVENTS(X)
#undef X
    };
    return (unsigned)ev < GR_COUNT(names) ? names[ev] : "?";
}

int gr_transition(enum gr_phase from, enum gr_rollout_event ev, enum gr_phase *ret)
{
    for (size_t i = 0; i < GR_COUNT(table); i++)
        if (table[i].from == from && table[i].event == ev) {
            *ret = table[i].to;
            return 0;
        }
    return -EPERM;
}
