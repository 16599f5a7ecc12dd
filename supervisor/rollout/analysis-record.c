// Owns the record of a verdict: which numbers it holds, how it is written, and that it replays.
#include "rollout/analysis-record.h"
#include "rollout/analysis-fields.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ONE(type, member, kind_)                                                                   \
    {                                                                                              \
#member, kind_, offsetof(type, member), 1, 0, NULL, 0                                      \
    }
#define MANY(type, member, kind_, n)                                                               \
    {                                                                                              \
#member, kind_, offsetof(type, member), n, 0, NULL, 0                                      \
    }
#define SOME(type, member, table, n, each)                                                         \
    {                                                                                              \
#member, GR_FIELD_OBJECT, offsetof(type, member), n, sizeof(each), table, 0                \
    }
#define BUCKET(type, member, most)                                                                 \
    {                                                                                              \
#member, GR_FIELD_U64, offsetof(type, member), 1, 0, NULL, most                            \
    }
#define PAIR(type, member) MANY(type, member, GR_FIELD_U64, 2)
#define BET(type, member) MANY(type, member, GR_FIELD_DOUBLE, GR_BET_STRATEGIES)

_Static_assert(sizeof(struct gr_pair) == 2 * sizeof(uint64_t), "a pair is written as two counts");
_Static_assert(sizeof(struct gr_bet) == GR_BET_STRATEGIES * sizeof(double),
               "a bet is written as its capitals");

// clang-format off
#define T struct gr_tail
static const struct gr_field tail_fields[] = {
    ONE(T, set, GR_FIELD_BOOL),
    BUCKET(T, fast_bucket, GR_HISTOGRAM_BUCKETS - 1), BUCKET(T, slow_bucket, GR_HISTOGRAM_BUCKETS),
    ONE(T, fast_base, GR_FIELD_U64), ONE(T, slow_base, GR_FIELD_U64),
    ONE(T, fast_before, GR_FIELD_U64), ONE(T, slow_before, GR_FIELD_U64),
    ONE(T, share, GR_FIELD_DOUBLE), BET(T, bet), GR_FIELD_END};
#undef T
#define T struct gr_analysis_state
static const struct gr_field state_fields[] = {
    ONE(T, looks, GR_FIELD_U64), ONE(T, blocks, GR_FIELD_U64),
    PAIR(T, candidate_seen), PAIR(T, stable_seen),
    ONE(T, candidate_latencies, GR_FIELD_U64), ONE(T, stable_latencies, GR_FIELD_U64),
    PAIR(T, candidate_open), PAIR(T, stable_open),
    PAIR(T, candidate_paired), PAIR(T, stable_paired), PAIR(T, alone),
    ONE(T, difference, GR_FIELD_DOUBLE), ONE(T, difference_weight, GR_FIELD_DOUBLE),
    ONE(T, difference_variance, GR_FIELD_DOUBLE),
    BET(T, errors), BET(T, errors_stable),
    SOME(T, tails, tail_fields, GR_TAILS, struct gr_tail),
    SOME(T, tail_stable, tail_fields, 1, struct gr_tail),
    MANY(T, peak, GR_FIELD_DOUBLE, GR_GATE_COUNT), GR_FIELD_END};
#undef T
#define T struct gr_arm_sample
static const struct gr_field arm_fields[] = {
    ONE(T, requests, GR_FIELD_U64), ONE(T, errors, GR_FIELD_U64), ONE(T, crashes, GR_FIELD_U64),
    ONE(T, latency, GR_FIELD_HISTOGRAM), GR_FIELD_END};
#undef T
#define T struct gr_slope
static const struct gr_field slope_fields[] = {
    ONE(T, points, GR_FIELD_U64), ONE(T, per_request, GR_FIELD_DOUBLE), ONE(T, low, GR_FIELD_DOUBLE),
    ONE(T, high, GR_FIELD_DOUBLE), GR_FIELD_END};
