// Which keys are documents of a service.
#include "base/limits.h"
#include "watchers/etcd-entry.h"
#include "watchers/source-internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// after its needs
#include <cmocka.h>

#define PREFIX "/modules/order/"

static int take(const char *key, size_t key_len, size_t value_len, struct gr_entry *ret)
{
    struct gr_etcd_kv kv = {.key = (char *)key,
                            .key_len = key_len,
                            .value = calloc(1, value_len + 1),
                            .value_len = value_len,
                            .mod_revision = 7,
                            .create_revision = 3};
    const struct gr_source_keys keys = gr_source_keys_documents(&(struct gr_name){"order"});
    int r = gr_etcd_entry_from_kv(&keys, &kv, ret);
    free(kv.value);
    return r;
}

static void a_document_is_taken(void **state)
{
    (void)state;
    struct gr_entry e;
    assert_int_equal(take(PREFIX "pay/v2", sizeof PREFIX "pay/v2" - 1, GR_DOCUMENT_BYTES_MAX, &e),
                     1);
    assert_string_equal(e.module.s, "pay");
    assert_int_equal(e.error.reason, GR_REASON_NONE);
    assert_int_equal(e.value_len, GR_DOCUMENT_BYTES_MAX);
    assert_int_equal(e.mod_revision, 7);
    assert_int_equal(e.create_revision, 3);
    gr_entry_done(&e);
}

static void another_shape_is_none_of_ours(void **state)
{
    (void)state;
    static const char *const keys[] = {PREFIX,           PREFIX "pay",     PREFIX "pay/v1",
                                       PREFIX "pay/v22", PREFIX "a/b/v2",  PREFIX "/v2",
                                       PREFIX "v2",      "/modules/other", PREFIX "pay/v2/"};
    for (size_t i = 0; i < GR_COUNT(keys); i++) {
        struct gr_entry e;
        if (take(keys[i], strlen(keys[i]), 2, &e) != 0)
            fail_msg("taken: %s", keys[i]);
    }
}

static void a_bad_name_or_size_is_an_error_of_that_entry(void **state)
{
    (void)state;
    static const char key[] = PREFIX "p\0y/v2";
    struct gr_entry e;
    assert_int_equal(take(key, sizeof key - 1, 2, &e), 1);
    assert_int_equal(e.error.reason, GR_REASON_DOCUMENT_INVALID);
    assert_string_equal(e.module.s, "");
    assert_null(e.value);
    assert_non_null(strstr(e.error.message, "p?y"));
    assert_int_equal(
        take(PREFIX "pay/v2", sizeof PREFIX "pay/v2" - 1, GR_DOCUMENT_BYTES_MAX + 1, &e), 1);
    assert_int_equal(e.error.reason, GR_REASON_TOO_LARGE);
    assert_string_equal(e.module.s, "pay");
    assert_null(e.value);
    assert_non_null(strstr(e.error.message, "262145"));
}

static void an_intent_has_no_suffix(void **state)
{
    (void)state;
    const struct gr_source_keys keys = gr_source_keys_intents(&(struct gr_name){"order"});
    char key[] = "/grayling/v1/order/intents/pay";
    struct gr_etcd_kv kv = {
        .key = key, .key_len = sizeof key - 1, .value = strdup("{}"), .value_len = 2};
    struct gr_entry e;
    assert_int_equal(gr_etcd_entry_from_kv(&keys, &kv, &e), 1);
    assert_string_equal(e.module.s, "pay");
    assert_string_equal(e.value, "{}");
    gr_entry_done(&e);
    kv = (struct gr_etcd_kv){.key = key, .key_len = sizeof "/grayling/v1/order/intents/" - 1};
    assert_int_equal(gr_etcd_entry_from_kv(&keys, &kv, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_taken),
        cmocka_unit_test(another_shape_is_none_of_ours),
        cmocka_unit_test(a_bad_name_or_size_is_an_error_of_that_entry),
        cmocka_unit_test(an_intent_has_no_suffix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
