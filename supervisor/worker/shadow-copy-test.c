#include "worker/shadow-copy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

// A request whose texts are gone after the copy, as a connection's are.
static struct gr_shadow_copy *copy(uint32_t codec, uint64_t allowed)
{
    char texts[5][16] = {"com.example.X", "Do", "id-1", "x-tenant", "acme"};
    struct grayling_header header = {texts[3], texts[4]};
    struct grayling_request q = {.struct_size = sizeof q,
                                 .interface_name = texts[0],
                                 .method_name = texts[1],
                                 .request_id = texts[2],
                                 .codec = codec,
                                 .n_headers = 1,
                                 .headers = &header,
                                 .payload = {"{}", 2},
                                 .deadline_usec = 77};
    struct gr_shadow_turn turn = {.chosen = true, .noise = true, .rollout = 8812};
    struct gr_shadow_copy *c = gr_shadow_copy_new(&q, &turn, allowed);
    assert_non_null(c);
    memset(texts, 'z', sizeof texts);
    return c;
}

static struct gr_response response(int32_t code, const char *payload)
{
    return (struct gr_response){.code = code, .payload = {payload, strlen(payload)}};
}

static void complete(struct gr_shadow_copy *c, int32_t code, const char *answer)
{
    char text[64];
    strcpy(text, answer);
    struct gr_response r = response(code, text);
    assert_int_equal(gr_shadow_copy_complete(c, strdup("{\"n\":1}"), 7, &r), 0);
    memset(text, 'z', sizeof text);
}

static void a_copy_is_whole_and_marked(void **state)
{
    (void)state;
    struct gr_shadow_copy *c = copy(GRAYLING_CODEC_JSON, 5);
    complete(c, GRAYLING_OK, "{}");
    const struct grayling_request *q = &c->request;
    assert_string_equal(q->interface_name, "com.example.X");
    assert_string_equal(q->method_name, "Do");
    assert_string_equal(q->request_id, "id-1");
    assert_int_equal(q->n_headers, 2);
    assert_string_equal(q->headers[0].name, "x-tenant");
    assert_string_equal(q->headers[0].value, "acme");
    assert_string_equal(q->headers[1].name, "x-grayling-shadow");
    assert_string_equal(q->headers[1].value, "1");
    assert_memory_equal(q->payload.data, "{\"n\":1}", 7);
    assert_int_equal(q->payload.size, 7);
    assert_int_equal(q->deadline_usec, 0); // it is long past; allowed_usec tells how long it was
    assert_int_equal(c->allowed_usec, 5);
    assert_int_equal(c->turn.rollout, 8812);
    assert_true(c->turn.noise && c->born.usec > 0 && c->bytes > sizeof *c + 9);
    gr_shadow_copy_free(c);
}

static void without_body_and_answer(void **state)
{
    (void)state;
    struct gr_shadow_copy *c = copy(GRAYLING_CODEC_PROTO, 0);
    struct gr_response r = response(GRAYLING_OK, "");
    assert_int_equal(gr_shadow_copy_complete(c, NULL, 0, &r), 0);
    assert_int_equal(c->request.payload.size, 0);
    assert_int_equal(gr_shadow_copy_same(c, &r, NULL), 1);
    r.payload = (struct grayling_bytes){"x", 1};
    assert_int_equal(gr_shadow_copy_same(c, &r, NULL), 0);
    gr_shadow_copy_free(c);
    gr_shadow_copy_free(copy(GRAYLING_CODEC_JSON, 0)); // never completed
    gr_shadow_copy_free(NULL);
}

static void check(uint32_t codec, int32_t code, const char *answer, int32_t by_code,
                  const char *by_answer, int expected)
{
    struct gr_shadow_copy *c = copy(codec, 0);
    struct gr_response r = response(by_code, by_answer);
    complete(c, code, answer);
    if (gr_shadow_copy_same(c, &r, NULL) != expected)
        fail_msg("%d %s and %d %s", code, answer, by_code, by_answer);
    gr_shadow_copy_free(c);
}

static void status_first_then_payload(void **state)
{
    (void)state;
    check(GRAYLING_CODEC_JSON, 0, "{\"a\":1,\"b\":2}", 0, "{\"b\":2, \"a\":1.0}", 1);
    check(GRAYLING_CODEC_JSON, 0, "{\"a\":1}", 0, "{\"a\":2}", 0);
    check(GRAYLING_CODEC_JSON, 0, "{}", 5, "{}", 0);
    check(GRAYLING_CODEC_JSON, 5, "", 5, "", 1);
    check(GRAYLING_CODEC_JSON, 5, "", 13, "", 0);
    check(GRAYLING_CODEC_PROTO, 0, "[1]", 0, "[1]", 1);
    check(GRAYLING_CODEC_PROTO, 0, "[1]", 0, "[1.0]", 0); // bytes
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_whole_and_marked),
        cmocka_unit_test(without_body_and_answer),
        cmocka_unit_test(status_first_then_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
