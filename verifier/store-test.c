// The store: one content per name, evidence of damage, and what collecting may take.
#include "base/limits.h"
#include "verifier/store-write.h"
#include "verifier/testing/harness.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct test_bench bench;
static struct gr_store *store;

struct item { // a module's file with `content`
    struct gr_name module;
    struct gr_version version;
    struct gr_bytes *bytes;
    struct gr_store_key key;
};

static void item_init(struct item *i, const char *module, const char *version, const char *content)
{
    assert_int_equal(gr_name_parse(module, strlen(module), &i->module), 0);
    assert_int_equal(gr_version_parse(version, &i->version), 0);
    assert_int_equal(gr_bytes_new(1000, &i->bytes), 0);
    assert_int_equal(gr_bytes_append(i->bytes, content, strlen(content)), 0);
    assert_int_equal(gr_bytes_seal(i->bytes), 0);
    i->key = (struct gr_store_key){
        .module = &i->module, .version = &i->version, .digest = gr_bytes_digest(i->bytes)};
}

static void put(struct item *i)
{
    int fd;
    struct gr_error e;
    if (gr_store_put(store, &i->key, i->bytes, &fd, &e) < 0)
        fail_msg("%s", e.message);
    close(fd);
}

static bool has(const struct item *i)
{
    int fd;
    if (gr_store_get(store, &i->key, &fd) < 0)
        return false;
    close(fd);
    return true;
}

static void a_name_has_one_content(void **state)
{
    struct item i;
    struct stat before, after;
    char aside[600];
    (void)state;
    item_init(&i, "pay", "1.0.0-rc.1+build.7", "content");
    assert_false(has(&i));
    put(&i);
    GR_AUTO_FREE char *path = NULL;
    assert_int_equal(gr_store_path(store, &i.key, &path), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0444);
    put(&i); // again: found, hashed, not rewritten
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    // somebody changed it: evidence, and a fresh file
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(truncate(path, 3), 0);
    put(&i);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, 7);
    snprintf(aside, sizeof aside, "%s.damaged", path);
    assert_int_equal(stat(aside, &before), 0);
    assert_int_equal(before.st_size, 3);
    // a link of that name is not followed
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    put(&i);
    assert_int_equal(lstat(path, &after), 0);
    assert_true(S_ISREG(after.st_mode));
    gr_bytes_free(i.bytes);
}

_Static_assert(GR_STORE_COPIES_MAX == GR_STORE_KEEP_COUNT, "the test of copies counts on it");

static void collecting_keeps_the_newest_and_the_needed(void **state)
{
    enum { EXTRA = 3, N = GR_STORE_KEEP_COUNT + EXTRA };
    struct item items[N], other;
    (void)state;
    item_init(&other, "pay-extra", "1.0.0", "other");
    put(&other);
    for (int i = 0; i < N; i++) {
        char version[32], *path;
        struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        snprintf(version, sizeof version, "1.0.%d", i);
        item_init(&items[i], "auth", version, version);
        put(&items[i]);
        assert_int_equal(gr_store_path(store, &items[i].key, &path), 0);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        free(path);
    }
    // the oldest is needed, so that it does not count; of the others the newest stay
    assert_int_equal(gr_store_collect(store, items[0].key.digest, 1), EXTRA - 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(has(&items[i]), i == 0 || i >= EXTRA);
    assert_true(has(&other));
    assert_int_equal(gr_store_collect(store, items[0].key.digest, 1), 0);
    for (int i = 0; i < N; i++)
        gr_bytes_free(items[i].bytes);
    gr_bytes_free(other.bytes);
}

// A needed digest keeps its copies; those of another count as files of their module.
static void copies_are_collected_like_the_others(void **state)
{
    struct item old, needed;
    (void)state;
    item_init(&old, "cart", "1.0.0", "old");
    item_init(&needed, "cart", "2.0.0-0123456789abcdef.1", "needed");
    assert_true(gr_store_collect(store, NULL, 0) >= 0); // of other tests
    for (unsigned copy = 0; copy < GR_STORE_COPIES_MAX; copy++) {
        old.key.copy = needed.key.copy = copy;
        put(&old);
        put(&needed);
    }
    assert_int_equal(gr_store_collect(store, needed.key.digest, 1), 0);
    struct item newer;
    item_init(&newer, "cart", "1.1.0", "newer");
    put(&newer);
    assert_int_equal(gr_store_collect(store, needed.key.digest, 1), 1);
    unsigned left = 0;
    for (old.key.copy = 0; old.key.copy < GR_STORE_COPIES_MAX; old.key.copy++)
        left += has(&old);
    assert_int_equal(left, GR_STORE_COPIES_MAX - 1);
    for (needed.key.copy = 0; needed.key.copy < GR_STORE_COPIES_MAX; needed.key.copy++)
        assert_true(has(&needed));
    assert_true(has(&newer));
    gr_bytes_free(old.bytes);
    gr_bytes_free(needed.bytes);
    gr_bytes_free(newer.bytes);
}

#define NO_MOUNTS 77

// In a child with mounts of its own. A failed assertion does not come back.
static int fill_a_small_disk(void)
{
    char at[256], inside[256], options[64];
    struct gr_store *small = NULL;
    struct gr_error e;
    struct item first, second;
    int fd = -1;
    snprintf(options, sizeof options, "size=%u", GR_STORE_MARGIN_BYTES + 16 * 4096);
    assert_int_equal(mkdir(test_path(&bench, "small", at), 0755), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", at, "tmpfs", 0, options) < 0)
        return NO_MOUNTS;
    assert_int_equal(gr_store_open(test_path(&bench, "small/store", inside), &small, &e), 0);
    item_init(&first, "pay", "1.0.0", "fits above the margin");
    assert_int_equal(gr_store_put(small, &first.key, first.bytes, &fd, &e), 0);
    close(fd);
    static const char pages[16 * 4096];
    test_write(&bench, "small/other", pages, sizeof pages - 4096);
    item_init(&second, "pay", "2.0.0", "does not");
    assert_int_equal(gr_store_put(small, &second.key, second.bytes, &fd, &e), -ENOSPC);
    TEST_ASSERT_ERROR(&e, GR_REASON_DISK_FULL, "pay 2.0.0", "it has 8 bytes", "4194304 of them",
                      "make room there");
    assert_true(e.retryable);
    const struct gr_store_write_options by_child = {
        .store = small, .key = second.key, .bytes = second.bytes};
    struct gr_store_write *w;
    e = (struct gr_error){0};
    assert_int_equal(gr_store_write_start(&by_child, &w, &e), -ENOSPC);
    TEST_ASSERT_ERROR(&e, GR_REASON_DISK_FULL, "pay 2.0.0", "make room there");
    assert_int_equal(gr_store_get(small, &second.key, &fd), -ENOENT);
    assert_int_equal(gr_store_get(small, &first.key, &fd), 0);
    return 42;
}

static void the_end_of_the_disk_is_left_to_the_journal(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fill_a_small_disk());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_MOUNTS)
        skip();
    assert_int_equal(WEXITSTATUS(status), 42);
}

static int set_up(void **state)
{
    char path[256];
    struct gr_error e;
    (void)state;
    test_bench_init(&bench);
    return gr_store_open(test_path(&bench, "a/b/store", path), &store, &e);
}

static int tear_down(void **state)
{
    (void)state;
    gr_store_close(store);
    test_bench_done(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_the_disk_is_left_to_the_journal),
        cmocka_unit_test(a_name_has_one_content),
        cmocka_unit_test(collecting_keeps_the_newest_and_the_needed),
        cmocka_unit_test(copies_are_collected_like_the_others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
