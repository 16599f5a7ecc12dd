// A scratch directory, an event loop and a transport for the verifier's tests.
#pragma once
#include "base/digest.h"
#include "base/error.h"
#include "watchers/transport/transport.h"
#include <stdbool.h>

struct test_bench {
    char dir[64]; // scratch, removed by test_bench_done
    sd_event *event;
    struct gr_transport *transport;
};
void test_bench_init(struct test_bench *b);
void test_bench_done(struct test_bench *b);
// Turns the loop until *done.
void test_bench_run(struct test_bench *b, const bool *done);

// "<dir>/<name>"; buf of 256.
const char *test_path(const struct test_bench *b, const char *name, char *buf);
void test_write(const struct test_bench *b, const char *name, const void *bytes, size_t len);
struct gr_digest test_digest(const void *bytes, size_t len);
// Fails the test unless the reason is this and every fragment (NULL-terminated) is in the sentence.
void test_assert_error(const struct gr_error *e, enum gr_reason reason,
                       const char *const *fragments);
#define TEST_ASSERT_ERROR(e, reason, ...)                                                          \
    test_assert_error(e, reason, (const char *const[]){__VA_ARGS__, NULL})
// A file of the build tree, "modules/echo-1.0.0.so"; NULL when it was not built. Caller frees.
char *test_built(const char *name);
// From here on openat2 answers this thread with `code`, as it does under the filter of a hardened
// unit. Cannot be taken back.
void test_deny_openat2(int code);
