// Keeps the verdicts of rollouts: one row whenever a member's verdict became another one. The text
// is the record that rollout/analysis-record writes, which nobody reads here.
#include "state/journal-internal.h"
#include <errno.h>
#include <string.h>

void gr_verdict_rows_free(struct gr_verdict_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(rows[i].record);
    free(rows);
}

// The first verdict of a member tells least, the newest one most.
static const char sql_forget_member[] =
    "DELETE FROM verdicts WHERE rollout = ?1 AND module = ?2 AND seq <="
    " (SELECT seq FROM verdicts WHERE rollout = ?1 AND module = ?2 ORDER BY seq DESC"
    " LIMIT 1 OFFSET ?3)";
static const char sql_forget_old[] =
    "DELETE FROM verdicts WHERE seq IN (SELECT seq FROM (SELECT seq, sum(bytes) OVER"
    " (ORDER BY seq DESC) AS total FROM verdicts) WHERE total > ?1)";

static int forget(struct gr_journal *j, const struct gr_verdict_row *row, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *member = NULL, *old = NULL;
    int k = gr_journal_prepare(j, sql_forget_member, &member, e);
    if (k == 0 && (sqlite3_bind_int64(member, 1, row->rollout) != SQLITE_OK ||
                   sqlite3_bind_int64(member, 3, GR_VERDICTS_MAX) != SQLITE_OK))
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(member, 2, row->module.s);
    if (k == 0)
        k = gr_journal_step(j, member, "forget old verdicts", e);
    if (k == 0)
        k = gr_journal_prepare(j, sql_forget_old, &old, e);
    if (k == 0 && sqlite3_bind_int64(old, 1, GR_VERDICTS_BYTES_MAX) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, old, "forget old verdicts", e);
}

static int put_verdict(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_verdict_row *row = what;
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(
        j, "INSERT INTO verdicts(rollout, module, at, bytes, record) VALUES(?, ?, ?, ?, ?)", &s, e);
    if (k == 0 && (sqlite3_bind_int64(s, 1, row->rollout) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 3, row->at.usec) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 4, (sqlite3_int64)strlen(row->record)) != SQLITE_OK))
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(s, 2, row->module.s);
    if (k == 0)
        k = gr_journal_bind_text(s, 5, row->record);
    if (k == 0)
        k = gr_journal_step(j, s, "keep a verdict", e);
    return k < 0 ? k : forget(j, row, e);
}

int gr_journal_add_verdict(struct gr_journal *j, const struct gr_verdict_row *row,
                           struct gr_error *e)
{
    return gr_journal_note(j, put_verdict, row, e);
}

int gr_journal_verdicts(struct gr_journal *j, int64_t rollout, struct gr_verdict_row **ret,
                        size_t *ret_n, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    struct gr_verdict_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(
        j, "SELECT module, at, record FROM verdicts WHERE rollout = ? ORDER BY seq", &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, rollout) != SQLITE_OK)
        k = -ENOMEM;
    while (k == 0 && (k = gr_journal_step(j, s, "read verdicts", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k < 0)
            break;
        struct gr_verdict_row *row = &rows[n++];
        *row = (struct gr_verdict_row){.rollout = rollout, .at = {sqlite3_column_int64(s, 1)}};
        k = gr_journal_get_name(s, 0, &row->module, e);
        row->record = strdup(gr_journal_text(s, 2));
        if (k == 0 && !row->record)
            k = -ENOMEM;
    }
    if (k < 0) {
        gr_verdict_rows_free(rows, n);
        return gr_journal_told(k, "read verdicts", e);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}
