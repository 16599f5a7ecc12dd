// Speaks SQLite for the journal: errors become ours, statements are bound and read with checks,
// and a transaction happens as a whole or not at all.
#include "base/fault.h"
#include "state/journal-internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESERVE_MARGIN_BYTES (16u << 20) // so much must be free before the reserve comes back

// --- errors --------------------------------------------------------------------------------------

static bool is_disk_full(sqlite3 *db)
{
    int system = sqlite3_system_errno(db);
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_FULL:
        return true;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return system == ENOSPC || system == EDQUOT || system == EFBIG;
    default:
        return false;
    }
}

static int complain_full(const char *doing, struct gr_error *e)
{
    return gr_error_set_retryable(e, -ENOSPC, GR_REASON_DISK_FULL,
                                  "the journal could not %s: the disk of the state directory is "
                                  "full, and its reserve is used; what is in force stays in force. "
                                  "Free some space, then try again",
                                  doing);
}

int gr_journal_complain(struct gr_journal *j, const char *doing, struct gr_error *e)
{
    const char *said = sqlite3_errmsg(j->db);
    if (is_disk_full(j->db))
        return complain_full(doing, e);
    switch (sqlite3_errcode(j->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                            "the journal could not %s: its file is damaged (%s); it is set aside "
                            "at the next start",
                            doing, said);
    case SQLITE_BUSY:
        return gr_error_set(e, -EBUSY, GR_REASON_INTERNAL,
                            "the journal could not %s: another process uses it; one graylingd per "
                            "StateDirectory is possible. End the other one, or set another "
                            "StateDirectory",
                            doing);
    case SQLITE_NOMEM:
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "the journal could not %s: out of memory", doing);
    default: {
        int system = sqlite3_system_errno(j->db);
        bool refused = system == EROFS || system == EACCES || system == EPERM;
        return gr_error_set(e, refused ? -system : -EIO, GR_REASON_INTERNAL,
                            "the journal could not %s: %s (%s). Look after the disk of the state "
                            "directory, then try again",
                            doing, said, system ? strerror(system) : "no further cause");
    }
    }
}

int gr_journal_told(int k, const char *doing, struct gr_error *e)
{
    if (k == -ENOMEM && e && !e->message[0])
        gr_error_set_retryable(e, k, GR_REASON_INTERNAL,
                               "the journal could not %s: out of memory; nothing was changed",
                               doing);
    return k;
}

static int damaged(const char *what, const char *text, struct gr_error *e)
{
    return gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                        "the journal holds \"%.64s\" where %s was expected: it was changed by "
                        "somebody else. Restore journal.db, or move it away to start from its copy",
                        text, what);
}

// --- statements ----------------------------------------------------------------------------------

int gr_journal_prepare(struct gr_journal *j, const char *sql, sqlite3_stmt **ret,
                       struct gr_error *e)
{
    return sqlite3_prepare_v2(j->db, sql, -1, ret, NULL) == SQLITE_OK
               ? 0
               : gr_journal_complain(j, "prepare a statement", e);
}

int gr_journal_exec(struct gr_journal *j, const char *sql, struct gr_error *e)
{
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : gr_journal_complain(j, "run a statement", e);
}

int gr_journal_step(struct gr_journal *j, sqlite3_stmt *s, const char *doing, struct gr_error *e)
{
    int rc = sqlite3_step(s);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : gr_journal_complain(j, doing, e);
}

int gr_journal_bind_text(sqlite3_stmt *s, int at, const char *text)
{
    return sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC) == SQLITE_OK ? 0 : -ENOMEM;
}

int gr_journal_bind_document(sqlite3_stmt *s, int at, const struct gr_desired *d)
{
    if (!d)
        return 0; // a parameter that was not bound is NULL
    char *text = gr_desired_format(d);
    if (!text)
        return -ENOMEM;
    bool ok = sqlite3_bind_text(s, at, text, -1, free) == SQLITE_OK &&
              sqlite3_bind_int64(s, at + 1, d->mod_revision) == SQLITE_OK;
    return ok ? 0 : -ENOMEM;
}

const char *gr_journal_text(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    return text ? (const char *)text : "";
}

void gr_journal_copy_text(sqlite3_stmt *s, int column, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s", gr_journal_text(s, column));
}

