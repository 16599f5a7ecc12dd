// Files are whole or untouched: after errors, after being killed at every step, and in the face of
// planted links.
#include "base/child.h"
#include "base/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct place {
    char path[64];
    int fd;
};

static int enter_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    strcpy(p->path, "/tmp/grayling-fs-XXXXXX");
    assert_non_null(mkdtemp(p->path));
    assert_int_equal(gr_fs_open_dir(p->path, &p->fd), 0);
    *state = p;
    return 0;
}

// Removes the files of the place; returns how many had a temporary's name.
static unsigned sweep(struct place *p)
{
    unsigned temporaries = 0;
    DIR *d = opendir(p->path);
    assert_non_null(d);
    for (struct dirent *de; (de = readdir(d));) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        temporaries += strncmp(de->d_name, ".tmp-", 5) == 0;
        if (unlinkat(p->fd, de->d_name, 0) < 0)
            assert_int_equal(unlinkat(p->fd, de->d_name, AT_REMOVEDIR), 0);
    }
    closedir(d);
    return temporaries;
}

static int leave_place(void **state)
{
    struct place *p = *state;
    sweep(p);
    close(p->fd);
    rmdir(p->path);
    free(p);
    return 0;
}

static void assert_content(const struct place *p, const char *name, const char *expected)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(1000);
    assert_int_equal(gr_fs_read(p->fd, name, &b), 0);
    assert_string_equal(b.data, expected);
}

static void writes_replaces_and_sets_the_mode(void **state)
{
    struct place *p = *state;
    mode_t old_mask = umask(077);
    assert_int_equal(gr_fs_write_atomic(p->fd, "f", "one", 3, 0644), 0);
    umask(old_mask);
    assert_content(p, "f", "one");
    struct stat st;
    assert_int_equal(fstatat(p->fd, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(gr_fs_write_atomic(p->fd, "f", "", 0, 0600), 0);
    assert_content(p, "f", "");
    assert_int_equal(sweep(p), 0);
}

static void names_that_leave_the_directory_are_refused(void **state)
{
    struct place *p = *state;
    static const char *const bad[] = {"", ".", "..", "a/b", "/etc/x", "../x"};
    GR_AUTO_BUF struct gr_buf b = GR_BUF(10);
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        assert_int_equal(gr_fs_write_atomic(p->fd, bad[i], "x", 1, 0600), -EINVAL);
        assert_int_equal(gr_fs_publish_fd(p->fd, bad[i], 0, 0, 0600), -EINVAL);
        assert_int_equal(gr_fs_read(p->fd, bad[i], &b), -EINVAL);
        assert_int_equal(gr_fs_unlink(p->fd, bad[i]), -EINVAL);
    }
}

static void reading_follows_no_link_and_waits_for_no_fifo(void **state)
{
    struct place *p = *state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(10);
    assert_int_equal(symlinkat("/etc/passwd", p->fd, "link"), 0);
    assert_int_equal(gr_fs_read(p->fd, "link", &b), -ELOOP);
    assert_int_equal(mkfifoat(p->fd, "fifo", 0600), 0);
    assert_int_equal(gr_fs_read(p->fd, "fifo", &b), -EINVAL);
    assert_int_equal(mkdirat(p->fd, "dir", 0700), 0);
    assert_int_equal(gr_fs_read(p->fd, "dir", &b), -EISDIR);
    assert_int_equal(gr_fs_read(p->fd, "absent", &b), -ENOENT);
}

static void reading_stops_at_the_cap(void **state)
{
    struct place *p = *state;
    GR_AUTO_BUF struct gr_buf b = GR_BUF(10);
    assert_int_equal(gr_fs_write_atomic(p->fd, "ten", "0123456789", 10, 0600), 0);
    assert_int_equal(gr_fs_write_atomic(p->fd, "eleven", "0123456789x", 11, 0600), 0);
    assert_int_equal(gr_fs_read(p->fd, "ten", &b), 0);
    assert_int_equal(gr_fs_read(p->fd, "ten", &b), 0); // replaces, does not add up
    assert_int_equal(b.len, 10);
    assert_int_equal(gr_fs_read(p->fd, "eleven", &b), -E2BIG);
}

static void writing_replaces_a_link_and_not_its_target(void **state)
{
    struct place *p = *state;
    assert_int_equal(gr_fs_write_atomic(p->fd, "target", "precious", 8, 0600), 0);
    assert_int_equal(symlinkat("target", p->fd, "link"), 0);
    assert_int_equal(gr_fs_write_atomic(p->fd, "link", "new", 3, 0600), 0);
    assert_content(p, "target", "precious");
    assert_content(p, "link", "new");
}

static void publishing_copies_once_and_never_again(void **state)
{
    struct place *p = *state;
    GR_AUTO_CLOSE int from = memfd_create("fs-test", MFD_CLOEXEC);
    const size_t len = 200001; // several chunks and a rest
    GR_AUTO_FREE char *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i % 251);
    assert_int_equal(write(from, bytes, len), len);
    assert_int_equal(gr_fs_publish_fd(p->fd, "m.so", from, len, 0444), 0);
    GR_AUTO_BUF struct gr_buf b = GR_BUF(len);
    assert_int_equal(gr_fs_read(p->fd, "m.so", &b), 0);
    assert_int_equal(b.len, len);
    assert_memory_equal(b.data, bytes, len);
    assert_int_equal(gr_fs_publish_fd(p->fd, "m.so", from, 1, 0444), -EEXIST);
    assert_int_equal(gr_fs_publish_fd(p->fd, "short.so", from, len + 1, 0444), -ENODATA);
    struct stat st;
    assert_int_equal(fstatat(p->fd, "short.so", &st, 0), -1);
    assert_int_equal(sweep(p), 0);
}

