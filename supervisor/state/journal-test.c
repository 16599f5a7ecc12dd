// The journal: what was written is there after reopening, a killed process leaves wholly old or
// wholly new, damage is kept aside, and no failed read passes for a short one.
#include "base/child.h"
#include "state/journal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static void journal_closep(struct gr_journal **j)
{
    gr_journal_close(*j);
}
#define AUTO_JOURNAL GR_CLEANUP(journal_closep)
#define AUTO_TABLE GR_CLEANUP(gr_table_rows_done)

// --- a state directory for each test -------------------------------------------------------------

static int enter_place(void **state)
{
    static char dir[64];
    snprintf(dir, sizeof dir, "/tmp/grayling-journal-XXXXXX");
    *state = dir;
    return mkdtemp(dir) ? 0 : -1;
}

static int leave_place(void **state)
{
    DIR *d = opendir(*state);
    struct dirent *de;
    while (d && (de = readdir(d)))
        unlinkat(dirfd(d), de->d_name, 0); // "." and ".." stay
    if (d)
        closedir(d);
    return rmdir(*state);
}

static struct gr_journal *open_journal(const char *dir)
{
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    if (gr_journal_open(dir, &j, &e) < 0)
        fail_msg("not opened: %s", e.message);
    return j;
}

static void database_path(const char *dir, char path[128])
{
    snprintf(path, 128, "%s/journal.db", dir);
}

static size_t files_aside(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    size_t n = 0;
    while ((de = readdir(d)))
        n += strncmp(de->d_name, "journal.db.corrupt-", 19) == 0 ||
             strncmp(de->d_name, "journal.db.newer-", 17) == 0;
    closedir(d);
    return n;
}

static void run_sql(const char *dir, const char *sql)
{
    char path[128];
    sqlite3 *db;
    database_path(dir, path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

// --- values --------------------------------------------------------------------------------------

static struct gr_name name_of(const char *text)
{
    struct gr_name n = {""};
    (void)!gr_name_parse(text, strlen(text), &n);
    return n;
}

static struct gr_desired *release(const char *module, int64_t revision, unsigned build)
{
    char text[256];
    struct gr_name name = name_of(module);
    struct gr_desired *d = NULL;
    snprintf(text, sizeof text,
             "{\"version\":\"%u.0.0\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\",\"config\":{\"n\":0.1},\"actor\":\"alice\"}",
             build, build);
    (void)!gr_desired_parse(&name, revision, text, strlen(text), &d, NULL);
    return d;
}

static void assert_release(const struct gr_desired *d, int64_t revision, unsigned build)
{
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *expected = release(d ? d->module.s : "none", revision, build);
    assert_non_null(d);
    GR_AUTO_FREE char *actual_text = gr_desired_format(d),
                      *expected_text = gr_desired_format(expected);
    assert_string_equal(actual_text, expected_text);
    assert_int_equal(d->mod_revision, revision);
}

// One rollout of module "pay" from build N-1 to build N, whose number is N too.
static struct gr_rollout_row rollout(unsigned build, enum gr_phase phase)
{
    struct gr_rollout_member *m = calloc(1, sizeof *m);
    *m =
        (struct gr_rollout_member){.module = name_of("pay"),
                                   .to = release("pay", build, build),
                                   .from = build > 1 ? release("pay", build - 1, build - 1) : NULL};
    return (struct gr_rollout_row){.id = build, .phase = phase, .n = 1, .members = m};
}
#define AUTO_ROW GR_CLEANUP(gr_rollout_row_done)

static int commit_build(struct gr_journal *j, unsigned build, struct gr_error *e)
{
    AUTO_ROW struct gr_rollout_row r = rollout(build, GR_PHASE_BAKING);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = release("pay", build, build);
    struct gr_committed row = {.module = name_of("pay"), .release = d};
    r.table_number = build;
    return gr_journal_commit_table(j, &r, build, &row, 1, e);
}

static void assert_in_force(struct gr_journal *j, unsigned build)
{
    AUTO_TABLE struct gr_table_rows t = {0};
    assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
    assert_int_equal(t.number, build);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.rows[0].module.s, "pay");
    assert_release(t.rows[0].release, build, build);
}

static struct gr_rollout_row *history(struct gr_journal *j, const char *module, size_t limit,
                                      size_t expected)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_history(j, module, limit, &rows, &n, NULL), 0);
    assert_int_equal(n, expected);
    return rows;
}

