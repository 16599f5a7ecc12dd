// Where a request would go, said of a module as the daemon tells it and of a document ahead of it.
#include "base/json.h"
#include "cli/output.h"
#include "cli/whereto.h"
#include "dispatch/gray.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SALT "0123456789abcdef"
static const char running[] =
    "{\"module\":\"pay\",\"stable\":{\"version\":\"1.0.0\"},\"candidate\":{\"version\":\"1.1.0\"},"
    "\"rollout\":{\"phase\":\"Paused\",\"weight\":25,\"sticky\":\"header:x-user-id\","
    "\"salt\":\"" SALT "\",\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"},"
    "{\"path\":true,\"prefix\":\"/a.B/Refund\",\"to\":\"stable\"}]}}";

static cJSON *ask(const char *module, const char *header, const char *path)
{
    GR_CLEANUP(gr_whereto_done) struct gr_whereto w = {0};
    GR_AUTO_JSON cJSON *m = cJSON_Parse(module);
    struct gr_error e = {0};
    cJSON *answer = NULL;
    assert_non_null(m);
    if (gr_whereto_init(&w, &header, header != NULL, path, &e) < 0 ||
        gr_whereto_module(&w, m, &answer, &e) < 0)
        fail_msg("%s", e.message);
    return answer;
}

static void assert_goes(const char *module, const char *header, const char *path, const char *to,
                        const char *version, const char *why)
{
    GR_AUTO_JSON cJSON *a = ask(module, header, path);
    assert_string_equal(gr_output_text(a, "goes_to"), to);
    assert_string_equal(gr_output_text(a, "version"), version);
    if (!strstr(gr_output_text(a, "why"), why))
        fail_msg("%s: expected \"%s\"", gr_output_text(a, "why"), why);
}

static void rules_come_first(void **state)
{
    (void)state;
    assert_goes(running, "X-Canary: 1", NULL, "candidate", "1.1.0", "match[0]");
    assert_goes(running, "x-user-id: 7", "/a.B/Refund", "stable", "1.0.0", "match[1]");
}

static void a_bucket_is_what_dispatch_says(void **state)
{
    (void)state;
    bool seen[2] = {false, false};
    for (unsigned user = 0; user < 40; user++) {
        char header[32], key[8], expected[32];
        snprintf(key, sizeof key, "%u", user);
        snprintf(header, sizeof header, "x-user-id: %u", user);
        unsigned bucket = gr_gray_bucket(UINT64_C(0x0123456789abcdef), key, strlen(key));
        snprintf(expected, sizeof expected, "bucket %u of 10000", bucket);
        bool candidate = bucket < 2500;
        assert_goes(running, header, "/a.B/Charge", candidate ? "candidate" : "stable",
                    candidate ? "1.1.0" : "1.0.0", expected);
        seen[candidate] = true;
    }
    assert_true(seen[0] && seen[1]);
}

static void without_a_key_it_takes_a_turn(void **state)
{
    (void)state;
    assert_goes(running, NULL, NULL, "turn", "", "25 of 100 turns");
}

static void one_version_answers_everything(void **state)
{
    (void)state;
    assert_goes("{\"module\":\"pay\",\"stable\":{\"version\":\"1.0.0\"},\"candidate\":null,"
                "\"rollout\":{\"id\":0,\"phase\":null}}",
                "x-canary: 1", NULL, "stable", "1.0.0", "one version");
}

static void a_document_has_no_salt_yet(void **state)
{
    (void)state;
    static const char text[] =
        "{\"version\":\"2.0.0\",\"version_hash\":\"sha256:"
        "1111111111111111111111111111111111111111111111111111111111111111\","
        "\"source\":\"https://a.example/pay.so\",\"strategy\":{\"sticky\":\"tenant\",\"steps\":["
        "{\"shadow\":5},{\"weight\":5},{\"weight\":100}]}}";
    const struct gr_name pay = {"pay"};
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_desired_parse(&pay, 0, text, strlen(text), &d, &e), 0);
    const char *const headers[] = {"x-tenant-id: acme"};
    for (size_t n = 0; n < 2; n++) {
        GR_CLEANUP(gr_whereto_done) struct gr_whereto w = {0};
        GR_AUTO_JSON cJSON *a = NULL;
        assert_int_equal(gr_whereto_init(&w, headers, n, NULL, &e), 0);
        assert_int_equal(gr_whereto_document(&w, d, &a, &e), 0);
        assert_string_equal(gr_output_text(a, "goes_to"), n ? "key" : "turn");
        assert_non_null(strstr(gr_output_text(a, "why"), n ? "salt" : "5 of 100 turns"));
    }
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {"x-user-id", ": 7"};
    static const char *const paths[] = {"a.B/Charge", "/Charge", "/a.B/"};
    struct gr_error e;
    for (size_t i = 0; i < GR_COUNT(headers); i++) {
        GR_CLEANUP(gr_whereto_done) struct gr_whereto w = {0};
        assert_int_equal(gr_whereto_init(&w, &headers[i], 1, NULL, &e), -EINVAL);
        assert_non_null(strstr(e.message, "expected"));
    }
    for (size_t i = 0; i < GR_COUNT(paths); i++) {
        GR_CLEANUP(gr_whereto_done) struct gr_whereto w = {0};
        assert_int_equal(gr_whereto_init(&w, NULL, 0, paths[i], &e), -EINVAL);
        assert_non_null(strstr(e.message, "expected"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_come_first),
        cmocka_unit_test(a_bucket_is_what_dispatch_says),
        cmocka_unit_test(without_a_key_it_takes_a_turn),
        cmocka_unit_test(one_version_answers_everything),
        cmocka_unit_test(a_document_has_no_salt_yet),
        cmocka_unit_test(what_is_no_request_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
