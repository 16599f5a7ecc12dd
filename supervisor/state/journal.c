// Opens the journal: the database file, its schema, and what to do when it is damaged.
#include "base/fault.h"
#include "base/fs.h"
#include "base/release.h"
#include "state/journal-internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "journal.db"
#define CORRUPT_PREFIX FILE_NAME ".corrupt-"
#define NEWER_PREFIX FILE_NAME ".newer-"
#define ASIDE_MAX 4 // databases of each kind that are kept
#define SCHEMA_VERSION 4

// What leads from each version of the schema to the next one. A new database goes the same way, so
// that there is one order of columns.
static const char first_schema[] =
    "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), table_number INTEGER NOT NULL,"
    " floor_cluster INTEGER NOT NULL, floor_revision INTEGER NOT NULL) STRICT;"
    "INSERT INTO state VALUES(1, 0, 0, 0);"
    "CREATE TABLE committed(module TEXT PRIMARY KEY, release TEXT NOT NULL,"
    " release_revision INTEGER NOT NULL, previous TEXT, previous_revision INTEGER, last_good TEXT,"
    " last_good_revision INTEGER) STRICT, WITHOUT ROWID;"
    "CREATE TABLE rollouts(id INTEGER PRIMARY KEY, phase TEXT NOT NULL, terminal INTEGER NOT NULL,"
    " step INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, bake_left INTEGER NOT NULL,"
    " table_number INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
    "CREATE INDEX rollouts_open ON rollouts(id) WHERE NOT terminal;"
    "CREATE TABLE members(rollout INTEGER NOT NULL REFERENCES rollouts ON DELETE CASCADE,"
    " position INTEGER NOT NULL, module TEXT NOT NULL, to_document TEXT, to_revision INTEGER,"
    " from_document TEXT, from_revision INTEGER, reason TEXT NOT NULL, message TEXT NOT NULL,"
    " PRIMARY KEY(rollout, position)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX members_module ON members(module, rollout);"
    "CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
    " module TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL, reason TEXT NOT NULL,"
    " rollout INTEGER NOT NULL, message TEXT NOT NULL) STRICT;"
    "CREATE TABLE quarantine(digest TEXT PRIMARY KEY, module TEXT NOT NULL, version TEXT NOT NULL,"
    " reason TEXT NOT NULL, evidence TEXT NOT NULL, instance TEXT NOT NULL, at INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 1;";
// What gray releases have to remember, as JSON (journal-gray.c): it is read as a whole, by us.
static const char gray_schema[] = "ALTER TABLE rollouts ADD COLUMN gray TEXT;"
                                  "ALTER TABLE members ADD COLUMN verdict TEXT;"
                                  "PRAGMA user_version = 2;";
// What came of operators' intents, and the verdicts on the way. A rollout's row is replaced at each
// of its writes, so that its verdicts must not hang on it.
static const char steer_schema[] =
    "CREATE TABLE intents(module TEXT PRIMARY KEY, cluster INTEGER NOT NULL,"
    " revision INTEGER NOT NULL, applied INTEGER NOT NULL, verb TEXT NOT NULL,"
    " actor TEXT NOT NULL, message TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE verdicts(seq INTEGER PRIMARY KEY AUTOINCREMENT, rollout INTEGER NOT NULL,"
    " module TEXT NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL, record TEXT NOT NULL)"
    " STRICT;"
    "CREATE INDEX verdicts_rollout ON verdicts(rollout, module, seq);"
    "PRAGMA user_version = 3;";
// How each start went, which digests were in play when one died, safe mode, and which convictions
// were lifted here and not in etcd yet.
static const char start_schema[] =
    "CREATE TABLE starts(number INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL,"
    " at INTEGER NOT NULL, state TEXT NOT NULL, blamed INTEGER NOT NULL) STRICT;"
    "CREATE TABLE tries(digest TEXT PRIMARY KEY, tries INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE safe_mode(one INTEGER PRIMARY KEY CHECK(one = 1), since INTEGER NOT NULL,"
    " why TEXT NOT NULL) STRICT;"
    "CREATE TABLE lifts(digest TEXT PRIMARY KEY, module TEXT NOT NULL, version TEXT NOT NULL,"
    " reason TEXT NOT NULL, evidence TEXT NOT NULL, instance TEXT NOT NULL, at INTEGER NOT NULL,"
    " actor TEXT NOT NULL, why TEXT NOT NULL, lifted INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 4;";
