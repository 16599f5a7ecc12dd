// The guard on heads cut up as libmicrohttpd cuts them: delimiters overwritten with NUL, pieces in
// place. The raw forms over the wire are in live/refused-test.c.
#include "worker/guard-http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

struct cut { // one head and its pieces
    char raw[1024];
    struct gr_head_field fields[16];
    struct gr_head head;
};

// Cuts a well-formed head at its delimiters and overwrites them.
static void cut(struct cut *c, const char *text)
{
    memset(c, 0, sizeof *c);
    assert_true(strlen(text) < sizeof c->raw);
    memcpy(c->raw, text, strlen(text));
    char *target = strchr(c->raw, ' ') + 1, *version = strchr(target, ' ') + 1;
    char *line = strstr(version, "\r\n");
    target[-1] = version[-1] = '\0';
    c->head = (struct gr_head){.raw = c->raw,
                               .raw_len = strlen(text),
                               .target = target,
                               .target_len = (size_t)(version - target) - 1,
                               .version = version,
                               .fields = c->fields};
    while (memcmp(line, "\r\n\r\n", 4) != 0) {
        char *name = line + 2, *colon = strchr(name, ':'), *end = strstr(name, "\r\n");
        char *value = colon + 1 + strspn(colon + 1, " \t");
        c->fields[c->head.n_fields++] =
            (struct gr_head_field){name, (size_t)(colon - name), value, (size_t)(end - value)};
        memset(line, 0, 2);
        *colon = '\0';
        line = end;
    }
    memset(line, 0, 4);
}

static const char *judge(const char *text)
{
    static struct cut c;
    struct gr_framing framing;
    cut(&c, text);
    return gr_guard_head(&c.head, &framing);
}

#define LINE "POST /a/b HTTP/1.1\r\n"

static void test_sound_heads(void **state)
{
    struct cut c;
    struct gr_framing framing;
    (void)state;
    cut(&c, LINE "Host: t\r\nContent-Length: 17\r\nX:\r\nY:z\r\nZ: \t a, b\t\r\n\r\n");
    assert_null(gr_guard_head(&c.head, &framing));
    assert_true(framing.has_length && !framing.chunked);
    assert_int_equal(framing.length, 17);
    cut(&c, LINE "host:t\r\ntransfer-encoding:chunked\r\n\r\n");
    assert_null(gr_guard_head(&c.head, &framing));
    assert_true(framing.chunked && !framing.has_length);
    assert_null(judge("GET / HTTP/1.0\r\n\r\n"));
    assert_null(judge(LINE "Host:\r\n\r\n"));
}

// Every single byte of the delimiters counts: moved, doubled or missing, the head is refused.
static void test_gaps(void **state)
{
    static const char sound[] = LINE "Host: t\r\nX: y\r\n\r\n";
    struct gr_framing framing;
    (void)state;
    for (size_t i = 0; i < sizeof sound - 1; i++) {
        struct cut c;
        cut(&c, sound);
        if (c.raw[i] != '\0')
            continue;
        c.raw[i] = 'j'; // something the library skipped instead of a delimiter
        assert_non_null(gr_guard_head(&c.head, &framing));
    }
    struct cut c;
    cut(&c, sound);
    c.head.raw_len--;
    assert_non_null(gr_guard_head(&c.head, &framing));
    c.head.raw_len += 2;
    assert_non_null(gr_guard_head(&c.head, &framing));
    cut(&c, sound);
    c.fields[1].value_len = 0; // cut at a NUL
    assert_non_null(gr_guard_head(&c.head, &framing));
    cut(&c, sound);
    c.head.n_fields = 1; // a line that nobody tells of
    assert_non_null(gr_guard_head(&c.head, &framing));
    cut(&c, sound);
    c.fields[1].value = "y"; // copied elsewhere, as a folded line is
    assert_non_null(gr_guard_head(&c.head, &framing));
}

static void test_framing(void **state)
{
    static const char *const refused[] = {
        LINE "\r\n",
        LINE "Host: a\r\nHost: a\r\n\r\n",
        LINE "Host: a,b\r\n\r\n",
        "POST /a/b HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        LINE "Host: t\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        LINE "Host: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        LINE "Host: t\r\nContent-Length: 9999999999999999999\r\n\r\n",
        LINE "Host: t\r\nContent-Length: \r\n\r\n",
        LINE "Host: t\r\nContent-Length:  1\r\n\r\n",
        LINE "Host: t\r\nContent-Length: 1a\r\n\r\n",
        LINE "Host: t\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
        LINE "Host: t\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /a/b HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /a/b HTTP/1.2\r\nHost: t\r\n\r\n",
        "PO(ST /a/b HTTP/1.1\r\nHost: t\r\n\r\n",
        LINE "Host: t\r\nX : y\r\n\r\n",
        LINE "Host: t\r\n X: y\r\n\r\n",
        LINE "Host: t\r\nX: a\rb\r\n\r\n",
        LINE "Host: t\r\nX: a\x7f\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(refused); i++)
        if (!judge(refused[i]))
            fail_msg("not refused: %s", refused[i]);
}

static void test_target(void **state)
{
    static const char *const refused[] = {"", "/a b", "/a\tb", "/\xc3\xa9", "/a#b", "/a%00b"};
    (void)state;
    assert_null(gr_guard_target("/a/b?c=%20&d=%0", 15));
    for (size_t i = 0; i < GR_COUNT(refused); i++)
        assert_non_null(gr_guard_target(refused[i], strlen(refused[i])));
}

static void test_every_byte_of_a_target(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char target[] = {'/', (char)c, 'b'};
        bool sound = c > ' ' && c < 0x7f && !memchr("#\"<>\\", (int)c, 5);
        assert_int_equal(gr_guard_target(target, sizeof target) == NULL, sound);
    }
}

static void test_every_byte_of_a_name(void **state)
{
    static const char tokens[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "!#$%&'*+-.^_`|~";
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        struct cut cut_head;
        struct gr_framing framing;
        cut(&cut_head, LINE "Host: t\r\nX?Y: z\r\n\r\n");
        cut_head.raw[strlen(LINE "Host: t\r\nX")] = (char)c;
        bool sound = memchr(tokens, (int)c, strlen(tokens)) != NULL;
        assert_int_equal(gr_guard_head(&cut_head.head, &framing) == NULL, sound);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_heads),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_every_byte_of_a_target),
        cmocka_unit_test(test_every_byte_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
