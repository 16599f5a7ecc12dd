// Base64: known vectors (RFC 4648 §10), every length, and what is not canonical.
#include "watchers/etcd-codec.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// after its needs
#include <cmocka.h>

static void the_vectors_of_the_rfc(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < GR_COUNT(vectors); i++) {
        GR_AUTO_FREE char *text = gr_base64_encode(gr_bytes_text(vectors[i][0]));
        assert_string_equal(text, vectors[i][1]);
    }
}

static void every_byte_and_length_comes_back(void **state)
{
    (void)state;
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        GR_AUTO_FREE char *text = gr_base64_encode(gr_bytes(bytes, n)), *back = NULL;
        size_t len = 0;
        assert_int_equal(gr_base64_decode(text, strlen(text), &back, &len), 0);
        assert_int_equal(len, n);
        assert_memory_equal(back, bytes, n);
    }
}

static void other_spellings_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",    "Zg",     "Zg=",  "Zm9v=",    "Zh==",
                                      "Zm9=", "====",   "Z===", "Zg==Zg==", "Zm\n9v",
                                      "Zm-_", "Zm9v\n", "=Zm9", "Zm=v",     " Zm9vYg"};
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        char *back = NULL;
        size_t len;
        if (gr_base64_decode(bad[i], strlen(bad[i]), &back, &len) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
        assert_null(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(every_byte_and_length_comes_back),
        cmocka_unit_test(other_spellings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
