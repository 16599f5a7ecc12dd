// See quarantine.h. The journal is the truth for this host; a key of etcd is taken up when it is
// newer than what the journal says of that digest, and written when it is older.
#include "control/quarantine.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "control/view-json.h"
#include "state/conviction.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_USEC (2 * GR_USEC_PER_SEC)

struct known { // a key, as it was seen last
    struct gr_digest digest;
    int64_t revision;
    struct gr_wall convicted, lifted; // lifted 0: it stands
    bool readable;
};
struct gr_quarantine {
    sd_event *event;
    struct gr_journal *journal;
    struct gr_quarantine_ops ops;
    struct gr_name instance;
    struct gr_source_keys keys;
    struct gr_source *source;
    struct gr_etcd *etcd;
    struct gr_etcd_call *call; // one at a time
    size_t next;               // of what may have to be written
    bool again;                // from the first one
    sd_event_source *retry;
    sd_event_source *look; // whether what was written is there
    bool seen;             // etcd answered once: what it lacks is known
    size_t n;
    struct known *known;
    char trouble[GR_MESSAGE_MAX];
};

static const struct known *find(const struct gr_quarantine *q, const struct gr_digest *d)
{
    for (size_t i = 0; i < q->n; i++)
        if (gr_digest_equal(&q->known[i].digest, d))
            return &q->known[i];
    return NULL;
}

// --- what the journal says
// ------------------------------------------------------------------------

struct books {
    struct gr_conviction *convictions;
    size_t n_convictions;
    struct gr_lifted *lifts; // that etcd may not know of
    size_t n_lifts;
};

static void books_done(struct books *b)
{
    free(b->convictions);
    free(b->lifts);
}

static int books_read(struct gr_quarantine *q, struct books *ret)
{
    struct gr_error e = {0};
    int k = gr_journal_convictions(q->journal, &ret->convictions, &ret->n_convictions, &e);
    if (k == 0)
        k = gr_journal_lifts(q->journal, &ret->lifts, &ret->n_lifts, &e);
    if (k < 0)
        gr_log(GR_LOG_ERROR, "the quarantine could not be read: %s", e.message);
    return k;
}

static const struct gr_conviction *convicted(const struct books *b, const struct gr_digest *d)
{
    for (size_t i = 0; i < b->n_convictions; i++)
        if (gr_digest_equal(&b->convictions[i].digest, d))
            return &b->convictions[i];
    return NULL;
}

static const struct gr_lifted *lifted(const struct books *b, const struct gr_digest *d)
{
    for (size_t i = 0; i < b->n_lifts; i++)
        if (gr_digest_equal(&b->lifts[i].conviction.digest, d))
            return &b->lifts[i];
    return NULL;
}

// --- taking up
// ------------------------------------------------------------------------------------

static void check(int k, const struct gr_error *e)
{
    if (k < 0 && k != -ENOENT)
        gr_log(GR_LOG_ERROR, "a change of the quarantine in etcd was not taken up: %s", e->message);
}

static void take_lift(struct gr_quarantine *q, const struct books *b, const struct gr_conviction *c,
                      const struct gr_lift *lift)
{
    const struct gr_conviction *own = convicted(b, &c->digest);
    struct gr_error e = {0};
    if (lifted(b, &c->digest))
        check(gr_journal_drop_lift(q->journal, &c->digest, &e), &e);
    if (!own || own->at.usec > lift->at.usec)
        return;
    int k = gr_journal_pardon(q->journal, &c->digest, lift->actor, lift->reason, &e);
    check(k, &e);
    if (k == 0)
        q->ops.lifted(q->ops.userdata, own, lift);
}

static void take_conviction(struct gr_quarantine *q, const struct books *b,
                            const struct gr_conviction *c)
{
    const struct gr_lifted *l = lifted(b, &c->digest);
    struct gr_error e = {0};
    if (convicted(b, &c->digest) || (l && l->lift.at.usec >= c->at.usec))
        return;
    if (l)
        check(gr_journal_drop_lift(q->journal, &c->digest, &e), &e);
    int k = gr_journal_convict(q->journal, c, &e);
    check(k, &e);
    if (k == 0)
        q->ops.learned(q->ops.userdata, c);
}

