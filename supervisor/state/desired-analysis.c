// Reads how a candidate is judged. A document that names gates means just these; one that only
// turns the parameters keeps the default gates; an empty one would switch every gate off and is
// refused.
#include "state/desired-internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALPHA_MIN 1e-9
#define RATIO_MAX 1000.0
#define GROWTH_MAX 1e9
#define REQUESTS_MAX UINT32_MAX

// How a document says how fast each resource may grow, and for how many requests it says so.
static const struct {
    const char *gate, *limit;
    double requests;
} growths[GR_RESOURCES] = {
    [GR_RESOURCE_MEMORY] = {"memory", "max_bytes_per_request", 1},
    [GR_RESOURCE_DESCRIPTORS] = {"descriptors", "max_per_10000_requests", 10000},
    [GR_RESOURCE_THREADS] = {"threads", "max_per_10000_requests", 10000},
};

static const char at[] = "strategy.analysis";

// `limit` names the only field of the gate. A gate that is not named is off: -1.
static int parse_gate(const cJSON *o, const char *gate, const char *limit, double max, double *ret,
                      struct gr_error *e)
{
    const cJSON *v = gr_json_get(o, gate);
    if (!v) {
        *ret = -1;
        return 0;
    }
    char path[GR_FIELD_MAX];
    const char *const fields[] = {limit, NULL};
    snprintf(path, sizeof path, "%s.%s", at, gate);
    int k = gr_json_check_fields(v, path, fields, e);
    return k < 0 ? k : gr_json_double(v, path, limit, GR_JSON_REQUIRED, 0, max, ret, e);
}

static int parse_gates(const cJSON *o, struct gr_analysis *a, struct gr_error *e)
{
    if (!gr_json_get(o, "error_rate") && !gr_json_get(o, "latency_p99"))
        return 0; // the default gates
    int k = parse_gate(o, "error_rate", "max_increase", 1, &a->error_rate_max_increase, e);
    if (k == 0)
        k = parse_gate(o, "latency_p99", "max_ratio", RATIO_MAX, &a->latency_p99_max_ratio, e);
    if (k == 0 && a->latency_p99_max_ratio >= 0 && a->latency_p99_max_ratio < 1)
        return gr_desired_refuse(e, "strategy.analysis.latency_p99.max_ratio",
                                 "expected at least 1 (as slow as stable), found %g; 1.2 allows "
                                 "20 %% more",
                                 a->latency_p99_max_ratio);
    return k;
}

// Beside the other gates: they compare with stable, and what grows without end is no matter of
// comparing.
static int parse_growths(const cJSON *o, struct gr_analysis *a, struct gr_error *e)
{
    int k = 0;
    for (size_t i = 0; i < GR_RESOURCES && k == 0; i++) {
        double max = 0;
        if (!gr_json_get(o, growths[i].gate))
            continue;
        k = parse_gate(o, growths[i].gate, growths[i].limit, GROWTH_MAX, &max, e);
        a->growth_max[i] = max / growths[i].requests;
    }
    return k < 0 ? k
                 : gr_json_uint(o, at, "warm_up_requests", GR_JSON_OPTIONAL, 1, REQUESTS_MAX,
                                &a->warm_up_requests, e);
}

static int parse_inconclusive(const cJSON *o, struct gr_analysis *a, struct gr_error *e)
{
    const char *text = "pause";
    char shown[GR_SHOWN_MAX];
    int k = gr_json_string(o, at, "on_inconclusive", GR_JSON_OPTIONAL, &text, e);
    if (k < 0)
        return k;
    if (strcmp(text, "pause") != 0 && strcmp(text, "rollback") != 0)
        return gr_desired_refuse(e, "strategy.analysis.on_inconclusive",
                                 "expected \"pause\" or \"rollback\", found %s; undecided never "
                                 "promotes by itself",
                                 gr_desired_show(gr_json_get(o, "on_inconclusive"), shown));
    a->on_inconclusive =
        strcmp(text, "pause") == 0 ? GR_INCONCLUSIVE_PAUSE : GR_INCONCLUSIVE_ROLLBACK;
    return 0;
}

