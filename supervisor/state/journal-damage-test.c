// What comes back when the database is damaged, at whatever place and in whatever way: the releases
// that are known to be good, every conviction, and a sentence that says so.
#include "base/fs.h"
#include "state/journal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void journal_closep(struct gr_journal **j)
{
    gr_journal_close(*j);
}
#define AUTO_JOURNAL GR_CLEANUP(journal_closep)

// --- a state directory with a known content
// ---------------------------------------------------------------------------

#define FILES_MAX 8
struct place {
    char dir[64];
    int fd;
    size_t n; // of files as they were when the content was complete
    char names[FILES_MAX][NAME_MAX + 1];
    struct gr_buf bytes[FILES_MAX];
};

static struct gr_name name_of(const char *text)
{
    struct gr_name n;
    assert_int_equal(gr_name_parse(text, strlen(text), &n), 0);
    return n;
}

static struct gr_desired *release(const char *module, unsigned build)
{
    char text[256];
    struct gr_name name = name_of(module);
    struct gr_desired *d = NULL;
    snprintf(text, sizeof text,
             "{\"version\":\"%u.0.0\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\"}",
             build, build);
    assert_int_equal(gr_desired_parse(&name, build, text, strlen(text), &d, NULL), 0);
    return d;
}

// `previous` 0: `build` has finished its bake.
static void commit(struct gr_journal *j, int64_t number, const char *module, unsigned build,
                   unsigned previous)
{
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = release(module, build);
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *before = previous ? release(module, previous) : NULL;
    struct gr_rollout_member m = {.module = name_of(module), .to = d, .from = before};
    struct gr_rollout_row r = {.id = number,
                               .phase = previous ? GR_PHASE_BAKING : GR_PHASE_HEALTHY,
                               .n = 1,
                               .members = &m};
    struct gr_committed row = {
        .module = m.module, .release = d, .previous = before, .last_good = previous ? before : d};
    assert_int_equal(gr_journal_commit_table(j, &r, number, &row, 1, NULL), 0);
}

static struct gr_digest digest_of(unsigned i)
{
    return (struct gr_digest){.bytes = {[0] = 0xc0, [31] = (uint8_t)i}};
}

static void convict(struct gr_journal *j, unsigned i)
{
    struct gr_conviction c = {.digest = digest_of(i),
                              .module = name_of("pay"),
                              .version = "9.0.0",
                              .reason = GR_REASON_CRASHED,
                              .evidence = "SIGSEGV in pay_total",
                              .instance = "host-1",
                              .at = {1000 + i}};
    assert_int_equal(gr_journal_convict(j, &c, NULL), 0);
}

static struct gr_journal *open_journal(const struct place *p)
{
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    if (gr_journal_open(p->dir, &j, &e) < 0)
        fail_msg("not opened: %s", e.message);
    return j;
}

static void remember(struct place *p)
{
    DIR *d = opendir(p->dir);
    struct dirent *de;
    while ((de = readdir(d))) {
        if (strncmp(de->d_name, "journal.", 8) != 0)
            continue;
        assert_true(p->n < FILES_MAX);
        snprintf(p->names[p->n], sizeof p->names[0], "%s", de->d_name);
        p->bytes[p->n] = GR_BUF(64u << 20);
        assert_int_equal(gr_fs_read(p->fd, de->d_name, &p->bytes[p->n++]), 0);
    }
    closedir(d);
}

static void empty(const struct place *p)
{
    DIR *d = opendir(p->dir);
    struct dirent *de;
    while (d && (de = readdir(d)))
        unlinkat(p->fd, de->d_name, 0); // "." and ".." stay
    if (d)
        closedir(d);
}

static void write_file(const struct place *p, const char *name, const char *bytes, size_t len)
{
    GR_AUTO_CLOSE int fd = openat(p->fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
}

// All files as they were, and nothing else.
static void restore(const struct place *p)
{
    empty(p);
    for (size_t i = 0; i < p->n; i++)
        write_file(p, p->names[i], p->bytes[i].data ? p->bytes[i].data : "", p->bytes[i].len);
}

// pay 2 is good; auth 4 is in its bake after the good auth 3; digests 0 to 4 are convicted. The
// files are taken while the journal is open, as a crash leaves them: most is in the log still.
static int enter_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->dir,
           "/dev/shm/grayling-damage-XXXXXX"); // thousands of fsyncs that prove nothing here
    if (!mkdtemp(p->dir)) {
        strcpy(p->dir, "/tmp/grayling-damage-XXXXXX");
        assert_non_null(mkdtemp(p->dir));
    }
    assert_int_equal(gr_fs_open_dir(p->dir, &p->fd), 0);
    AUTO_JOURNAL struct gr_journal *j = open_journal(p);
    commit(j, 1, "pay", 1, 0);
    commit(j, 2, "pay", 2, 0);
    commit(j, 3, "auth", 3, 0);
    for (unsigned i = 0; i < 5; i++)
        convict(j, i);
    const struct gr_floor floor = {.cluster_id = UINT64_MAX, .revision = 77};
    assert_int_equal(gr_journal_set_floor(j, &floor, NULL), 0);
    commit(j, 4, "auth", 4, 3);
    remember(p);
    *state = p;
    return 0;
}

