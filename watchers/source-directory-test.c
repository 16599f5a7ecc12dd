// The directory source on a real directory: what is one snapshot, whose revisions move, and what
// comes and goes.
#include "base/clock.h"
#include "base/limits.h"
#include "watchers/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
// after its needs
#include <cmocka.h>

struct world {
    char top[64], dir[80];
    sd_event *event;
    struct gr_source *source;
    struct gr_snapshot *snapshot;
    unsigned n_snapshots, n_healths;
    struct gr_source_health health;
};

static void on_snapshot(void *userdata, const struct gr_snapshot *s)
{
    struct world *w = userdata;
    gr_snapshot_free(w->snapshot);
    w->snapshot = NULL;
    assert_int_equal(gr_snapshot_copy(s, &w->snapshot), 0);
    w->n_snapshots++;
}

static void on_health(void *userdata, const struct gr_source_health *h)
{
    struct world *w = userdata;
    w->health = *h;
    w->n_healths++;
}

static void follow(struct world *w)
{
    struct gr_source_callbacks cb = {.snapshot = on_snapshot, .health = on_health, .userdata = w};
    assert_int_equal(gr_source_directory_new(w->event, w->dir, &cb, &w->source, NULL), 0);
    assert_int_equal(gr_source_start(w->source, NULL), 0);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->top, "/tmp/grayling-directory-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    snprintf(w->dir, sizeof w->dir, "%s/modules.d", w->top);
    assert_int_equal(mkdir(w->dir, 0755), 0);
    assert_true(sd_event_new(&w->event) >= 0);
    *state = w;
    return 0;
}

static void remove_files(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    if (d)
        closedir(d);
    (void)rmdir(path);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    gr_source_free(w->source);
    gr_snapshot_free(w->snapshot);
    sd_event_unref(w->event);
    remove_files(w->dir);
    assert_int_equal(rmdir(w->top), 0);
    free(w);
    return 0;
}

// Every wait ends by an event; ten seconds without any is a failure.
#define UNTIL(w, condition)                                                                        \
    while (!(condition))                                                                           \
    assert_true(sd_event_run((w)->event, 10 * GR_USEC_PER_SEC) > 0)

