// Whole verifications for tests.
#include "verifier/testing/pipeline.h"
#include "base/limits.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct configuration {
    char store[256], roots[700];
    struct gr_verifier_config c;
};

static void configure(const struct test_bench *b, bool sealed, struct configuration *ret)
{
    GR_AUTO_FREE char *modules = test_built("modules");
    test_path(b, "store", ret->store);
    snprintf(ret->roots, sizeof ret->roots, "%s %s /usr/lib /bin", b->dir,
             modules ? modules : "/nonexistent");
    ret->c = (struct gr_verifier_config){.store_dir = ret->store,
                                         .allow_schemes = "file",
                                         .file_roots = ret->roots,
                                         .max_bytes = GR_ARTIFACT_BYTES_DEFAULT,
                                         .sealed_modules = sealed};
}

int test_verifier_new(struct test_bench *b, struct gr_verifier **ret, struct gr_error *e)
{
    struct configuration c;
    configure(b, false, &c);
    return gr_verifier_new(b->event, b->transport, &c.c, ret, e);
}

void test_verifier_seal(struct test_bench *b, struct gr_verifier *v, bool sealed)
{
    struct configuration c;
    configure(b, sealed, &c);
    assert_int_equal(gr_verifier_reconfigure(v, &c.c, NULL), 0);
}

static void on_station(void *userdata, enum gr_verify_station s)
{
    ((struct test_outcome *)userdata)->stations |= 1u << s;
}

static void on_done(void *userdata, struct gr_verified *v, const struct gr_error *e)
{
    struct test_outcome *o = userdata;
    o->done = true;
    o->v = v;
    if (e)
        o->e = *e;
}

struct gr_digest test_file_digest(const char *path)
{
    struct gr_digest d;
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s was not built", path);
    assert_int_equal(gr_digest_fd(fd, &d, NULL), 0);
    return d;
}

int test_verification_start(struct gr_verifier *verifier, const struct test_wish *w,
                            struct test_outcome *o, struct gr_verification **ret,
                            struct gr_error *e)
{
    char path[512], url[600];
    const char *source = url;
    struct gr_name module;
    struct gr_version version;
    GR_AUTO_FREE char *modules = test_built("modules");
    if (w->file[0] == '/')
        snprintf(path, sizeof path, "%s", w->file);
    else
        snprintf(path, sizeof path, "%s/%s", modules, w->file);
    snprintf(url, sizeof url, "file://%s", path);
    struct gr_digest digest = w->digest ? *w->digest : test_file_digest(path);
    assert_int_equal(gr_name_parse(w->module, strlen(w->module), &module), 0);
    assert_int_equal(gr_version_parse(w->version, &version), 0);
    const struct gr_verify_request r = {.module = &module,
                                        .version = &version,
                                        .digest = &digest,
                                        .sources = &source,
                                        .n_sources = 1,
                                        .config = w->config,
                                        .timeout_usec = w->timeout_usec};
    const struct gr_verify_callbacks cb = {.station = on_station, .done = on_done, .userdata = o};
    return gr_verification_start(verifier, &r, &cb, ret, e);
}

struct test_outcome test_verify(struct test_bench *b, struct gr_verifier *verifier,
                                const struct test_wish *w)
{
    struct test_outcome o = {0};
    struct gr_verification *v;
    if (test_verification_start(verifier, w, &o, &v, &o.e) == 0) {
        assert_false(o.done);
        test_bench_run(b, &o.done);
    }
    return o;
}

size_t test_assert_store_is_whole(const struct test_bench *b)
{
    char path[256];
    size_t n = 0;
    DIR *d = opendir(test_path(b, "store", path));
    assert_non_null(d);
    for (struct dirent *de; (de = readdir(d));) {
        char file[600], hex[17];
        struct stat st;
        size_t len = strlen(de->d_name);
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, de->d_name);
        if (len <= 20 || strcmp(de->d_name + len - 3, ".so") != 0)
            fail_msg("left behind: %s", file);
        struct gr_digest digest = test_file_digest(file);
        size_t tail = de->d_name[len - 5] == '.' ? 21 : 19; // a copy: its number comes last
        assert_memory_equal(gr_digest_short(&digest, hex), de->d_name + len - tail, 16);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0444);
        n++;
    }
    closedir(d);
    return n;
}