int gr_journal_get_name(sqlite3_stmt *s, int column, struct gr_name *ret, struct gr_error *e)
{
    const char *text = gr_journal_text(s, column);
    return gr_name_parse(text, strlen(text), ret) < 0 ? damaged("a module's name", text, e) : 0;
}

int gr_journal_get_reason(sqlite3_stmt *s, int column, enum gr_reason *ret, struct gr_error *e)
{
    const char *text = gr_journal_text(s, column);
    return gr_reason_parse(text, ret) < 0 ? damaged("a reason", text, e) : 0;
}

int gr_journal_get_phase(sqlite3_stmt *s, int column, enum gr_phase *ret, struct gr_error *e)
{
    const char *text = gr_journal_text(s, column);
    for (unsigned p = 0; p < GR_PHASE_COUNT; p++)
        if (strcmp(gr_phase_name((enum gr_phase)p), text) == 0) {
            *ret = (enum gr_phase)p;
            return 0;
        }
    return damaged("a phase", text, e);
}

int gr_journal_get_document(sqlite3_stmt *s, int column, const struct gr_name *module,
                            struct gr_desired **ret, struct gr_error *e)
{
    if (sqlite3_column_type(s, column) == SQLITE_NULL) {
        *ret = NULL;
        return 0;
    }
    struct gr_error why = {0};
    int k = gr_desired_restore(module, sqlite3_column_int64(s, column + 1),
                               gr_journal_text(s, column), ret, &why);
    if (k == -ENOMEM)
        return gr_error_set_retryable(e, k, why.reason, "%s", why.message);
    return k < 0 ? damaged("a document", why.message, e) : 0;
}

int gr_journal_grow(void **list, size_t n, size_t element_bytes)
{
    if (n & (n - 1)) // room up to the next power of two is there
        return 0;
    void *more = reallocarray(*list, n ? 2 * n : 1, element_bytes);
    if (!more)
        return -ENOMEM;
    *list = more;
    return 0;
}

// --- transactions --------------------------------------------------------------------------------

static int try_write(struct gr_journal *j, gr_journal_body body, const void *what,
                     struct gr_error *e)
{
    int k = GR_FAULT("journal.begin");
    if (k == 0)
        k = gr_journal_exec(j, "BEGIN IMMEDIATE", e);
    if (k == 0)
        k = body(j, what, e);
    if (k == 0)
        k = GR_FAULT("journal.before-commit");
    if (k == 0)
        k = gr_journal_exec(j, "COMMIT", e);
    if (k < 0 && !sqlite3_get_autocommit(j->db))
        (void)!gr_journal_exec(j, "ROLLBACK", NULL);
    return k;
}

int gr_journal_write(struct gr_journal *j, gr_journal_body body, const void *what,
                     struct gr_error *e)
{
    struct gr_error why = {0};
    int k = try_write(j, body, what, &why);
    if (k == -ENOSPC) {
        gr_journal_use_reserve(j);
        // with that room the write-ahead log can be emptied into the database, which gives more
        (void)!sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        why = (struct gr_error){0};
        k = try_write(j, body, what, &why);
    }
    if (k == 0) {
        GR_INSTANT("journal.after-commit");
        gr_journal_make_reserve(j, RESERVE_MARGIN_BYTES);
        return 0;
    }
    if (k == -ENOSPC)
        return complain_full("write", e);
    if (!why.message[0])
        gr_error_set(&why, k, GR_REASON_INTERNAL, "the journal could not write: %s", strerror(-k));
    if (e)
        *e = why;
    return k;
}

int gr_journal_lasts(const struct gr_journal *j, struct gr_error *e)
{
    if (!j->in_memory)
        return 0;
    return gr_error_set_retryable(
        e, -EROFS, GR_REASON_INTERNAL,
        "nothing is rolled out while the state directory cannot be written: after a restart nobody "
        "would know of it. What is in force stays in force. Make the directory writable, then "
        "restart graylingd, which takes this up again");
}

int gr_journal_note(struct gr_journal *j, gr_journal_body body, const void *what,
                    struct gr_error *e)
{
    // a commit in this mode waits for no disk; the next one that does takes it along, since the
    // write-ahead log is written in order
    int k = gr_journal_exec(j, "PRAGMA synchronous = NORMAL", e);
    if (k < 0)
        return k;
    k = gr_journal_write(j, body, what, e);
    int back = gr_journal_exec(j, "PRAGMA synchronous = FULL", k < 0 ? NULL : e);
    return k < 0 ? k : back;
}
