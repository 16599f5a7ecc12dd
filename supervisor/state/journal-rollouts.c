// Owns the rows of rollouts and of the committed table.
#include "state/journal-internal.h"
#include <errno.h>
#include <string.h>

// --- documents in columns
// -------------------------------------------------------------------------

static int bind_document(sqlite3_stmt *s, int at, const struct gr_desired *d)
{
    if (!d)
        return sqlite3_bind_null(s, at) == SQLITE_OK && sqlite3_bind_null(s, at + 1) == SQLITE_OK
                   ? 0
                   : -ENOMEM;
    char *text = gr_desired_format(d);
    if (!text)
        return -ENOMEM;
    sqlite3_bind_int64(s, at + 1, d->mod_revision);
    return sqlite3_bind_text(s, at, text, -1, free) == SQLITE_OK ? 0 : -ENOMEM;
}

static int column_document(sqlite3_stmt *s, int at, const struct gr_name *module,
                           struct gr_desired **ret, struct gr_error *e)
{
    if (sqlite3_column_type(s, at) == SQLITE_NULL)
        return 0;
    const char *text = gr_journal_text(s, at);
    return gr_desired_parse(module, sqlite3_column_int64(s, at + 1), text, strlen(text), ret, e);
}

// --- rollouts
// -------------------------------------------------------------------------------------

void gr_rollout_row_done(struct gr_rollout_row *r)
{
    for (size_t i = 0; i < r->n; i++) {
        gr_desired_free(r->members[i].to);
        gr_desired_free(r->members[i].from);
    }
    free(r->members);
    *r = (struct gr_rollout_row){0};
}

static int put_member(struct gr_journal *j, int64_t id, const struct gr_rollout_member *m,
                      struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j, "INSERT OR REPLACE INTO members VALUES(?,?,?,?,?,?,?,?)", &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_text(s, 2, m->module.s, -1, SQLITE_STATIC);
    if (bind_document(s, 3, m->to) < 0 || bind_document(s, 5, m->from) < 0)
        return -ENOMEM;
    sqlite3_bind_text(s, 7, gr_reason_name(m->reason), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 8, m->message, -1, SQLITE_STATIC);
    return gr_journal_run(j, s, "write a rollout's member", e);
}

static int put_row(struct gr_journal *j, const struct gr_rollout_row *r, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k =
        gr_journal_prepare(j, "INSERT OR REPLACE INTO rollouts VALUES(?,?,?,?,?,?,?,?,?)", &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, r->id);
    sqlite3_bind_int(s, 2, (int)r->phase);
    sqlite3_bind_int64(s, 3, r->step);
    sqlite3_bind_text(s, 4, gr_reason_name(r->reason), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, r->message, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 6, r->created.usec);
    sqlite3_bind_int64(s, 7, r->updated.usec);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)r->bake_left_usec);
    sqlite3_bind_int64(s, 9, r->table_number);
    k = gr_journal_run(j, s, "write a rollout", e);
    for (size_t i = 0; k == 0 && i < r->n; i++)
        k = put_member(j, r->id, &r->members[i], e);
    return k;
}

static int forget_old(struct gr_journal *j, struct gr_error *e)
{
    return gr_journal_exec(j,
                           "DELETE FROM rollouts WHERE id <= (SELECT id FROM rollouts ORDER BY id "
                           "DESC LIMIT 1 OFFSET 10000);"
                           "DELETE FROM members WHERE rollout < (SELECT min(id) FROM rollouts)",
                           e);
}
_Static_assert(GR_HISTORY_ROWS_MAX == 10000, "the statement above names the cap");

int gr_journal_put_rollout(struct gr_journal *j, const struct gr_rollout_row *r, struct gr_error *e)
{
    int k = gr_journal_begin(j, e);
    if (k == 0)
        k = put_row(j, r, e);
    if (k == 0 && r->phase == GR_PHASE_PENDING)
        k = forget_old(j, e);
    if (k == 0)
        return gr_journal_commit(j, e);
    gr_journal_abort(j);
    return k;
}

static int load_members(struct gr_journal *j, struct gr_rollout_row *r, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k =
        gr_journal_prepare(j,
                           "SELECT module,to_doc,to_revision,from_doc,from_revision,reason,message "
                           "FROM members WHERE rollout=?",
                           &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, r->id);
    while (k == 0 && sqlite3_step(s) == SQLITE_ROW) {
        struct gr_rollout_member *more = reallocarray(r->members, r->n + 1, sizeof *more);
        if (!more)
            return -ENOMEM;
        r->members = more;
        struct gr_rollout_member *m = &more[r->n];
        *m = (struct gr_rollout_member){0};
        const char *name = gr_journal_text(s, 0);
        k = gr_name_parse(name, strlen(name), &m->module);
        if (k < 0)
            return k;
        r->n++;
        k = column_document(s, 1, &m->module, &m->to, e);
        if (k == 0)
            k = column_document(s, 3, &m->module, &m->from, e);
        if (gr_reason_parse(gr_journal_text(s, 5), &m->reason) < 0)
            m->reason = GR_REASON_NONE;
        gr_journal_copy(m->message, sizeof m->message, s, 6);
    }
    return k;
}

static void column_row(sqlite3_stmt *s, struct gr_rollout_row *r)
{
    *r = (struct gr_rollout_row){.id = sqlite3_column_int64(s, 0),
                                 .phase = (enum gr_phase)sqlite3_column_int(s, 1),
                                 .step = sqlite3_column_int64(s, 2),
                                 .created = {sqlite3_column_int64(s, 5)},
                                 .updated = {sqlite3_column_int64(s, 6)},
                                 .bake_left_usec = (uint64_t)sqlite3_column_int64(s, 7),
                                 .table_number = sqlite3_column_int64(s, 8)};
    if (gr_reason_parse(gr_journal_text(s, 3), &r->reason) < 0)
        r->reason = GR_REASON_NONE;
    gr_journal_copy(r->message, sizeof r->message, s, 4);
}

