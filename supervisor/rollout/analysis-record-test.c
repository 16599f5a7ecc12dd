// The record: written, read and judged again without losing a bit; changed numbers are noticed; the
// sentences name what a person needs.
#include "rollout/analysis-fixture.h"
#include "rollout/analysis-record.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

// `stable`: its requests in each look, of which the candidate gets 20.
static struct gr_verdict_record record_beside(double candidate_errors, unsigned looks,
                                              uint64_t stable)
{
    struct gr_verdict_record r;
    struct gr_analysis_state s;
    struct gr_analysis_input in = fixture_input();
    double owed = 0;
    memset(&r, 0, sizeof r);
    gr_analysis_begin(&s);
    in.harm_bad_responses = 5000;
    in.sla_error_rate = 0.2;
    in.sla_p99_usec = 60000;
    for (unsigned i = 0; i < looks; i++) {
        owed += 20 * candidate_errors;
        fixture_serve(&in.candidate, 20, (uint64_t)owed, 10.3);
        owed -= floor(owed);
        fixture_serve(&in.stable, stable, i % 3 == 0, 10);
        gr_verdict_record_make(&s, &in, &r);
    }
    return r;
}

static struct gr_verdict_record record_of(double candidate_errors, unsigned looks)
{
    return record_beside(candidate_errors, looks, 80);
}

static char *text_of(const struct gr_verdict_record *r)
{
    struct gr_buf text = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
    assert_int_equal(gr_verdict_record_format(r, &text), 0);
    return gr_buf_take(&text, NULL);
}

static void comes_back_and_replays(void **state)
{
    (void)state;
    static const double errors[] = {0, 0.004, 0.05};
    for (size_t i = 0; i < GR_COUNT(errors); i++) {
        struct gr_verdict_record r = record_of(errors[i], 80), back;
        GR_AUTO_FREE char *text = text_of(&r);
        struct gr_error e = {0};
        assert_int_equal(gr_verdict_replay(&r, &e), 0);
        if (gr_verdict_record_parse(text, strlen(text), &back, &e) < 0)
            fail_msg("%s", e.message);
        GR_AUTO_FREE char *again = text_of(&back);
        assert_string_equal(text, again);
        assert_memory_equal(&r.before, &back.before, sizeof r.before);
        assert_int_equal(gr_verdict_replay(&back, &e), 0);
    }
}

static void an_error_is_recorded_too(void **state)
{
    (void)state;
    struct gr_verdict_record r, back;
    struct gr_analysis_state s;
    struct gr_analysis_input in = fixture_input();
    struct gr_error e = {0};
    gr_analysis_begin(&s);
    in.sla_error_rate = NAN;
    in.limits.latency_p99_max_ratio = INFINITY;
    in.candidate.requests = UINT64_MAX;
    gr_verdict_record_make(&s, &in, &r);
    assert_int_equal(r.verdict.verdict, GR_VERDICT_ERROR);
    GR_AUTO_FREE char *text = text_of(&r);
    if (gr_verdict_record_parse(text, strlen(text), &back, &e) < 0)
        fail_msg("%s", e.message);
    assert_true(isnan(back.input.sla_error_rate));
    assert_true(back.input.candidate.requests == UINT64_MAX);
    assert_int_equal(gr_verdict_replay(&back, &e), 0);
}

static void the_last_bit_is_noticed(void **state)
{
    (void)state;
    struct gr_verdict_record r = record_of(0.004, 80);
    struct gr_error e = {0};
    double *evidence = &r.verdict.gates[GR_GATE_LATENCY_P99].evidence;
    *evidence = nextafter(*evidence, 1e9);
    assert_int_equal(gr_verdict_replay(&r, &e), -EBADE);
    assert_non_null(strstr(e.message, "latency_p99.evidence"));
    r = record_of(0.004, 80);
    r.input.candidate.errors++;
    assert_int_equal(gr_verdict_replay(&r, &e), -EBADE);
    r = record_of(0.004, 80);
    r.rule_version++;
    assert_int_equal(gr_verdict_replay(&r, &e), -ENOTSUP);
}

static void assert_refused(const char *text, const char *from, const char *to, const char *why)
{
    struct gr_verdict_record r = {.rule = "untouched"};
    struct gr_error e = {0};
    struct gr_buf changed GR_AUTO_BUF = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
    const char *at = strstr(text, from);
    assert_non_null(at);
    assert_int_equal(gr_buf_append(&changed, text, (size_t)(at - text)), 0);
    assert_int_equal(gr_buf_printf(&changed, "%s%s", to, at + strlen(from)), 0);
    assert_int_equal(gr_verdict_record_parse(changed.data, changed.len, &r, &e), -EINVAL);
    if (!strstr(e.message, why))
        fail_msg("expected \"%s\" in: %s", why, e.message);
    assert_string_equal(r.rule, "untouched");
}