static int leave_place(void **state)
{
    struct place *p = *state;
    empty(p);
    for (size_t i = 0; i < p->n; i++)
        gr_buf_done(&p->bytes[i]);
    close(p->fd);
    assert_int_equal(rmdir(p->dir), 0);
    free(p);
    return 0;
}

static const struct gr_buf *file(const struct place *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->names[i], name))
            return &p->bytes[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static bool is_convicted(struct gr_journal *j, unsigned i)
{
    struct gr_digest wanted = digest_of(i);
    GR_AUTO_FREE struct gr_conviction *list = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_convictions(j, &list, &n, NULL), 0);
    for (size_t k = 0; k < n; k++)
        if (gr_digest_equal(&list[k].digest, &wanted))
            return true;
    return false;
}

static const char *version(const struct gr_desired *d)
{
    return d ? d->version.text : "none";
}

// What must be there after any damage. Returns whether something had been lost.
static bool assert_good(struct gr_journal *j)
{
    GR_CLEANUP(gr_table_rows_done) struct gr_table_rows t = {0};
    bool lost = gr_journal_damage(j)[0] != 0;
    assert_int_equal(gr_journal_load_table(j, &t, NULL), 0);
    assert_true(t.number >= 4); // only a number: it need not be right, it must not go back
    assert_int_equal(t.n, 2);
    assert_string_equal(t.rows[1].module.s, "pay");
    assert_string_equal(version(t.rows[1].release), "2.0.0");
    assert_string_equal(version(t.rows[1].last_good), "2.0.0");
    assert_string_equal(version(t.rows[0].last_good), "3.0.0");
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_open_rollouts(j, &rows, &n, NULL), 0);
    bool baking = strcmp(version(t.rows[0].release), "4.0.0") == 0;
    assert_int_equal(n, baking); // in its bake with its rollout, or back
    assert_string_equal(version(t.rows[0].previous), baking ? "3.0.0" : "none");
    if (!baking)
        assert_string_equal(version(t.rows[0].release), "3.0.0");
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    for (unsigned i = 0; i < 5; i++)
        assert_true(is_convicted(j, i));
    assert_false(is_convicted(j, 5));
    return lost;
}

// Damaged, opened, and opened again: what came back stays.
static bool survives(const struct place *p)
{
    struct gr_journal *j = open_journal(p);
    bool lost = assert_good(j);
    convict(j, 5);
    assert_int_equal(gr_journal_pardon(j, &(struct gr_digest){.bytes = {0xc0, [31] = 5}}, "alice",
                                       "a test", NULL),
                     0);
    gr_journal_close(j);
    j = open_journal(p);
    assert_string_equal(gr_journal_damage(j), "");
    assert_false(assert_good(j));
    gr_journal_close(j);
    return lost;
}

static uint64_t next(uint64_t *s) // xorshift64*, so that a failure can be repeated
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * UINT64_C(0x2545F4914F6CDD1D);
}

// --- the damages
// ----------------------------------------------------------------------------------------------

static void nothing_is_lost_without_damage(void **state)
{
    struct place *p = *state;
    assert_false(survives(p));
    restore(p); // a crash
    assert_false(survives(p));
}

static void a_missing_or_empty_database_comes_back(void **state)
{
    struct place *p = *state;
    restore(p);
    unlinkat(p->fd, "journal.db", 0);
    assert_true(survives(p));
    restore(p);
    unlinkat(p->fd, "journal.db-wal", 0);
    write_file(p, "journal.db", "", 0);
    struct gr_journal *j = open_journal(p);
    assert_non_null(strstr(gr_journal_damage(j), "2 modules in force, 5 convicted digests"));
    gr_journal_close(j);
}

static void a_torn_log_takes_nothing_along(void **state)
{
    struct place *p = *state;
    const struct gr_buf *log = file(p, "journal.db-wal");
    unsigned lost = 0;
    uint64_t seed = 7;
    for (unsigned i = 0; i < 25; i++) {
        restore(p);
        write_file(p, "journal.db-wal", log->data, next(&seed) % log->len);
        lost += survives(p);
    }
    assert_true(lost > 12); // the tests did tear something off
}