static int load_rollouts(struct gr_journal *j, sqlite3_stmt *s, struct gr_rollout_row **ret,
                         size_t *ret_n, struct gr_error *e)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = 0;
    while (k == 0 && sqlite3_step(s) == SQLITE_ROW) {
        struct gr_rollout_row *more = reallocarray(rows, n + 1, sizeof *more);
        if (!more) {
            k = -ENOMEM;
            break;
        }
        rows = more;
        column_row(s, &rows[n]);
        k = load_members(j, &rows[n++], e);
    }
    if (k < 0) {
        for (size_t i = 0; i < n; i++)
            gr_rollout_row_done(&rows[i]);
        free(rows);
        return k;
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

int gr_journal_open_rollouts(struct gr_journal *j, struct gr_rollout_row **ret, size_t *ret_n,
                             struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j, "SELECT * FROM rollouts WHERE phase NOT IN (?,?,?,?) ORDER BY id",
                               &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int(s, 1, GR_PHASE_HEALTHY);
    sqlite3_bind_int(s, 2, GR_PHASE_ROLLED_BACK);
    sqlite3_bind_int(s, 3, GR_PHASE_REJECTED);
    sqlite3_bind_int(s, 4, GR_PHASE_SUPERSEDED);
    return load_rollouts(j, s, ret, ret_n, e);
}

int gr_journal_history(struct gr_journal *j, const char *module, size_t limit,
                       struct gr_rollout_row **ret, size_t *ret_n, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j,
                               "SELECT * FROM rollouts WHERE ?1 IS NULL OR id IN (SELECT rollout "
                               "FROM members WHERE module=?1) ORDER BY id DESC LIMIT ?2",
                               &s, e);
    if (k < 0)
        return k;
    if (module)
        sqlite3_bind_text(s, 1, module, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)limit);
    return load_rollouts(j, s, ret, ret_n, e);
}

// --- the committed table
// --------------------------------------------------------------------------

static void committed_done(struct gr_committed *c)
{
    gr_desired_free(c->release);
    gr_desired_free(c->previous);
    gr_desired_free(c->last_good);
}

void gr_table_rows_done(struct gr_table_rows *t)
{
    for (size_t i = 0; i < t->n; i++)
        committed_done(&t->rows[i]);
    free(t->rows);
    *t = (struct gr_table_rows){0};
}

static int set_table_number(struct gr_journal *j, int64_t number, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j, "INSERT OR REPLACE INTO meta VALUES('table_number',?)", &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_int64(s, 1, number);
    return gr_journal_run(j, s, "write the table's number", e);
}

static int put_committed(struct gr_journal *j, const struct gr_committed *c, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL;
    int k = gr_journal_prepare(j,
                               c->release ? "INSERT OR REPLACE INTO committed VALUES(?,?,?,?,?,?,?)"
                                          : "DELETE FROM committed WHERE module=?",
                               &s, e);
    if (k < 0)
        return k;
    sqlite3_bind_text(s, 1, c->module.s, -1, SQLITE_STATIC);
    if (c->release &&
        (bind_document(s, 2, c->release) < 0 || bind_document(s, 4, c->previous) < 0 ||
         bind_document(s, 6, c->last_good) < 0))
        return -ENOMEM;
    return gr_journal_run(j, s, "write the committed table", e);
}

int gr_journal_commit_table(struct gr_journal *j, const struct gr_rollout_row *r,
                            int64_t table_number, const struct gr_committed *rows, size_t n,
                            struct gr_error *e)
{
    int k = gr_journal_begin(j, e);
    if (k == 0)
        k = put_row(j, r, e);
    for (size_t i = 0; k == 0 && i < n; i++)
        k = put_committed(j, &rows[i], e);
    if (k == 0)
        k = set_table_number(j, table_number, e);
    if (k == 0)
        return gr_journal_commit(j, e);
    gr_journal_abort(j);
    return k;
}

static int load_committed(sqlite3_stmt *s, struct gr_committed *c, struct gr_error *e)
{
    const char *name = gr_journal_text(s, 0);
    int k = gr_name_parse(name, strlen(name), &c->module);
    if (k == 0)
        k = column_document(s, 1, &c->module, &c->release, e);
    if (k == 0)
        k = column_document(s, 3, &c->module, &c->previous, e);
    if (k == 0)
        k = column_document(s, 5, &c->module, &c->last_good, e);
    return k;
}

int gr_journal_load_table(struct gr_journal *j, struct gr_table_rows *ret, struct gr_error *e)
{
    sqlite3_stmt *s GR_AUTO_STMT = NULL, *number GR_AUTO_STMT = NULL;
    struct gr_table_rows t GR_CLEANUP(gr_table_rows_done) = {0};
    int k = gr_journal_prepare(j, "SELECT * FROM committed ORDER BY module", &s, e);
    if (k == 0)
        k = gr_journal_prepare(j, "SELECT value FROM meta WHERE key='table_number'", &number, e);
    while (k == 0 && sqlite3_step(s) == SQLITE_ROW) {
        struct gr_committed *more = reallocarray(t.rows, t.n + 1, sizeof *more);
        if (!more)
            return -ENOMEM;
        t.rows = more;
        t.rows[t.n] = (struct gr_committed){0};
        k = load_committed(s, &t.rows[t.n++], e);
    }
    if (k < 0)
        return k;
    t.number = sqlite3_step(number) == SQLITE_ROW ? sqlite3_column_int64(number, 0) : 0;
    *ret = t;
    t = (struct gr_table_rows){0};
    return 0;
}
