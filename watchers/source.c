// The common part of all sources: what changed is told once, and from the event loop only.
#include "watchers/source-internal.h"
#include <errno.h>
#include <string.h>

const char *gr_watch_restart_name(enum gr_watch_restart r)
{
#define X(id, text) [GR_WATCH_RESTART_##id] = text,
    static const char *const names[] = {GR_WATCH_RESTARTS(X)};
#undef X
    return (size_t)r < GR_COUNT(names) ? names[r] : "";
}

const char *gr_resync_name(enum gr_resync r)
{
#define X(id, text) [GR_RESYNC_##id] = text,
    static const char *const names[] = {GR_RESYNCS(X)};
#undef X
    return (size_t)r < GR_COUNT(names) ? names[r] : "";
}

static void release(struct gr_source *s)
{
    sd_event_source_disable_unref(s->deliver);
    gr_snapshot_free(s->last);
    sd_event_unref(s->event);
    free(s);
}

static int on_deliver(sd_event_source *source, void *userdata)
{
    (void)source;
    struct gr_source *s = userdata;
    s->delivering = true;
    if (s->health_due) {
        s->health_due = false;
        s->cb.health(s->cb.userdata, &s->health);
    }
    if (s->snapshot_due && !s->dead) {
        s->snapshot_due = false;
        s->cb.snapshot(s->cb.userdata, s->last);
    }
    s->delivering = false;
    if (s->dead)
        release(s);
    return 0;
}

int gr_source_init(struct gr_source *s, const struct gr_source_ops *ops, sd_event *event,
                   const struct gr_source_callbacks *cb)
{
    s->ops = ops;
    s->event = sd_event_ref(event);
    s->cb = *cb;
    int r = sd_event_add_defer(event, &s->deliver, on_deliver, s);
    return r < 0 ? r : sd_event_source_set_enabled(s->deliver, SD_EVENT_OFF);
}

static void wake_delivery(struct gr_source *s)
{
    (void)sd_event_source_set_enabled(s->deliver, SD_EVENT_ONESHOT);
}

void gr_source_offer(struct gr_source *s, struct gr_snapshot *snapshot)
{
    bool same = s->last && gr_snapshot_same(s->last, snapshot);
    if (same && !s->snapshot_due) {
        s->last->revision = snapshot->revision;
        gr_snapshot_free(snapshot);
        return;
    }
    gr_snapshot_free(s->last);
    s->last = snapshot;
    s->snapshot_due = true;
    wake_delivery(s);
}

void gr_source_forget(struct gr_source *s)
{
    gr_snapshot_free(gr_steal(s->last));
    s->snapshot_due = false;
}

void gr_source_report(struct gr_source *s, bool up, bool held, const struct gr_error *e)
{
    struct gr_source_health *h = &s->health;
    enum gr_reason reason = e ? e->reason : GR_REASON_NONE;
    const char *message = reason ? e->message : "";
    if (h->up == up && h->held == held && h->reason == reason && !strcmp(h->message, message))
        return;
    h->up = up;
    h->held = held;
    h->reason = reason;
    memccpy(h->message, message, '\0', sizeof h->message);
    s->health_due = true;
    wake_delivery(s);
}

int gr_source_start(struct gr_source *s, struct gr_error *e)
{
    return s->ops->start(s, e);
}

void gr_source_free(struct gr_source *s)
{
    if (!s || s->dead)
        return;
    s->ops->done(s);
    s->dead = true;
    if (!s->delivering)
        release(s);
}

void gr_source_accept_rewind(struct gr_source *s)
{
    if (s->ops->accept_rewind)
        s->ops->accept_rewind(s);
}

const struct gr_source_health *gr_source_peek_health(const struct gr_source *s)
{
    return &s->health;
}
