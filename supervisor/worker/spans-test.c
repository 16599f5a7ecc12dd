// What is recorded arrives once, in order; what has no place is counted; nobody waits.
#include "base/channel.h"
#include "worker/spans.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

static struct gr_span span(unsigned n)
{
    struct gr_span s = {.began = {1000}, .took_usec = n, .module = "pay", .version = "1.1.0"};
    strcpy(s.parent.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    strcpy(s.parent.span_id, "00f067aa0ba902b7");
    strcpy(s.span_id, "b7ad6b7169203331");
    return s;
}

static void add(struct gr_spans *s, unsigned n)
{
    const struct gr_span one = span(n);
    gr_spans_add(s, &one);
}

static uint64_t number(const cJSON *o, const char *field)
{
    uint64_t n = 0;
    assert_int_equal(gr_json_uint(o, "", field, GR_JSON_REQUIRED, 0, UINT32_MAX, &n, NULL), 0);
    return n;
}

static cJSON *receive(int fd)
{
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    cJSON *m = NULL;
    return gr_channel_recv(fd, &m, fds, &n) == 1 ? m : NULL;
}

struct rig {
    struct gr_spans *spans;
    struct gr_wire wire;
    int peer, changed;
};

static void begin(struct rig *r, uint32_t sample)
{
    int pair[2];
    assert_int_equal(gr_channel_pair(pair), 0);
    gr_wire_init(&r->wire, pair[0]);
    r->peer = pair[1];
    r->changed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(gr_spans_new(sample, r->changed, &r->spans), 0);
}

static void end(struct rig *r)
{
    gr_spans_free(r->spans);
    gr_wire_attach(&r->wire, -1);
    close(r->peer);
    close(r->changed);
}

static void test_arrive_in_order(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, 0);
    gr_spans_flush(r.spans, &r.wire);
    assert_null(receive(r.peer)); // nothing to say
    for (unsigned i = 0; i < GR_SPANS_MESSAGE_MAX + 2; i++)
        add(r.spans, i);
    gr_spans_flush(r.spans, &r.wire);
    GR_AUTO_JSON cJSON *first = receive(r.peer), *second = receive(r.peer);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(first, "spans")), GR_SPANS_MESSAGE_MAX);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(second, "spans")), 2);
    const cJSON *last = cJSON_GetArrayItem(gr_json_get(second, "spans"), 1);
    assert_int_equal(number(last, "took_usec"), GR_SPANS_MESSAGE_MAX + 1);
    assert_string_equal(gr_json_get(last, "parent")->valuestring, "00f067aa0ba902b7");
    assert_int_equal(number(second, "lost"), 0);
    assert_null(receive(r.peer));
    end(&r);
}

static void test_too_many_are_counted(void **state)
{
    struct rig r;
    eventfd_t woken = 0;
    uint64_t arrived = 0, lost = 0;
    (void)state;
    begin(&r, 0);
    for (unsigned i = 0; i < GR_SHADOW_QUEUE_MAX + 7; i++)
        add(r.spans, i);
    assert_int_equal(eventfd_read(r.changed, &woken), 0); // before it was full
    gr_spans_flush(r.spans, &r.wire);
    for (cJSON *m; (m = receive(r.peer)); cJSON_Delete(m)) {
        arrived += (uint64_t)cJSON_GetArraySize(gr_json_get(m, "spans"));
        lost += number(m, "lost");
    }
    assert_int_equal(arrived, GR_SHADOW_QUEUE_MAX);
    assert_int_equal(lost, 7);
    end(&r);
}

// A supervisor that does not read holds nobody up, and hears later what it missed.
static void test_a_full_channel(void **state)
{
    struct rig r;
    uint64_t arrived = 0, lost = 0, sent = 0;
    (void)state;
    begin(&r, 0);
    for (unsigned turn = 0; turn < 1000; turn++) {
        for (unsigned i = 0; i < GR_SPANS_MESSAGE_MAX; i++, sent++)
            add(r.spans, i);
        gr_spans_tick(r.spans, &r.wire);
    }
    for (unsigned turn = 0; turn < 3; turn++) { // drains, then what was counted meanwhile
        for (cJSON *m; (m = receive(r.peer)); cJSON_Delete(m)) {
            arrived += (uint64_t)cJSON_GetArraySize(gr_json_get(m, "spans"));
            lost += number(m, "lost");
        }
        gr_spans_flush(r.spans, &r.wire);
    }
    assert_true(lost > 0 && arrived > 0);
    assert_int_equal(arrived + lost, sent);
    end(&r);
}

// Requests that ask to be recorded cannot keep the supervisor busy.
static void test_one_second_has_its_limit(void **state)
{
    struct rig r;
    uint64_t arrived = 0, lost = 0;
    (void)state;
    begin(&r, 0);
    for (unsigned i = 0; i < GR_SPANS_SECOND_MAX + 20; i++) {
        add(r.spans, i);
        gr_spans_flush(r.spans, &r.wire);
        for (cJSON *m; (m = receive(r.peer)); cJSON_Delete(m)) {
            arrived += (uint64_t)cJSON_GetArraySize(gr_json_get(m, "spans"));
            lost += number(m, "lost");
        }
    }
    assert_int_equal(arrived, GR_SPANS_SECOND_MAX);
    assert_int_equal(lost, 20);
    gr_spans_tick(r.spans, &r.wire);
    add(r.spans, 0);
    gr_spans_flush(r.spans, &r.wire);
    GR_AUTO_JSON cJSON *m = receive(r.peer);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(m, "spans")), 1);
    end(&r);
}

static void test_sampling(void **state)
{
    struct rig r;
    (void)state;
    begin(&r, 0);
    assert_false(gr_spans_sample(r.spans, 0));
    end(&r);
    begin(&r, UINT32_MAX);
    assert_true(gr_spans_sample(r.spans, UINT64_MAX));
    end(&r);
    begin(&r, UINT32_MAX / 4);
    assert_true(gr_spans_sample(r.spans, UINT32_MAX / 4 - 1));
    assert_false(gr_spans_sample(r.spans, UINT32_MAX / 4));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrive_in_order), cmocka_unit_test(test_too_many_are_counted),
        cmocka_unit_test(test_a_full_channel),  cmocka_unit_test(test_one_second_has_its_limit),
        cmocka_unit_test(test_sampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
