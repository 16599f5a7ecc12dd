// The step that waits for a verdict. Undecided holds here; a failed verdict ends the rollout where
// it is looked at (rollout-judge.c).
#include "rollout/rollout-internal.h"
#include <stdio.h>

enum gr_step_result gr_step_analysis(struct gr_rollout *r, const struct gr_step *s)
{
    char text[512];
    (void)s;
    if (!r->step_entered) {
        gr_rollout_say_undecided(r, text, sizeof text);
        if (gr_step_begin(r, "analysis waits for a verdict: %.200s", text) < 0)
            return GR_STEP_FAILED;
        if (!r->in_table)
            return gr_step_route(r);
    }
    return gr_rollout_all_successful(r) ? GR_STEP_DONE : GR_STEP_WAIT;
}