static void take_one(struct gr_quarantine *q, const struct books *b, const struct gr_entry *en)
{
    struct gr_conviction c;
    struct gr_lift lift;
    struct gr_error e = en->error;
    struct known *k = &q->known[q->n];
    char text[sizeof "sha256:" + GR_NAME_MAX];
    snprintf(text, sizeof text, "sha256:%s", en->module.s);
    *k = (struct known){.revision = en->mod_revision};
    if (gr_digest_parse(text, &k->digest) < 0) {
        gr_log(GR_LOG_WARNING, "a quarantine key is ignored: %s is no digest", en->module.s);
        return;
    }
    q->n++;
    if (e.reason != GR_REASON_NONE ||
        gr_conviction_parse(&k->digest, en->value, en->value_len, &c, &lift, &e) < 0) {
        gr_log(GR_LOG_WARNING, "the quarantine key of %s is ignored: %s", text, e.message);
        return;
    }
    k->readable = true;
    k->convicted = c.at;
    k->lifted = lift.at;
    if (lift.at.usec)
        take_lift(q, b, &c, &lift);
    else
        take_conviction(q, b, &c);
}

void gr_quarantine_take(struct gr_quarantine *q, const struct gr_snapshot *s)
{
    GR_CLEANUP(books_done) struct books b = {0};
    struct known *room = calloc(s->n + 1, sizeof *room);
    if (!room || books_read(q, &b) < 0) {
        gr_log(GR_LOG_ERROR, "the quarantine of revision %" PRId64 " is not taken up", s->revision);
        free(room);
        return;
    }
    free(q->known);
    q->known = room;
    q->n = 0;
    q->seen = true;
    for (size_t i = 0; i < s->n; i++)
        if (s->entries[i].module.s[0])
            take_one(q, &b, &s->entries[i]);
    gr_quarantine_touch(q);
}

// --- writing
// --------------------------------------------------------------------------------------

// Ours, and etcd does not know, or has lifted one that was older.
static bool is_missing(const struct gr_quarantine *q, const struct gr_conviction *c)
{
    const struct known *k = find(q, &c->digest);
    return strcmp(q->instance.s, c->instance) == 0 &&
           (!k || !k->readable || (k->lifted.usec && k->lifted.usec < c->at.usec));
}

static bool is_untold(const struct gr_quarantine *q, const struct gr_lifted *l)
{
    const struct known *k = find(q, &l->conviction.digest);
    return !k || !k->lifted.usec;
}

