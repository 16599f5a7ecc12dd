// Documents from files into a directory: names, batches, comparison, lost races.
#include "base/fs.h"
#include "base/json.h"
#include "cli/document.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define RELEASE(version)                                                                           \
    "\"version\":\"" version "\",\"version_hash\":\"sha256:" ZEROS                                 \
    "\",\"source\":\"https://a.example/x.so\""

static char input[64], wanted[64];
static struct gr_docstore *store;
static struct gr_error e;

static const char *file(const char *dir, const char *name)
{
    static char path[192];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *put_file(const char *dir, const char *name, const char *text)
{
    FILE *f = fopen(file(dir, name), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return file(dir, name);
}

static void assert_file_has(const char *name, const char *part)
{
    struct gr_buf b = GR_BUF(1 << 20);
    GR_AUTO_CLOSE int fd = -1;
    assert_int_equal(gr_fs_open_dir(wanted, &fd), 0);
    assert_int_equal(gr_fs_read(fd, name, &b), 0);
    if (!strstr(b.data, part))
        fail_msg("expected %s in %s: %s", part, name, b.data);
    gr_buf_done(&b);
}

static void assert_refused(struct gr_documents *d, const char *path, int code, const char *part)
{
    assert_int_equal(gr_documents_read(d, path, &e), code);
    if (!strstr(e.message, part))
        fail_msg("expected \"%s\" in: %s", part, e.message);
}

static void test_names(void **state)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    (void)state;
    assert_int_equal(
        gr_documents_read(&d, put_file(input, "pay.json", "{" RELEASE("1.0.0") "}"), &e), 0);
    assert_int_equal(
        gr_documents_read(
            &d, put_file(input, "x y.json", "{\"module\":\"auth\"," RELEASE("1.0.0") "}"), &e),
        0);
    assert_int_equal(gr_documents_read(&d,
                                       put_file(input, "b.json",
                                                "{\"modules\":{\"one\":{" RELEASE(
                                                    "1.0.0") "},\"two\":{" RELEASE("2.0.0") "}}}"),
                                       &e),
                     0);
    assert_int_equal(d.n, 4);
    assert_string_equal(d.items[0].module.s, "pay");
    assert_string_equal(d.items[1].module.s, "auth");
    assert_null(gr_json_get(d.items[1].json, "module"));
    assert_string_equal(d.items[3].module.s, "two");
    assert_refused(&d, put_file(input, "pay.json", "{" RELEASE("1.0.0") "}"), -EEXIST,
                   "two documents are for pay");
}

static void test_bad_files(void **state)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    (void)state;
    assert_refused(&d, put_file(input, "Pay 1.json", "{" RELEASE("1.0.0") "}"), -EINVAL,
                   "does not say for which module");
    assert_refused(&d, put_file(input, "pay.json", "{" RELEASE("1.0.0") ",\"stratgy\":{}}"),
                   -EINVAL, "stratgy");
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    assert_refused(&d, put_file(input, "pay.json", "{" RELEASE("1.0.0")), -EINVAL, "pay.json");
    assert_refused(&d, put_file(input, "pay.json", "{\"version\":\"1.0.0\",\"version\":\"1.0.0\"}"),
                   -EINVAL, "version");
    assert_refused(&d, file(input, "absent.json"), -ENOENT, "absent.json");
    assert_int_equal(d.n, 0);
}

static void read_pay(struct gr_documents *d, const char *text)
{
    assert_int_equal(gr_documents_read(d, put_file(input, "pay.json", text), &e), 0);
}

