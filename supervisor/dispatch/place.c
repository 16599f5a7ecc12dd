// Which calls a thread that others wait for does not run by itself, and in whose name they get room
// elsewhere. The version is chosen here, by the request's cohort, so that a version on trial which
// blocks takes up its own room and not stable's.
#include "dispatch/internal.h"
#include <stdio.h>

void gr_place_recall(struct gr_thread *t, const struct gr_record *r, const struct gr_place *place)
{
    if (r->member.gray && gr_gray_rollout(r->member.gray) == place->rollout)
        t->cohorts[r->rollout] =
            place->candidate ? GR_COHORT_DECIDED | GR_COHORT_CANDIDATE : GR_COHORT_DECIDED;
}

static void refuse(struct gr_thread *t, struct gr_instance *by, bool candidate, int32_t code,
                   const char *sentence, struct gr_response *ret)
{
    gr_stats_code(&t->dispatch->stats->seg->rows[by->slot][t->row], code, false);
    gr_response_fill(ret, &(struct gr_served){.code = code, .by = by, .candidate = candidate});
    snprintf(ret->message, sizeof ret->message, "%s", sentence);
}

// Of those who may answer, one after the other, the first whose breaker lets a call through: where
// the threads of the others are stuck, nothing has to wait for them to be refused. NULL: none.
static struct gr_instance *first_asked(const struct gr_route *route, bool candidate)
{
    const struct gr_member *m = &route->record->member;
    struct gr_instance *const in_turn[] = {
        candidate ? m->candidate : NULL,
        route->method != GR_METHOD_NONE ? m->stable : NULL,
        route->rescue_method != GR_METHOD_NONE ? m->rescue : NULL,
    };
    for (size_t i = 0; i < GR_COUNT(in_turn); i++)
        if (in_turn[i] && (gr_breakers_closed(in_turn[i]) ||
                           !gr_breakers_refuse(in_turn[i], gr_now_nsec() / 1000)))
            return in_turn[i];
    return NULL;
}

bool gr_place_find(struct gr_thread *t, const struct gr_route *route, struct gr_place *place,
                   struct gr_response *ret, enum gr_call_result *ret_result)
{
    const struct gr_member *m = &route->record->member;
    bool candidate = m->gray && gr_sees_candidate(t, route);
    if (m->gray) {
        place->rollout = gr_gray_rollout(m->gray);
        place->candidate = (gr_cohort(t, route->record) & GR_COHORT_CANDIDATE) != 0;
    }
    if (!candidate && route->method == GR_METHOD_NONE)
        return false; // nobody answers
    struct gr_instance *by = first_asked(route, candidate);
    *ret_result = GR_CALL_DONE;
    if (!by) {
        refuse(t, candidate ? m->candidate : m->stable, candidate, GRAYLING_UNAVAILABLE,
               GR_BREAKER_SENTENCE, ret);
        return true;
    }
    place->slot = by->slot;
    if (place->reserve(place->userdata, by->slot))
        *ret_result = GR_CALL_PLACED;
    else
        refuse(t, by, by == m->candidate, GRAYLING_RESOURCE_EXHAUSTED,
               "all threads of the module are busy, and no more calls may wait for them: try again",
               ret);
    return true;
}