static cJSON *lifted_json(const struct gr_lifted *l)
{
    char at[GR_WALL_TEXT_MAX];
    cJSON *o = gr_conviction_to_json(&l->conviction);
    cJSON *j = o ? cJSON_AddObjectToObject(o, "lifted") : NULL;
    if (j && cJSON_AddStringToObject(j, "actor", l->lift.actor) &&
        cJSON_AddStringToObject(j, "reason", l->lift.reason) &&
        cJSON_AddStringToObject(j, "at", gr_wall_format(l->lift.at, at)))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static void pump(struct gr_quarantine *q);

static int on_retry(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_quarantine *q = u;
    q->retry = sd_event_source_disable_unref(q->retry);
    gr_quarantine_touch(q);
    return 0;
}

static void try_later(struct gr_quarantine *q, const char *why)
{
    gr_log(GR_LOG_DEBUG, "a quarantine key was not written: %s", why);
    if (!q->retry && sd_event_add_time_relative(q->event, &q->retry, CLOCK_MONOTONIC, RETRY_USEC,
                                                RETRY_USEC / 4, on_retry, q) < 0)
        gr_log(GR_LOG_ERROR, "no timer for the quarantine keys");
}

static int on_look(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_quarantine *q = u;
    q->look = sd_event_source_disable_unref(q->look);
    gr_quarantine_touch(q);
    return 0;
}

// What is deleted before the source has read it leaves no trace in a snapshot: nothing has changed
// then. So each write is compared once more with what is there.
static void look_later(struct gr_quarantine *q)
{
    if (!q->look && sd_event_add_time_relative(q->event, &q->look, CLOCK_MONOTONIC, RETRY_USEC,
                                               RETRY_USEC / 4, on_look, q) < 0)
        gr_log(GR_LOG_ERROR, "no timer for the quarantine keys");
}

// A comparison that did not hold: somebody else wrote, and the next snapshot says what.
static void on_written(void *u, const struct gr_etcd_result *r)
{
    struct gr_quarantine *q = u;
    GR_INSTANT("quarantine.written");
    q->call = NULL;
    if (r->error.reason != GR_REASON_NONE)
        try_later(q, r->error.message);
    else if (r->succeeded)
        look_later(q);
    pump(q);
}

static void write_key(struct gr_quarantine *q, const struct gr_digest *d, cJSON *take)
{
    GR_AUTO_JSON cJSON *o = take;
    GR_AUTO_FREE char *value = o ? gr_json_format(o) : NULL;
    const struct known *k = find(q, d);
    char key[sizeof q->keys.prefix + GR_DIGEST_TEXT_MAX], hex[GR_DIGEST_TEXT_MAX];
    struct gr_error e = {0};
    if (!value)
        return;
    snprintf(key, sizeof key, "%s%s", q->keys.prefix, gr_digest_format(d, hex) + strlen("sha256:"));
    const struct gr_etcd_compare compare = {gr_bytes_text(key), k ? k->revision : 0};
    const struct gr_etcd_op op = {
        .kind = GR_ETCD_OP_PUT, .key = gr_bytes_text(key), .value = gr_bytes_text(value)};
    int r = GR_FAULT("quarantine.write");
    if (r < 0)
        try_later(q, strerror(-r));
    else if (gr_etcd_txn(q->etcd, &compare, 1, &op, 1, on_written, q, &q->call, &e) < 0)
        try_later(q, e.message);
}

// Each that is missing once, one after the other.
static void pump(struct gr_quarantine *q)
{
    GR_CLEANUP(books_done) struct books b = {0};
    if (q->call || q->retry || !q->seen || !q->etcd)
        return;
    if (q->again)
        q->next = 0;
    q->again = false;
    if (books_read(q, &b) < 0)
        return;
    for (; !q->call && !q->retry && q->next < b.n_convictions + b.n_lifts; q->next++) {
        size_t i = q->next;
        if (i >= b.n_convictions) {
            const struct gr_lifted *l = &b.lifts[i - b.n_convictions];
            if (is_untold(q, l))
                write_key(q, &l->conviction.digest, lifted_json(l));
        } else if (is_missing(q, &b.convictions[i])) {
            write_key(q, &b.convictions[i].digest, gr_conviction_to_json(&b.convictions[i]));
        }
    }
}

void gr_quarantine_touch(struct gr_quarantine *q)
{
    if (!q)
        return;
    q->again = true;
    pump(q);
}

// --- the source
// -----------------------------------------------------------------------------------

static void on_snapshot(void *u, const struct gr_snapshot *s)
{
    gr_quarantine_take(u, s);
}

static void on_health(void *u, const struct gr_source_health *h)
{
    struct gr_quarantine *q = u;
    bool told = q->trouble[0];
    snprintf(q->trouble, sizeof q->trouble, "%s", h->up ? "" : h->message);
    if (q->trouble[0] && !told)
        gr_log(GR_LOG_WARNING,
               "the fleet's quarantine is not followed now, what is known of it counts: %s",
               q->trouble);
}

void gr_quarantine_accept_rewind(struct gr_quarantine *q)
{
    if (q && q->source)
        gr_source_accept_rewind(q->source);
}

// --- life
// -----------------------------------------------------------------------------------------

int gr_quarantine_new(sd_event *event, struct gr_transport *t, const struct gr_etcd_config *config,
                      const struct gr_name *service, const struct gr_name *instance,
                      struct gr_journal *journal, const struct gr_quarantine_ops *ops,
                      struct gr_quarantine **ret, struct gr_error *e)
{
    struct gr_quarantine *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    const struct gr_source_callbacks cb = {
        .snapshot = on_snapshot, .health = on_health, .userdata = q};
    q->event = event;
    q->journal = journal;
    q->ops = *ops;
    q->instance = *instance;
    q->keys = gr_source_keys_quarantine(service);
    int k = t ? gr_etcd_new(event, t, config, &q->etcd, e) : 0;
    if (k == 0 && t)
        k = gr_source_etcd_new(event, t, config, &q->keys, &cb, (struct gr_source_floor){0},
                               &q->source, e);
    if (k == 0 && t)
        k = gr_source_start(q->source, e);
    if (k < 0) {
        gr_quarantine_free(q);
        return k;
    }
    *ret = q;
    return 0;
}

void gr_quarantine_free(struct gr_quarantine *q)
{
    if (!q)
        return;
    gr_source_free(q->source);
    sd_event_source_disable_unref(q->retry);
    sd_event_source_disable_unref(q->look);
    gr_etcd_cancel(q->call);
    gr_etcd_free(q->etcd);
    free(q->known);
    free(q);
}
