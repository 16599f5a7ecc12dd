// What the journal's files share: the connection, statements, transactions, the reserve. Private
// to state/journal*.c.
#pragma once
#include "state/journal.h"
#include <sqlite3.h>

struct gr_journal {
    sqlite3 *db;
    int dir_fd;
    bool has_reserve;
    bool in_memory;                // the state directory cannot be written
    char damage[GR_MESSAGE_MAX];   // "": none was found at open
    char seal[GR_DIGEST_TEXT_MAX]; // of the copy as it lies there; "": unknown
};

// --- statements (journal-sql.c) ---

static inline void gr_stmt_freep(sqlite3_stmt **s)
{
    sqlite3_finalize(*s);
}
#define GR_AUTO_STMT GR_CLEANUP(gr_stmt_freep)

// SQLite's newest complaint as an error: -ENOSPC DiskFull, -EUCLEAN (damaged), -EBUSY, -ENOMEM,
// -EROFS, -EACCES, -EPERM, -EIO. `doing` completes "the journal could not ...".
int gr_journal_complain(struct gr_journal *j, const char *doing, struct gr_error *e);
GR_MUST_CHECK int gr_journal_prepare(struct gr_journal *j, const char *sql, sqlite3_stmt **ret,
                                     struct gr_error *e);
GR_MUST_CHECK int gr_journal_exec(struct gr_journal *j, const char *sql, struct gr_error *e);
// 1: there is a row; 0: there is none any more.
GR_MUST_CHECK int gr_journal_step(struct gr_journal *j, sqlite3_stmt *s, const char *doing,
                                  struct gr_error *e);
// Texts are borrowed until the statement has run.
GR_MUST_CHECK int gr_journal_bind_text(sqlite3_stmt *s, int at, const char *text);
// Document and revision at `at` and `at + 1`; NULL: both NULL.
GR_MUST_CHECK int gr_journal_bind_document(sqlite3_stmt *s, int at, const struct gr_desired *d);

const char *gr_journal_text(sqlite3_stmt *s, int column); // "" for NULL
void gr_journal_copy_text(sqlite3_stmt *s, int column, char *buf, size_t cap);
// These refuse what this program never wrote: -EUCLEAN.
GR_MUST_CHECK int gr_journal_get_name(sqlite3_stmt *s, int column, struct gr_name *ret,
                                      struct gr_error *e);
GR_MUST_CHECK int gr_journal_get_reason(sqlite3_stmt *s, int column, enum gr_reason *ret,
                                        struct gr_error *e);
GR_MUST_CHECK int gr_journal_get_phase(sqlite3_stmt *s, int column, enum gr_phase *ret,
                                       struct gr_error *e);
// k as it is; where memory ran out outside of SQLite, which has told nobody, *e says so.
GR_MUST_CHECK int gr_journal_told(int k, const char *doing, struct gr_error *e);
// What a gray release has reached, as JSON; NULL: out of memory. Caller frees.
char *gr_gray_row_format(const struct gr_gray_row *g);
// `text` "": written before there were gray releases; `phase` then says whether it was swapped.
// -EUCLEAN: not ours.
GR_MUST_CHECK int gr_gray_row_parse(const char *text, enum gr_phase phase, struct gr_gray_row *ret,
                                    struct gr_error *e);
// *ret is NULL for NULL.
GR_MUST_CHECK int gr_journal_get_document(sqlite3_stmt *s, int column, const struct gr_name *module,
                                          struct gr_desired **ret, struct gr_error *e);

// Makes room for one more element of a list that grows by reading rows: doubles at powers of two.
// *list is NULL when n is 0.
GR_MUST_CHECK int gr_journal_grow(void **list, size_t n, size_t element_bytes);

// --- transactions (journal-sql.c) ---

// Does all its writing on the journal and may run twice.
typedef int (*gr_journal_body)(struct gr_journal *j, const void *what, struct gr_error *e);
// All of it or nothing; on a full disk the reserve is given up and everything tried once more.
GR_MUST_CHECK int gr_journal_write(struct gr_journal *j, gr_journal_body body, const void *what,
                                   struct gr_error *e);
// The same for what nothing depends on: no wait for the disk. Survives the death of the process;
// after a power cut it may be missing from the last write on, never with a hole.
GR_MUST_CHECK int gr_journal_note(struct gr_journal *j, gr_journal_body body, const void *what,
                                  struct gr_error *e);
// Refuses what must not be lost by the next start while the journal is in memory: -EROFS.
GR_MUST_CHECK int gr_journal_lasts(const struct gr_journal *j, struct gr_error *e);
// A body that other bodies contain.
GR_MUST_CHECK int gr_journal_put_row(struct gr_journal *j, const struct gr_rollout_row *r,
                                     struct gr_error *e);

GR_MUST_CHECK int gr_journal_put_committed(struct gr_journal *j, const struct gr_committed *c,
                                           struct gr_error *e);
GR_MUST_CHECK int gr_journal_put_number(struct gr_journal *j, int64_t number, struct gr_error *e);
GR_MUST_CHECK int gr_journal_put_floor(struct gr_journal *j, const void *floor, struct gr_error *e);
GR_MUST_CHECK int gr_journal_put_conviction(struct gr_journal *j, const void *conviction,
                                            struct gr_error *e);

// --- the second copy (journal-copy.c) ---

struct gr_journal_copy {
    struct gr_table_rows table; // as it is restored: no version that is in its bake
    size_t n_convictions;
    struct gr_conviction *convictions;
    struct gr_floor floor;
};
// After a commit: the copy becomes what the database says. Best effort; the next one tries again.
void gr_journal_follow(struct gr_journal *j);
// Reads all that a start needs. Fails: -EUCLEAN when something of it is damaged, or when the table
// is not the one that the copy has under the same number.
GR_MUST_CHECK int gr_journal_check_content(struct gr_journal *j, struct gr_error *e);
// Why a database could not be used.
enum gr_journal_loss {
    GR_LOSS_NONE,
    GR_LOSS_DAMAGED,
    GR_LOSS_NEWER,      // a newer graylingd wrote it
    GR_LOSS_UNWRITABLE, // it is left where it is, and this one is in memory
};
// Brings back what the database lost; `why` is a sentence without its stop when it began anew, else
// NULL. Fails: -ENOENT for a journal in memory that has no copy to begin from.
GR_MUST_CHECK int gr_journal_reconcile(struct gr_journal *j, enum gr_journal_loss loss,
                                       const char *why, struct gr_error *e);

// --- room on a full disk (journal-reserve.c) ---

// Puts the reserve file there unless it is, when more than `margin_bytes` would stay free. Best
// effort.
void gr_journal_make_reserve(struct gr_journal *j, uint64_t margin_bytes);
void gr_journal_use_reserve(struct gr_journal *j);