static const char *const migrations[] = {first_schema, gray_schema, steer_schema, start_schema};
_Static_assert(GR_COUNT(migrations) == SCHEMA_VERSION, "each migration makes the next version");

// --- opening -------------------------------------------------------------------------------------

// Exclusive: a second process is refused, and the index of the write-ahead log needs no file that
// could not grow on a full disk. The log is emptied early, so that it stays about as small as the
// reserve.
static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON; PRAGMA wal_autocheckpoint = 128;";

static int read_one(struct gr_journal *j, const char *sql, char *buf, size_t cap,
                    struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, sql, &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "be read", e);
    if (k <= 0)
        return k;
    gr_journal_copy_text(s, 0, buf, cap);
    return 0;
}

static int check_integrity(struct gr_journal *j, struct gr_error *e)
{
    char verdict[256] = "";
    int k = read_one(j, "PRAGMA quick_check(1)", verdict, sizeof verdict, e);
    if (k == 0 && strcmp(verdict, "ok") != 0)
        k = gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL, "the journal is damaged: %s", verdict);
    return k;
}

static int migrate(struct gr_journal *j, const void *what, struct gr_error *e)
{
    return gr_journal_exec(j, what, e);
}

static int check_schema(struct gr_journal *j, struct gr_error *e)
{
    char text[32] = "";
    int k = read_one(j, "PRAGMA user_version", text, sizeof text, e);
    if (k < 0)
        return k;
    long version = strtol(text, NULL, 10);
    for (; k == 0 && version >= 0 && version < SCHEMA_VERSION; version++)
        k = gr_journal_write(j, migrate, migrations[version], e);
    if (k < 0 || version == SCHEMA_VERSION)
        return k;
    return gr_error_set(e, -EPROTO, GR_REASON_INTERNAL,
                        "the journal has schema %ld, and this graylingd (%s) knows schema %d: a "
                        "newer one wrote it, whose history and events are in the file that was "
                        "set aside as " NEWER_PREFIX "TIME",
                        version, gr_release, SCHEMA_VERSION);
}