static void free_rows(struct gr_rollout_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
}

// --- round trips ---------------------------------------------------------------------------------

static void a_new_journal_is_empty(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    AUTO_TABLE struct gr_table_rows t = {0};
    struct gr_floor floor = {1, 1, false};
    struct gr_rollout_row *rows = NULL;
    size_t n = 7;
    assert_string_equal(gr_journal_damage(j), "");
    assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
    assert_int_equal(t.n, 0);
    assert_int_equal(t.number, 0);
    assert_int_equal(gr_journal_get_floor(j, &floor, NULL), 0);
    assert_true(floor.cluster_id == 0 && floor.revision == 0);
    assert_int_equal(gr_journal_open_rollouts(j, &rows, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(rows);
}

static void the_table_comes_back(void **state)
{
    struct gr_journal *j = open_journal(*state);
    struct gr_desired *auth = release("auth", 4, 1), *pay = release("pay", 5, 3),
                      *before = release("pay", 3, 2), *good = release("pay", 2, 1);
    struct gr_committed rows[] = {
        {.module = name_of("pay"), .release = pay, .previous = before, .last_good = good},
        {.module = name_of("auth"), .release = auth}};
    struct gr_rollout_row r = {.id = 5, .phase = GR_PHASE_BAKING, .table_number = 9};
    assert_int_equal(gr_journal_commit_table(j, &r, 9, rows, 2, NULL), 0);
    gr_journal_close(j);
    j = open_journal(*state);
    struct gr_table_rows t = {0};
    assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
    assert_int_equal(t.number, 9);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.rows[0].module.s, "auth");
    assert_release(t.rows[0].release, 4, 1);
    assert_null(t.rows[0].previous);
    assert_null(t.rows[0].last_good);
    assert_release(t.rows[1].release, 5, 3);
    assert_release(t.rows[1].previous, 3, 2);
    assert_release(t.rows[1].last_good, 2, 1);
    gr_table_rows_done(&t);
    rows[0].release = NULL; // removal; the module that is not named stays
    assert_int_equal(gr_journal_commit_table(j, &r, 10, rows, 1, NULL), 0);
    assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
    assert_int_equal(t.number, 10);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.rows[0].module.s, "auth");
    gr_table_rows_done(&t);
    gr_journal_close(j);
    gr_desired_free(auth);
    gr_desired_free(pay);
    gr_desired_free(before);
    gr_desired_free(good);
}

