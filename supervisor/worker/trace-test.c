// What modules and clients see of a trace: sound, broken, doubled, missing; recorded or not.
#include "worker/trace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define SAMPLED "00-" TRACE "-" SPAN "-01"
#define UNSAMPLED "00-" TRACE "-" SPAN "-00"

static struct gr_metadata m;
static char response[GR_TRACEPARENT_TEXT_MAX];

static void put(const char *name, const char *value)
{
    m.list[m.n++] = (struct grayling_header){.name = name, .value = value};
}

static void begin(void)
{
    memset(&m, 0, sizeof m);
    put("host", "h");
}

static struct gr_spans *spans(uint32_t sample)
{
    struct gr_spans *s;
    assert_int_equal(gr_spans_new(sample, -1, &s), 0);
    return s;
}

static void test_without_an_exporter(void **state)
{
    struct gr_trace t = {0}, none = {0}, broken = {0}, twice = {0};
    (void)state;
    begin();
    put("tracestate", "a=1");
    put("traceparent", SAMPLED);
    gr_trace_apply(&t, NULL, &m);
    assert_string_equal(gr_metadata_find(&m, "traceparent"), SAMPLED);
    assert_string_equal(gr_metadata_find(&m, "tracestate"), "a=1");
    assert_string_equal(gr_trace_response(&t, response), SAMPLED);
    begin();
    gr_trace_apply(&none, NULL, &m);
    assert_int_equal(m.n, 1);
    assert_null(gr_trace_response(&none, response));
    begin();
    put("traceparent", "ff-" TRACE "-" SPAN "-01");
    put("x-other", "1");
    put("tracestate", "a=1");
    gr_trace_apply(&broken, NULL, &m);
    assert_int_equal(m.n, 2);
    assert_string_equal(m.list[1].name, "x-other");
    begin();
    put("traceparent", SAMPLED);
    put("traceparent", SAMPLED);
    gr_trace_apply(&twice, NULL, &m);
    assert_null(gr_metadata_find(&m, "traceparent"));
    assert_null(gr_trace_response(&twice, response));
}

static void test_the_callers_decision_is_followed(void **state)
{
    struct gr_trace yes = {0}, no = {0};
    struct gr_spans *never = spans(0), *always = spans(UINT32_MAX);
    (void)state;
    begin();
    put("traceparent", SAMPLED);
    put("tracestate", "a=1");
    gr_trace_apply(&yes, never, &m);
    assert_true(yes.recorded);
    const char *told = gr_metadata_find(&m, "traceparent");
    assert_memory_equal(told, "00-" TRACE "-", 36);
    assert_string_not_equal(told, SAMPLED);
    assert_memory_equal(told + 36, yes.span_id, GR_SPAN_ID_HEX);
    assert_string_equal(gr_metadata_find(&m, "tracestate"), "a=1");
    assert_string_equal(gr_trace_response(&yes, response), told);
    assert_string_equal(yes.parent.span_id, SPAN);

    begin(); // tried again after it was parked: the same span
    put("traceparent", SAMPLED);
    gr_trace_apply(&yes, never, &m);
    assert_string_equal(gr_metadata_find(&m, "traceparent"), response);

    begin();
    put("traceparent", UNSAMPLED);
    gr_trace_apply(&no, always, &m);
    assert_false(no.recorded);
    assert_string_equal(gr_metadata_find(&m, "traceparent"), UNSAMPLED);
    gr_spans_free(never);
    gr_spans_free(always);
}

static void test_a_trace_begins_here(void **state)
{
    struct gr_trace t = {0}, unlucky = {0}, full = {0};
    struct gr_spans *never = spans(0), *always = spans(UINT32_MAX);
    struct gr_traceparent told;
    (void)state;
    begin();
    put("traceparent", "rubbish");
    put("tracestate", "a=1");
    gr_trace_apply(&t, always, &m);
    assert_true(t.recorded);
    assert_int_equal(gr_traceparent_parse(gr_metadata_find(&m, "traceparent"), &told), 0);
    assert_string_equal(told.span_id, t.span_id);
    assert_string_equal(t.parent.span_id, "0000000000000000");
    assert_null(gr_metadata_find(&m, "tracestate"));
    begin();
    gr_trace_apply(&unlucky, never, &m);
    assert_int_equal(m.n, 1);
    begin();
    while (m.n < GR_HEADERS_MAX)
        put("x", "1");
    gr_trace_apply(&full, always, &m);
    assert_int_equal(m.n, GR_HEADERS_MAX);
    assert_false(full.recorded);
    assert_null(gr_trace_response(&full, response));
    gr_spans_free(never);
    gr_spans_free(always);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_an_exporter),
        cmocka_unit_test(test_the_callers_decision_is_followed),
        cmocka_unit_test(test_a_trace_begins_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
