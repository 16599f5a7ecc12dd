// The steps that change who sees the new versions: a share of the requests, or of copies of them.
#include "rollout/rollout-internal.h"

static enum gr_step_result share(struct gr_rollout *r, unsigned permyriad, unsigned *in_row,
                                 const char *what)
{
    if (r->step_entered) // the worker has answered: the walk does not come here before
        return GR_STEP_DONE;
    *in_row = permyriad;
    if (gr_step_begin(r, "%s %g %%", what, permyriad / 100.0) < 0)
        return GR_STEP_FAILED;
    return gr_step_route(r);
}

enum gr_step_result gr_step_weight(struct gr_rollout *r, const struct gr_step *s)
{
    return share(r, s->permyriad, &r->row.gray.weight_permyriad, "weight");
}

enum gr_step_result gr_step_shadow(struct gr_rollout *r, const struct gr_step *s)
{
    return share(r, s->permyriad, &r->row.gray.shadow_permyriad, "shadow");
}
