// The journal where room is short: on a disk that is really full, against its own caps, and with a
// second process that wants the same directory.
#include "base/child.h"
#include "state/journal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BIG_CONFIG 60000
#define SKIPPED 77

static void journal_closep(struct gr_journal **j)
{
    gr_journal_close(*j);
}
#define AUTO_JOURNAL GR_CLEANUP(journal_closep)

static int enter_place(void **state)
{
    static char dir[64];
    snprintf(dir, sizeof dir, "/tmp/grayling-room-XXXXXX");
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

static struct gr_desired *big_release(void)
{
    static const struct gr_name pay = {"pay"};
    static char text[BIG_CONFIG + 512];
    struct gr_desired *d = NULL;
    int n = snprintf(text, sizeof text,
                     "{\"version\":\"1.0.0\",\"version_hash\":\"sha256:%064x\",\"source\":"
                     "\"https://a.example/x.so\",\"config\":{\"big\":\"",
                     1);
    memset(text + n, 'x', BIG_CONFIG);
    snprintf(text + n + BIG_CONFIG, sizeof text - (size_t)n - BIG_CONFIG, "\"}}");
    assert_int_equal(gr_desired_parse(&pay, 1, text, strlen(text), &d, NULL), 0);
    return d;
}

// A rollout with six big documents; `row` NULL: history only.
static int put(struct gr_journal *j, int64_t number, struct gr_desired *d,
               const struct gr_committed *row, struct gr_error *e)
{
    struct gr_rollout_member members[] = {{.module = {"pay"}, .to = d, .from = d},
                                          {.module = {"auth"}, .to = d, .from = d},
                                          {.module = {"echo"}, .to = d, .from = d}};
    struct gr_rollout_row r = {.id = number, .phase = GR_PHASE_HEALTHY, .n = 3, .members = members};
    return row ? gr_journal_commit_table(j, &r, number, row, 1, e)
               : gr_journal_put_rollout(j, &r, e);
}

static int commit(struct gr_journal *j, int64_t number, struct gr_desired *d, struct gr_error *e)
{
    const struct gr_committed row = {.module = {"pay"}, .release = d};
    return put(j, number, d, &row, e);
}

static int64_t number_in_force(struct gr_journal *j)
{
    GR_CLEANUP(gr_table_rows_done) struct gr_table_rows t = {0};
    struct gr_error e = {0};
    if (gr_journal_load_table(j, &t, &e) < 0)
        fail_msg("not read: %s", e.message);
    return t.number;
}

static bool exists(const char *dir, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

// --- a full disk ---------------------------------------------------------------------------------

static int mount_small_disk(const char *dir)
{
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return mount("grayling-test", dir, "tmpfs", 0, "size=24m") < 0 ? -errno : 0;
}

static int fill(const char *dir, off_t leave)
{
    char path[128];
    snprintf(path, sizeof path, "%s/filler", dir);
    GR_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    off_t size = 24 << 20;
    while (fd >= 0 && size > 0 && posix_fallocate(fd, 0, size) != 0)
        size -= 4096;
    return ftruncate(fd, size - leave);
}

// In a process of its own, whose mounts are its own, too.
static int full_disk_main(const char *dir)
{
    if (mount_small_disk(dir) < 0)
        return SKIPPED;
    struct gr_journal *j = open_journal(dir);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = big_release();
    struct gr_error e = {0};
    int64_t number = 1;
    assert_int_equal(commit(j, number, d, NULL), 0);
    assert_true(exists(dir, "reserve"));
    assert_int_equal(fill(dir, 0), 0);
    while (commit(j, number + 1, d, &e) == 0)
        number++;
    assert_true(number > 1); // the reserve carried some
    assert_false(exists(dir, "reserve"));
    assert_int_equal(e.reason, GR_REASON_DISK_FULL);
    assert_int_equal(e.code, -ENOSPC);
    assert_true(e.retryable);
    assert_int_equal(number_in_force(j), number);
    gr_journal_close(j);
    j = open_journal(dir); // also on the full disk
    assert_string_equal(gr_journal_damage(j), "");
    assert_int_equal(number_in_force(j), number);
    char path[128];
    snprintf(path, sizeof path, "%s/filler", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(commit(j, number + 1, d, NULL), 0);
    assert_true(exists(dir, "reserve"));
    gr_journal_close(j);
    return 0;
}

static int run_self(const char *what, const char *dir)
{
    char *argv[] = {"/proc/self/exe", (char *)what, (char *)dir, NULL};
    struct gr_child child;
    int status;
    assert_int_equal(gr_child_spawn(argv, NULL, NULL, 0, &child, NULL), 0);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.pidfd);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_full_disk_costs_the_reserve_and_nothing_else(void **state)
{
    int status = run_self("full-disk", *state);
    if (status == SKIPPED)
        skip();
    assert_int_equal(status, 0);
}

// --- a second process ----------------------------------------------------------------------------

static int second_main(const char *dir)
{
    AUTO_JOURNAL struct gr_journal *j = NULL;
    struct gr_error e = {0};
    int k = gr_journal_open(dir, &j, &e);
    return k == -EBUSY && strstr(e.message, "one graylingd per StateDirectory") ? 0 : 1;
}

static void a_second_process_is_refused(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = big_release();
    assert_int_equal(commit(j, 1, d, NULL), 0);
    assert_int_equal(run_self("second", *state), 0);
    assert_int_equal(commit(j, 2, d, NULL), 0);
    assert_int_equal(number_in_force(j), 2);
}

// --- caps ----------------------------------------------------------------------------------------

static void history_has_a_cap_in_bytes(void **state)
{
    AUTO_JOURNAL struct gr_journal *j = open_journal(*state);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = big_release();
    const int64_t fits = GR_HISTORY_BYTES_MAX / (6 * BIG_CONFIG), wanted = fits + 20;
    struct gr_rollout_member unfinished = {.module = {"pay"}, .to = d};
    struct gr_rollout_row open = {
        .id = 1, .phase = GR_PHASE_PAUSED, .n = 1, .members = &unfinished};
    assert_int_equal(gr_journal_put_rollout(j, &open, NULL), 0);
    for (int64_t i = 2; i <= wanted; i++)
        assert_int_equal(put(j, i, d, NULL, NULL), 0);
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_history(j, NULL, SIZE_MAX, &rows, &n, NULL), 0);
    assert_in_range(n, fits - 2, fits + 1);
    assert_int_equal(rows[0].id, wanted);
    assert_int_equal(rows[n - 1].id, 1); // in progress: never forgotten
    assert_true(rows[n - 2].id > 2);
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
}

static void only_the_newest_evidence_is_kept(void **state)
{
    const char *dir = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/journal.db", dir);
    for (int i = 0; i < 6; i++) {
        GR_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(dprintf(fd, "no database, number %d%*s", i, 200, ""), 221);
        AUTO_JOURNAL struct gr_journal *j = open_journal(dir);
        assert_string_not_equal(gr_journal_damage(j), "");
    }
    DIR *d = opendir(dir);
    struct dirent *de;
    int kept = 0;
    while ((de = readdir(d)))
        kept += strncmp(de->d_name, "journal.db.corrupt-", 19) == 0;
    closedir(d);
    assert_int_equal(kept, 4);
}

// --- places --------------------------------------------------------------------------------------

static void a_linked_directory_is_followed_and_the_file_is_private(void **state)
{
    char link[96], path[128];
    struct stat st;
    snprintf(link, sizeof link, "%s-link", (const char *)*state);
    assert_int_equal(symlink(*state, link), 0);
    struct gr_journal *j = NULL;
    int k = gr_journal_open(link, &j, NULL);
    unlink(link);
    assert_int_equal(k, 0);
    snprintf(path, sizeof path, "%s/journal.db", (const char *)*state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    gr_journal_close(j);
}

static void a_linked_file_is_refused(void **state)
{
    char path[128];
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    snprintf(path, sizeof path, "%s/journal.db", (const char *)*state);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(gr_journal_open(*state, &j, &e), -ELOOP);
    assert_non_null(strstr(e.message, path));
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return strcmp(argv[1], "second") == 0 ? second_main(argv[2]) : full_disk_main(argv[2]);
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(a_full_disk_costs_the_reserve_and_nothing_else),
        T(a_second_process_is_refused),
        T(history_has_a_cap_in_bytes),
        T(only_the_newest_evidence_is_kept),
        T(a_linked_directory_is_followed_and_the_file_is_private),
        T(a_linked_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
