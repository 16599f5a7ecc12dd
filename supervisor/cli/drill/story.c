// Tells a story line by line and keeps the time of it.
#include "cli/drill/story.h"
#include "base/json.h"
#include "cli/output.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POLL_USEC (5 * GR_USEC_PER_SEC) // the lease is kept in between

// What is measured counts from the last thing that was done before it.
static void act(struct gr_story *s)
{
    if (s->detected.usec)
        return; // the figures are those of the first harm
    s->acted = gr_wall_now();
    for (size_t i = 0; i < s->n_traffics; i++)
        gr_traffic_mark(s->traffics[i]);
}

static void add(struct gr_traffic_seen *to, const struct gr_traffic_seen *seen)
{
    to->answered += seen->answered;
    to->failed += seen->failed;
    to->lost += seen->lost;
    to->rescued += seen->rescued;
    if (seen->first_harm.usec &&
        (!to->first_harm.usec || seen->first_harm.usec < to->first_harm.usec))
        to->first_harm = seen->first_harm;
    if (seen->last_harm.usec > to->last_harm.usec)
        to->last_harm = seen->last_harm;
    if (*seen->why)
        memcpy(to->why, seen->why, sizeof to->why);
}

void gr_story_sum(struct gr_story *s, struct gr_traffic_seen *ret)
{
    *ret = s->ended;
    for (size_t i = 0; i < s->n_traffics; i++) {
        struct gr_traffic_seen seen;
        gr_traffic_look(s->traffics[i], &seen);
        add(ret, &seen);
    }
}

const char *gr_story_hash(const struct gr_story *s, const char *module)
{
    return gr_output_text(cJSON_GetObjectItemCaseSensitive(s->latest, module), "version_hash");
}

// --- events

static bool is_end(const char *phase)
{
    return !strcmp(phase, "Healthy") || !strcmp(phase, "RolledBack") || !strcmp(phase, "Rejected");
}

// A hold counts when something was found; a pause that was planned finds nothing.
static bool tells_of_harm(const char *phase, const char *reason)
{
    static const char *const bad[] = {"RollingBack", "RolledBack", "Rejected", "Degraded"};
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        if (!strcmp(bad[i], phase))
            return true;
    return !strcmp(phase, "Paused") && *reason;
}

static void note_detection(struct gr_story *s, const cJSON *event)
{
    struct gr_traffic_seen sum;
    struct gr_wall at;
    if (s->detected.usec || !s->acted.usec ||
        !tells_of_harm(gr_output_text(event, "phase"), gr_output_text(event, "reason")))
        return;
    if (gr_wall_parse(gr_output_text(event, "at"), &at) < 0 || at.usec < s->acted.usec)
        return; // of something before
    gr_story_sum(s, &sum);
    s->detected = at;
    bool harmed = sum.first_harm.usec >= s->acted.usec && sum.first_harm.usec < at.usec;
    s->harmed = harmed ? sum.first_harm : s->acted;
}

// 1: it is the one.
static int judge(struct gr_story *s, const cJSON *event, const char *module, const char *phase,
                 const char *reason, struct gr_error *e)
{
    const char *its_module = gr_output_text(event, "module"),
               *its_phase = gr_output_text(event, "phase"),
               *its_reason = gr_output_text(event, "reason");
    if (strcmp(its_module, module))
        return 0;
    note_detection(s, event);
    if (!strcmp(its_phase, phase) && (!reason || !strcmp(its_reason, reason))) {
        cJSON_Delete(s->event);
        s->event = cJSON_Duplicate(event, true);
        return s->event ? 1 : -ENOMEM;
    }
    if (!is_end(its_phase))
        return 0;
    return gr_error_set(e, -EIO, GR_REASON_NONE,
                        "expected %s of %s%s%s, and it ended %s %s: %.500s", phase, module,
                        reason ? " because " : "", reason ? reason : "", its_phase, its_reason,
                        gr_output_text(event, "message"));
}

// Each module has its own place in the events: those of a batch come in any order.
static int64_t cursor(const struct gr_story *s, const char *module)
{
    int64_t seq = s->begun;
    (void)gr_json_read_int(cJSON_GetObjectItemCaseSensitive(s->seen, module), &seq);
    return seq;
}

static int move_cursor(struct gr_story *s, const char *module, const cJSON *event)
{
    int64_t seq = s->begun;
    cJSON_DeleteItemFromObjectCaseSensitive(s->seen, module);
    return gr_json_read_int(gr_json_get(event, "seq"), &seq) &&
                   gr_json_add_int(s->seen, module, seq)
               ? 0
               : -ENOMEM;
}

