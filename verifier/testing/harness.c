// A scratch directory, an event loop and a transport for the verifier's tests.
#include "verifier/testing/harness.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

void test_bench_init(struct test_bench *b)
{
    strcpy(b->dir, "/tmp/grayling-verifier-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    assert_true(sd_event_new(&b->event) >= 0);
    assert_int_equal(gr_transport_new(b->event, &b->transport), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void test_bench_done(struct test_bench *b)
{
    gr_transport_free(b->transport);
    sd_event_unref(b->event);
    nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void test_bench_run(struct test_bench *b, const bool *done)
{
    while (!*done)
        assert_true(sd_event_run(b->event, UINT64_MAX) >= 0);
}

const char *test_path(const struct test_bench *b, const char *name, char *buf)
{
    snprintf(buf, 256, "%s/%s", b->dir, name);
    return buf;
}

void test_write(const struct test_bench *b, const char *name, const void *bytes, size_t len)
{
    char path[256];
    FILE *f = fopen(test_path(b, name, path), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

struct gr_digest test_digest(const void *bytes, size_t len)
{
    struct gr_hasher *h;
    struct gr_digest d;
    assert_int_equal(gr_hasher_new(&h), 0);
    assert_int_equal(gr_hasher_update(h, bytes, len), 0);
    assert_int_equal(gr_hasher_finish(h, &d), 0);
    gr_hasher_free(h);
    return d;
}

void test_assert_error(const struct gr_error *e, enum gr_reason reason,
                       const char *const *fragments)
{
    if (e->reason != reason)
        fail_msg("reason %s instead of %s: %s", gr_reason_name(e->reason), gr_reason_name(reason),
                 e->message);
    for (; *fragments; fragments++)
        if (!strstr(e->message, *fragments))
            fail_msg("\"%s\" is missing in: %s", *fragments, e->message);
}

char *test_built(const char *name)
{
    const char *build = getenv("GRAYLING_BUILD");
    char *path = NULL;
    if (!build || asprintf(&path, "%s/%s", build, name) < 0)
        return NULL;
    if (access(path, R_OK) < 0) {
        free(path);
        return NULL;
    }
    return path;
}

void test_deny_openat2(int code)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    assert_non_null(filter);
    assert_int_equal(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)code), SCMP_SYS(openat2), 0),
                     0);
    assert_int_equal(seccomp_load(filter), 0);
    seccomp_release(filter);
    assert_int_equal(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0), -1);
    assert_int_equal(errno, code); // EINVAL where the filter is not in force
}
