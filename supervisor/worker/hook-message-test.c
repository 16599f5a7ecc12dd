// What is asked is what is read of it, and so is the answer; what a process of module code says
// besides is none.
#include "worker/hook-message.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void orders(void **state)
{
    (void)state;
    const struct gr_state_hook export = {.import = false};
    const struct gr_state_hook import = {
        .import = true, .label = {.schema = 3, .size = 77, .object = GR_STATE_BYTES_MAX}};
    struct gr_state_hook got;
    uint64_t id = 0;
    GR_AUTO_JSON cJSON *a = gr_hook_order(&export, 5);
    assert_true(gr_hook_read_order(a, &got, &id));
    assert_false(got.import);
    assert_int_equal(id, 5);
    GR_AUTO_JSON cJSON *b = gr_hook_order(&import, 6);
    assert_true(gr_hook_read_order(b, &got, &id));
    assert_true(got.import && got.label.schema == 3 && got.label.size == 77);
    assert_true(got.label.object == GR_STATE_BYTES_MAX);
    GR_AUTO_JSON cJSON *end = cJSON_Parse("{\"type\":\"end\"}");
    assert_false(gr_hook_read_order(end, &got, &id));
}

static void answers(void **state)
{
    (void)state;
    struct gr_state_hook said = {.label = {.schema = 1, .size = 8}}, got;
    for (unsigned end = 0; end < GR_HOOK_ENDS; end++) {
        said.end = (enum gr_hook_end)end;
        said.code = -(int32_t)end;
        memset(said.what, 'w', sizeof(said.what) - 1);
        got = (struct gr_state_hook){.fd = 9};
        GR_AUTO_JSON cJSON *m = gr_hook_answer(&said, 7);
        assert_int_equal(gr_hook_read_answer(m, 8, &got), -ENOENT);
        assert_int_equal(gr_hook_read_answer(m, 7, &got), 0);
        assert_true(got.end == said.end && got.code == said.code && got.fd == 9);
        assert_true(got.label.size == 8 && got.label.schema == 1);
        assert_string_equal(got.what, said.what);
    }
    // who imported has nothing to say about what there was
    got = (struct gr_state_hook){.import = true, .label = {.size = 5}};
    GR_AUTO_JSON cJSON *m = gr_hook_answer(&said, 7);
    assert_int_equal(gr_hook_read_answer(m, 7, &got), 0);
    assert_true(got.label.size == 5);
}

static void what_is_no_answer(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"id\":7}",
        "{\"id\":7,\"end\":\"done\",\"code\":0,\"what\":\"\",\"schema\":1,\"size\":8}",
        "{\"id\":7,\"end\":\"well\",\"code\":0,\"what\":\"\",\"schema\":1,\"size\":8,\"object\":0}",
        "{\"id\":7,\"end\":\"done\",\"code\":1e300,\"what\":\"\",\"schema\":1,\"size\":8,"
        "\"object\":0}",
        "{\"id\":7,\"end\":\"done\",\"code\":0,\"what\":7,\"schema\":1,\"size\":8,\"object\":0}",
        "{\"id\":7,\"end\":\"done\",\"code\":0,\"what\":\"\",\"schema\":1,\"size\":-8,\"object\":"
        "0}",
        "{\"id\":7,\"end\":\"done\",\"code\":0,\"what\":\"\",\"schema\":1,\"size\":1e300,"
        "\"object\":0}",
        "{\"id\":7,\"end\":\"done\",\"code\":0,\"what\":\"\",\"schema\":4294967296,\"size\":8,"
        "\"object\":0}",
    };
    for (size_t i = 0; i < GR_COUNT(texts); i++) {
        struct gr_state_hook got = {.code = 4};
        GR_AUTO_JSON cJSON *m = cJSON_Parse(texts[i]);
        assert_non_null(m);
        assert_int_equal(gr_hook_read_answer(m, 7, &got), -EPROTO);
        assert_true(got.code == 4 && got.label.size == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders),
        cmocka_unit_test(answers),
        cmocka_unit_test(what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