#undef T
#define T struct gr_analysis
static const struct gr_field limit_fields[] = {
    ONE(T, error_rate_max_increase, GR_FIELD_DOUBLE), ONE(T, latency_p99_max_ratio, GR_FIELD_DOUBLE),
    ONE(T, alpha, GR_FIELD_DOUBLE), ONE(T, min_requests, GR_FIELD_U64), GR_FIELD_END};
#undef T
#define T struct gr_analysis_input
static const struct gr_field input_fields[] = {
    SOME(T, limits, limit_fields, 1, struct gr_analysis),
    ONE(T, harm_bad_responses, GR_FIELD_U64), ONE(T, crashes_allowed, GR_FIELD_U64),
    ONE(T, sla_error_rate, GR_FIELD_DOUBLE), ONE(T, sla_p99_usec, GR_FIELD_U64),
    MANY(T, slope_limit, GR_FIELD_DOUBLE, 3),
    ONE(T, has_stable, GR_FIELD_BOOL), ONE(T, measured, GR_FIELD_BOOL),
    ONE(T, concurrent, GR_FIELD_BOOL),
    SOME(T, candidate, arm_fields, 1, struct gr_arm_sample),
    SOME(T, stable, arm_fields, 1, struct gr_arm_sample),
    SOME(T, reference, arm_fields, 1, struct gr_arm_sample),
    SOME(T, slope, slope_fields, 3, struct gr_slope), GR_FIELD_END};
#undef T
#define T struct gr_gate_verdict
static const struct gr_field gate_fields[] = {
    ONE(T, enabled, GR_FIELD_BOOL), ONE(T, verdict, GR_FIELD_VERDICT),
    ONE(T, candidate_n, GR_FIELD_U64), ONE(T, stable_n, GR_FIELD_U64),
    ONE(T, candidate, GR_FIELD_DOUBLE), ONE(T, stable, GR_FIELD_DOUBLE),
    ONE(T, estimate, GR_FIELD_DOUBLE), ONE(T, low, GR_FIELD_DOUBLE), ONE(T, high, GR_FIELD_DOUBLE),
    ONE(T, limit, GR_FIELD_DOUBLE), ONE(T, evidence, GR_FIELD_DOUBLE),
    ONE(T, evidence_limit, GR_FIELD_DOUBLE), GR_FIELD_END};
#undef T
#define T struct gr_analysis_verdict
#define GATE(name, index) {name, GR_FIELD_OBJECT, \
    offsetof(T, gates) + (index) * sizeof(struct gr_gate_verdict), 1, \
    sizeof(struct gr_gate_verdict), gate_fields, 0}
static const struct gr_field verdict_fields[] = {
    ONE(T, verdict, GR_FIELD_VERDICT), ONE(T, gate, GR_FIELD_GATE), ONE(T, reason, GR_FIELD_REASON),
    ONE(T, findings, GR_FIELD_UNSIGNED),
    GATE("harm", GR_GATE_HARM), GATE("crashes", GR_GATE_CRASHES), GATE("errors", GR_GATE_ERRORS),
    GATE("errors_alone", GR_GATE_ERRORS_ALONE), GATE("latency_p99", GR_GATE_LATENCY_P99),
    GATE("latency_shape", GR_GATE_LATENCY_SHAPE), GATE("sla_errors", GR_GATE_SLA_ERRORS),
    GATE("sla_p99", GR_GATE_SLA_P99), GATE("memory", GR_GATE_MEMORY),
    GATE("descriptors", GR_GATE_DESCRIPTORS), GATE("threads", GR_GATE_THREADS), GR_FIELD_END};
#undef T
#define T struct gr_verdict_record
static const struct gr_field record_fields[] = { // after rule and rule_version
    SOME(T, before, state_fields, 1, struct gr_analysis_state),
    SOME(T, input, input_fields, 1, struct gr_analysis_input),
    SOME(T, verdict, verdict_fields, 1, struct gr_analysis_verdict), GR_FIELD_END};
#undef T
// clang-format on

void gr_verdict_record_make(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                            struct gr_verdict_record *ret)
{
    *ret = (struct gr_verdict_record){
        .rule = GR_ANALYSIS_RULE, .rule_version = GR_ANALYSIS_RULE_VERSION, .before = *s};
    ret->input = *in;
    gr_analysis_judge(s, in, &ret->verdict);
}

