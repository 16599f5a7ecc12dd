// Keeps what a start must serve: the committed table, and how far the source was followed.
#include "state/journal-internal.h"
#include <errno.h>

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

// --- the table -----------------------------------------------------------------------------------

struct commit {
    const struct gr_rollout_row *rollout;
    int64_t number;
    const struct gr_committed *rows;
    size_t n;
};

int gr_journal_put_committed(struct gr_journal *j, const struct gr_committed *c, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j,
                               c->release
                                   ? "INSERT OR REPLACE INTO committed VALUES(?, ?, ?, ?, ?, ?, ?)"
                                   : "DELETE FROM committed WHERE module = ?",
                               &s, e);
    if (k == 0)
        k = gr_journal_bind_text(s, 1, c->module.s);
    if (k == 0 && c->release)
        k = gr_journal_bind_document(s, 2, c->release);
    if (k == 0 && c->release)
        k = gr_journal_bind_document(s, 4, c->previous);
    if (k == 0 && c->release)
        k = gr_journal_bind_document(s, 6, c->last_good);
    return k < 0 ? k : gr_journal_step(j, s, "write the committed table", e);
}

int gr_journal_put_number(struct gr_journal *j, int64_t number, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "UPDATE state SET table_number = ?", &s, e);
    if (k == 0 && sqlite3_bind_int64(s, 1, number) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, "write the table's number", e);
}

static int put_commit(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct commit *c = what;
    int k = gr_journal_put_row(j, c->rollout, e);
    for (size_t i = 0; k == 0 && i < c->n; i++)
        k = gr_journal_put_committed(j, &c->rows[i], e);
    return k < 0 ? k : gr_journal_put_number(j, c->number, e);
}

int gr_journal_commit_table(struct gr_journal *j, const struct gr_rollout_row *r,
                            int64_t table_number, const struct gr_committed *rows, size_t n,
                            struct gr_error *e)
{
    const struct commit c = {.rollout = r, .number = table_number, .rows = rows, .n = n};
    int k = gr_journal_lasts(j, e);
    if (k == 0)
        k = gr_journal_write(j, put_commit, &c, e);
    if (k == 0)
        gr_journal_follow(j);
    return k;
}

static int read_committed(sqlite3_stmt *s, struct gr_committed *c, struct gr_error *e)
{
    int k = gr_journal_get_name(s, 0, &c->module, e);
    if (k == 0)
        k = gr_journal_get_document(s, 1, &c->module, &c->release, e);
    if (k == 0)
        k = gr_journal_get_document(s, 3, &c->module, &c->previous, e);
    return k < 0 ? k : gr_journal_get_document(s, 5, &c->module, &c->last_good, e);
}

static int read_state(struct gr_journal *j, int64_t *ret_number, struct gr_floor *ret_floor,
                      struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT table_number, floor_cluster, floor_revision FROM state",
                               &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "be read", e);
    if (k < 0)
        return k;
    *ret_number = sqlite3_column_int64(s, 0);
    int64_t revision = sqlite3_column_int64(s, 2); // negative: and held
    *ret_floor = (struct gr_floor){.cluster_id = (uint64_t)sqlite3_column_int64(s, 1),
                                   .revision = revision < 0 ? -revision : revision,
                                   .held = revision < 0};
    return 0;
}

int gr_journal_load_table(struct gr_journal *j, struct gr_table_rows *ret, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    GR_CLEANUP(gr_table_rows_done) struct gr_table_rows t = {0};
    struct gr_floor floor;
    int k = read_state(j, &t.number, &floor, e);
    if (k == 0)
        k = gr_journal_prepare(j, "SELECT * FROM committed ORDER BY module", &s, e);
    while (k == 0 && (k = gr_journal_step(j, s, "read the committed table", e)) == 1) {
        k = gr_journal_grow((void **)&t.rows, t.n, sizeof *t.rows);
        if (k < 0)
            break;
        t.rows[t.n] = (struct gr_committed){0};
        k = read_committed(s, &t.rows[t.n++], e);
        if (k < 0)
            break;
    }
    if (k < 0)
        return gr_journal_told(k, "read the committed table", e);
    *ret = t;
    t = (struct gr_table_rows){0};
    return 0;
}

// --- the floor -----------------------------------------------------------------------------------

int gr_journal_get_floor(struct gr_journal *j, struct gr_floor *ret, struct gr_error *e)
{
    int64_t number;
    return read_state(j, &number, ret, e);
}

int gr_journal_put_floor(struct gr_journal *j, const void *floor, struct gr_error *e)
{
    const struct gr_floor *f = floor;
    int64_t revision = f->held ? -f->revision : f->revision;
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "UPDATE state SET floor_cluster = ?, floor_revision = ?", &s, e);
    // the id is unsigned; SQLite keeps its 64 bits
    if (k == 0 && (sqlite3_bind_int64(s, 1, (sqlite3_int64)f->cluster_id) != SQLITE_OK ||
                   sqlite3_bind_int64(s, 2, revision) != SQLITE_OK))
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, "write how far the source was followed", e);
}

int gr_journal_set_floor(struct gr_journal *j, const struct gr_floor *f, struct gr_error *e)
{
    return gr_journal_write(j, gr_journal_put_floor, f, e);
}
