// What the journal's files share: the connection, statements that clean up after themselves,
// errors. Private to state/journal*.c.
#pragma once
#include "state/journal.h"
#include <sqlite3.h>

struct gr_journal {
    sqlite3 *db;
    int dir_fd;
    bool was_corrupt, has_reserve;
};

static inline void gr_stmt_freep(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
}
#define GR_AUTO_STMT GR_CLEANUP(gr_stmt_freep)

// Negative errno and a sentence for SQLite's newest complaint.
int gr_journal_error(struct gr_journal *j, const char *doing, struct gr_error *e);
GR_MUST_CHECK int gr_journal_prepare(struct gr_journal *j, const char *sql, sqlite3_stmt **ret,
                                     struct gr_error *e);
GR_MUST_CHECK int gr_journal_exec(struct gr_journal *j, const char *sql, struct gr_error *e);
// Runs a statement that returns no row.
GR_MUST_CHECK int gr_journal_run(struct gr_journal *j, sqlite3_stmt *s, const char *doing,
                                 struct gr_error *e);
// begin and commit share one fault discipline; on a full disk the reserve is given up once and the
// commit tried again.
GR_MUST_CHECK int gr_journal_begin(struct gr_journal *j, struct gr_error *e);
GR_MUST_CHECK int gr_journal_commit(struct gr_journal *j, struct gr_error *e);
void gr_journal_abort(struct gr_journal *j);
const char *gr_journal_text(sqlite3_stmt *s, int column); // "" for NULL
void gr_journal_copy(char *buf, size_t cap, sqlite3_stmt *s, int column);
