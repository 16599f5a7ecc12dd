// The step that waits: for a time, for requests of the new versions, for both, or for a person.
#include "base/clock.h"
#include "rollout/rollout-internal.h"
#include <inttypes.h>
#include <stdio.h>

static void describe(const struct gr_step *s, char *buf, size_t cap)
{
    char time[32] = "", requests[48] = "";
    if (s->duration_usec)
        gr_duration_format(s->duration_usec, time);
    if (s->requests)
        snprintf(requests, sizeof requests, "%s%" PRIu64 " requests", *time ? " and " : "",
                 s->requests);
    if (*time || *requests)
        snprintf(buf, cap, "a pause of %s%s", time, requests);
    else
        snprintf(buf, cap, "a gate: grayctl promote opens it");
}

static enum gr_step_result enter(struct gr_rollout *r, const struct gr_step *s)
{
    struct gr_gray_row *g = &r->row.gray;
    char text[160];
    if (!r->step_resumed) {
        g->pause_left_usec = s->duration_usec;
        g->pause_requests_left = s->requests;
    }
    r->step_resumed = false;
    r->pause_base = gr_rollout_seen_requests(r);
    r->pause_end.usec = gr_rollout_now(r).usec + g->pause_left_usec;
    g->hold = GR_HOLD_STEP;
    describe(s, text, sizeof text);
    if (gr_step_begin(r, "%s", text) < 0)
        return GR_STEP_FAILED;
    if (r->row.phase == GR_PHASE_PROGRESSING && gr_rollout_set_phase(r, GR_ROLLOUT_PAUSE) < 0)
        return GR_STEP_FAILED;
    // who is sent to the new versions by a rule sees them from the first step on
    return r->in_table ? GR_STEP_DONE : gr_step_route(r);
}

enum gr_step_result gr_step_pause(struct gr_rollout *r, const struct gr_step *s)
{
    if (!r->step_entered) {
        enum gr_step_result entered = enter(r, s);
        if (entered != GR_STEP_DONE)
            return entered;
    }
    struct gr_rollout_left l = gr_rollout_left(r);
    bool over = !l.gate && !l.pause_usec && !l.pause_requests;
    gr_rollout_arm(r);
    return over ? GR_STEP_DONE : GR_STEP_WAIT;
}
