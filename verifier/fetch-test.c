// Fetching against real files and a server that misbehaves: which reason each gets, and that
// nothing but the right bytes comes through.
#include "base/limits.h"
#include "verifier/fetch.h"
#include "verifier/testing/harness.h"
#include "verifier/testing/http-server.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char body[100000];
static struct test_bench bench;
static struct test_server *server;

struct outcome {
    bool done;
    struct gr_bytes *bytes;
    struct gr_error e;
};

static void on_done(void *userdata, struct gr_bytes *bytes, const struct gr_error *e)
{
    struct outcome *o = userdata;
    o->done = true;
    o->bytes = bytes;
    if (e)
        o->e = *e;
}

struct wish {
    const char *hosts, *sources[3];
    const struct gr_digest *digest; // NULL: the body's
    uint64_t size, max_bytes, timeout_usec;
};

// True: the right bytes came. False: *e says why not.
static bool fetch(const struct wish *w, struct gr_error *e)
{
    struct gr_policy *policy;
    struct outcome o = {0};
    struct gr_fetch *f = NULL;
    char roots[256];
    const char *sources[3];
    char urls[3][256];
    struct gr_digest right = test_digest(body, sizeof body);
    size_t n = 0;
    snprintf(roots, sizeof roots, "%s/in", bench.dir);
    for (; n < 3 && w->sources[n]; n++) { // "/x": from the server; "in/x": a file
        if (w->sources[n][0] == '/')
            snprintf(urls[n], sizeof urls[n], "http://127.0.0.1:%u%s", test_server_port(server),
                     w->sources[n]);
        else
            snprintf(urls[n], sizeof urls[n], "file://%s/%s", bench.dir, w->sources[n]);
        sources[n] = urls[n];
    }
    assert_int_equal(
        gr_policy_new("http file", w->hosts ? w->hosts : "127.0.0.1", roots, &policy, e), 0);
    struct gr_fetch_options options = {
        .event = bench.event,
        .transport = bench.transport,
        .policy = policy,
        .sources = sources,
        .n_sources = n,
        .digest = w->digest ? w->digest : &right,
        .size = w->size,
        .max_bytes = w->max_bytes ? w->max_bytes : 1u << 20,
        .deadline.usec =
            gr_mono_now().usec + (w->timeout_usec ? w->timeout_usec : GR_FETCH_USEC_MAX),
        .done = on_done,
        .userdata = &o,
    };
    int r = gr_fetch_new(&options, &f, e);
    gr_policy_unref(policy);
    if (r < 0)
        return false;
    assert_int_equal(gr_fetch_begin(f), 0);
    assert_false(o.done);
    test_bench_run(&bench, &o.done);
    if (o.bytes) {
        assert_int_equal(gr_bytes_size(o.bytes), sizeof body);
        assert_memory_equal(gr_bytes_data(o.bytes), body, sizeof body);
    }
    bool ok = o.bytes;
    *e = o.e;
    gr_bytes_free(o.bytes);
    gr_fetch_free(f);
    return ok;
}

static void files_arrive(void **state)
{
    struct gr_error e;
    (void)state;
    assert_true(fetch(&(struct wish){.sources = {"in/good.so"}}, &e));
    assert_true(fetch(&(struct wish){.sources = {"in/good.so"}, .size = sizeof body}, &e));
    assert_true(fetch(&(struct wish){.sources = {"in/missing.so", "in/good.so"}}, &e));
}

