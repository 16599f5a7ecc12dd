// Desired state from etcd, as a small state machine on one endpoint at a time:
//
//   WAITING --nothing to resume--> READING --whole read--> OPENING --created--> WATCHING
//   WAITING --back again--> RESUMING --sound probe--> OPENING from the last read + 1
//   any --failure--> WAITING for a random while, then the next endpoint
//   any --revision backwards, other cluster--> HELD --operator, or known cluster back--> READING
//
// The watch only wakes us; what counts is a linearizable read of all documents at one revision: the
// newest that was told of, and before it that of a transaction which the newest would show in part.
// A probe on the same endpoint every few seconds finds peers that are frozen (no answer) and
// members that are stale (the watch did not tell).
#include "base/clock.h"
#include "base/fault.h"
#include "watchers/backoff.h"
#include "watchers/etcd-entry.h"
#include "watchers/etcd-read.h"
#include "watchers/etcd-watch.h"
#include "watchers/unseen.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROBE_INTERVAL_USEC (5 * GR_USEC_PER_SEC)
#define PROBE_TIMEOUT_USEC (3 * GR_USEC_PER_SEC)

enum state { IDLE, WAITING, READING, RESUMING, OPENING, WATCHING, HELD };

struct etcd_source {
    struct gr_source base;
    struct gr_etcd *client;
    struct gr_source_keys follows;
    enum state state;
    struct gr_source_floor floor; // newest that was accepted
    int64_t processed;            // revision of the last read; 0: all must be read again
    int64_t keys;                 // below the prefix at that read
    int64_t told;                 // newest mod_revision that the watch told of
    struct gr_unseen unseen;      // ... and of which documents
    struct gr_snapshot notes;     // deletions that the watch told of; nothing else is in it
    enum gr_resync read_cause;    // of the next or present whole read
    bool settled;                 // the present watch has been probed since it was created
    bool suspect; // a probe saw what the watch had not told; another word from it clears this
    bool rewound; // held because the revision went backwards
    struct gr_source_floor read_floor, probe_floor; // floor when the one under way was sent
    struct gr_error hold_reason;                    // while HELD
    struct gr_backoff backoff;
    struct gr_etcd_read *read;
    struct gr_etcd_watch *watch;
    struct gr_etcd_call *probe;
    sd_event_source *timer; // back-off, next probe, or next look while held
    sd_event_source *wake;  // a read, out of curl's callbacks
};

static void begin_read(struct etcd_source *s, enum gr_resync cause);
static void begin_probe(struct etcd_source *s);

static struct gr_bytes prefix_of(const struct etcd_source *s)
{
    return gr_bytes_text(s->follows.prefix);
}

