// Keeps what came of each module's newest intent, so that a start neither obeys it again nor
// forgets what its giver was told.
#include "state/journal-internal.h"
#include <errno.h>

static int put_intent(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_intent_row *row = what;
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "INSERT OR REPLACE INTO intents VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                               &s, e);
    if (k == 0 && (sqlite3_bind_int64(s, 2, (sqlite3_int64)row->cluster_id) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 3, row->revision) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 4, row->applied) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 8, row->at.usec) != SQLITE_OK))
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(s, 1, row->module.s);
    if (k == 0)
        k = gr_journal_bind_text(s, 5, row->verb);
    if (k == 0)
        k = gr_journal_bind_text(s, 6, row->actor);
    if (k == 0)
        k = gr_journal_bind_text(s, 7, row->message);
    return k < 0 ? k : gr_journal_step(j, s, "keep an intent's result", e);
}

int gr_journal_put_intent(struct gr_journal *j, const struct gr_intent_row *row, struct gr_error *e)
{
    return gr_journal_write(j, put_intent, row, e);
}

int gr_journal_intents(struct gr_journal *j, struct gr_intent_row **ret, size_t *ret_n,
                       struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE struct gr_intent_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(j, "SELECT * FROM intents ORDER BY module", &s, e);
    while (k == 0 && (k = gr_journal_step(j, s, "read the intents' results", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k < 0)
            break;
        struct gr_intent_row *row = &rows[n++];
        *row = (struct gr_intent_row){.cluster_id = (uint64_t)sqlite3_column_int64(s, 1),
                                      .revision = sqlite3_column_int64(s, 2),
                                      .applied = sqlite3_column_int64(s, 3) != 0,
                                      .at = {sqlite3_column_int64(s, 7)}};
        k = gr_journal_get_name(s, 0, &row->module, e);
        gr_journal_copy_text(s, 4, row->verb, sizeof row->verb);
        gr_journal_copy_text(s, 5, row->actor, sizeof row->actor);
        gr_journal_copy_text(s, 6, row->message, sizeof row->message);
    }
    if (k < 0)
        return gr_journal_told(k, "read the intents' results", e);
    *ret = gr_steal(rows);
    *ret_n = n;
    return 0;
}