static void a_rollout_comes_back(void **state)
{
    struct gr_journal *j = open_journal(*state);
    AUTO_ROW struct gr_rollout_row r = {.id = 12,
                                        .phase = GR_PHASE_PAUSED,
                                        .step = 3,
                                        .reason = GR_REASON_INCONCLUSIVE,
                                        .message = "too few requests",
                                        .created = {1000},
                                        .updated = {2000},
                                        .bake_left_usec = 77,
                                        .table_number = 4,
                                        .n = 2,
                                        .members = calloc(2, sizeof *r.members)};
    r.gray = (struct gr_gray_row){.salt = UINT64_MAX - 1,
                                  .weight_permyriad = 2550,
                                  .shadow_permyriad = 1,
                                  .deadline_left_usec = 3600000001,
                                  .pause_left_usec = 5,
                                  .pause_requests_left = 77,
                                  .hold = GR_HOLD_UNDECIDED,
                                  .held_by = "al \"x\" ice",
                                  .full = true,
                                  .swapped = true,
                                  .door = GR_DOOR_OPEN,
                                  .door_why = "pay 2 (schema 2) cannot",
                                  .order = {.verb = "promote --full",
                                            .actor = "bob",
                                            .reason = "PAY-1",
                                            .step = 2,
                                            .at = {1795496766123456}}};
    r.members[0] = (struct gr_rollout_member){.module = name_of("old"),
                                              .from = release("old", 2, 1),
                                              .reason = GR_REASON_FREEZE_TIMEOUT,
                                              .message = "a call is still inside"};
    r.members[1] = (struct gr_rollout_member){.module = name_of("pay"),
                                              .to = release("pay", 12, 2),
                                              .verdict = strdup("{\"verdict\":\"Inconclusive\"}")};
    assert_int_equal(gr_journal_put_rollout(j, &r, NULL), 0);
    gr_journal_close(j);
    j = open_journal(*state);
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_open_rollouts(j, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(rows->id, 12);
    assert_int_equal(rows->phase, GR_PHASE_PAUSED);
    assert_int_equal(rows->step, 3);
    assert_int_equal(rows->reason, GR_REASON_INCONCLUSIVE);
    assert_string_equal(rows->message, "too few requests");
    assert_int_equal(rows->created.usec, 1000);
    assert_int_equal(rows->updated.usec, 2000);
    assert_int_equal(rows->bake_left_usec, 77);
    assert_int_equal(rows->table_number, 4);
    assert_int_equal(rows->n, 2);
    assert_string_equal(rows->members[0].module.s, "old");
    assert_null(rows->members[0].to);
    assert_release(rows->members[0].from, 2, 1);
    assert_int_equal(rows->members[0].reason, GR_REASON_FREEZE_TIMEOUT);
    assert_string_equal(rows->members[0].message, "a call is still inside");
    assert_release(rows->members[1].to, 12, 2);
    assert_null(rows->members[1].from);
    assert_null(rows->members[0].verdict);
    assert_string_equal(rows->members[1].verdict, "{\"verdict\":\"Inconclusive\"}");
    const struct gr_gray_row *g = &rows->gray;
    assert_true(g->salt == UINT64_MAX - 1);
    assert_int_equal(g->weight_permyriad, 2550);
    assert_int_equal(g->shadow_permyriad, 1);
    assert_true(g->deadline_left_usec == 3600000001);
    assert_int_equal(g->pause_left_usec, 5);
    assert_int_equal(g->pause_requests_left, 77);
    assert_int_equal(g->hold, GR_HOLD_UNDECIDED);
    assert_string_equal(g->held_by, "al \"x\" ice");
    assert_true(g->full && g->swapped && !g->overruled);
    assert_int_equal(g->door, GR_DOOR_OPEN);
    assert_string_equal(g->door_why, "pay 2 (schema 2) cannot");
    assert_string_equal(g->order.verb, "promote --full");
    assert_string_equal(g->order.actor, "bob");
    assert_string_equal(g->order.reason, "PAY-1");
    assert_int_equal(g->order.step, 2);
    assert_true(g->order.at.usec == 1795496766123456);
    free_rows(rows, n);
    gr_journal_close(j);
}

static void a_rollout_that_is_written_again_is_as_written_last(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    AUTO_ROW struct gr_rollout_row r = rollout(2, GR_PHASE_PENDING);
    assert_int_equal(gr_journal_put_rollout(j, &r, NULL), 0);
    r.phase = GR_PHASE_FETCHING;
    r.members->module = name_of("auth"); // another member instead of "pay"
    assert_int_equal(gr_journal_put_rollout(j, &r, NULL), 0);
    struct gr_rollout_row *rows = history(j, NULL, 10, 1);
    assert_int_equal(rows->phase, GR_PHASE_FETCHING);
    assert_int_equal(rows->n, 1);
    assert_string_equal(rows->members->module.s, "auth");
    free_rows(rows, 1);
}

static void open_rollouts_are_those_without_an_end(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    for (unsigned i = GR_PHASE_COUNT; i-- > 0;) {
        AUTO_ROW struct gr_rollout_row r = rollout(i + 1, (enum gr_phase)i);
        assert_int_equal(gr_journal_put_rollout(j, &r, NULL), 0);
    }
    static const enum gr_phase open[] = {GR_PHASE_PENDING, GR_PHASE_FETCHING,    GR_PHASE_VERIFYING,
                                         GR_PHASE_STAGED,  GR_PHASE_PROGRESSING, GR_PHASE_PAUSED,
                                         GR_PHASE_BAKING,  GR_PHASE_ROLLING_BACK};
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_open_rollouts(j, &rows, &n, NULL), 0);
    assert_int_equal(n, GR_COUNT(open));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].phase, open[i]); // oldest first
    free_rows(rows, n);
}

