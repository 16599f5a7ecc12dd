// One view for each request: which cohort of which rollout it belongs to, decided once, at the
// first call that touches the rollout, and kept for every call that a module makes on its behalf.
//
// What a rule sees is the request as it came in, also when a call from module to module is what
// touches the rollout first.
#include "dispatch/internal.h"

// A batch is out as soon as one member has spent its budget.
static bool is_over(const struct gr_record *r)
{
    const struct gr_table *t = r->table;
    if (!t->rollouts[r->rollout].limited)
        return false;
    if (t->rollouts[r->rollout].n_members == 1)
        return gr_harm_is_spent(r->member.harm);
    for (size_t i = 0; i < t->n_records; i++) {
        const struct gr_record *one = &t->records[i];
        if (one->member.gray && one->rollout == r->rollout && one->member.harm &&
            gr_harm_is_spent(one->member.harm))
            return true;
    }
    return false;
}

static uint8_t decide(const struct gr_thread *t, const struct gr_record *r)
{
    struct gr_gray *gray = r->member.gray;
    struct gr_gray_decision d;
    if (is_over(r))
        return GR_COHORT_DECIDED;
    // a shadow takes no turn from real requests
    if (!gr_gray_decide(gray, t->request, &d) && !t->shadow)
        d.candidate = gr_gray_turn(gray);
    if (__builtin_expect(d.given_up != 0, 0))
        gr_stats_patterns_given_up(t->dispatch->stats, d.given_up);
    return d.candidate ? GR_COHORT_DECIDED | GR_COHORT_CANDIDATE : GR_COHORT_DECIDED;
}

uint8_t gr_cohort(struct gr_thread *t, const struct gr_record *r)
{
    uint8_t *cohort = &t->cohorts[r->rollout];
    if (*cohort == 0)
        *cohort = decide(t, r);
    return *cohort;
}

bool gr_cohort_use(struct gr_thread *t, const struct gr_record *r)
{
    uint8_t before = t->cohorts[r->rollout];
    t->cohorts[r->rollout] |= GR_COHORT_USED;
    return !(before & GR_COHORT_USED) || r->table->rollouts[r->rollout].n_members == 1;
}

bool gr_cohort_is_fresh(const struct gr_thread *t, const struct gr_record *r)
{
    return !(t->cohorts[r->rollout] & GR_COHORT_USED);
}

void gr_cohort_leave(struct gr_thread *t, const struct gr_record *r)
{
    t->cohorts[r->rollout] = GR_COHORT_DECIDED;
}

void gr_cohorts_leave_used(struct gr_thread *t, const struct gr_table *table)
{
    for (size_t i = 0; i < table->n_rollouts; i++)
        if (t->cohorts[i] & GR_COHORT_USED)
            t->cohorts[i] = GR_COHORT_DECIDED;
}