static void test_write_compare_write(void **state)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents first = {0}, same = {0}, next = {0};
    int64_t revision = 0, later = 0;
    (void)state;
    read_pay(&first, "{" RELEASE("1.0.0") "}");
    assert_int_equal(gr_document_sign(&first.items[0], "alice", "PAY-1", &e), 0);
    assert_int_equal(gr_documents_compare(&first, store, -1, &e), 0);
    assert_true(first.items[0].changed);
    assert_int_equal(gr_documents_write(&first, store, &revision, &e), 0);
    assert_true(revision > 0);
    assert_file_has("pay.json", "\"alice\"");

    read_pay(&same, "{" RELEASE("1.0.0") "}"); // who wrote it is no difference
    assert_int_equal(gr_documents_compare(&same, store, -1, &e), 0);
    assert_false(same.items[0].changed);
    assert_int_equal(gr_documents_write(&same, store, &later, &e), 0);
    assert_int_equal(later, 0);

    read_pay(&next, "{" RELEASE("1.1.0") "}");
    assert_int_equal(gr_documents_compare(&next, store, revision, &e), 0);
    assert_int_equal(gr_documents_write(&next, store, &later, &e), 0);
    assert_true(later > revision);
    assert_file_has("pay.json", "1.1.0");
}

static void test_lost_race_says_who_won(void **state)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents mine = {0}, theirs = {0}, late = {0};
    int64_t revision;
    (void)state;
    read_pay(&mine, "{" RELEASE("3.0.0") "}");
    assert_int_equal(gr_documents_compare(&mine, store, -1, &e), 0);
    read_pay(&theirs, "{" RELEASE("4.0.0") ",\"actor\":\"bob\"}");
    assert_int_equal(gr_documents_compare(&theirs, store, -1, &e), 0);
    assert_int_equal(gr_documents_write(&theirs, store, &revision, &e), 0);
    assert_int_equal(gr_documents_write(&mine, store, &revision, &e), -EBUSY);
    assert_non_null(strstr(e.message, "bob"));
    assert_non_null(strstr(e.message, "4.0.0"));
    assert_file_has("pay.json", "4.0.0");
    read_pay(&late, "{" RELEASE("5.0.0") "}");
    assert_int_equal(gr_documents_compare(&late, store, 0, &e),
                     -EBUSY); // --if-revision 0: must not exist
}

static void test_module_in_a_batch_file_is_changed_there(void **state)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    int64_t revision;
    (void)state;
    put_file(wanted, "all.json",
             "{\"modules\":{\"one\":{" RELEASE("1.0.0") "},\"two\":{" RELEASE("1.0.0") "}}}");
    assert_int_equal(
        gr_documents_read(&d, put_file(input, "two.json", "{" RELEASE("2.0.0") "}"), &e), 0);
    assert_int_equal(gr_documents_compare(&d, store, -1, &e), 0);
    assert_true(d.items[0].now.present);
    assert_int_equal(gr_documents_write(&d, store, &revision, &e), 0);
    assert_file_has("all.json", "\"2.0.0\"");
    assert_file_has("all.json", "\"one\"");
    assert_int_equal(access(file(wanted, "two.json"), F_OK), -1);
}

static void test_diff(void **state)
{
    char *text;
    size_t len;
    (void)state;
    GR_AUTO_JSON cJSON *before =
        cJSON_Parse("{\"version\":\"1.0.0\",\"size\":3,\"config\":{\"a\":1}}");
    GR_AUTO_JSON cJSON *after =
        cJSON_Parse("{\"version\":\"1.1.0\",\"size\":3,\"actor\":\"alice\"}");
    FILE *f = open_memstream(&text, &len);
    gr_document_print_diff(f, before, after);
    fclose(f);
    assert_string_equal(text, "  version: \"1.0.0\" -> \"1.1.0\"\n  actor: (none) -> \"alice\"\n  "
                              "config: {\"a\":1} -> (none)\n");
    free(text);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(input, "/tmp/gr-input-XXXXXX");
    strcpy(wanted, "/tmp/gr-wanted-XXXXXX");
    return !mkdtemp(input) || !mkdtemp(wanted) || gr_docstore_directory_new(wanted, &store, &e) < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    char command[192];
    (void)state;
    gr_docstore_free(store);
    snprintf(command, sizeof command, "rm -r %s %s", input, wanted);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_write_compare_write),
        cmocka_unit_test(test_lost_race_says_who_won),
        cmocka_unit_test(test_module_in_a_batch_file_is_changed_there),
        cmocka_unit_test(test_diff),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
