// Keeps which digests are convicted, and by what evidence, until somebody lifts it by name.
#include "state/journal-internal.h"
#include <errno.h>
#include <stdio.h>

static int count(struct gr_journal *j, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT count(*) FROM quarantine", &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "count convictions", e);
    return k < 0 ? k : sqlite3_column_int(s, 0);
}

int gr_journal_put_conviction(struct gr_journal *j, const void *conviction, struct gr_error *e)
{
    const struct gr_conviction *c = conviction;
    char digest[GR_DIGEST_TEXT_MAX];
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = count(j, e);
    if (k >= GR_HISTORY_ROWS_MAX) // forgetting one would set it free
        return gr_error_set(e, -E2BIG, GR_REASON_INTERNAL,
                            "the quarantine holds %d digests, which is the limit; lift those that "
                            "are no danger any more: grayctl quarantine lift SHA256 --reason TEXT",
                            k);
    if (k < 0)
        return k;
    k = gr_journal_prepare(j, "INSERT OR REPLACE INTO quarantine VALUES(?, ?, ?, ?, ?, ?, ?)", &s,
                           e);
    const char *const texts[] = {gr_digest_format(&c->digest, digest),
                                 c->module.s,
                                 c->version,
                                 gr_reason_name(c->reason),
                                 c->evidence,
                                 c->instance};
    for (int i = 0; k == 0 && i < (int)GR_COUNT(texts); i++)
        k = gr_journal_bind_text(s, 1 + i, texts[i]);
    if (k == 0 && sqlite3_bind_int64(s, 7, c->at.usec) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, "write a conviction", e);
}

int gr_journal_convict(struct gr_journal *j, const struct gr_conviction *c, struct gr_error *e)
{
    int k = gr_journal_write(j, gr_journal_put_conviction, c, e);
    if (k == 0)
        gr_journal_follow(j);
    return k;
}

struct pardon {
    char digest[GR_DIGEST_TEXT_MAX];
    const char *actor, *reason;
    struct gr_wall to_tell; // etcd does not know yet; 0: it does, or there is none
};

// Who let it go and why stays in the events, written with the deed.
static int note_pardon(struct gr_journal *j, const struct pardon *p, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(
        j,
        "INSERT INTO events(at, rollout, module, version, phase, reason, message)"
        " SELECT ?1, 0, module, version, '', ?2, printf('%s lifted the quarantine of %s: %s', ?3,"
        " digest, ?4) FROM quarantine WHERE digest = ?5",
        &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, gr_wall_now().usec) != SQLITE_OK)
        k = -ENOMEM;
    const char *const texts[] = {gr_reason_name(GR_REASON_QUARANTINED), p->actor, p->reason,
                                 p->digest};
    for (int i = 0; k == 0 && i < (int)GR_COUNT(texts); i++)
        k = gr_journal_bind_text(s, 2 + i, texts[i]);
    return k < 0 ? k : gr_journal_step(j, s, "note who lifted a quarantine", e);
}

static int keep_lift(struct gr_journal *j, const struct pardon *p, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j,
                               "INSERT OR REPLACE INTO lifts SELECT digest, module, version,"
                               " reason, evidence, instance, at, ?1, ?2, ?3 FROM quarantine"
                               " WHERE digest = ?4",
                               &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 3, p->to_tell.usec) != SQLITE_OK)
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(s, 1, p->actor);
    if (k == 0)
        k = gr_journal_bind_text(s, 2, p->reason);
    if (k == 0)
        k = gr_journal_bind_text(s, 4, p->digest);
    return k < 0 ? k : gr_journal_step(j, s, "keep who lifted a quarantine", e);
}

static int drop_conviction(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct pardon *p = what;
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = note_pardon(j, p, e);
    if (k == 0 && p->to_tell.usec)
        k = keep_lift(j, p, e);
    if (k == 0)
        k = gr_journal_prepare(j, "DELETE FROM quarantine WHERE digest = ?", &s, e);
    if (k == 0)
        k = gr_journal_bind_text(s, 1, p->digest);
    if (k == 0)
        k = gr_journal_step(j, s, "lift a quarantine", e);
    if (k == 0 && sqlite3_changes(j->db) == 0)
        k = gr_error_set(e, -ENOENT, GR_REASON_NONE,
                         "%s is not quarantined on this host; grayctl quarantine list shows what "
                         "is",
                         p->digest);
    return k;
}

