// Keeps what was told: the newest GR_HISTORY_ROWS_MAX events.
#include "state/journal-internal.h"
#include <errno.h>
#include <stdio.h>

static int forget_old(struct gr_journal *j, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "DELETE FROM events WHERE seq <= ?", &s, e);
    if (k == 0 && sqlite3_bind_int64(
                      s, 1, sqlite3_last_insert_rowid(j->db) - GR_HISTORY_ROWS_MAX) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, "forget old events", e);
}

static int put_event(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_event_row *ev = what;
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j,
                               "INSERT INTO events(at, rollout, module, version, phase, reason,"
                               " message) VALUES(?, ?, ?, ?, ?, ?, ?)",
                               &s, e);
    if (k == 0 && (sqlite3_bind_int64(s, 1, ev->at.usec) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 2, ev->rollout) != SQLITE_OK))
        k = -ENOMEM;
    const char *const texts[] = {ev->module, ev->version, ev->phase, ev->reason, ev->message};
    for (int i = 0; k == 0 && i < (int)GR_COUNT(texts); i++)
        k = gr_journal_bind_text(s, 3 + i, texts[i]);
    if (k == 0)
        k = gr_journal_step(j, s, "write an event", e);
    return k < 0 ? k : forget_old(j, e);
}

int gr_journal_add_event(struct gr_journal *j, const struct gr_event_row *ev, struct gr_error *e)
{
    return gr_journal_note(j, put_event, ev, e);
}

static void read_event(sqlite3_stmt *s, struct gr_event_row *ev)
{
    *ev = (struct gr_event_row){.seq = sqlite3_column_int64(s, 0),
                                .at = {sqlite3_column_int64(s, 1)},
                                .rollout = sqlite3_column_int64(s, 2)};
    gr_journal_copy_text(s, 3, ev->module, sizeof ev->module);
    gr_journal_copy_text(s, 4, ev->version, sizeof ev->version);
    gr_journal_copy_text(s, 5, ev->phase, sizeof ev->phase);
    gr_journal_copy_text(s, 6, ev->reason, sizeof ev->reason);
    gr_journal_copy_text(s, 7, ev->message, sizeof ev->message);
}

int gr_journal_events(struct gr_journal *j, int64_t after_seq, size_t limit,
                      struct gr_event_row **ret, size_t *ret_n, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE struct gr_event_row *rows = NULL;
    size_t n = 0, most = limit < GR_HISTORY_ROWS_MAX ? limit : GR_HISTORY_ROWS_MAX;
    int k = gr_journal_prepare(j,
                               "SELECT seq, at, rollout, module, version, phase, reason, message"
                               " FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                               &s, e);
    if (k == 0 && (sqlite3_bind_int64(s, 1, after_seq) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 2, (sqlite3_int64)most) != SQLITE_OK))
        k = -ENOMEM;
    while (k == 0 && (k = gr_journal_step(j, s, "read events", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k == 0)
            read_event(s, &rows[n++]);
    }
    if (k < 0)
        return k;
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}

int gr_journal_newest_event(struct gr_journal *j, int64_t *ret, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT coalesce(max(seq), 0) FROM events", &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "read the newest event", e);
    if (k < 0)
        return k;
    *ret = sqlite3_column_int64(s, 0);
    return 0;
}
