// What a strategy says and its author probably did not mean: for lint and plan. Nothing here
// refuses a document.
#include "base/clock.h"
#include "base/limits.h"
#include "state/desired.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define ALPHA_USUAL_MAX 0.1
#define ALPHA_USUAL_MIN 1e-5

static void warn(struct gr_warnings *w, const char *format, ...) GR_PRINTF(2, 3);
static void warn(struct gr_warnings *w, const char *format, ...)
{
    va_list ap;
    if (w->n == GR_WARNINGS_MAX)
        return;
    va_start(ap, format);
    vsnprintf(w->text[w->n++], GR_MESSAGE_MAX, format, ap);
    va_end(ap);
}

static bool is_gate(const struct gr_step *p)
{
    return p->kind == GR_STEP_PAUSE && !p->duration_usec && !p->requests;
}

static void warn_step(const struct gr_strategy *s, size_t i, unsigned before, bool shadowed,
                      struct gr_warnings *w)
{
    const struct gr_step *p = &s->steps[i];
    bool seen = before > 0 || s->match_json;
    if (p->kind == GR_STEP_WEIGHT && p->permyriad < before)
        warn(w,
             "strategy.steps[%zu].weight: goes down from %g to %g, which takes the new version "
             "away from users who have it; expected a weight that grows",
             i, before / 100.0, p->permyriad / 100.0);
    if (p->kind == GR_STEP_WEIGHT && p->permyriad == before)
        warn(w, "strategy.steps[%zu].weight: is %g already, so that the step changes nothing", i,
             before / 100.0);
    if ((p->kind == GR_STEP_PAUSE || p->kind == GR_STEP_ANALYSIS) && !seen && !shadowed)
        warn(w,
             "strategy.steps[%zu]: waits while nobody can see the new version (no weight and no "
             "match rule before it); put it behind a weight",
             i);
    if (p->kind == GR_STEP_PAUSE && p->requests && before == 0 && !s->match_json)
        warn(w,
             "strategy.steps[%zu].pause.requests: no request can reach the new version yet, so "
             "that only the deadline ends it; put it behind a weight",
             i);
}

static void warn_requests(const struct gr_strategy *s, struct gr_warnings *w)
{
    uint64_t most = 0;
    bool timed = false;
    for (size_t i = 0; i < s->n_steps; i++) {
        if (s->steps[i].kind != GR_STEP_PAUSE)
            continue;
        timed |= s->steps[i].duration_usec || is_gate(&s->steps[i]);
        most = s->steps[i].requests > most ? s->steps[i].requests : most;
    }
    if (most && !timed && s->analysis.min_requests > most)
        warn(w,
             "strategy.analysis.min_requests: %" PRIu64 ", but no pause lasts longer than %" PRIu64
             " requests, so that the rollout will be held before the swap until they came; "
             "lengthen a pause or lower min_requests",
             s->analysis.min_requests, most);
}

static void warn_deadline(const struct gr_strategy *s, struct gr_warnings *w)
{
    uint64_t sum = 0;
    char all[32], deadline[32];
    for (size_t i = 0; i < s->n_steps; i++)
        sum += s->steps[i].duration_usec;
    if (sum >= s->deadline_usec)
        warn(w,
             "strategy.deadline: %s, but the pauses alone take %s, so that the rollout is always "
             "taken back; expected a longer one",
             gr_duration_format(s->deadline_usec, deadline), gr_duration_format(sum, all));
}

static void warn_analysis(const struct gr_strategy *s, struct gr_warnings *w)
{
    const struct gr_analysis *a = &s->analysis;
    if (a->alpha > ALPHA_USUAL_MAX || a->alpha < ALPHA_USUAL_MIN)
        warn(w,
             "strategy.analysis.alpha: %g is the share of good versions that may be taken back; "
             "expected %g to %g, 0.01 is usual (smaller finds faults later)",
             a->alpha, ALPHA_USUAL_MIN, ALPHA_USUAL_MAX);
    if (s->harm_bad_responses && a->error_rate_max_increase >= 0 &&
        (double)s->harm_bad_responses < a->error_rate_max_increase * (double)a->min_requests)
        warn(w,
             "strategy.harm.bad_responses: %" PRIu64 " is less than the errors that "
             "analysis.error_rate allows within min_requests, so that a good version may be ended "
             "by it",
             s->harm_bad_responses);
}

void gr_desired_warn(const struct gr_desired *d, struct gr_warnings *ret)
{
    const struct gr_strategy *s = &d->strategy;
    unsigned weight = 0;
    bool shadowed = false;
    ret->n = 0;
    for (size_t i = 0; i < s->n_steps; i++) {
        warn_step(s, i, weight, shadowed, ret);
        if (s->steps[i].kind == GR_STEP_WEIGHT)
            weight = s->steps[i].permyriad;
        shadowed |= s->steps[i].kind == GR_STEP_SHADOW;
    }
    if (!s->n_steps && (s->match_json || s->sticky[0]))
        warn(ret,
             "strategy.%s: has no effect without steps, since all users get the new version "
             "at once; add steps",
             s->match_json ? "match" : "sticky");
    warn_requests(s, ret);
    if (s->n_steps)
        warn_deadline(s, ret);
    warn_analysis(s, ret);
}
