// SHA-256 against the vectors of FIPS 180-4, in one piece, in pieces and from a descriptor.
#include "base/digest.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MILLION_A "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void hash_to_text(const char *bytes, size_t len, size_t step, char text[GR_DIGEST_TEXT_MAX])
{
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = NULL;
    struct gr_digest d;
    assert_int_equal(gr_hasher_new(&h), 0);
    for (size_t i = 0; i < len; i += step)
        assert_int_equal(gr_hasher_update(h, bytes + i, len - i < step ? len - i : step), 0);
    assert_int_equal(gr_hasher_finish(h, &d), 0);
    gr_digest_format(&d, text);
}

static void known_vectors(void **state)
{
    (void)state;
    char text[GR_DIGEST_TEXT_MAX];
    hash_to_text("abc", 3, 3, text);
    assert_string_equal(text, ABC);
    hash_to_text("abc", 3, 1, text);
    assert_string_equal(text, ABC);
    hash_to_text("", 0, 1, text);
    assert_string_equal(text, EMPTY);
}

static void a_whole_file_without_moving_its_offset(void **state)
{
    (void)state;
    GR_AUTO_CLOSE int fd = memfd_create("digest-test", MFD_CLOEXEC);
    char block[10000];
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    lseek(fd, 17, SEEK_SET);
    struct gr_digest d;
    uint64_t bytes;
    char text[GR_DIGEST_TEXT_MAX];
    assert_int_equal(gr_digest_fd(fd, &d, &bytes), 0);
    assert_int_equal(bytes, 1000000);
    assert_string_equal(gr_digest_format(&d, text), MILLION_A);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 17);
    assert_int_equal(gr_digest_fd(-1, &d, NULL), -EBADF);
}

static void text_goes_both_ways(void **state)
{
    (void)state;
    struct gr_digest a, b;
    char text[GR_DIGEST_TEXT_MAX], shorter[17];
    assert_int_equal(gr_digest_parse(ABC, &a), 0);
    assert_string_equal(gr_digest_format(&a, text), ABC);
    assert_string_equal(gr_digest_short(&a, shorter), "ba7816bf8f01cfea");
    assert_int_equal(gr_digest_parse(EMPTY, &b), 0);
    assert_false(gr_digest_equal(&a, &b));
    assert_true(gr_digest_equal(&a, &a));
}

static void refuses_other_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "sha256:",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        ABC "0",
        "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256: a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };
    struct gr_digest d;
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_int_equal(gr_digest_parse(bad[i], &d), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(a_whole_file_without_moving_its_offset),
        cmocka_unit_test(text_goes_both_ways),
        cmocka_unit_test(refuses_other_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