int gr_verdict_record_format(const struct gr_verdict_record *r, struct gr_buf *text)
{
    int k = gr_buf_printf(text, "{\"rule\":\"%s\",\"rule_version\":%u", r->rule, r->rule_version);
    for (const struct gr_field *f = record_fields; k == 0 && f->name; f++) {
        k = gr_buf_printf(text, ",\"%s\":", f->name);
        if (k == 0)
            k = gr_fields_format(f->members, (const char *)r + f->offset, text);
    }
    return k < 0 ? k : gr_buf_printf(text, "}");
}

static int parse_rule(const cJSON *o, struct gr_verdict_record *r, struct gr_error *e)
{
    static const char *const fields[] = {"rule",  "rule_version", "before",
                                         "input", "verdict",      NULL};
    const char *rule = NULL;
    uint64_t version = 0;
    int k = gr_json_check_fields(o, "", fields, e);
    if (k == 0)
        k = gr_json_string(o, "", "rule", GR_JSON_REQUIRED, &rule, e);
    if (k == 0)
        k = gr_json_uint(o, "", "rule_version", GR_JSON_REQUIRED, 0, UINT32_MAX, &version, e);
    if (k < 0)
        return k;
    size_t n = strlen(rule);
    if (n >= sizeof r->rule || strspn(rule, "abcdefghijklmnopqrstuvwxyz-") != n)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "rule: expected a short name of small letters, such as %s",
                            GR_ANALYSIS_RULE);
    memcpy(r->rule, rule, n + 1);
    r->rule_version = (unsigned)version;
    return 0;
}

int gr_verdict_record_parse(const char *text, size_t len, struct gr_verdict_record *ret,
                            struct gr_error *e)
{
    GR_AUTO_JSON cJSON *o = NULL;
    GR_AUTO_FREE struct gr_verdict_record *r = calloc(1, sizeof *r);
    if (!r)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    int k = gr_json_parse(text, len, GR_VERDICT_RECORD_BYTES_MAX, &o, e);
    if (k == 0)
        k = parse_rule(o, r, e);
    for (const struct gr_field *f = record_fields; k == 0 && f->name; f++) {
        const cJSON *v = gr_json_get(o, f->name);
        k = v ? gr_fields_parse(f->members, v, f->name, (char *)r + f->offset, e)
              : gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s: expected it to be there",
                             f->name);
    }
    if (k == 0)
        *ret = *r;
    return k;
}

int gr_analysis_state_format(const struct gr_analysis_state *s, struct gr_buf *text)
{
    return gr_fields_format(state_fields, s, text);
}

int gr_analysis_state_parse(const char *text, size_t len, struct gr_analysis_state *ret,
                            struct gr_error *e)
{
    GR_AUTO_JSON cJSON *o = NULL;
    struct gr_analysis_state s = {0};
    int k = gr_json_parse(text, len, GR_VERDICT_RECORD_BYTES_MAX, &o, e);
    if (k == 0)
        k = gr_fields_parse(state_fields, o, "", &s, e);
    if (k == 0)
        *ret = s;
    return k;
}

int gr_verdict_replay(const struct gr_verdict_record *r, struct gr_error *e)
{
    if (strcmp(r->rule, GR_ANALYSIS_RULE) != 0 || r->rule_version != GR_ANALYSIS_RULE_VERSION)
        return gr_error_set(e, -ENOTSUP, GR_REASON_INTERNAL,
                            "the verdict was made by rule %s version %u; this program computes %s "
                            "version %d and cannot replay it. Use the release that made it",
                            r->rule, r->rule_version, GR_ANALYSIS_RULE, GR_ANALYSIS_RULE_VERSION);
    struct gr_analysis_state s = r->before;
    struct gr_analysis_verdict now;
    gr_analysis_judge(&s, &r->input, &now);
    return gr_fields_compare(verdict_fields, &r->verdict, &now, "", e);
}
