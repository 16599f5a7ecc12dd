// Keeps how the newest starts went, how many of them died with which digest in play, and whether
// this host is in safe mode. What that means is decided elsewhere (control/manager-start.c).
#include "state/journal-internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *state_name(enum gr_start_state s)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_START_STATES(X)
#undef X
    };
    return names[s];
}

static int run(struct gr_journal *j, const char *sql, const char *text, int64_t number,
               const char *doing, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, sql, &s, e);
    if (k == 0)
        k = gr_journal_bind_text(s, 1, text);
    if (k == 0 && sqlite3_bind_int64(s, 2, number) != SQLITE_OK)
        k = -ENOMEM;
    return k < 0 ? k : gr_journal_step(j, s, doing, e);
}

// --- starts
// ---------------------------------------------------------------------------------------

static int put_start(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_start_row *row = what;
    int k = run(j, "INSERT INTO starts(boot, at, state, blamed) VALUES(?1, ?2, 'begun', 0)",
                row->boot, (int64_t)row->at.usec, "note that a start began", e);
    return k < 0 ? k
                 : run(j, "DELETE FROM starts WHERE ?1 = '' AND number <= ?2", "",
                       sqlite3_last_insert_rowid(j->db) - GR_STARTS_KEPT, "forget old starts", e);
}

int gr_journal_begin_start(struct gr_journal *j, const struct gr_start_row *row,
                           int64_t *ret_number, struct gr_error *e)
{
    int k = gr_journal_write(j, put_start, row, e);
    if (k == 0)
        *ret_number = sqlite3_last_insert_rowid(j->db);
    return k;
}

static int put_state(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_start_row *row = what;
    return run(j, "UPDATE starts SET state = ?1 WHERE number = ?2", state_name(row->state),
               row->number, "note how a start went", e);
}

int gr_journal_mark_start(struct gr_journal *j, int64_t number, enum gr_start_state state,
                          struct gr_error *e)
{
    const struct gr_start_row row = {.number = number, .state = state};
    return gr_journal_write(j, put_state, &row, e);
}

static int put_blame(struct gr_journal *j, const void *number, struct gr_error *e)
{
    return run(j, "UPDATE starts SET blamed = 1 WHERE ?1 = '' AND number = ?2", "",
               *(const int64_t *)number, "note why a start died", e);
}

int gr_journal_blame_start(struct gr_journal *j, int64_t number, struct gr_error *e)
{
    return gr_journal_write(j, put_blame, &number, e);
}

static int read_start(sqlite3_stmt *s, struct gr_start_row *row, struct gr_error *e)
{
    const char *text = gr_journal_text(s, 3);
    *row = (struct gr_start_row){.number = sqlite3_column_int64(s, 0),
                                 .at = {(uint64_t)sqlite3_column_int64(s, 2)},
                                 .state = GR_START_STATE_COUNT,
                                 .blamed = sqlite3_column_int64(s, 4) != 0};
    gr_journal_copy_text(s, 1, row->boot, sizeof row->boot);
    for (unsigned i = 0; i < GR_START_STATE_COUNT; i++)
        if (strcmp(state_name((enum gr_start_state)i), text) == 0)
            row->state = (enum gr_start_state)i;
    if (row->state == GR_START_STATE_COUNT)
        return gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                            "the journal holds \"%.64s\" where the state of a start was expected: "
                            "it was changed by somebody else",
                            text);
    return 0;
}

int gr_journal_starts(struct gr_journal *j, struct gr_start_row *ret, size_t *ret_n,
                      struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    size_t n = 0;
    int k = gr_journal_prepare(
        j, "SELECT number, boot, at, state, blamed FROM starts ORDER BY number DESC", &s, e);
    while (k == 0 && n < GR_STARTS_KEPT && (k = gr_journal_step(j, s, "read the starts", e)) == 1)
        k = read_start(s, &ret[n++], e);
    if (k < 0)
        return k;
    *ret_n = n;
    return 0;
}

// --- tries
// ----------------------------------------------------------------------------------------

static int put_try(struct gr_journal *j, const void *digest, struct gr_error *e)
{
    char text[GR_DIGEST_TEXT_MAX];
    return run(j,
               "INSERT INTO tries VALUES(?1, ?2) ON CONFLICT(digest) DO UPDATE SET"
               " tries = tries + excluded.tries",
               gr_digest_format(digest, text), 1, "count a try", e);
}

int gr_journal_add_try(struct gr_journal *j, const struct gr_digest *d, unsigned *ret_tries,
                       struct gr_error *e)
{
    char text[GR_DIGEST_TEXT_MAX];
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_write(j, put_try, d, e);
    if (k == 0)
        k = gr_journal_prepare(j, "SELECT tries FROM tries WHERE digest = ?", &s, e);
    if (k == 0)
        k = gr_journal_bind_text(s, 1, gr_digest_format(d, text));
    if (k == 0)
        k = gr_journal_step(j, s, "read the tries", e);
    if (k < 0)
        return k;
    *ret_tries = (unsigned)sqlite3_column_int(s, 0);
    return 0;
}

struct digests {
    const struct gr_digest *list;
    size_t n;
};

static int drop_tries(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct digests *d = what;
    char text[GR_DIGEST_TEXT_MAX];
    int k = 0;
    for (size_t i = 0; k == 0 && i < d->n; i++)
        k = run(j, "DELETE FROM tries WHERE digest = ?1 AND ?2 = 0",
                gr_digest_format(&d->list[i], text), 0, "forget tries", e);
    return k;
}

static int count_tries(struct gr_journal *j, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    int k = gr_journal_prepare(j, "SELECT count(*) FROM tries", &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "count the tries", e);
    return k < 0 ? k : sqlite3_column_int(s, 0);
}

int gr_journal_forget_tries(struct gr_journal *j, const struct gr_digest *digests, size_t n,
                            struct gr_error *e)
{
    const struct digests d = {digests, n};
    int k = n ? count_tries(j, e) : 0; // as a rule there are none, and the disk is left alone
    return k <= 0 ? k : gr_journal_write(j, drop_tries, &d, e);
}

// --- safe mode
// ------------------------------------------------------------------------------------

int gr_journal_get_safe_mode(struct gr_journal *j, struct gr_safe_mode *ret, struct gr_error *e)
{
    GR_AUTO_STMT sqlite3_stmt *s = NULL;
    struct gr_safe_mode safe = {0};
    int k = gr_journal_prepare(j, "SELECT since, why FROM safe_mode", &s, e);
    if (k == 0)
        k = gr_journal_step(j, s, "read whether this is safe mode", e);
    if (k < 0)
        return k;
    if (k == 1) {
        safe.since.usec = sqlite3_column_int64(s, 0);
        gr_journal_copy_text(s, 1, safe.why, sizeof safe.why);
    }
    *ret = safe;
    return 0;
}

static int put_safe_mode(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct gr_safe_mode *safe = what;
    int k = gr_journal_exec(j, "DELETE FROM safe_mode; UPDATE starts SET blamed = 1;", e);
    if (k < 0 || !safe)
        return k;
    return run(j, "INSERT INTO safe_mode(one, why, since) VALUES(1, ?1, ?2)", safe->why,
               safe->since.usec, "note safe mode", e);
}

int gr_journal_set_safe_mode(struct gr_journal *j, const struct gr_safe_mode *s, struct gr_error *e)
{
    return gr_journal_write(j, put_safe_mode, s, e);
}