static int pardon(struct gr_journal *j, const struct gr_digest *d, struct pardon *p,
                  struct gr_error *e)
{
    p->actor = p->actor && *p->actor ? p->actor : "somebody";
    p->reason = p->reason && *p->reason ? p->reason : "no reason was given";
    gr_digest_format(d, p->digest);
    int k = gr_journal_write(j, drop_conviction, p, e);
    if (k == 0)
        gr_journal_follow(j);
    return k;
}

int gr_journal_pardon(struct gr_journal *j, const struct gr_digest *d, const char *actor,
                      const char *reason, struct gr_error *e)
{
    return pardon(j, d, &(struct pardon){.actor = actor, .reason = reason}, e);
}

int gr_journal_lift(struct gr_journal *j, const struct gr_digest *d, const struct gr_lift *lift,
                    struct gr_error *e)
{
    struct pardon p = {.actor = lift->actor, .reason = lift->reason, .to_tell = lift->at};
    return pardon(j, d, &p, e);
}

static int delete_lift(struct gr_journal *j, const void *digest, struct gr_error *e)
{
    char text[GR_DIGEST_TEXT_MAX];
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "DELETE FROM lifts WHERE digest = ?", &s, e);
    if (k == 0)
        k = gr_journal_bind_text(s, 1, gr_digest_format(digest, text));
    return k < 0 ? k : gr_journal_step(j, s, "forget a lift that was told", e);
}

int gr_journal_drop_lift(struct gr_journal *j, const struct gr_digest *d, struct gr_error *e)
{
    return gr_journal_write(j, delete_lift, d, e);
}

static int read_conviction(sqlite3_stmt *s, struct gr_conviction *c, struct gr_error *e)
{
    *c = (struct gr_conviction){.at = {sqlite3_column_int64(s, 6)}};
    if (gr_digest_parse(gr_journal_text(s, 0), &c->digest) < 0)
        return gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                            "the quarantine holds \"%.80s\", which is no digest: the journal was "
                            "changed by somebody else",
                            gr_journal_text(s, 0));
    gr_journal_copy_text(s, 2, c->version, sizeof c->version);
    gr_journal_copy_text(s, 4, c->evidence, sizeof c->evidence);
    gr_journal_copy_text(s, 5, c->instance, sizeof c->instance);
    int k = gr_journal_get_name(s, 1, &c->module, e);
    return k < 0 ? k : gr_journal_get_reason(s, 3, &c->reason, e);
}

int gr_journal_convictions(struct gr_journal *j, struct gr_conviction **ret, size_t *ret_n,
                           struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE struct gr_conviction *rows = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(j, "SELECT * FROM quarantine ORDER BY at, digest", &s, e);
    while (k == 0 && (k = gr_journal_step(j, s, "read the quarantine", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k == 0)
            k = read_conviction(s, &rows[n++], e);
    }
    if (k < 0)
        return gr_journal_told(k, "read the quarantine", e);
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}

int gr_journal_lifts(struct gr_journal *j, struct gr_lifted **ret, size_t *ret_n,
                     struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE struct gr_lifted *rows = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(j, "SELECT * FROM lifts ORDER BY lifted, digest", &s, e);
    while (k == 0 && (k = gr_journal_step(j, s, "read the lifts", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k < 0)
            break;
        struct gr_lifted *l = &rows[n++];
        *l = (struct gr_lifted){.lift.at = {sqlite3_column_int64(s, 9)}};
        k = read_conviction(s, &l->conviction, e);
        gr_journal_copy_text(s, 7, l->lift.actor, sizeof l->lift.actor);
        gr_journal_copy_text(s, 8, l->lift.reason, sizeof l->lift.reason);
    }
    if (k < 0)
        return gr_journal_told(k, "read the lifts", e);
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}
