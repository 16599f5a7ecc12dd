// The stream cutter under every chunking: the objects must not depend on where a chunk ends.
#include "watchers/etcd-stream.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// after its needs
#include <cmocka.h>

struct seen {
    size_t n;
    char text[8][128];
    int answer;
};

static int on_object(void *userdata, const char *text, size_t len)
{
    struct seen *s = userdata;
    assert_true(s->n < GR_COUNT(s->text) && len < sizeof s->text[0]);
    memcpy(s->text[s->n++], text, len + 1);
    return s->answer;
}

static const char stream[] =
    "{\"a\":\"}{\\\"]\\\\\"}\n\n{\"b\":[{},{\"c\":[1,2]}]}\r\n {}{\"d\":1}\n"
    "{\"error\":{\"m\":\"no newline\"}}";

static void any_chunking_gives_the_same_objects(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk <= sizeof stream; chunk++) {
        struct gr_etcd_stream s = GR_ETCD_STREAM;
        struct seen seen = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += chunk) {
            size_t len = sizeof stream - 1 - at < chunk ? sizeof stream - 1 - at : chunk;
            assert_int_equal(gr_etcd_stream_feed(&s, stream + at, len, on_object, &seen), 0);
        }
        assert_int_equal(seen.n, 5);
        assert_string_equal(seen.text[0], "{\"a\":\"}{\\\"]\\\\\"}");
        assert_string_equal(seen.text[1], "{\"b\":[{},{\"c\":[1,2]}]}");
        assert_string_equal(seen.text[2], "{}");
        assert_string_equal(seen.text[4], "{\"error\":{\"m\":\"no newline\"}}");
        assert_true(gr_etcd_stream_is_whole(&s));
        gr_etcd_stream_done(&s);
    }
}

static void half_an_object_is_known_as_such(void **state)
{
    (void)state;
    struct gr_etcd_stream s = GR_ETCD_STREAM;
    struct seen seen = {0};
    assert_int_equal(gr_etcd_stream_feed(&s, "{}{\"a\":\"}", 9, on_object, &seen), 0);
    assert_int_equal(seen.n, 1);
    assert_false(gr_etcd_stream_is_whole(&s));
    gr_etcd_stream_clear(&s);
    assert_true(gr_etcd_stream_is_whole(&s));
    assert_int_equal(gr_etcd_stream_feed(&s, "{}", 2, on_object, &seen), 0);
    assert_int_equal(seen.n, 2);
    gr_etcd_stream_done(&s);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"404 page not found", "[]", "{}x", "{}]", "\"{}\"", "}"};
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_etcd_stream s = GR_ETCD_STREAM;
        struct seen seen = {0};
        assert_int_equal(gr_etcd_stream_feed(&s, bad[i], strlen(bad[i]), on_object, &seen),
                         -EBADMSG);
        gr_etcd_stream_done(&s);
    }
}

static void the_receiver_ends_the_feeding(void **state)
{
    (void)state;
    struct gr_etcd_stream s = GR_ETCD_STREAM;
    struct seen seen = {.answer = -ECANCELED};
    assert_int_equal(gr_etcd_stream_feed(&s, "{}{}{}", 6, on_object, &seen), -ECANCELED);
    assert_int_equal(seen.n, 1);
    gr_etcd_stream_done(&s);
}

static void an_endless_object_meets_the_cap(void **state)
{
    (void)state;
    struct gr_etcd_stream s = GR_ETCD_STREAM;
    struct seen seen = {0};
    static char chunk[1 << 20];
    memset(chunk, 'x', sizeof chunk);
    assert_int_equal(gr_etcd_stream_feed(&s, "{\"a\":\"", 6, on_object, &seen), 0);
    int r = 0;
    size_t fed = 0;
    for (; r == 0 && fed <= GR_ETCD_LINE_MAX; fed += sizeof chunk)
        r = gr_etcd_stream_feed(&s, chunk, sizeof chunk, on_object, &seen);
    assert_int_equal(r, -E2BIG);
    assert_true(s.object.len <= GR_ETCD_LINE_MAX);
    gr_etcd_stream_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_chunking_gives_the_same_objects),
        cmocka_unit_test(half_an_object_is_known_as_such),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(the_receiver_ends_the_feeding),
        cmocka_unit_test(an_endless_object_meets_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