static void history_is_newest_first_and_knows_modules(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    for (unsigned id = 1; id <= 5; id++) {
        AUTO_ROW struct gr_rollout_row r = rollout(id, GR_PHASE_HEALTHY);
        if (id == 4)
            r.members->module = name_of("auth");
        assert_int_equal(gr_journal_put_rollout(j, &r, NULL), 0);
    }
    struct gr_rollout_row *rows = history(j, NULL, 2, 2);
    assert_int_equal(rows[0].id, 5);
    assert_int_equal(rows[1].id, 4);
    free_rows(rows, 2);
    rows = history(j, "pay", 2, 2);
    assert_int_equal(rows[0].id, 5);
    assert_int_equal(rows[1].id, 3);
    free_rows(rows, 2);
    free_rows(history(j, "nobody", 10, 0), 0);
}

static void events_come_back_in_order(void **state)
{
    struct gr_journal *j = open_journal(*state);
    for (int i = 1; i <= 3; i++) {
        struct gr_event_row ev = {.at = {i * 100},
                                  .module = "pay",
                                  .version = "1.0.0",
                                  .phase = "Baking",
                                  .reason = "Crashed",
                                  .rollout = i};
        snprintf(ev.message, sizeof ev.message, "event %d", i);
        assert_int_equal(gr_journal_add_event(j, &ev, NULL), 0);
    }
    gr_journal_close(j);
    j = open_journal(*state);
    struct gr_event_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_events(j, 1, 10, &rows, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].seq, 2);
    assert_int_equal(rows[0].at.usec, 200);
    assert_string_equal(rows[0].module, "pay");
    assert_string_equal(rows[0].version, "1.0.0");
    assert_string_equal(rows[0].phase, "Baking");
    assert_string_equal(rows[0].reason, "Crashed");
    assert_int_equal(rows[0].rollout, 2);
    assert_string_equal(rows[1].message, "event 3");
    free(rows);
    assert_int_equal(gr_journal_events(j, 0, 1, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].seq, 1);
    free(rows);
    gr_journal_close(j);
}

static void old_events_are_forgotten(void **state)
{
    gr_journal_close(open_journal(*state));
    run_sql(*state, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<10500)"
                    "INSERT INTO events(seq,at,module,version,phase,reason,rollout,message) "
                    "SELECT i,i,'','','','',i,'old' FROM n");
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    struct gr_event_row ev = {.message = "new"}, *rows = NULL;
    size_t n = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(gr_journal_add_event(j, &ev, NULL), 0);
    assert_int_equal(gr_journal_events(j, 0, 20000, &rows, &n, NULL), 0);
    assert_in_range(n, GR_HISTORY_ROWS_MAX, GR_HISTORY_ROWS_MAX + 100);
    assert_int_equal(rows[n - 1].seq, 10600);
    assert_string_equal(rows[n - 1].message, "new");
    free(rows);
}

