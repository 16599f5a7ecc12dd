// Keeps rollouts and their members: those in progress for recovery, the others as history.
#include "state/journal-internal.h"
#include <errno.h>
#include <string.h>

void gr_rollout_row_done(struct gr_rollout_row *r)
{
    for (size_t i = 0; i < r->n; i++) {
        gr_desired_free(r->members[i].to);
        gr_desired_free(r->members[i].from);
        free(r->members[i].verdict);
    }
    free(r->members);
    *r = (struct gr_rollout_row){0};
}

// --- writing -------------------------------------------------------------------------------------

static int put_head(struct gr_journal *j, const struct gr_rollout_row *r, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE char *gray = gr_gray_row_format(&r->gray);
    int k =
        gray ? gr_journal_prepare(
                   j, "INSERT OR REPLACE INTO rollouts VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                   &s, e)
             : -ENOMEM;
    if (k < 0)
        return k;
    const sqlite3_int64 numbers[][2] = {
        {1, r->id},
        {3, gr_phase_is_terminal(r->phase)},
        {4, r->step},
        {7, r->created.usec},
        {8, r->updated.usec},
        {9, (sqlite3_int64)r->bake_left_usec},
        {10, r->table_number},
    };
    for (size_t i = 0; k == 0 && i < GR_COUNT(numbers); i++)
        k = sqlite3_bind_int64(s, (int)numbers[i][0], numbers[i][1]) == SQLITE_OK ? 0 : -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(s, 2, gr_phase_name(r->phase));
    if (k == 0)
        k = gr_journal_bind_text(s, 5, gr_reason_name(r->reason));
    if (k == 0)
        k = gr_journal_bind_text(s, 6, r->message);
    if (k == 0)
        k = gr_journal_bind_text(s, 11, gray);
    return k < 0 ? k : gr_journal_step(j, s, "write a rollout", e);
}

static int put_member(struct gr_journal *j, const struct gr_rollout_row *r, size_t position,
                      struct gr_error *e)
{
    const struct gr_rollout_member *m = &r->members[position];
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k =
        gr_journal_prepare(j, "INSERT INTO members VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &s, e);
    if (k == 0 && (sqlite3_bind_int64(s, 1, r->id) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 2, (sqlite3_int64)position) != SQLITE_OK))
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_bind_text(s, 3, m->module.s);
    if (k == 0)
        k = gr_journal_bind_document(s, 4, m->to);
    if (k == 0)
        k = gr_journal_bind_document(s, 6, m->from);
    if (k == 0)
        k = gr_journal_bind_text(s, 8, gr_reason_name(m->reason));
    if (k == 0)
        k = gr_journal_bind_text(s, 9, m->message);
    if (k == 0 && m->verdict)
        k = gr_journal_bind_text(s, 10, m->verdict);
    return k < 0 ? k : gr_journal_step(j, s, "write a member of a rollout", e);
}

static int run_with(struct gr_journal *j, const char *sql, int64_t a, int64_t b, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, sql, &s, e);
    if (k == 0 &&
        (sqlite3_bind_int64(s, 1, a) != SQLITE_OK ||
         (sqlite3_bind_parameter_count(s) > 1 && sqlite3_bind_int64(s, 2, b) != SQLITE_OK)))
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, "keep the history", e);
}

static const char sql_weigh[] =
    "UPDATE rollouts SET bytes = (SELECT total(coalesce(length(to_document), 0) +"
    " coalesce(length(from_document), 0) + length(message) +"
    " coalesce(length(verdict), 0)) FROM members WHERE rollout = ?1)"
    " WHERE id = ?1";
// The newest ones are kept as long as their number and their bytes fit.
static const char sql_forget[] =
    "DELETE FROM rollouts WHERE terminal AND id IN (SELECT id FROM (SELECT id,"
    " row_number() OVER newest_first AS n, sum(bytes) OVER newest_first AS total FROM rollouts"
    " WINDOW newest_first AS (ORDER BY id DESC)) WHERE n > ?1 OR total > ?2)";

// REPLACE removes the old row first, and with it (by the foreign key) its members.
int gr_journal_put_row(struct gr_journal *j, const struct gr_rollout_row *r, struct gr_error *e)
{
    int k = put_head(j, r, e);
    for (size_t i = 0; k == 0 && i < r->n; i++)
        k = put_member(j, r, i, e);
    if (k == 0)
        k = run_with(j, sql_weigh, r->id, 0, e);
    if (k == 0 && gr_phase_is_terminal(r->phase))
        k = run_with(j, sql_forget, GR_HISTORY_ROWS_MAX, GR_HISTORY_BYTES_MAX, e);
    return k;
}

static int put_rollout(struct gr_journal *j, const void *what, struct gr_error *e)
{
    return gr_journal_put_row(j, what, e);
}

int gr_journal_put_rollout(struct gr_journal *j, const struct gr_rollout_row *r, struct gr_error *e)
{
    int k = gr_journal_lasts(j, e);
    return k < 0 ? k : gr_journal_write(j, put_rollout, r, e);
}

// --- reading -------------------------------------------------------------------------------------

// NULL stays NULL.
static int get_text(sqlite3_stmt *s, int column, char **ret)
{
    if (sqlite3_column_type(s, column) == SQLITE_NULL)
        return 0;
    *ret = strdup(gr_journal_text(s, column));
    return *ret ? 0 : -ENOMEM;
}

