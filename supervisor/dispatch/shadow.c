// A shadow: the candidate's, or stable's second, answer to a copy of a request that has long been
// answered. Runs as a call of its own on the table in force, so that exchange, freeze and unload
// treat it as any call; what it must not do is decided where calls are served (serve.c).
#include "dispatch/internal.h"

// Pins; *ret is the route, if its module is still on trial in this rollout. gr_unpin() follows.
static enum gr_entry enter(struct gr_thread *t, const struct grayling_request *request,
                           int64_t rollout, const struct gr_route **ret)
{
    enum gr_entry entry = gr_pin(t, request, ret);
    if (entry == GR_NO_ROUTE)
        return entry;
    const struct gr_gray *gray = (*ret)->record->member.gray;
    return gray && gr_gray_rollout(gray) == rollout ? entry : GR_NO_ROUTE;
}

static void run(struct gr_thread *t, const struct gr_route *route,
                const struct grayling_request *request, enum gr_shadow_role role,
                struct gr_response *ret)
{
    struct gr_served served;
    gr_response_clear(ret);
    gr_cohorts_begin(t, route->record->table, request);
    t->cohorts[route->record->rollout] =
        role == GR_SHADOW_CANDIDATE ? GR_COHORT_DECIDED | GR_COHORT_CANDIDATE : GR_COHORT_DECIDED;
    t->shadow = true;
    gr_serve(t, route, request, 0, ret->message, &served);
    t->shadow = false;
    gr_response_fill(ret, &served);
}

bool gr_dispatch_shadow(struct gr_thread *t, const struct grayling_request *request,
                        int64_t rollout, enum gr_shadow_role role, struct gr_response *ret)
{
    const struct gr_route *route = NULL;
    bool on = enter(t, request, rollout, &route) == GR_ENTERED && gr_route_both_idempotent(route) &&
              !atomic_load(&route->record->member.candidate->unsettled);
    if (on)
        run(t, route, request, role, ret);
    gr_unpin(t);
    return on;
}

void gr_dispatch_shadow_count(struct gr_thread *t, const struct grayling_request *request,
                              int64_t rollout, const struct gr_shadow_counters *add)
{
    const struct gr_route *route = NULL;
    if (enter(t, request, rollout, &route) != GR_NO_ROUTE) {
        unsigned slot = route->record->member.candidate->slot;
        gr_stats_shadow(&t->dispatch->stats->seg->rows[slot][t->row], add);
    }
    gr_unpin(t);
}