static void convictions_hold_until_they_are_lifted(void **state)
{
    struct gr_journal *j = open_journal(*state);
    struct gr_conviction c = {.module = name_of("pay"),
                              .version = "1.0.0",
                              .at = {5},
                              .reason = GR_REASON_CRASHED,
                              .evidence = "first",
                              .instance = "host-1"},
                         *rows = NULL;
    c.digest.bytes[0] = 0xab;
    struct gr_error e = {0};
    size_t n = 0;
    assert_int_equal(gr_journal_convict(j, &c, NULL), 0);
    snprintf(c.evidence, sizeof c.evidence, "second");
    assert_int_equal(gr_journal_convict(j, &c, NULL), 0); // the same digest: one conviction
    gr_journal_close(j);
    j = open_journal(*state);
    assert_int_equal(gr_journal_convictions(j, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_true(gr_digest_equal(&rows->digest, &c.digest));
    assert_string_equal(rows->module.s, "pay");
    assert_string_equal(rows->version, "1.0.0");
    assert_int_equal(rows->reason, GR_REASON_CRASHED);
    assert_string_equal(rows->evidence, "second");
    assert_string_equal(rows->instance, "host-1");
    assert_int_equal(rows->at.usec, 5);
    free(rows);
    struct gr_digest other = {{0xcd}};
    assert_int_equal(gr_journal_pardon(j, &other, "alice", "why", &e), -ENOENT);
    assert_non_null(strstr(e.message, "is not quarantined"));
    assert_int_equal(gr_journal_pardon(j, &c.digest, "alice", "why", NULL), 0);
    assert_int_equal(gr_journal_pardon(j, &c.digest, "alice", "why", NULL), -ENOENT);
    assert_int_equal(gr_journal_convictions(j, &rows, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(rows);
    gr_journal_close(j);
}

static void the_floor_comes_back(void **state)
{
    struct gr_journal *j = open_journal(*state);
    struct gr_floor f = {UINT64_MAX - 1, INT64_MAX, true}, back; // cluster ids exceed 2^63
    assert_int_equal(gr_journal_set_floor(j, &(struct gr_floor){1, 2, false}, NULL), 0);
    assert_int_equal(gr_journal_set_floor(j, &f, NULL), 0);
    gr_journal_close(j);
    j = open_journal(*state);
    assert_int_equal(gr_journal_get_floor(j, &back, NULL), 0);
    assert_true(back.cluster_id == f.cluster_id && back.revision == f.revision && back.held);
    gr_journal_close(j);
}

// --- what can go wrong ---------------------------------------------------------------------------

static void the_newest_result_of_an_intent_comes_back(void **state)
{
    struct gr_error e = {0};
    struct gr_intent_row row = {.module = {"pay"},
                                .cluster_id = UINT64_C(0xcdf818194e3a8c32),
                                .revision = 11,
                                .applied = true,
                                .verb = "promote",
                                .actor = "alice",
                                .message = "was obeyed",
                                .at = {5}};
    {
        struct gr_journal *j AUTO_JOURNAL = open_journal(*state);
        assert_int_equal(gr_journal_put_intent(j, &row, &e), 0);
        row.revision = 12;
        row.applied = false;
        assert_int_equal(gr_journal_put_intent(j, &row, &e), 0);
        strcpy(row.module.s, "auth");
        assert_int_equal(gr_journal_put_intent(j, &row, &e), 0);
    }
    struct gr_journal *j AUTO_JOURNAL = open_journal(*state);
    GR_AUTO_FREE struct gr_intent_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_intents(j, &rows, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].module.s, "auth");
    assert_true(rows[1].revision == 12 && !rows[1].applied && rows[1].at.usec == 5);
    assert_true(rows[1].cluster_id == row.cluster_id);
    assert_string_equal(rows[1].verb, "promote");
    assert_string_equal(rows[1].actor, "alice");
    assert_string_equal(rows[1].message, "was obeyed");
}

static void add_verdict(struct gr_journal *j, int64_t rollout, const char *module, int64_t at,
                        char *record)
{
    struct gr_error e = {0};
    struct gr_verdict_row row = {.rollout = rollout, .at = {at}, .record = record};
    snprintf(row.module.s, sizeof row.module.s, "%s", module);
    assert_int_equal(gr_journal_add_verdict(j, &row, &e), 0);
}

static void the_newest_verdicts_of_each_member_are_kept(void **state)
{
    struct gr_journal *j AUTO_JOURNAL = open_journal(*state);
    struct gr_verdict_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    char text[] = "{}";
    add_verdict(j, 7, "auth", 1, text);
    add_verdict(j, 8, "pay", 1, text);
    for (int64_t i = 0; i < GR_VERDICTS_MAX + 5; i++)
        add_verdict(j, 7, "pay", 100 + i, text);
    assert_int_equal(gr_journal_verdicts(j, 7, &rows, &n, &e), 0);
    assert_int_equal(n, GR_VERDICTS_MAX + 1);
    assert_string_equal(rows[0].module.s, "auth");
    assert_int_equal(rows[1].at.usec, 105);
    assert_int_equal(rows[n - 1].at.usec, 100 + GR_VERDICTS_MAX + 4);
    assert_string_equal(rows[1].record, "{}");
    gr_verdict_rows_free(rows, n);
    assert_int_equal(gr_journal_verdicts(j, 9, &rows, &n, &e), 0);
    assert_int_equal(n, 0);
}

static void old_verdicts_make_room_for_new_ones(void **state)
{
    struct gr_journal *j AUTO_JOURNAL = open_journal(*state);
    struct gr_verdict_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0, len = GR_VERDICTS_BYTES_MAX / 4;
    GR_AUTO_FREE char *big = malloc(len + 1);
    assert_non_null(big);
    memset(big, 'x', len);
    big[len] = '\0';
    for (int64_t i = 1; i <= 5; i++)
        add_verdict(j, i, "pay", i, big);
    assert_int_equal(gr_journal_verdicts(j, 1, &rows, &n, &e), 0);
    assert_int_equal(n, 0);
    for (int64_t i = 2; i <= 5; i++) {
        assert_int_equal(gr_journal_verdicts(j, i, &rows, &n, &e), 0);
        assert_int_equal(n, 1);
        gr_verdict_rows_free(rows, n);
    }
}

static void a_missing_directory_is_named(void **state)
{
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    char dir[128];
    snprintf(dir, sizeof dir, "%s/none", (const char *)*state);
    assert_int_equal(gr_journal_open(dir, &j, &e), -ENOENT);
    assert_null(j);
    assert_non_null(strstr(e.message, dir));
}

static void a_newer_schema_is_set_aside_and_its_copy_serves(void **state)
{
    struct gr_journal *j = open_journal(*state);
    struct gr_error e = {0};
    assert_int_equal(commit_build(j, 1, NULL), 0);
    gr_journal_close(j);
    run_sql(*state, "PRAGMA user_version=999");
    j = NULL;
    assert_int_equal(gr_journal_open(*state, &j, &e), 0);
    assert_in_force(j, 1);
    const char *told = gr_journal_damage(j);
    assert_non_null(strstr(told, "schema 999"));
    assert_non_null(strstr(told, "knows schema 4"));
    assert_non_null(strstr(told, "journal.db.newer-TIME"));
    assert_non_null(strstr(told, "1 modules in force"));
    assert_int_equal(files_aside(*state), 1);
    gr_journal_close(j);
    j = open_journal(*state); // from here on it is this release's
    assert_string_equal(gr_journal_damage(j), "");
    assert_in_force(j, 1);
    gr_journal_close(j);
}

// What the first release of the program wrote; copied, so that it stays what it was.
static const char first_database[] =
    "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), table_number INTEGER NOT NULL,"
    " floor_cluster INTEGER NOT NULL, floor_revision INTEGER NOT NULL) STRICT;"
    "INSERT INTO state VALUES(1, 4, 9, 12);"
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
    "PRAGMA user_version = 1;"
    "INSERT INTO rollouts VALUES(5, 'Healthy', 1, 0, '', 'baked', 1, 2, 0, 3, 0);"
    "INSERT INTO rollouts VALUES(12, 'Baking', 0, 0, '', '', 3, 4, 77, 4, 0);"
    "INSERT INTO members VALUES(12, 0, 'pay', NULL, NULL, NULL, NULL, '', '');";

static void an_older_database_is_taken_along(void **state)
{
    run_sql(*state, first_database);
    for (int opened = 0; opened < 2;
         opened++) { // migrated once, and a second time there is nothing to do
        struct gr_journal *j = open_journal(*state);
        assert_string_equal(gr_journal_damage(j), "");
        struct gr_rollout_row *rows = history(j, NULL, 10, 2);
        assert_int_equal(rows[0].id, 12);
        assert_int_equal(rows[0].bake_left_usec, 77);
        assert_true(rows[0].gray.swapped); // a bake was all that there was
        assert_int_equal(rows[0].gray.deadline_left_usec, 0);
        assert_int_equal(rows[0].n, 1);
        assert_null(rows[0].members->verdict);
        assert_false(rows[1].gray.swapped);
        free_rows(rows, 2);
        struct gr_floor floor;
        assert_int_equal(gr_journal_get_floor(j, &floor, NULL), 0);
        assert_int_equal(floor.revision, 12);
        gr_journal_close(j);
    }
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    assert_int_equal(commit_build(j, 13, NULL), 0); // and it is written as any other
    assert_in_force(j, 13);
}

static void progress_that_nobody_of_us_wrote_is_refused(void **state)
{
    static const char *const bad[] = {
        "'{}'",
        "'x'",
        "replace(gray, '\"hold\":\"\"', '\"hold\":\"love\"')",
        "replace(gray, '\"weight\":0', '\"weight\":10001')",
        "replace(gray, '\"salt\":\"0', '\"salt\":\"z')",
        "replace(gray, '\"swapped\"', '\"door\":\"ajar\",\"door_why\":\"\",\"swapped\"')",
        "replace(gray, '\"swapped\"', '\"door\":\"open\",\"swapped\"')"};
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        char sql[256];
        struct gr_rollout_row *rows = NULL;
        size_t n = 0;
        struct gr_error e = {0};
        struct gr_journal *j = open_journal(*state);
        assert_int_equal(commit_build(j, 1, NULL), 0);
        gr_journal_close(j);
        snprintf(sql, sizeof sql, "UPDATE rollouts SET terminal = 1, phase = 'Healthy', gray = %s",
                 bad[i]);
        run_sql(*state, sql);
        j = open_journal(*state);
        assert_int_equal(gr_journal_history(j, NULL, 10, &rows, &n, &e), -EUCLEAN);
        assert_non_null(strstr(e.message, "progress"));
        gr_journal_close(j);
    }
}

static void damage(const char *dir, off_t at, off_t len, off_t cut)
{
    char path[128], junk[4096];
    database_path(dir, path);
    memset(junk, 0x5a, sizeof junk);
    GR_AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (cut)
        assert_int_equal(ftruncate(fd, cut), 0);
    assert_int_equal(pwrite(fd, junk, (size_t)len, at), len);
}

static void drop_copy(const char *dir)
{
    char path[128];
    snprintf(path, sizeof path, "%s/journal.copy", dir);
    assert_int_equal(unlink(path), 0);
}

static void a_damaged_database_is_kept_aside(void **state)
{
    static const struct {
        off_t at, len, cut;
    } damages[] = {{0, 100, 0}, {2 * 4096, 4096, 0}, {0, 0, 3 * 4096}, {20, 4, 100}};
    for (size_t i = 0; i < GR_COUNT(damages); i++) {
        struct gr_journal *j = open_journal(*state);
        assert_int_equal(commit_build(j, 1, NULL), 0);
        gr_journal_close(j);
        damage(*state, damages[i].at, damages[i].len, damages[i].cut);
        drop_copy(*state);
        size_t before = files_aside(*state);
        j = open_journal(*state);
        assert_non_null(strstr(gr_journal_damage(j), "no copy to restore from"));
        assert_int_equal(files_aside(*state), before + 1);
        AUTO_TABLE struct gr_table_rows t = {0};
        assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
        assert_int_equal(t.n, 0);
        assert_int_equal(commit_build(j, 2, NULL), 0);
        gr_journal_close(j);
        j = open_journal(*state);
        assert_string_equal(gr_journal_damage(j), "");
        assert_in_force(j, 2);
        gr_journal_close(j);
    }
}

// SQLite runs out of memory at every point of a read: an error, or all there is.
static void no_failed_read_passes_for_a_short_one(void **state)
{
    struct gr_journal *j = open_journal(*state);
    unsigned failed = 0, succeeded = 0;
    for (unsigned build = 1; build <= 3; build++)
        assert_int_equal(commit_build(j, build, NULL), 0);
    assert_int_equal(gr_journal_add_event(j, &(struct gr_event_row){.module = "pay"}, NULL), 0);
    struct gr_conviction c = {.module = name_of("pay")}, *convictions = NULL;
    assert_int_equal(gr_journal_convict(j, &c, NULL), 0);
    gr_journal_close(j);
    for (sqlite3_int64 spare = 0; spare < 40000; spare += 200) {
        AUTO_TABLE struct gr_table_rows t = {0};
        struct gr_rollout_row *rows = NULL;
        struct gr_event_row *events = NULL;
        size_t n_rows = 0, n_events = 0, n_convictions = 0;
        j = open_journal(*state);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + spare);
        int table = gr_journal_load_table(j, &t, NULL),
            history_ = gr_journal_history(j, NULL, 10, &rows, &n_rows, NULL),
            events_ = gr_journal_events(j, 0, 10, &events, &n_events, NULL),
            convictions_ = gr_journal_convictions(j, &convictions, &n_convictions, NULL);
        sqlite3_hard_heap_limit64(0);
        assert_true(table < 0 || (t.n == 1 && t.number == 3));
        assert_true(history_ < 0 || (n_rows == 3 && rows[0].n == 1));
        assert_true(events_ < 0 || n_events == 1);
        assert_true(convictions_ < 0 || n_convictions == 1);
        failed += table < 0;
        succeeded += table == 0;
        free_rows(rows, n_rows);
        free(events);
        free(convictions);
        convictions = NULL;
        gr_journal_close(j);
    }
    assert_true(failed > 0 && succeeded > 0);
}

#if GR_FAULT_POINTS
// A child opens the journal and commits build 2, with one fault armed; returns its wait status.
static int commit_under_fault(const char *dir, const char *fault)
{
    char variable[128];
    snprintf(variable, sizeof variable, "GRAYLING_FAULT=%s", fault);
    char *argv[] = {"/proc/self/exe", "commit", (char *)dir, NULL};
    char *envp[] = {variable, NULL};
    struct gr_child child;
    assert_int_equal(gr_child_spawn(argv, envp, NULL, 0, &child, NULL), 0);
    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.pidfd);
    return status;
}