static int read_member(sqlite3_stmt *s, struct gr_rollout_member *m, struct gr_error *e)
{
    int k = gr_journal_get_name(s, 0, &m->module, e);
    if (k == 0)
        k = gr_journal_get_document(s, 1, &m->module, &m->to, e);
    if (k == 0)
        k = gr_journal_get_document(s, 3, &m->module, &m->from, e);
    if (k == 0)
        k = gr_journal_get_reason(s, 5, &m->reason, e);
    gr_journal_copy_text(s, 6, m->message, sizeof m->message);
    return k < 0 ? k : get_text(s, 7, &m->verdict);
}

static int load_members(struct gr_journal *j, struct gr_rollout_row *r, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j,
                               "SELECT module, to_document, to_revision, from_document,"
                               " from_revision, reason, message, verdict FROM members"
                               " WHERE rollout = ?"
                               " ORDER BY position",
                               &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, r->id) != SQLITE_OK)
        k = -ENOMEM;
    while (k == 0 && (k = gr_journal_step(j, s, "read a rollout's members", e)) == 1) {
        k = gr_journal_grow((void **)&r->members, r->n, sizeof *r->members);
        if (k < 0)
            break;
        r->members[r->n] = (struct gr_rollout_member){0};
        k = read_member(s, &r->members[r->n++], e);
    }
    return k;
}

static int read_head(sqlite3_stmt *s, struct gr_rollout_row *r, struct gr_error *e)
{
    r->id = sqlite3_column_int64(s, 0);
    r->step = sqlite3_column_int64(s, 3);
    r->created.usec = sqlite3_column_int64(s, 6);
    r->updated.usec = sqlite3_column_int64(s, 7);
    r->bake_left_usec = (uint64_t)sqlite3_column_int64(s, 8);
    r->table_number = sqlite3_column_int64(s, 9);
    gr_journal_copy_text(s, 5, r->message, sizeof r->message);
    int k = gr_journal_get_phase(s, 1, &r->phase, e);
    if (k == 0)
        k = gr_journal_get_reason(s, 4, &r->reason, e);
    return k < 0 ? k : gr_gray_row_parse(gr_journal_text(s, 11), r->phase, &r->gray, e);
}

static int load_rollouts(struct gr_journal *j, sqlite3_stmt *s, struct gr_rollout_row **ret,
                         size_t *ret_n, struct gr_error *e)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k;
    while ((k = gr_journal_step(j, s, "read rollouts", e)) == 1) {
        k = gr_journal_grow((void **)&rows, n, sizeof *rows);
        if (k < 0)
            break;
        rows[n] = (struct gr_rollout_row){0};
        k = read_head(s, &rows[n], e);
        if (k == 0)
            k = load_members(j, &rows[n], e);
        n++;
        if (k < 0)
            break;
    }
    if (k == 0) {
        *ret = rows;
        *ret_n = n;
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    return gr_journal_told(k, "read rollouts", e);
}

int gr_journal_find_rollout(struct gr_journal *j, int64_t id, enum gr_phase *ret,
                            struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT phase FROM rollouts WHERE id = ?", &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, id) != SQLITE_OK)
        k = -ENOMEM;
    if (k == 0)
        k = gr_journal_step(j, s, "look for a rollout", e);
    if (k <= 0)
        return k;
    k = gr_journal_get_phase(s, 0, ret, e);
    return k < 0 ? k : 1;
}

int gr_journal_get_rollout(struct gr_journal *j, int64_t id, struct gr_rollout_row *ret,
                           struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_AUTO_FREE struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(j, "SELECT * FROM rollouts WHERE id = ?", &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, id) != SQLITE_OK)
        k = -ENOMEM;
    if (k == 0)
        k = load_rollouts(j, s, &rows, &n, e);
    if (k < 0)
        return k;
    if (n)
        *ret = rows[0];
    return n ? 1 : 0;
}

int gr_journal_newest_rollout(struct gr_journal *j, int64_t *ret, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT coalesce(max(id), 0) FROM rollouts", &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "look for the newest rollout", e);
    if (k < 0)
        return k;
    *ret = sqlite3_column_int64(s, 0);
    return 0;
}

int gr_journal_open_rollouts(struct gr_journal *j, struct gr_rollout_row **ret, size_t *ret_n,
                             struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT * FROM rollouts WHERE NOT terminal ORDER BY id", &s, e);
    return k < 0 ? k : load_rollouts(j, s, ret, ret_n, e);
}

int gr_journal_history(struct gr_journal *j, const char *module, size_t limit,
                       struct gr_rollout_row **ret, size_t *ret_n, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j,
                               "SELECT * FROM rollouts WHERE ?1 IS NULL OR id IN"
                               " (SELECT rollout FROM members WHERE module = ?1)"
                               " ORDER BY id DESC LIMIT ?2",
                               &s, e);
    if (k == 0 && module)
        k = gr_journal_bind_text(s, 1, module);
    size_t most = limit < GR_HISTORY_ROWS_MAX ? limit : GR_HISTORY_ROWS_MAX;
    if (k == 0 && sqlite3_bind_int64(s, 2, (sqlite3_int64)most) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : load_rollouts(j, s, ret, ret_n, e);
}