static int look_at_events(struct gr_story *s, const char *module, const char *phase,
                          const char *reason, uint64_t wait_usec, struct gr_error *e)
{
    char path[128];
    GR_AUTO_JSON cJSON *answer = NULL;
    const cJSON *event;
    snprintf(path, sizeof path, "/v1/events?after=%" PRId64 "&wait=%" PRIu64 "ms",
             cursor(s, module), (uint64_t)(wait_usec / GR_USEC_PER_MSEC + 1));
    int r = gr_world_ask(s->w, "GET", path, NULL, &answer, e);
    cJSON_ArrayForEach(event, gr_output_find(answer, "events"))
    {
        r = move_cursor(s, module, event);
        if (r >= 0)
            r = judge(s, event, module, phase, reason, e);
        if (r != 0)
            break;
    }
    return r;
}

int gr_story_await_event(struct gr_story *s, const char *module, const char *phase,
                         const char *reason, uint64_t timeout_usec, struct gr_error *e)
{
    uint64_t until = gr_mono_now().usec + timeout_usec, now;
    while ((now = gr_mono_now().usec) < until) {
        uint64_t left = until - now;
        int r = look_at_events(s, module, phase, reason, left < POLL_USEC ? left : POLL_USEC, e);
        if (r >= 0 && gr_drill_store_keep(s->w->store, e) < 0)
            r = -EIO;
        if (r != 0)
            return r < 0 ? r : 0;
    }
    char text[32];
    return gr_error_set(e, -ETIME, GR_REASON_NONE, "%s of %s%s%s did not come within %s", phase,
                        module, reason ? " because " : "", reason ? reason : "",
                        gr_duration_format(timeout_usec, text));
}

// Events that were before the story are not of it.
static int skip_events(struct gr_story *s, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    const cJSON *event;
    int n = 0, r;
    do {
        char path[128];
        n = 0;
        cJSON_Delete(answer);
        answer = NULL;
        snprintf(path, sizeof path, "/v1/events?after=%" PRId64, s->begun);
        r = gr_world_ask(s->w, "GET", path, NULL, &answer, e);
        cJSON_ArrayForEach(event, gr_output_find(answer, "events"))
        {
            (void)gr_json_read_int(gr_json_get(event, "seq"), &s->begun);
            n++;
        }
    } while (r >= 0 && n > 0);
    return r;
}

// --- the story

static bool begins_something(enum gr_drill_act act)
{
    return act < GR_DRILL_EVENT && act != GR_DRILL_AWAIT && act != GR_DRILL_BEGIN &&
           act != GR_DRILL_TRAFFIC && act != GR_DRILL_STOP_TRAFFIC && act != GR_DRILL_START &&
           act != GR_DRILL_FAULT_POINT;
}

static int tell_line(struct gr_story *s, const struct gr_drill_line *l, struct gr_error *e)
{
    if (begins_something(l->act))
        act(s);
    int r = l->act >= GR_DRILL_EVENT ? gr_story_expect(s, l, e)
            : l->act >= GR_DRILL_ASK ? gr_story_steer(s, l, e)
                                     : gr_story_act(s, l, e);
    if (r < 0)
        gr_error_wrap(e, "line %u, %s", l->number, gr_drill_form(l->act));
    return r;
}

static int64_t since(struct gr_wall from, struct gr_wall to)
{
    return from.usec && to.usec ? (to.usec > from.usec ? to.usec - from.usec : 0) : -1;
}

static void figure(struct gr_story *s, struct gr_story_figures *ret)
{
    struct gr_traffic_seen sum;
    gr_story_sum(s, &sum);
    *ret = (struct gr_story_figures){.detect_usec = since(s->harmed, s->detected),
                                     .recover_usec = since(s->harmed, s->recovered),
                                     .answered = sum.answered,
                                     .failed = sum.failed,
                                     .rescued = sum.rescued,
                                     .lost = sum.lost};
}

int gr_story_tell(struct gr_world *w, const struct gr_drill *d, const char *modules,
                  struct gr_story_figures *ret, struct gr_error *e)
{
    struct gr_story s = {.w = w, .drill = d, .modules = modules};
    s.latest = cJSON_CreateObject();
    s.seen = cJSON_CreateObject();
    int r = s.latest && s.seen ? gr_world_clear(w, e) : -ENOMEM;
    if (r >= 0)
        r = skip_events(&s, e);
    for (size_t i = 0; r >= 0 && i < d->n_lines; i++)
        r = tell_line(&s, &d->lines[i], e);
    figure(&s, ret);
    for (size_t i = 0; i < s.n_traffics; i++)
        gr_traffic_free(s.traffics[i]);
    cJSON_Delete(s.event);
    cJSON_Delete(s.latest);
    cJSON_Delete(s.seen);
    cJSON_Delete(s.batch);
    return r;
}