static void doubtful_files_are_refused(void **state)
{
    struct gr_error e;
    (void)state;
    assert_false(fetch(&(struct wish){.sources = {"in/link.so"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "symbolic link", "put the file");
    assert_false(fetch(&(struct wish){.sources = {"in/linked/good.so"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "symbolic link");
    assert_false(fetch(&(struct wish){.sources = {"in/../secret.so"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "\"..\"");
    assert_false(fetch(&(struct wish){.sources = {"secret.so"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "FileRoots=");
    assert_false(fetch(&(struct wish){.sources = {"in/fifo"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "regular file");
    assert_false(fetch(&(struct wish){.sources = {"in"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "FileRoots=");
    assert_false(fetch(&(struct wish){.sources = {"in/missing.so"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "does not exist", "put the file there");
    assert_false(e.retryable);
}

static void sizes_are_kept(void **state)
{
    struct gr_error e;
    (void)state;
    assert_false(fetch(&(struct wish){.sources = {"in/good.so"}, .max_bytes = 1000}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_TOO_LARGE, "1000 bytes", "MaxBytes=");
    assert_false(fetch(&(struct wish){.sources = {"in/good.so"}, .size = 1000}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_TOO_LARGE, "1000 bytes", "document declares");
    assert_false(fetch(&(struct wish){.sources = {"in/good.so"}, .size = 100001}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "100000 bytes", "declares 100001");
    assert_false(
        fetch(&(struct wish){.sources = {"in/good.so"}, .size = 2000, .max_bytes = 1000}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_TOO_LARGE, "declares 2000", "allows 1000");
}

static void wrong_bytes_are_named(void **state)
{
    struct gr_error e;
    struct gr_digest other = test_digest("other", 5);
    char expected[GR_DIGEST_TEXT_MAX], actual[GR_DIGEST_TEXT_MAX];
    struct gr_digest right = test_digest(body, sizeof body);
    (void)state;
    assert_false(fetch(&(struct wish){.sources = {"in/good.so"}, .digest = &other}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_DIGEST_MISMATCH, gr_digest_format(&other, expected),
                      gr_digest_format(&right, actual), "version_hash");
    assert_false(e.retryable);
    // a mirror with the right ones makes up for it
    assert_true(fetch(&(struct wish){.sources = {"in/other.so", "in/good.so"}}, &e));
}

static void http_arrives(void **state)
{
    struct gr_error e;
    (void)state;
    assert_true(fetch(&(struct wish){.sources = {"/good"}, .size = sizeof body}, &e));
    assert_true(fetch(&(struct wish){.sources = {"/moved"}}, &e));
    unsigned before = test_server_hits(server);
    assert_true(fetch(&(struct wish){.sources = {"/flaky"}}, &e)); // 503 first
    assert_int_equal(test_server_hits(server) - before, 2);
    assert_true(fetch(&(struct wish){.sources = {"/missing", "/truncated", "/good"}}, &e));
}

static void http_fails_with_its_reason(void **state)
{
    struct gr_error e;
    (void)state;
    unsigned before = test_server_hits(server);
    assert_false(fetch(&(struct wish){.sources = {"/missing"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "/missing", "404", "200");
    assert_false(e.retryable);
    assert_int_equal(test_server_hits(server) - before, 1); // trying again cannot help
    before = test_server_hits(server);
    assert_false(fetch(&(struct wish){.sources = {"/truncated"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "/truncated", "50000 bytes");
    assert_true(e.retryable);
    assert_int_equal(test_server_hits(server) - before, GR_FETCH_ATTEMPTS_MAX);
    assert_false(fetch(&(struct wish){.sources = {"/reset"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "/reset", "broke off");
    assert_false(fetch(&(struct wish){.sources = {"/half"}, .size = sizeof body}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "50000 bytes", "declares 100000");
    assert_false(fetch(&(struct wish){.sources = {"/half"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_DIGEST_MISMATCH, "50000 bytes");
    assert_false(fetch(&(struct wish){.sources = {"/endless"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_TOO_LARGE, "1048576 bytes", "MaxBytes=");
    assert_false(fetch(&(struct wish){.sources = {"/endless"}, .size = sizeof body}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_TOO_LARGE, "100000 bytes", "document declares");
    assert_false(fetch(&(struct wish){.sources = {"/slow"}, .timeout_usec = 200000}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_TIMEOUT, "/slow", "0 bytes");
    assert_true(e.retryable);
}

static void redirects_are_judged(void **state)
{
    struct gr_error e;
    (void)state;
    unsigned before = test_server_hits(server);
    assert_false(fetch(&(struct wish){.sources = {"/loop"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_FETCH_FAILED, "/loop", "more than 4 times", "final address");
    assert_int_equal(test_server_hits(server) - before, GR_REDIRECTS_MAX + 1);
    assert_false(fetch(&(struct wish){.sources = {"/to-private"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "10.0.0.1", "private",
                      "AllowHosts=", "redirected from", "/to-private");
    assert_false(fetch(&(struct wish){.sources = {"/to-file"}}, &e));
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "from http to file");
    before = test_server_hits(server);
    assert_true(fetch(&(struct wish){.sources = {"/to-name"}}, &e)); // the address is named
    assert_int_equal(test_server_hits(server) - before, 2);
}

// The name is allowed to be asked for, and resolves to an address that is not: what a rebinding
// name server does.
static void names_do_not_get_around_addresses(void **state)
{
    struct gr_policy *policy;
    struct gr_error e;
    struct outcome o = {0};
    struct gr_fetch *f;
    char url[64];
    const char *source = url;
    struct gr_digest right = test_digest(body, sizeof body);
    (void)state;
    snprintf(url, sizeof url, "http://localhost:%u/good", test_server_port(server));
    assert_int_equal(gr_policy_new("http", "", "", &policy, &e), 0);
    unsigned before = test_server_hits(server);
    assert_int_equal(gr_fetch_new(
                         &(struct gr_fetch_options){
                             .event = bench.event,
                             .transport = bench.transport,
                             .policy = policy,
                             .sources = &source,
                             .n_sources = 1,
                             .digest = &right,
                             .max_bytes = 1u << 20,
                             .deadline.usec = gr_mono_now().usec + GR_FETCH_USEC_MAX,
                             .done = on_done,
                             .userdata = &o,
                         },
                         &f, &e),
                     0);
    gr_policy_unref(policy);
    assert_int_equal(gr_fetch_begin(f), 0);
    test_bench_run(&bench, &o.done);
    TEST_ASSERT_ERROR(&o.e, GR_REASON_SOURCE_REFUSED, "localhost", "loopback", "AllowHosts=");
    assert_int_equal(test_server_hits(server), before);
    gr_fetch_free(f);
}

// As under RestrictSUIDSGID=. Comes last: a filter stays.
static void files_are_judged_alike_without_openat2(void **state)
{
    test_deny_openat2(ENOSYS);
    files_arrive(state);
    doubtful_files_are_refused(state);
}

static int set_up(void **state)
{
    char path[256], other[256];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)(i * 31 + i / 251);
    test_bench_init(&bench);
    server = test_server_start(body, sizeof body);
    assert_int_equal(mkdir(test_path(&bench, "in", path), 0755), 0);
    test_write(&bench, "in/good.so", body, sizeof body);
    test_write(&bench, "in/other.so", "other", 5);
    test_write(&bench, "secret.so", body, sizeof body);
    assert_int_equal(
        symlink(test_path(&bench, "secret.so", path), test_path(&bench, "in/link.so", other)), 0);
    assert_int_equal(symlink(test_path(&bench, "in", path), test_path(&bench, "in/linked", other)),
                     0);
    assert_int_equal(mkfifo(test_path(&bench, "in/fifo", path), 0644), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_server_stop(server);
    test_bench_done(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_arrive),
        cmocka_unit_test(doubtful_files_are_refused),
        cmocka_unit_test(sizes_are_kept),
        cmocka_unit_test(wrong_bytes_are_named),
        cmocka_unit_test(http_arrives),
        cmocka_unit_test(http_fails_with_its_reason),
        cmocka_unit_test(redirects_are_judged),
        cmocka_unit_test(names_do_not_get_around_addresses),
        cmocka_unit_test(files_are_judged_alike_without_openat2),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