int gr_analysis_parse(const cJSON *o, struct gr_analysis *a, struct gr_error *e)
{
    static const char *const fields[] = {
        "error_rate", "latency_p99",  "memory",          "descriptors",      "threads",
        "alpha",      "min_requests", "on_inconclusive", "warm_up_requests", NULL};
    int k = gr_json_check_fields(o, at, fields, e);
    if (k < 0)
        return k;
    if (!o->child)
        return gr_desired_refuse(e, at,
                                 "an empty object would switch every gate off, and nothing would "
                                 "be judged; name error_rate or latency_p99, or leave analysis "
                                 "out for the defaults");
    k = parse_gates(o, a, e);
    if (k == 0)
        k = parse_growths(o, a, e);
    if (k == 0)
        k = gr_json_double(o, at, "alpha", GR_JSON_OPTIONAL, ALPHA_MIN, 0.5, &a->alpha, e);
    if (k == 0)
        k = gr_json_uint(o, at, "min_requests", GR_JSON_OPTIONAL, 1, REQUESTS_MAX, &a->min_requests,
                         e);
    return k < 0 ? k : parse_inconclusive(o, a, e);
}

static bool add_gate(cJSON *o, const char *gate, const char *limit, double value)
{
    if (value < 0)
        return true;
    cJSON *v = cJSON_AddObjectToObject(o, gate);
    return v && cJSON_AddNumberToObject(v, limit, value);
}

cJSON *gr_analysis_format(const struct gr_analysis *a)
{
    cJSON *o = cJSON_CreateObject();
    const char *inconclusive = a->on_inconclusive == GR_INCONCLUSIVE_PAUSE ? "pause" : "rollback";
    bool ok = o && add_gate(o, "error_rate", "max_increase", a->error_rate_max_increase) &&
              add_gate(o, "latency_p99", "max_ratio", a->latency_p99_max_ratio) &&
              cJSON_AddNumberToObject(o, "alpha", a->alpha) &&
              gr_json_add_uint(o, "min_requests", a->min_requests) &&
              cJSON_AddStringToObject(o, "on_inconclusive", inconclusive) &&
              gr_json_add_uint(o, "warm_up_requests", a->warm_up_requests);
    for (size_t i = 0; ok && i < GR_RESOURCES; i++)
        ok = add_gate(o, growths[i].gate, growths[i].limit, a->growth_max[i] * growths[i].requests);
    if (!ok)
        cJSON_Delete(o);
    return ok ? o : NULL;
}

// --- sense ---------------------------------------------------------------------------------------

static int refuse_number(struct gr_error *e, const char *field, const char *expected, double found)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "strategy.analysis.%s: expected %s, found %g", field, expected, found);
}

int gr_analysis_check(const struct gr_strategy *s, struct gr_error *e)
{
    const struct gr_analysis *a = &s->analysis;
    double increase = a->error_rate_max_increase, ratio = a->latency_p99_max_ratio;
    if (!(increase < 1))
        return refuse_number(
            e, "error_rate.max_increase",
            "a share below 1, since from 1 on no candidate could ever fail; 0.005 allows "
            "half a per cent",
            increase);
    if (!(ratio < 0 || (ratio >= 1 && ratio <= 1000)))
        return refuse_number(e, "latency_p99.max_ratio",
                             "from 1 (as slow as stable) to 1000; 1.2 allows 20 % more", ratio);
    if (increase < 0 && ratio < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "strategy.analysis: expected at least one gate, found none, so that "
                            "nothing would be judged; name error_rate or latency_p99, or leave "
                            "analysis out for the defaults");
    if (!(a->alpha >= 1e-9 && a->alpha <= 0.5))
        return refuse_number(
            e, "alpha",
            "from 1e-9 to 0.5, the share of good candidates that may be taken back; 0.01 "
            "is usual",
            a->alpha);
    if (a->min_requests < 1 || a->min_requests > UINT32_MAX)
        return refuse_number(e, "min_requests", "from 1 to 4294967295", (double)a->min_requests);
    return 0;
}
