// Whole verifications for tests: a wish, its outcome, and what the store may hold afterwards.
#pragma once
#include "verifier/testing/harness.h"
#include "verifier/verify.h"

struct test_wish {
    const char *module, *version;
    const char *file;               // absolute, or below modules/ of the build
    const char *config;             // NULL: none
    const struct gr_digest *digest; // NULL: the file's
    uint64_t timeout_usec;
};
struct test_outcome {
    bool done;
    unsigned stations; // bit per station that was told
    struct gr_verified *v;
    struct gr_error e;
};

// A verifier with its store in the bench's directory, which takes files from there, from the build
// and from the system's libraries.
int test_verifier_new(struct test_bench *b, struct gr_verifier **ret, struct gr_error *e);
// SealedModules on and off.
void test_verifier_seal(struct test_bench *b, struct gr_verifier *v, bool sealed);
int test_verification_start(struct gr_verifier *verifier, const struct test_wish *w,
                            struct test_outcome *o, struct gr_verification **ret,
                            struct gr_error *e);
struct test_outcome test_verify(struct test_bench *b, struct gr_verifier *verifier,
                                const struct test_wish *w);
struct gr_digest test_file_digest(const char *path);
// Only whole files, each with the digest that its name says and mode 0444. How many.
size_t test_assert_store_is_whole(const struct test_bench *b);