// The file is made first, so that it is private from its first byte; the log takes its mode over.
static int make_file(struct gr_journal *j)
{
    GR_AUTO_CLOSE int fd =
        openat(j->dir_fd, FILE_NAME, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : 0;
}

static int complain_unwritable(const char *state_dir, int k, struct gr_error *e)
{
    return gr_error_set(e, k, k == -ENOSPC ? GR_REASON_DISK_FULL : GR_REASON_INTERNAL,
                        "%.500s/" FILE_NAME " could not be opened: %s; expected a regular file "
                        "that this user may write",
                        state_dir, strerror(-k));
}

static int open_path(struct gr_journal *j, const char *path, struct gr_error *e)
{
    if (sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return j->db ? gr_journal_complain(j, "be opened", e) : -ENOMEM;
    sqlite3_extended_result_codes(j->db, 1);
    GR_INSTANT("journal.opened");
    int k = gr_journal_exec(j, settings, e);
    if (k == 0)
        k = check_integrity(j, e);
    return k < 0 ? k : check_schema(j, e);
}

static int open_database(struct gr_journal *j, const char *state_dir, struct gr_error *e)
{
    char path[PATH_MAX];
    int k = GR_FAULT("journal.open");
    if (k == 0)
        k = make_file(j);
    if (k == 0 && (size_t)snprintf(path, sizeof path, "%s/" FILE_NAME, state_dir) >= sizeof path)
        k = -ENAMETOOLONG;
    return k < 0 ? complain_unwritable(state_dir, k, e) : open_path(j, path, e);
}

// --- what is set aside
// -------------------------------------------------------------------------------

static bool is_aside(const struct dirent *de, const char *prefix)
{
    size_t n = strlen(de->d_name);
    return strncmp(de->d_name, prefix, strlen(prefix)) == 0 &&
           strcmp(de->d_name + n - 4, "-wal") != 0;
}

static int is_corrupt(const struct dirent *de)
{
    return is_aside(de, CORRUPT_PREFIX);
}

static int is_newer(const struct dirent *de)
{
    return is_aside(de, NEWER_PREFIX);
}

// The names hold the time, so that alphabetical is oldest first.
static void forget_old(struct gr_journal *j, int (*filter)(const struct dirent *))
{
    struct dirent **list = NULL;
    int n = scandirat(j->dir_fd, ".", &list, filter, alphasort);
    for (int i = 0; i < n; i++) {
        if (i < n - ASIDE_MAX) {
            char log[NAME_MAX + 8];
            snprintf(log, sizeof log, "%s-wal", list[i]->d_name);
            (void)!gr_fs_unlink(j->dir_fd, list[i]->d_name);
            (void)!gr_fs_unlink(j->dir_fd, log);
        }
        free(list[i]);
    }
    free(list);
}

// It is kept as it is, which only a rename does; nothing is replaced by it.
static int set_aside(struct gr_journal *j, const char *prefix, struct gr_error *e)
{
    char stamp[GR_WALL_TEXT_MAX], name[96];
    sqlite3_close(gr_steal(j->db));
    gr_wall_format(gr_wall_now(), stamp);
    static const char *const parts[] = {"-wal", ""};
    for (size_t i = 0; i < GR_COUNT(parts); i++) {
        char from[32];
        snprintf(from, sizeof from, FILE_NAME "%s", parts[i]);
        snprintf(name, sizeof name, "%s%s%s", prefix, stamp, parts[i]);
        if (renameat(j->dir_fd, from, j->dir_fd, name) < 0 && errno != ENOENT) {
            int k = -errno;
            return gr_error_set(e, k, GR_REASON_INTERNAL,
                                FILE_NAME
                                ", which cannot be used, could not be moved to %s: %s. Move it "
                                "away, so that a new one can begin",
                                name, strerror(-k));
        }
    }
    forget_old(j, is_corrupt);
    forget_old(j, is_newer);
    return 0;
}

// --- life ----------------------------------------------------------------------------------------

static int open_whole(struct gr_journal *j, const char *state_dir, struct gr_error *e)
{
    int k = open_database(j, state_dir, e);
    return k < 0 ? k : gr_journal_check_content(j, e);
}

static enum gr_journal_loss loss_of(int code)
{
    switch (code) {
    case -EUCLEAN:
        return GR_LOSS_DAMAGED;
    case -EPROTO:
        return GR_LOSS_NEWER;
    case -EROFS:
    case -EACCES:
    case -EPERM:
        return GR_LOSS_UNWRITABLE;
    default:
        return GR_LOSS_NONE;
    }
}

// With what the copy knows. A state directory that cannot be written is served from memory when it
// has one, since what is good needs nobody; a new host is told of its permissions instead.
static int begin_anew(struct gr_journal *j, const char *state_dir, int code,
                      const struct gr_error *why, struct gr_error *e)
{
    enum gr_journal_loss loss = loss_of(code);
    int k = code;
    j->in_memory = loss == GR_LOSS_UNWRITABLE;
    if (j->in_memory) {
        sqlite3_close(gr_steal(j->db));
        k = open_path(j, ":memory:", e);
    }
    if (loss == GR_LOSS_DAMAGED || loss == GR_LOSS_NEWER)
        k = set_aside(j, loss == GR_LOSS_NEWER ? NEWER_PREFIX : CORRUPT_PREFIX, e);
    if (k == 0 && !j->in_memory)
        k = open_database(j, state_dir, e);
    if (k == 0)
        k = gr_journal_reconcile(j, loss, why->message, e);
    if (k < 0 && (j->in_memory || loss == GR_LOSS_NONE) && why->message[0] && e) {
        *e = *why;
        k = code;
    }
    return k;
}

int gr_journal_open(const char *state_dir, struct gr_journal **ret, struct gr_error *e)
{
    struct gr_journal *j = calloc(1, sizeof *j);
    if (!j)
        return gr_journal_told(-ENOMEM, "be opened", e);
    j->dir_fd = -1;
    struct gr_error why = {0};
    int k = gr_fs_open_dir(state_dir, &j->dir_fd);
    if (k < 0)
        gr_error_set(&why, k, GR_REASON_INTERNAL,
                     "the state directory %.500s could not be opened: %s; expected a directory "
                     "that this user may write",
                     state_dir, strerror(-k));
    if (k == 0)
        k = open_whole(j, state_dir, &why);
    if (k < 0)
        k = begin_anew(j, state_dir, k, &why, e);
    else
        k = gr_journal_reconcile(j, GR_LOSS_NONE, NULL, e);
    if (k < 0) {
        gr_journal_close(j);
        return gr_journal_told(k, "be opened", e);
    }
    gr_journal_make_reserve(j, 0);
    *ret = j;
    return 0;
}

const char *gr_journal_damage(const struct gr_journal *j)
{
    return j->damage;
}

void gr_journal_close(struct gr_journal *j)
{
    if (!j)
        return;
    sqlite3_close(j->db);
    gr_closep(&j->dir_fd);
    free(j);
}