static void set_timer(struct etcd_source *s, uint64_t usec)
{
    (void)sd_event_source_set_time(s->timer, gr_mono_now().usec + usec);
    (void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static void stop_all(struct etcd_source *s)
{
    gr_etcd_read_cancel(gr_steal(s->read));
    gr_etcd_watch_close(gr_steal(s->watch));
    gr_etcd_cancel(gr_steal(s->probe));
    s->suspect = s->settled = false;
    if (s->timer)
        (void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    if (s->wake)
        (void)sd_event_source_set_enabled(s->wake, SD_EVENT_OFF);
}

// Drops what there is and comes back after a random while. A held source stays held.
static void retry(struct etcd_source *s, bool elsewhere)
{
    stop_all(s);
    if (elsewhere)
        gr_etcd_next_endpoint(s->client);
    if (s->state != HELD)
        s->state = WAITING;
    size_t endpoints = gr_etcd_count_endpoints(s->client);
    set_timer(s, gr_backoff_next_usec(&s->backoff, (unsigned)endpoints - 1));
}

static void lose(struct etcd_source *s, const struct gr_error *e)
{
    bool held = s->state == HELD;
    gr_source_report(&s->base, false, held, held ? &s->hold_reason : e);
    retry(s, true);
}

static void hold(struct etcd_source *s, uint64_t cluster_id, int64_t revision)
{
    struct gr_error e = {0};
    const char *endpoint = gr_etcd_endpoint(s->client);
    if (cluster_id != s->floor.cluster_id)
        gr_error_set(&e, -ESTALE, GR_REASON_DESIRED_STATE_REWOUND,
                     "etcd at %s is cluster %" PRIu64 " where cluster %" PRIu64
                     " was followed before. The last good state stays in force. Correct the "
                     "endpoints, or accept the new cluster with "
                     "`grayctl source accept-rewind`.",
                     endpoint, cluster_id, s->floor.cluster_id);
    else
        gr_error_set(&e, -ESTALE, GR_REASON_DESIRED_STATE_REWOUND,
                     "etcd at %s is at revision %" PRId64 " where revision %" PRId64
                     " was seen before: it was restored from an older state. The last good state "
                     "stays in force. Restore the newer data, or accept what etcd holds now with "
                     "`grayctl source accept-rewind`.",
                     endpoint, revision, s->floor.revision);
    stop_all(s);
    s->state = HELD;
    s->rewound = cluster_id == s->floor.cluster_id;
    s->hold_reason = e;
    s->base.health.rewound = s->rewound;
    gr_source_report(&s->base, true, true, &e);
    gr_etcd_next_endpoint(s->client);
    set_timer(s, PROBE_INTERVAL_USEC);
}

// Compares with what was accepted when the question was sent: answers may overtake each other.
static bool is_rewound(const struct gr_source_floor *floor, uint64_t cluster_id, int64_t revision)
{
    return floor->cluster_id && (cluster_id != floor->cluster_id || revision < floor->revision);
}

static void raise_floor(struct etcd_source *s, uint64_t cluster_id, int64_t revision)
{
    s->floor.cluster_id = cluster_id;
    if (revision > s->floor.revision)
        s->floor.revision = revision;
    struct gr_source_health *h = &s->base.health;
    h->revision = s->floor.revision;
    h->cluster_id = cluster_id;
    snprintf(h->endpoint, sizeof h->endpoint, "%s", gr_etcd_endpoint(s->client));
}

static void on_watch_created(void *userdata)
{
    struct etcd_source *s = userdata;
    s->state = WATCHING;
    set_timer(s, 0); // probe what happened before the watch stood
}

static void on_watch_changed(void *userdata, int64_t mod_revision)
{
    struct etcd_source *s = userdata;
    s->suspect = false;
    if (mod_revision > s->told)
        s->told = mod_revision;
    (void)sd_event_source_set_enabled(s->wake, SD_EVENT_ONESHOT);
}

static void on_watch_event(void *userdata, struct gr_bytes key, int64_t mod_revision, bool deleted)
{
    struct etcd_source *s = userdata;
    struct gr_etcd_kv kv = {
        .key = (char *)key.data, .key_len = key.len, .mod_revision = mod_revision};
    struct gr_entry entry;
    if (!gr_etcd_entry_from_kv(&s->follows, &kv, &entry) || !entry.module.s[0])
        return;
    gr_unseen_note(&s->unseen, &entry.module, mod_revision);
    if (deleted)
        gr_snapshot_note_gone(&s->notes, &entry.module, mod_revision);
}

static int on_wake(sd_event_source *source, void *userdata)
{
    (void)source;
    struct etcd_source *s = userdata;
    if (s->told > s->processed)
        begin_read(s, GR_RESYNC_EVENT);
    return 0;
}

static void on_watch_ended(void *userdata, enum gr_watch_restart why, const struct gr_error *e)
{
    struct etcd_source *s = userdata;
    s->watch = NULL;
    s->base.health.watch_restarts[why]++;
    if (why == GR_WATCH_RESTART_AUTH)
        gr_etcd_forget_token(s->client);
    if (why == GR_WATCH_RESTART_COMPACTED) {
        s->processed = 0; // nothing to resume from
        s->read_cause = GR_RESYNC_COMPACTED;
    }
    if (why == GR_WATCH_RESTART_COMPACTED || why == GR_WATCH_RESTART_AUTH)
        retry(s, false); // the endpoint is fine
    else
        lose(s, e);
}

static void open_watch(struct etcd_source *s)
{
    struct gr_etcd_watch_callbacks cb = {.created = on_watch_created,
                                         .changed = on_watch_changed,
                                         .event = on_watch_event,
                                         .ended = on_watch_ended,
                                         .userdata = s};
    struct gr_error e = {0};
    s->state = OPENING;
    gr_unseen_forget(&s->unseen, INT64_MAX); // it will be told again
    int r = GR_FAULT("watch.open");
    if (r < 0)
        gr_error_set_retryable(&e, r, GR_REASON_SOURCE_UNREACHABLE,
                               "The watch could not be opened: %s.", strerror(-r));
    if (r < 0 || gr_etcd_watch_open(s->base.event, s->client, prefix_of(s), s->processed + 1,
                                    s->floor.cluster_id, &cb, &s->watch, &e) < 0)
        lose(s, &e);
}

static void on_read(void *userdata, struct gr_snapshot *snapshot, int64_t keys, int64_t store,
                    const struct gr_error *e)
{
    struct etcd_source *s = userdata;
    s->read = NULL;
    if (e) {
        lose(s, e);
        return;
    }
    if (is_rewound(&s->read_floor, snapshot->cluster_id, store)) {
        hold(s, snapshot->cluster_id, store);
        gr_snapshot_free(snapshot);
        return;
    }
    s->base.health.resyncs[s->read_cause]++;
    if (s->read_cause == GR_RESYNC_EVENT)
        s->base.health.confirmed = gr_wall_now();
    s->processed = snapshot->revision;
    gr_unseen_forget(&s->unseen, s->processed);
    s->keys = keys;
    gr_snapshot_forget_gone(&s->notes, snapshot);
    gr_snapshot_inherit_gone(snapshot, &s->notes);
    raise_floor(s, snapshot->cluster_id, snapshot->revision);
    gr_source_offer(&s->base, snapshot);
    if (!s->watch)
        open_watch(s);
    else if (s->told > s->processed)
        begin_read(s, GR_RESYNC_EVENT);
}

static void begin_read(struct etcd_source *s, enum gr_resync cause)
{
    struct gr_etcd_read_callbacks cb = {.done = on_read, .userdata = s};
    struct gr_error e = {0};
    if (s->read) // when it is done, what was told of meanwhile is read
        return;
    s->read_cause = cause;
    s->read_floor = s->floor;
    if (!s->watch)
        s->state = READING;
    // What the watch told of is read as it was told: a newer state may hold deletions whose
    // revision nobody knows yet.
    int64_t torn = gr_unseen_torn(&s->unseen), newest = torn ? torn : s->told;
    int64_t at = cause == GR_RESYNC_EVENT ? newest : 0;
    int r = GR_FAULT("watch.read");
    if (r < 0)
        gr_error_set_retryable(&e, r, GR_REASON_SOURCE_UNREACHABLE,
                               "The keys could not be read: %s.", strerror(-r));
    if (r < 0 || gr_etcd_read_start(s->client, &s->follows, at, &cb, &s->read, &e) < 0)
        lose(s, &e);
}

// True when the probe shows documents that the watch should have told of.
static bool watch_is_behind(const struct etcd_source *s, const struct gr_etcd_result *r)
{
    int64_t newest = r->n_kvs ? r->kvs[0].mod_revision : 0;
    return !s->read && s->told <= s->processed && r->revision >= s->processed &&
           (newest > s->processed || r->count != s->keys);
}

static void on_probe_while_watching(struct etcd_source *s, const struct gr_etcd_result *r)
{
    struct gr_error e = {0};
    if (s->suspect) {
        s->base.health.watch_restarts[GR_WATCH_RESTART_BEHIND]++;
        gr_error_set_retryable(&e, -ESTALE, GR_REASON_SOURCE_UNREACHABLE,
                               "The watch on etcd at %s did not tell of a change that a read "
                               "showed: the member is stale. It will be opened again elsewhere.",
                               gr_etcd_endpoint(s->client));
        lose(s, &e);
        return;
    }
    s->backoff.failures = 0;
    gr_source_report(&s->base, true, false, NULL);
    set_timer(s, PROBE_INTERVAL_USEC);
    if (watch_is_behind(s, r)) {
        s->suspect = s->settled; // a new watch may still be catching up
        begin_read(s, s->settled ? GR_RESYNC_BEHIND : GR_RESYNC_RECONNECT);
    } else {
        s->base.health.confirmed = gr_wall_now();
    }
    s->settled = true;
}

// A foreign cluster went away again. A rewound one cannot be told from its newer self by numbers:
// that is the operator's.
static bool is_known_again(const struct etcd_source *s, const struct gr_etcd_result *r)
{
    return !s->rewound && !is_rewound(&s->floor, r->cluster_id, r->revision);
}

static void on_probe_while_held(struct etcd_source *s, const struct gr_etcd_result *r)
{
    s->backoff.failures = 0;
    gr_source_report(&s->base, true, true, &s->hold_reason);
    if (is_known_again(s, r)) {
        s->processed = 0;
        begin_read(s, GR_RESYNC_RECONNECT);
    } else {
        gr_etcd_next_endpoint(s->client);
        set_timer(s, PROBE_INTERVAL_USEC);
    }
}

static void on_probe(void *userdata, const struct gr_etcd_result *r)
{
    struct etcd_source *s = userdata;
    s->probe = NULL;
    if (r->error.reason) {
        if (s->state == WATCHING)
            s->base.health.watch_restarts[GR_WATCH_RESTART_NO_ANSWER]++;
        lose(s, &r->error);
        return;
    }
    if (s->state == HELD) {
        on_probe_while_held(s, r);
    } else if (is_rewound(&s->probe_floor, r->cluster_id, r->revision)) {
        hold(s, r->cluster_id, r->revision);
    } else {
        raise_floor(s, r->cluster_id, r->revision);
        if (s->state == RESUMING)
            open_watch(s);
        else
            on_probe_while_watching(s, r);
    }
}

static void begin_probe(struct etcd_source *s)
{
    struct gr_etcd_range top = {
        .key = prefix_of(s),
        .prefix = true,
        .keys_only = true,
        .newest_first = true,
        .limit = 1,
        .timeout_usec = PROBE_TIMEOUT_USEC,
    };
    struct gr_error e = {0};
    s->probe_floor = s->floor;
    if (gr_etcd_range(s->client, &top, on_probe, s, &s->probe, &e) < 0)
        lose(s, &e);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    struct etcd_source *s = userdata;
    if (s->state == WAITING && !s->processed) {
        begin_read(s, s->read_cause);
        return 0;
    }
    if (s->state == WAITING)
        s->state = RESUMING;
    begin_probe(s);
    return 0;
}

// Held when the process before ended. Our own status keys have moved the revision on since, so
// that numbers tell nothing any more.
static void stay_held(struct etcd_source *s)
{
    s->state = HELD;
    s->rewound = s->base.health.rewound = true;
    gr_error_set(&s->hold_reason, -ESTALE, GR_REASON_DESIRED_STATE_REWOUND,
                 "etcd was restored from a state older than revision %" PRId64
                 ", which nobody has accepted. The last good state stays in force. Restore the "
                 "newer data, or accept what etcd holds now with `grayctl source accept-rewind`.",
                 s->floor.revision);
}

static int start(struct gr_source *base, struct gr_error *e)
{
    struct etcd_source *s = (struct etcd_source *)base;
    if (s->state != IDLE)
        return gr_error_set(e, -EALREADY, GR_REASON_INTERNAL, "The source runs already.");
    s->state = WAITING;
    if (s->floor.rewound)
        stay_held(s);
    set_timer(s, 0);
    return 0;
}

static void done(struct gr_source *base)
{
    struct etcd_source *s = (struct etcd_source *)base;
    stop_all(s);
    gr_etcd_free(s->client);
    free(s->notes.gone);
    sd_event_source_disable_unref(s->timer);
    sd_event_source_disable_unref(s->wake);
}

static void accept_rewind(struct gr_source *base)
{
    struct etcd_source *s = (struct etcd_source *)base;
    if (s->state != HELD)
        return;
    stop_all(s);
    s->floor = (struct gr_source_floor){0};
    s->rewound = s->base.health.rewound = false;
    gr_source_forget(&s->base);
    s->processed = s->told = 0;
    s->notes.n_gone = 0; // of another history
    s->read_cause = GR_RESYNC_RECONNECT;
    s->state = WAITING;
    set_timer(s, 0);
}

static const struct gr_source_ops ops = {
    .start = start, .done = done, .accept_rewind = accept_rewind};

int gr_source_etcd_new(sd_event *event, struct gr_transport *t, const struct gr_etcd_config *config,
                       const struct gr_source_keys *keys, const struct gr_source_callbacks *cb,
                       struct gr_source_floor floor, struct gr_source **ret, struct gr_error *e)
{
    struct etcd_source *s = calloc(1, sizeof *s);
    if (!s)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    if (floor.cluster_id) // a directory's revisions say nothing here
        s->floor = floor;
    s->read_cause = GR_RESYNC_START;
    s->follows = *keys;
    int r = gr_source_init(&s->base, &ops, event, cb);
    if (r >= 0)
        r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, GR_USEC_PER_MSEC, on_timer, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(event, &s->wake, on_wake, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->wake, SD_EVENT_OFF);
    if (r < 0)
        gr_error_set_retryable(e, r, GR_REASON_INTERNAL, "The etcd source could not be made: %s.",
                               strerror(-r));
    else
        r = gr_etcd_new(event, t, config, &s->client, e);
    if (r < 0) {
        gr_source_free(&s->base);
        return r;
    }
    gr_etcd_pin(s->client);
    *ret = &s->base;
    return 0;
}