static void unlink_removes(void **state)
{
    struct place *p = *state;
    assert_int_equal(gr_fs_write_atomic(p->fd, "f", "x", 1, 0600), 0);
    assert_int_equal(gr_fs_unlink(p->fd, "f"), 0);
    assert_int_equal(gr_fs_unlink(p->fd, "f"), -ENOENT);
}

static void mkdir_all_makes_the_whole_path(void **state)
{
    struct place *p = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/a//b/c/", p->path);
    assert_int_equal(gr_fs_mkdir_all(path, 0755), 0);
    assert_int_equal(gr_fs_mkdir_all(path, 0755), 0);
    int fd;
    assert_int_equal(gr_fs_open_dir(path, &fd), 0);
    close(fd);
    assert_int_equal(gr_fs_write_atomic(p->fd, "file", "x", 1, 0600), 0);
    snprintf(path, sizeof path, "%s/file", p->path);
    assert_int_equal(gr_fs_mkdir_all(path, 0755), -ENOTDIR);
    snprintf(path, sizeof path, "%s/file/below", p->path);
    assert_int_equal(gr_fs_mkdir_all(path, 0755), -ENOTDIR);
    assert_int_equal(gr_fs_mkdir_all("", 0755), -ENOENT);
    assert_int_equal(unlinkat(p->fd, "a/b/c", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(p->fd, "a/b", AT_REMOVEDIR), 0);
}

#if GR_FAULT_POINTS
// Runs "write new over old", or "publish new", in a child whose environment arms one fault; returns
// its wait status.
static int run_under_fault(const struct place *p, const char *what, const char *fault)
{
    char variable[96];
    snprintf(variable, sizeof variable, "GRAYLING_FAULT=%s", fault);
    char *argv[] = {"/proc/self/exe", (char *)what, (char *)p->path, NULL};
    char *envp[] = {variable, NULL};
    struct gr_child child;
    assert_int_equal(gr_child_spawn(argv, envp, NULL, 0, &child, NULL), 0);
    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.pidfd);
    return status;
}

// A name whose sync failed is not left for somebody who would take it for durable; one that is
// there already is synced before it is called so.
static void what_is_published_lasts_or_is_not_there(void **state)
{
    struct place *p = *state;
    int status = run_under_fault(p, "publish", "fs.dirsync:1:error:EIO");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EIO);
    assert_int_equal(faccessat(p->fd, "f", F_OK, 0), -1);
    assert_int_equal(WEXITSTATUS(run_under_fault(p, "publish", "")), 0);
    assert_content(p, "f", "new");
    assert_int_equal(WEXITSTATUS(run_under_fault(p, "publish", "")), EEXIST);
    assert_int_equal(WEXITSTATUS(run_under_fault(p, "publish", "fs.dirsync:1:error:EIO")), EIO);
    assert_content(p, "f", "new"); // it was not ours to take away
    assert_int_equal(unlinkat(p->fd, "f", 0), 0);
    assert_int_equal(sweep(p), 0);
}

static const struct {
    const char *point, *content_after;
} steps[] = {
    {"fs.open", "old"},   {"fs.write", "old"},   {"fs.fsync", "old"},
    {"fs.rename", "old"}, {"fs.dirsync", "new"}, // only its durability is unknown
};

static void an_error_at_any_step_leaves_old_or_new(void **state)
{
    struct place *p = *state;
    for (size_t i = 0; i < GR_COUNT(steps); i++) {
        char fault[64];
        assert_int_equal(gr_fs_write_atomic(p->fd, "f", "old", 3, 0600), 0);
        snprintf(fault, sizeof fault, "%s:1:error:ENOSPC", steps[i].point);
        int status = run_under_fault(p, "write", fault);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), ENOSPC);
        assert_content(p, "f", steps[i].content_after);
        assert_int_equal(sweep(p), 0); // no temporary stays behind
    }
}

static void a_kill_at_any_step_leaves_old_or_new(void **state)
{
    struct place *p = *state;
    for (size_t i = 0; i < GR_COUNT(steps); i++) {
        char fault[64];
        assert_int_equal(gr_fs_write_atomic(p->fd, "f", "old", 3, 0600), 0);
        snprintf(fault, sizeof fault, "%s:1:kill", steps[i].point);
        int status = run_under_fault(p, "write", fault);
        assert_true(WIFSIGNALED(status));
        assert_content(p, "f", steps[i].content_after);
        assert_true(sweep(p) <= 1); // recognisable
    }
}
#endif

static int publish_new(int dir_fd)
{
    GR_AUTO_CLOSE int from = memfd_create("new", MFD_CLOEXEC);
    if (from < 0 || write(from, "new", 3) != 3)
        return -errno;
    return gr_fs_publish_fd(dir_fd, "f", from, 3, 0600);
}

static int child_main(const char *what, const char *path)
{
    int fd, r = gr_fs_open_dir(path, &fd);
    if (r == 0)
        r = strcmp(what, "write") == 0 ? gr_fs_write_atomic(fd, "f", "new", 3, 0600)
                                       : publish_new(fd);
    return -r;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return child_main(argv[1], argv[2]);
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(writes_replaces_and_sets_the_mode),
        T(names_that_leave_the_directory_are_refused),
        T(reading_follows_no_link_and_waits_for_no_fifo),
        T(reading_stops_at_the_cap),
        T(writing_replaces_a_link_and_not_its_target),
        T(publishing_copies_once_and_never_again),
        T(unlink_removes),
        T(mkdir_all_makes_the_whole_path),
#if GR_FAULT_POINTS
        T(an_error_at_any_step_leaves_old_or_new),
        T(a_kill_at_any_step_leaves_old_or_new),
        T(what_is_published_lasts_or_is_not_there),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