static void assert_wholly(const char *dir, unsigned build)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(dir);
    assert_string_equal(gr_journal_damage(j), "");
    assert_in_force(j, build);
    struct gr_rollout_row *rows = history(j, "pay", 10, build);
    assert_int_equal(rows[0].id, build);
    assert_int_equal(rows[0].table_number, build);
    free_rows(rows, build);
}

static void a_kill_leaves_wholly_old_or_wholly_new(void **state)
{
    static const struct {
        const char *fault;
        unsigned build;
    } kills[] = {{"journal.begin:1:kill", 1},
                 {"journal.before-commit:1:kill", 1},
                 {"journal.after-commit:1:kill", 2}};
    struct gr_journal *j = open_journal(*state);
    assert_int_equal(commit_build(j, 1, NULL), 0);
    gr_journal_close(j);
    for (size_t i = 0; i < GR_COUNT(kills); i++) {
        int status = commit_under_fault(*state, kills[i].fault);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_wholly(*state, kills[i].build);
    }
}

static void a_full_disk_leaves_the_old_and_says_so(void **state)
{
    static const char *const faults[] = {
        // the second entry is not asked before the first one hit
        "journal.begin:1:error:ENOSPC,journal.begin:1:error:ENOSPC",
        "journal.before-commit:1:error:ENOSPC,journal.before-commit:1:error:ENOSPC"};
    struct gr_journal *j = open_journal(*state);
    assert_int_equal(commit_build(j, 1, NULL), 0);
    gr_journal_close(j);
    for (size_t i = 0; i < GR_COUNT(faults); i++) {
        int status = commit_under_fault(*state, faults[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), GR_REASON_DISK_FULL);
        assert_wholly(*state, 1);
    }
    // the reserve gives room once
    assert_int_equal(commit_under_fault(*state, "journal.before-commit:1:error:ENOSPC"), 0);
    assert_wholly(*state, 2);
}
#endif