static void what_was_not_written_by_us_is_refused(void **state)
{
    (void)state;
    struct gr_verdict_record r = record_of(0.004, 30);
    GR_AUTO_FREE char *text = text_of(&r);
    assert_refused(text, "\"looks\":", "\"glances\":", "before");
    assert_refused(text, "\"verdict\":\"", "\"verdict\":\"Very", "verdict");
    assert_refused(text, "\"has_stable\":true", "\"has_stable\":1", "input.has_stable");
    assert_refused(text, "\"alpha\":0.01", "\"alpha\":\"0.01\"", "input.limits.alpha");
    assert_refused(text, "\"slow_bucket\":", "\"slow_bucket\":9", "slow_bucket");
    assert_refused(text, "\"requests\":", "\"requests\":-", "requests");
    assert_refused(text, "\"latency\":[[", "\"latency\":[[9", "latency");
    assert_refused(text, "\"gate\":\"", "\"gate\":\"x", "gate");
    assert_refused(text, "\"rule\":\"", "\"rule\":\"\\u0022", "rule");
    assert_refused(text, "{\"rule\"", "[\"rule\"", "");
}

static void the_state_alone_comes_back(void **state)
{
    (void)state;
    struct gr_verdict_record r = record_of(0.01, 50);
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
    struct gr_analysis_state back;
    struct gr_error e = {0};
    assert_int_equal(gr_analysis_state_format(&r.before, &text), 0);
    assert_int_equal(gr_analysis_state_parse(text.data, text.len, &back, &e), 0);
    assert_memory_equal(&back, &r.before, sizeof back);
    assert_int_equal(gr_analysis_state_parse("{}", 2, &back, &e), -EINVAL);
}

static void assert_says(const struct gr_verdict_record *r, bool long_form, const char *const *words)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(64 * 1024);
    assert_int_equal(gr_verdict_explain(r, long_form, &text), 0);
    if (!long_form)
        assert_null(strchr(text.data, '\n'));
    for (; *words; words++)
        if (!strstr(text.data, *words))
            fail_msg("expected \"%s\" in: %s", *words, text.data);
}

static void sentences_name_the_numbers(void **state)
{
    (void)state;
    struct gr_verdict_record r = record_of(0.05, 60);
    assert_int_equal(r.verdict.verdict, GR_VERDICT_FAILED);
    assert_says(&r, false,
                (const char *const[]){"Failed (ErrorRateRegressed): errors: 5 % of the candidate's",
                                      "beside 0.417 % of stable's", "+4.58 percentage points",
                                      "+0.5 allowed", "convicts", NULL});
    assert_says(
        &r, true,
        (const char *const[]){"harm: 60 bad responses", "crashes: 0 crashes", "latency_p99: p99 ",
                              "sla_errors: ", "sla_p99: ", "grayling-sequential version 1", NULL});
    r = record_of(0, 5);
    assert_says(&r, false, (const char *const[]){"Inconclusive: 100 of 200 requests", NULL});
    r = record_beside(0, 12, 20); // enough for the strategy, too few for a p99
    assert_says(&r, false,
                (const char *const[]){"Inconclusive: latency_p99: ",
                                      "compared from 300 requests of stable on", NULL});
    r.verdict.gates[GR_GATE_LATENCY_P99].candidate_n = 0; // and not a p99 of nothing
    assert_says(&r, true, (const char *const[]){"latency_p99: no request of the candidate", NULL});
    r = record_of(0.004, 200);
    assert_says(&r, false,
                (const char *const[]){"Successful: 4000 requests of the candidate", NULL});
    r.verdict.verdict = GR_VERDICT_ERROR;
    r.verdict.findings = GR_FINDING_BOTH_BAD;
    assert_says(&r, false, (const char *const[]){"Error: ", "promote --over-bad-stable", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_and_replays),
        cmocka_unit_test(an_error_is_recorded_too),
        cmocka_unit_test(the_last_bit_is_noticed),
        cmocka_unit_test(what_was_not_written_by_us_is_refused),
        cmocka_unit_test(the_state_alone_comes_back),
        cmocka_unit_test(sentences_name_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
