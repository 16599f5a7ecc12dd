// Owns the database file: opening, schema, transactions, the reserve for a full disk.
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "state/journal-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "journal.db"
#define RESERVE_NAME "reserve"
#define RESERVE_BYTES (1 << 20)
#define SCHEMA_VERSION 1
#define BUSY_MSEC 5000

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rollouts(id INTEGER PRIMARY KEY, phase INTEGER NOT NULL, step "
    "INTEGER, reason TEXT, message TEXT,"
    " created INTEGER, updated INTEGER, bake_left INTEGER, table_number INTEGER);"
    "CREATE TABLE IF NOT EXISTS members(rollout INTEGER NOT NULL, module TEXT NOT NULL, to_doc "
    "TEXT, to_revision INTEGER, from_doc TEXT,"
    " from_revision INTEGER, reason TEXT, message TEXT, PRIMARY KEY(rollout, module)) WITHOUT "
    "ROWID;"
    "CREATE INDEX IF NOT EXISTS members_module ON members(module, rollout);"
    "CREATE TABLE IF NOT EXISTS committed(module TEXT PRIMARY KEY, release TEXT NOT NULL, "
    "release_revision INTEGER, previous TEXT,"
    " previous_revision INTEGER, last_good TEXT, last_good_revision INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, module "
    "TEXT, version TEXT, phase TEXT, reason TEXT,"
    " rollout INTEGER, message TEXT);"
    "CREATE TABLE IF NOT EXISTS quarantine(digest TEXT PRIMARY KEY, module TEXT, version TEXT, "
    "reason TEXT, evidence TEXT, instance TEXT,"
    " at INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS pardons(digest TEXT, actor TEXT, reason TEXT, at INTEGER);";

int gr_journal_error(struct gr_journal *j, const char *doing, struct gr_error *e)
{
    int code = sqlite3_errcode(j->db);
    if (code == SQLITE_FULL)
        return gr_error_set_retryable(
            e, -ENOSPC, GR_REASON_DISK_FULL,
            "the journal could not %s: the disk of the state directory is full; expected room for "
            "a few pages. Free some space, then "
            "write the key again",
            doing);
    return gr_error_set(e, code == SQLITE_NOMEM ? -ENOMEM : -EIO, GR_REASON_INTERNAL,
                        "the journal could not %s: %s", doing, sqlite3_errmsg(j->db));
}

int gr_journal_prepare(struct gr_journal *j, const char *sql, sqlite3_stmt **ret,
                       struct gr_error *e)
{
    return sqlite3_prepare_v2(j->db, sql, -1, ret, NULL) == SQLITE_OK
               ? 0
               : gr_journal_error(j, "prepare a statement", e);
}

int gr_journal_exec(struct gr_journal *j, const char *sql, struct gr_error *e)
{
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : gr_journal_error(j, "run a statement", e);
}

int gr_journal_run(struct gr_journal *j, sqlite3_stmt *s, const char *doing, struct gr_error *e)
{
    return sqlite3_step(s) == SQLITE_DONE ? 0 : gr_journal_error(j, doing, e);
}

const char *gr_journal_text(sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    return t ? t : "";
}

void gr_journal_copy(char *buf, size_t cap, sqlite3_stmt *s, int column)
{
    snprintf(buf, cap, "%s", gr_journal_text(s, column));
}

// --- reserve
// --------------------------------------------------------------------------------------

static void make_reserve(struct gr_journal *j)
{
    int fd GR_AUTO_CLOSE =
        openat(j->dir_fd, RESERVE_NAME, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    j->has_reserve = fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    if (fd >= 0 && !j->has_reserve)
        unlinkat(j->dir_fd, RESERVE_NAME, 0);
}

static bool give_up_reserve(struct gr_journal *j)
{
    if (!j->has_reserve)
        return false;
    j->has_reserve = false;
    gr_log(
        GR_LOG_WARNING,
        "the disk of the state directory is full: the journal's reserve is used; free some space");
    return unlinkat(j->dir_fd, RESERVE_NAME, 0) == 0;
}

// --- transactions
// ---------------------------------------------------------------------------------

int gr_journal_begin(struct gr_journal *j, struct gr_error *e)
{
    int k = GR_FAULT("journal.begin");
    if (k < 0)
        return gr_error_set(e, k, k == -ENOSPC ? GR_REASON_DISK_FULL : GR_REASON_INTERNAL,
                            "the journal could not begin: %s", strerror(-k));
    return gr_journal_exec(j, "BEGIN IMMEDIATE", e);
}

int gr_journal_commit(struct gr_journal *j, struct gr_error *e)
{
    int k = GR_FAULT("journal.before-commit");
    if (k < 0)
        k = gr_error_set(e, k, k == -ENOSPC ? GR_REASON_DISK_FULL : GR_REASON_INTERNAL,
                         "the journal could not commit: %s", strerror(-k));
    else
        k = gr_journal_exec(j, "COMMIT", e);
    if (k == -ENOSPC && give_up_reserve(j) && !sqlite3_get_autocommit(j->db))
        k = gr_journal_exec(j, "COMMIT", e);
    if (k < 0) {
        gr_journal_abort(j);
        return k;
    }
    (void)!GR_FAULT("journal.after-commit");
    if (!j->has_reserve)
        make_reserve(j);
    return 0;
}

void gr_journal_abort(struct gr_journal *j)
{
    if (!sqlite3_get_autocommit(j->db))
        (void)!gr_journal_exec(j, "ROLLBACK", NULL);
}

// --- open
// -----------------------------------------------------------------------------------------

static int check_and_prepare(struct gr_journal *j, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_exec(j, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", e);
    if (k == 0)
        k = gr_journal_prepare(j, "PRAGMA quick_check(1)", &s, e);
    if (k < 0)
        return k;
    if (sqlite3_step(s) != SQLITE_ROW || strcmp(gr_journal_text(s, 0), "ok") != 0)
        return -EBADMSG;
    sqlite3_finalize(gr_steal(s));
    k = gr_journal_prepare(j, "PRAGMA user_version", &s, e);
    int version = k == 0 && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int(s, 0) : 0;
    if (k == 0 && version > SCHEMA_VERSION)
        return gr_error_set(e, -EPROTO, GR_REASON_INTERNAL,
                            "the journal has schema %d; this graylingd knows up to %d. Install the "
                            "newer version again, or start with an empty state "
                            "directory",
                            version, SCHEMA_VERSION);
    sqlite3_finalize(gr_steal(s));
    if (k == 0)
        k = gr_journal_exec(j, schema, e);
    return k < 0 ? k : gr_journal_exec(j, "PRAGMA user_version=1", e);
}

static int open_database(struct gr_journal *j, const char *state_dir, struct gr_error *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/" FILE_NAME, state_dir);
    if (sqlite3_open_v2(path, &j->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW,
                        NULL) != SQLITE_OK) {
        int k = gr_error_set(e, -EIO, GR_REASON_INTERNAL, "the journal %s could not be opened: %s",
                             path, sqlite3_errmsg(j->db));
        sqlite3_close(gr_steal(j->db));
        return k;
    }
    sqlite3_busy_timeout(j->db, BUSY_MSEC);
    int k = check_and_prepare(j, e);
    int code = sqlite3_errcode(j->db);
    if (k < 0)
        sqlite3_close(gr_steal(j->db));
    return k < 0 && (k == -EBADMSG || code == SQLITE_CORRUPT || code == SQLITE_NOTADB) ? -EBADMSG
                                                                                       : k;
}

// A damaged database is evidence: it is kept under another name, and a new one begins.
static int move_aside(struct gr_journal *j)
{
    static const char *const parts[] = {FILE_NAME, FILE_NAME "-wal", FILE_NAME "-shm"};
    for (size_t i = 0; i < GR_COUNT(parts); i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.corrupt-%lld", parts[i], (long long)gr_wall_now().usec);
        if (renameat(j->dir_fd, parts[i], j->dir_fd, name) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

int gr_journal_open(const char *state_dir, struct gr_journal **ret, struct gr_error *e)
{
    struct gr_journal *j = calloc(1, sizeof *j);
    if (!j)
        return -ENOMEM;
    j->dir_fd = -1;
    int k = gr_fs_open_dir(state_dir, &j->dir_fd);
    if (k < 0)
        k = gr_error_set(e, k, GR_REASON_INTERNAL, "the state directory %s could not be opened: %s",
                         state_dir, strerror(-k));
    else
        k = open_database(j, state_dir, e);
    if (k == -EBADMSG) {
        gr_log(GR_LOG_ERROR,
               "the journal in %s is damaged; it is kept aside as " FILE_NAME
               ".corrupt-*, and a new one begins",
               state_dir);
        k = move_aside(j);
        if (k == 0)
            k = open_database(j, state_dir, e);
        j->was_corrupt = true;
    }
    if (k < 0) {
        gr_journal_close(j);
        return k;
    }
    make_reserve(j);
    *ret = j;
    return 0;
}

bool gr_journal_was_corrupt(const struct gr_journal *j)
{
    return j->was_corrupt;
}

void gr_journal_close(struct gr_journal *j)
{
    if (!j)
        return;
    sqlite3_close(j->db);
    gr_closep(&j->dir_fd);
    free(j);
}