// Exits with the reason of the failure; 0: committed.
static int child_main(const char *dir)
{
    AUTO_JOURNAL struct gr_journal *j = NULL;
    struct gr_error e = {0};
    if (gr_journal_open(dir, &j, &e) < 0)
        return GR_REASON_INTERNAL;
    return commit_build(j, 2, &e) < 0 ? (int)e.reason : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child_main(argv[2]);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); // so that the heap limit meets every allocation
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(a_new_journal_is_empty),
        T(the_table_comes_back),
        T(a_rollout_comes_back),
        T(a_rollout_that_is_written_again_is_as_written_last),
        T(open_rollouts_are_those_without_an_end),
        T(history_is_newest_first_and_knows_modules),
        T(events_come_back_in_order),
        T(old_events_are_forgotten),
        T(convictions_hold_until_they_are_lifted),
        T(the_floor_comes_back),
        T(the_newest_result_of_an_intent_comes_back),
        T(the_newest_verdicts_of_each_member_are_kept),
        T(old_verdicts_make_room_for_new_ones),
        T(a_missing_directory_is_named),
        T(a_newer_schema_is_set_aside_and_its_copy_serves),
        T(an_older_database_is_taken_along),
        T(progress_that_nobody_of_us_wrote_is_refused),
        T(a_damaged_database_is_kept_aside),
        T(no_failed_read_passes_for_a_short_one),
#if GR_FAULT_POINTS
        T(a_kill_leaves_wholly_old_or_wholly_new),
        T(a_full_disk_leaves_the_old_and_says_so),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