// Where a flip meets what a start needs, it is found; elsewhere it does no harm to that.
static void flipped_bits_take_nothing_along(void **state)
{
    struct place *p = *state;
    struct gr_journal *j = open_journal(p); // closed in order: all is in the database now
    gr_journal_close(j);
    for (size_t i = 0; i < p->n; i++)
        gr_buf_done(&p->bytes[i]);
    p->n = 0;
    remember(p);
    const struct gr_buf *database = file(p, "journal.db");
    GR_AUTO_FREE char *bytes = malloc(database->len);
    unsigned lost = 0;
    uint64_t seed = 11;
    for (size_t page = 0; page < database->len / 4096; page++)
        for (unsigned i = 0; i < 4; i++) {
            memcpy(bytes, database->data, database->len);
            for (unsigned k = 0; k < 1 + i * 60; k++)
                bytes[page * 4096 + next(&seed) % 4096] ^= (char)(1 << next(&seed) % 8);
            restore(p);
            write_file(p, "journal.db", bytes, database->len);
            lost += survives(p);
        }
    assert_true(lost >= database->len / 4096);
    lost = 0;
    for (unsigned i = 0; i < 20; i++) {
        restore(p);
        write_file(p, "journal.db", database->data, next(&seed) % database->len);
        lost += survives(p);
    }
    assert_true(lost > 10); // the last page may have held nothing that counts
}

// The letters of a conviction, or of a release in force, altered where SQLite sees nothing.
static void altered_rows_are_found(void **state)
{
    static const char *const words[] = {"sha256:c00", "\"2.0.0\"", "\"version\"", "Crashed"};
    struct place *p = *state;
    struct gr_journal *j = open_journal(p);
    gr_journal_close(j);
    for (size_t i = 0; i < p->n; i++)
        gr_buf_done(&p->bytes[i]);
    p->n = 0;
    remember(p);
    const struct gr_buf *database = file(p, "journal.db");
    GR_AUTO_FREE char *bytes = malloc(database->len);
    for (size_t w = 0; w < GR_COUNT(words); w++) {
        memcpy(bytes, database->data, database->len);
        size_t len = strlen(words[w]);
        for (char *at = bytes;
             (at = memmem(at, database->len - (size_t)(at - bytes), words[w], len)); at += len)
            at[len - 2]++;
        restore(p);
        write_file(p, "journal.db", bytes, database->len);
        j = open_journal(p);
        assert_true(assert_good(j));
        gr_journal_close(j);
    }
}

static void a_damaged_copy_is_not_believed(void **state)
{
    struct place *p = *state;
    const struct gr_buf *copy = file(p, "journal.copy");
    GR_AUTO_FREE char *bytes = malloc(copy->len);
    for (size_t i = 0; i < copy->len; i += 13) {
        restore(p);
        memcpy(bytes, copy->data, copy->len);
        bytes[i] ^= 4;
        write_file(p, "journal.copy", bytes, copy->len);
        assert_false(survives(p)); // the database is whole, and the copy is made anew
    }
    restore(p);
    write_file(p, "journal.copy", copy->data, copy->len / 2);
    unlinkat(p->fd, "journal.db-wal", 0); // it alone would bring everything back
    write_file(p, "journal.db", "no database", 11);
    struct gr_journal *j = open_journal(p);
    assert_non_null(strstr(gr_journal_damage(j), "no copy to restore from"));
    gr_journal_close(j);
}

static void what_was_lifted_stays_lifted(void **state)
{
    struct place *p = *state;
    const struct gr_digest lifted = digest_of(2);
    struct gr_journal *j = open_journal(p);
    assert_int_equal(gr_journal_pardon(j, &lifted, "alice", "mended", NULL), 0);
    gr_journal_close(j);
    write_file(p, "journal.db", "no database", 11);
    j = open_journal(p);
    assert_false(is_convicted(j, 2));
    assert_true(is_convicted(j, 3));
    gr_journal_close(j);
}

static void the_floor_comes_back(void **state)
{
    struct place *p = *state;
    struct gr_floor floor = {0};
    write_file(p, "journal.db", "no database", 11);
    AUTO_JOURNAL struct gr_journal *j = open_journal(p);
    assert_int_equal(gr_journal_get_floor(j, &floor, NULL), 0);
    assert_true(floor.cluster_id == UINT64_MAX && floor.revision == 77);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(nothing_is_lost_without_damage), T(a_missing_or_empty_database_comes_back),
        T(a_torn_log_takes_nothing_along), T(flipped_bits_take_nothing_along),
        T(altered_rows_are_found),         T(a_damaged_copy_is_not_believed),
        T(what_was_lifted_stays_lifted),   T(the_floor_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
