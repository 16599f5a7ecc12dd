// Owns the rows of events, of the quarantine and of the source's floor.
#include "state/journal-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int gr_journal_add_event(struct gr_journal *j, const struct gr_event_row *ev, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(
        j,
        "INSERT INTO events(at,module,version,phase,reason,rollout,message) VALUES(?,?,?,?,?,?,?)",
        &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, ev->at.usec);
    sqlite3_bind_text(s, 2, ev->module, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, ev->version, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, ev->phase, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, ev->reason, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 6, ev->rollout);
    sqlite3_bind_text(s, 7, ev->message, -1, SQLITE_STATIC);
    k = gr_journal_run(j, s, "write an event", e);
    if (k == 0 && sqlite3_last_insert_rowid(j->db) % 100 == 0) {
        char sql[96];
        sqlite3_snprintf(sizeof sql, sql, "DELETE FROM events WHERE seq <= %lld",
                         sqlite3_last_insert_rowid(j->db) - GR_HISTORY_ROWS_MAX);
        k = gr_journal_exec(j, sql, e);
    }
    return k;
}

int gr_journal_events(struct gr_journal *j, int64_t after_seq, size_t limit,
                      struct gr_event_row **ret, size_t *ret_n, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j,
                               "SELECT seq,at,module,version,phase,reason,rollout,message FROM "
                               "events WHERE seq > ? ORDER BY seq LIMIT ?",
                               &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, after_seq);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)limit);
    struct gr_event_row *rows GR_AUTO_FREE = NULL;
    size_t n = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct gr_event_row *more = reallocarray(rows, n + 1, sizeof *more);
        if (!more)
            return -ENOMEM;
        rows = more;
        struct gr_event_row *r = &rows[n++];
        *r = (struct gr_event_row){.seq = sqlite3_column_int64(s, 0),
                                   .at = {sqlite3_column_int64(s, 1)},
                                   .rollout = sqlite3_column_int64(s, 6)};
        gr_journal_copy(r->module, sizeof r->module, s, 2);
        gr_journal_copy(r->version, sizeof r->version, s, 3);
        gr_journal_copy(r->phase, sizeof r->phase, s, 4);
        gr_journal_copy(r->reason, sizeof r->reason, s, 5);
        gr_journal_copy(r->message, sizeof r->message, s, 7);
    }
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}

int gr_journal_convict(struct gr_journal *j, const struct gr_conviction *c, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    char hex[GR_DIGEST_TEXT_MAX];
    int k = gr_journal_prepare(j, "INSERT OR REPLACE INTO quarantine VALUES(?,?,?,?,?,?,?)", &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_text(s, 1, gr_digest_format(&c->digest, hex), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, c->module.s, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, c->version, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, gr_reason_name(c->reason), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, c->evidence, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, c->instance, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 7, c->at.usec);
    return gr_journal_run(j, s, "write a conviction", e);
}

int gr_journal_pardon(struct gr_journal *j, const struct gr_digest *d, const char *actor,
                      const char *reason, struct gr_error *e)
{
    sqlite3_stmt *lift GR_AUTO_STMT = NULL, *note GR_AUTO_STMT = NULL;
    char hex[GR_DIGEST_TEXT_MAX];
    gr_digest_format(d, hex);
    int k = gr_journal_begin(j, e);
    if (k == 0)
        k = gr_journal_prepare(j, "DELETE FROM quarantine WHERE digest=?", &lift, e);
    if (k == 0)
        k = gr_journal_prepare(j, "INSERT INTO pardons VALUES(?,?,?,?)", &note, e);
    if (k == 0) {
        sqlite3_bind_text(lift, 1, hex, -1, SQLITE_STATIC);
        k = gr_journal_run(j, lift, "lift a conviction", e);
    }
    if (k == 0 && sqlite3_changes(j->db) == 0)
        k = gr_error_set(e, -ENOENT, GR_REASON_NONE,
                         "%s is not quarantined here; `grayctl quarantine list` shows what is",
                         hex);
    if (k == 0) {
        sqlite3_bind_text(note, 1, hex, -1, SQLITE_STATIC);
        sqlite3_bind_text(note, 2, actor ? actor : "", -1, SQLITE_STATIC);
        sqlite3_bind_text(note, 3, reason ? reason : "", -1, SQLITE_STATIC);
        sqlite3_bind_int64(note, 4, gr_wall_now().usec);
        k = gr_journal_run(j, note, "note a pardon", e);
    }
    if (k == 0)
        return gr_journal_commit(j, e);
    gr_journal_abort(j);
    return k;
}

int gr_journal_convictions(struct gr_journal *j, struct gr_conviction **ret, size_t *ret_n,
                           struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(
        j, "SELECT digest,module,version,reason,evidence,instance,at FROM quarantine ORDER BY at",
        &s, e);
    if (k < 0)
        return k;
    struct gr_conviction *rows GR_AUTO_FREE = NULL;
    size_t n = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct gr_conviction *more = reallocarray(rows, n + 1, sizeof *more);
        if (!more)
            return -ENOMEM;
        rows = more;
        struct gr_conviction *c = &rows[n];
        *c = (struct gr_conviction){.at = {sqlite3_column_int64(s, 6)}};
        const char *module = gr_journal_text(s, 1);
        if (gr_digest_parse(gr_journal_text(s, 0), &c->digest) < 0 ||
            gr_name_parse(module, strlen(module), &c->module) < 0)
            continue;
        if (gr_reason_parse(gr_journal_text(s, 3), &c->reason) < 0)
            c->reason = GR_REASON_NONE;
        gr_journal_copy(c->version, sizeof c->version, s, 2);
        gr_journal_copy(c->evidence, sizeof c->evidence, s, 4);
        gr_journal_copy(c->instance, sizeof c->instance, s, 5);
        n++;
    }
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}

int gr_journal_get_floor(struct gr_journal *j, struct gr_floor *ret, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j, "SELECT value FROM meta WHERE key='floor'", &s, e);
    if (k < 0)
        return k;
    struct gr_floor f = {0};
    if (sqlite3_step(s) == SQLITE_ROW &&
        sscanf(gr_journal_text(s, 0), "%" SCNu64 " %" SCNd64, &f.cluster_id, &f.revision) != 2)
        f = (struct gr_floor){0};
    *ret = f;
    return 0;
}

int gr_journal_set_floor(struct gr_journal *j, const struct gr_floor *f, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j, "INSERT OR REPLACE INTO meta VALUES('floor',?)", &s, e);
    if (k < 0)
        return k;
    char text[64];
    snprintf(text, sizeof text, "%" PRIu64 " %" PRId64, f->cluster_id,
             f->revision); // cluster ids exceed 2^63
    sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
    return gr_journal_run(j, s, "write the source's floor", e);
}