static void put(const struct world *w, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void move(const struct world *w, const char *from, const char *to)
{
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/%s", w->dir, from);
    snprintf(b, sizeof b, "%s/%s", w->dir, to);
    assert_int_equal(rename(a, b), 0);
}

static void drop(const struct world *w, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    assert_int_equal(unlink(path), 0);
}

static const struct gr_entry *entry(const struct world *w, const char *module)
{
    struct gr_name name;
    assert_int_equal(gr_name_parse(module, strlen(module), &name), 0);
    return w->snapshot ? gr_snapshot_find(w->snapshot, &name) : NULL;
}

static bool has(const struct world *w, const char *module, const char *value)
{
    const struct gr_entry *e = entry(w, module);
    return value ? e && e->value && !strcmp(e->value, value) : !e;
}

static void a_file_is_a_document(void **state)
{
    struct world *w = *state;
    put(w, "pay.json", "{\"a\":1}");
    put(w, "README", "no document");
    put(w, ".hidden.json", "no document");
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    assert_true(w->health.up);
    assert_int_equal(w->snapshot->n, 1);
    assert_int_equal(w->snapshot->cluster_id, 0);
    assert_true(has(w, "pay", "{\"a\":1}"));
    int64_t revision = w->snapshot->revision, mod = entry(w, "pay")->mod_revision;
    assert_true(mod > 0 && revision >= mod);
    put(w, "pay.json", "{\"a\":2}");
    UNTIL(w, has(w, "pay", "{\"a\":2}"));
    assert_true(w->snapshot->revision > revision);
    assert_true(entry(w, "pay")->mod_revision > mod);
    drop(w, "pay.json");
    UNTIL(w, has(w, "pay", NULL));
    assert_int_equal(w->n_snapshots, 3);
}

static void an_editor_that_renames_over_is_seen(void **state)
{
    struct world *w = *state;
    put(w, "pay.json", "{\"a\":1}");
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    put(w, "pay.json~", "{\"a\":2}");
    move(w, "pay.json~", "pay.json");
    UNTIL(w, has(w, "pay", "{\"a\":2}"));
    assert_int_equal(w->n_snapshots, 2);
}

// A writer that has opened, truncated and half written its file; another file changes meanwhile.
static void a_file_that_is_being_written_is_waited_for(void **state)
{
    struct world *w = *state;
    char path[256];
    put(w, "pay.json", "{\"a\":1}");
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    snprintf(path, sizeof path, "%s/pay.json", w->dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs("{\"a\"", f) >= 0 && fflush(f) == 0);
    put(w, "auth.json", "{}");
    while (sd_event_run(w->event, 0) > 0) // all the news is taken, and a read would have been done
        continue;
    assert_true(fputs(":2}", f) >= 0 && fclose(f) == 0);
    UNTIL(w, has(w, "pay", "{\"a\":2}"));
    assert_int_equal(w->n_snapshots, 2); // half a document was never shown
    assert_true(has(w, "auth", "{}"));
}

static void a_batch_is_one_snapshot(void **state)
{
    struct world *w = *state;
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    put(w, "release.json", "{\"modules\":{\"pay\":{\"a\":1},\"auth\":{\"b\":2}}}");
    UNTIL(w, w->n_snapshots == 2);
    assert_int_equal(w->snapshot->n, 2);
    assert_true(has(w, "pay", "{\"a\":1}") && has(w, "auth", "{\"b\":2}"));
    int64_t pay = entry(w, "pay")->mod_revision, auth = entry(w, "auth")->mod_revision;
    assert_int_equal(pay, auth);
    put(w, "release.json", "{\"modules\":{\"pay\":{\"a\":1},\"auth\":{\"b\":3}}}");
    UNTIL(w, w->n_snapshots == 3);
    assert_int_equal(entry(w, "pay")->mod_revision, pay); // same bytes
    assert_true(entry(w, "auth")->mod_revision > auth);
}

// Files that one clock tick saw are still transactions of their own; a batch is one, with what left
// it.
static void a_file_is_what_a_transaction_is(void **state)
{
    struct world *w = *state;
    char name[32], module[16];
    put(w, "batch.json", "{\"modules\":{\"pay\":{},\"auth\":{},\"old\":{}}}");
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "m%d.json", i);
        put(w, name, "{}");
    }
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    for (int i = 0; i < 30; i++)
        for (int k = 0; k < i; k++) {
            snprintf(name, sizeof name, "m%d", i);
            snprintf(module, sizeof module, "m%d", k);
            assert_true(entry(w, name)->mod_revision != entry(w, module)->mod_revision);
        }
    assert_int_equal(entry(w, "pay")->mod_revision, entry(w, "auth")->mod_revision);
    assert_int_equal(w->snapshot->n_gone, 0);
    put(w, "batch.json", "{\"modules\":{\"pay\":{\"a\":1},\"auth\":{}}}");
    UNTIL(w, has(w, "pay", "{\"a\":1}"));
    assert_int_equal(w->snapshot->n_gone, 1);
    assert_string_equal(w->snapshot->gone[0].module.s, "old");
    assert_int_equal(w->snapshot->gone[0].revision, entry(w, "pay")->mod_revision);
    int64_t revision = w->snapshot->revision;
    drop(w, "m1.json");
    UNTIL(w, has(w, "m1", NULL));
    assert_int_equal(w->snapshot->n_gone, 2);
    assert_string_equal(w->snapshot->gone[1].module.s, "m1");
    assert_true(w->snapshot->gone[1].revision > revision &&
                w->snapshot->gone[1].revision <= w->snapshot->revision);
    put(w, "m1.json", "{}");
    UNTIL(w, has(w, "m1", "{}"));
    assert_int_equal(w->snapshot->n_gone, 1);
}

static void what_cannot_be_used_spoils_itself_only(void **state)
{
    struct world *w = *state;
    char *big = malloc(GR_DOCUMENT_BYTES_MAX + 2);
    memset(big, ' ', GR_DOCUMENT_BYTES_MAX + 1);
    big[GR_DOCUMENT_BYTES_MAX + 1] = '\0';
    put(w, "big.json", big);
    free(big);
    put(w, "Bad Name.json", "{}");
    put(w, "twice.json", "{}");
    put(w, "batch.json", "{\"modules\":{\"twice\":{}}}");
    put(w, "pay.json", "{\"broken\"");
    char link[256];
    snprintf(link, sizeof link, "%s/link.json", w->dir);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    assert_int_equal(w->snapshot->n, 5);
    assert_int_equal(entry(w, "big")->error.reason, GR_REASON_TOO_LARGE);
    assert_int_equal(w->snapshot->entries[0].error.reason, GR_REASON_DOCUMENT_INVALID);
    assert_non_null(strstr(w->snapshot->entries[0].error.message, "Bad Name"));
    assert_non_null(strstr(entry(w, "twice")->error.message, "more than one"));
    assert_null(entry(w, "twice")->value);
    assert_int_equal(entry(w, "link")->error.reason, GR_REASON_DOCUMENT_INVALID);
    assert_null(entry(w, "link")->value);
    assert_string_equal(entry(w, "pay")->value, "{\"broken\""); // judged by its decoder
}

static void a_missing_directory_is_an_outage_and_no_order(void **state)
{
    struct world *w = *state;
    put(w, "pay.json", "{}");
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    char away[80];
    snprintf(away, sizeof away, "%s/away", w->top);
    assert_int_equal(rename(w->dir, away), 0);
    UNTIL(w, !w->health.up);
    assert_int_equal(w->health.reason, GR_REASON_SOURCE_UNREACHABLE);
    assert_non_null(strstr(w->health.message, w->dir));
    assert_int_equal(w->n_snapshots, 1);
    assert_int_equal(mkdir(w->dir, 0755), 0);
    UNTIL(w, w->health.up);
    UNTIL(w, w->n_snapshots == 2);
    assert_int_equal(w->snapshot->n, 0);
    put(w, "auth.json", "{}");
    UNTIL(w, has(w, "auth", "{}"));
    remove_files(away);
}

static void a_directory_that_comes_later_is_waited_for(void **state)
{
    struct world *w = *state;
    assert_int_equal(rmdir(w->dir), 0);
    assert_int_equal(rmdir(w->top), 0); // its parent, too
    follow(w);
    UNTIL(w, w->n_healths);
    assert_false(w->health.up);
    assert_int_equal(mkdir(w->top, 0755), 0);
    assert_int_equal(mkdir(w->dir, 0755), 0);
    put(w, "pay.json", "{}");
    UNTIL(w, w->health.up && has(w, "pay", "{}"));
}

static void revisions_survive_a_restart(void **state)
{
    struct world *w = *state;
    put(w, "pay.json", "{}");
    follow(w);
    UNTIL(w, w->n_snapshots == 1);
    int64_t revision = w->snapshot->revision, mod = entry(w, "pay")->mod_revision;
    gr_source_free(w->source);
    follow(w);
    UNTIL(w, w->n_snapshots == 2);
    assert_true(w->snapshot->revision == revision && entry(w, "pay")->mod_revision == mod);
    gr_source_free(gr_steal(w->source));
    put(w, "pay.json", "{\"a\":1}");
    follow(w);
    UNTIL(w, w->n_snapshots == 3);
    assert_true(w->snapshot->revision >= revision && entry(w, "pay")->mod_revision >= mod);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_file_is_a_document),
        T(an_editor_that_renames_over_is_seen),
        T(a_file_that_is_being_written_is_waited_for),
        T(a_batch_is_one_snapshot),
        T(a_file_is_what_a_transaction_is),
        T(what_cannot_be_used_spoils_itself_only),
        T(a_missing_directory_is_an_outage_and_no_order),
        T(a_directory_that_comes_later_is_waited_for),
        T(revisions_survive_a_restart),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
