// Owns the decoding of strategies: steps, match rules, sticky keys, analysis. Pure.
#include "state/desired-strategy.h"
#include "base/clock.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MATCH_RULES_MAX 32

static int bad(struct gr_error *e, const char *path, const char *sentence)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s: %s", path, sentence);
}

void gr_strategy_default(struct gr_strategy *s)
{
    *s = (struct gr_strategy){.analysis = {.error_rate_max_increase = 0.005,
                                           .latency_p99_max_ratio = 1.2,
                                           .alpha = 0.01,
                                           .min_requests = 200,
                                           .on_inconclusive = GR_INCONCLUSIVE_PAUSE},
                              .freeze_budget_usec = GR_FREEZE_BUDGET_DEFAULT_USEC,
                              .bake_usec = GR_BAKE_DEFAULT_USEC,
                              .deadline_usec = GR_DEADLINE_DEFAULT_USEC,
                              .on_failure = GR_ON_FAILURE_ROLLBACK};
}

void gr_strategy_done(struct gr_strategy *s)
{
    free(s->steps);
    free(s->match_json);
    s->steps = NULL;
    s->match_json = NULL;
}

// Percent with at most two decimals becomes permyriad, exactly.
static int parse_percent(const cJSON *v, const char *path, unsigned *ret, struct gr_error *e)
{
    double p = cJSON_IsNumber(v) ? v->valuedouble * 100 : -1, whole = nearbyint(p);
    if (p < 0 || p > 10000 || fabs(p - whole) > 1e-6)
        return bad(e, path, "expected a percentage from 0 to 100 with at most two decimals");
    *ret = (unsigned)whole;
    return 0;
}

static int parse_pause(const cJSON *v, const char *path, struct gr_step *s, struct gr_error *e)
{
    static const char *const fields[] = {"duration", "requests", NULL};
    int k = gr_json_check_fields(v, path, fields, e);
    if (k == 0)
        k = gr_json_duration(v, path, "duration", GR_JSON_OPTIONAL, &s->duration_usec, e);
    if (k == 0)
        k = gr_json_uint(v, path, "requests", GR_JSON_OPTIONAL, 1, UINT32_MAX, &s->requests, e);
    return k;
}

static int parse_step(const cJSON *o, const char *path, struct gr_step *s, struct gr_error *e)
{
    static const struct {
        const char *name;
        enum gr_step_kind kind;
    } kinds[] = {{"weight", GR_STEP_WEIGHT},
                 {"shadow", GR_STEP_SHADOW},
                 {"pause", GR_STEP_PAUSE},
                 {"analysis", GR_STEP_ANALYSIS}};
    if (!cJSON_IsObject(o) || cJSON_GetArraySize(o) != 1)
        return bad(e, path,
                   "expected an object with exactly one of weight, shadow, pause, analysis");
    const cJSON *v = o->child;
    char inner[160];
    snprintf(inner, sizeof inner, "%s.%.40s", path, v->string);
    for (size_t i = 0; i < GR_COUNT(kinds); i++) {
        if (strcmp(v->string, kinds[i].name) != 0)
            continue;
        s->kind = kinds[i].kind;
        if (s->kind == GR_STEP_WEIGHT || s->kind == GR_STEP_SHADOW)
            return parse_percent(v, inner, &s->permyriad, e);
        if (s->kind == GR_STEP_PAUSE)
            return parse_pause(v, inner, s, e);
        return cJSON_IsObject(v) ? 0 : bad(e, inner, "expected an object");
    }
    return bad(e, inner, "unknown step; expected one of weight, shadow, pause, analysis");
}

static int parse_steps(const cJSON *list, struct gr_strategy *s, struct gr_error *e)
{
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n < 1 || n > GR_STEPS_MAX)
        return bad(e, "strategy.steps", "expected a list of 1 to 64 steps");
    s->steps = calloc((size_t)n, sizeof *s->steps);
    if (!s->steps)
        return -ENOMEM;
    int last_weight = -1;
    const cJSON *o;
    cJSON_ArrayForEach(o, list)
    {
        char path[64];
        snprintf(path, sizeof path, "strategy.steps[%zu]", s->n_steps);
        int k = parse_step(o, path, &s->steps[s->n_steps], e);
        if (k < 0)
            return k;
        if (s->steps[s->n_steps].kind == GR_STEP_WEIGHT)
            last_weight = (int)s->steps[s->n_steps].permyriad;
        s->n_steps++;
    }
    if (last_weight != 10000)
        return bad(
            e, "strategy.steps",
            "the last weight must be 100, or the rollout would never end; add {\"weight\": 100}");
    return 0;
}

static int parse_rule(const cJSON *o, const char *path, struct gr_error *e)
{
    static const char *const fields[] = {"header", "cookie", "tenant", "path", "exact",
                                         "prefix", "regex",  "to",     NULL};
    int k = gr_json_check_fields(o, path, fields, e);
    unsigned subjects = 0, tests = 0;
    for (size_t i = 0; k == 0 && fields[i]; i++) {
        const cJSON *v = gr_json_get(o, fields[i]);
        if (!v)
            continue;
        bool flag = (i == 2 || i == 3) && cJSON_IsTrue(v); // tenant and path need no name
        if (!flag && (!cJSON_IsString(v) || strlen(v->valuestring) > 256))
            return bad(e, path, "expected texts of at most 256 bytes");
        subjects += i < 4;
        tests += i >= 4 && i < 7;
        if (i == 7 && strcmp(v->valuestring, "candidate") != 0 &&
            strcmp(v->valuestring, "stable") != 0)
            return bad(e, path, "'to' is \"candidate\" or \"stable\"");
    }
    if (k == 0 && (subjects != 1 || tests != 1))
        return bad(e, path,
                   "expected exactly one of header, cookie, tenant, path and exactly one of exact, "
                   "prefix, regex");
    return k;
}

static int parse_match(const cJSON *list, struct gr_strategy *s, struct gr_error *e)
{
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MATCH_RULES_MAX)
        return bad(e, "strategy.match", "expected a list of at most 32 rules");
    size_t i = 0;
    const cJSON *o;
    cJSON_ArrayForEach(o, list)
    {
        char path[64];
        snprintf(path, sizeof path, "strategy.match[%zu]", i++);
        int k = parse_rule(o, path, e);
        if (k < 0)
            return k;
    }
    s->match_json = gr_json_format(list);
    return s->match_json ? 0 : -ENOMEM;
}

static int parse_sticky(const char *text, struct gr_strategy *s, struct gr_error *e)
{
    bool named = (strncmp(text, "header:", 7) == 0 || strncmp(text, "cookie:", 7) == 0) && text[7];
    bool plain = strcmp(text, "tenant") == 0 || strcmp(text, "trace") == 0;
    if ((!named && !plain) || strlen(text) >= sizeof s->sticky)
        return bad(e, "strategy.sticky", "expected header:NAME, cookie:NAME, tenant or trace");
    memcpy(s->sticky, text, strlen(text) + 1);
    return 0;
}

static int parse_gate(const cJSON *o, const char *gate, const char *limit, double max, double *ret,
                      struct gr_error *e)
{
    const cJSON *v = gr_json_get(o, gate);
    if (!v) {
        *ret = -1;
        return 0;
    }
    char path[64];
    const char *const fields[] = {limit, NULL};
    snprintf(path, sizeof path, "strategy.analysis.%s", gate);
    int k = gr_json_check_fields(v, path, fields, e);
    return k < 0 ? k : gr_json_double(v, path, limit, GR_JSON_REQUIRED, 0, max, ret, e);
}

// A document that names gates means just these; none named means the defaults; an object without
// any gate is refused.
static int parse_analysis(const cJSON *o, struct gr_analysis *a, struct gr_error *e)
{
    static const char *const fields[] = {"error_rate",   "latency_p99",     "alpha",
                                         "min_requests", "on_inconclusive", NULL};
    static const char at[] = "strategy.analysis";
    const char *inconclusive = "pause";
    int k = gr_json_check_fields(o, at, fields, e);
    if (k == 0)
        k = parse_gate(o, "error_rate", "max_increase", 1, &a->error_rate_max_increase, e);
    if (k == 0)
        k = parse_gate(o, "latency_p99", "max_ratio", 1000, &a->latency_p99_max_ratio, e);
    if (k == 0)
        k = gr_json_double(o, at, "alpha", GR_JSON_OPTIONAL, 1e-9, 0.5, &a->alpha, e);
    if (k == 0)
        k = gr_json_uint(o, at, "min_requests", GR_JSON_OPTIONAL, 1, UINT32_MAX, &a->min_requests,
                         e);
    if (k == 0)
        k = gr_json_string(o, at, "on_inconclusive", GR_JSON_OPTIONAL, &inconclusive, e);
    if (k < 0)
        return k;
    if (a->error_rate_max_increase < 0 && a->latency_p99_max_ratio < 0)
        return bad(e, at,
                   "no gate is named, so nothing would be judged; name error_rate or latency_p99, "
                   "or leave analysis out for the defaults");
    if (strcmp(inconclusive, "pause") != 0 && strcmp(inconclusive, "rollback") != 0)
        return bad(e, "strategy.analysis.on_inconclusive",
                   "expected \"pause\" or \"rollback\"; undecided never promotes");
    a->on_inconclusive = *inconclusive == 'p' ? GR_INCONCLUSIVE_PAUSE : GR_INCONCLUSIVE_ROLLBACK;
    return 0;
}

static int parse_times(const cJSON *o, struct gr_strategy *s, struct gr_error *e)
{
    static const char at[] = "strategy";
    int k = gr_json_duration(o, at, "freeze_budget", GR_JSON_OPTIONAL, &s->freeze_budget_usec, e);
    if (k == 0)
        k = gr_json_duration(o, at, "bake", GR_JSON_OPTIONAL, &s->bake_usec, e);
    if (k == 0)
        k = gr_json_duration(o, at, "deadline", GR_JSON_OPTIONAL, &s->deadline_usec, e);
    if (k == 0 &&
        (s->freeze_budget_usec < 1000 || s->freeze_budget_usec > GR_FREEZE_BUDGET_MAX_USEC))
        return bad(e, "strategy.freeze_budget", "expected 1ms to 10s");
    if (k == 0 && s->deadline_usec == 0)
        return bad(e, "strategy.deadline", "expected more than 0");
    return k;
}

int gr_strategy_parse(const cJSON *o, struct gr_strategy *s, struct gr_error *e)
{
    static const char *const fields[] = {"steps",         "match", "sticky",   "analysis",   "harm",
                                         "freeze_budget", "bake",  "deadline", "on_failure", NULL};
    static const char *const harm_fields[] = {"bad_responses", NULL};
    const char *sticky = NULL, *on_failure = "rollback";
    int k = gr_json_check_fields(o, "strategy", fields, e);
    if (k == 0 && gr_json_get(o, "steps"))
        k = parse_steps(gr_json_get(o, "steps"), s, e);
    if (k == 0 && gr_json_get(o, "match"))
        k = parse_match(gr_json_get(o, "match"), s, e);
    if (k == 0)
        k = gr_json_string(o, "strategy", "sticky", GR_JSON_OPTIONAL, &sticky, e);
    if (k == 0 && sticky)
        k = parse_sticky(sticky, s, e);
    if (k == 0 && gr_json_get(o, "analysis"))
        k = parse_analysis(gr_json_get(o, "analysis"), &s->analysis, e);
    const cJSON *harm = gr_json_get(o, "harm");
    if (k == 0 && harm)
        k = gr_json_check_fields(harm, "strategy.harm", harm_fields, e);
    if (k == 0 && harm)
        k = gr_json_uint(harm, "strategy.harm", "bad_responses", GR_JSON_REQUIRED, 1, UINT32_MAX,
                         &s->harm_bad_responses, e);
    if (k == 0)
        k = parse_times(o, s, e);
    if (k == 0)
        k = gr_json_string(o, "strategy", "on_failure", GR_JSON_OPTIONAL, &on_failure, e);
    if (k == 0 && strcmp(on_failure, "rollback") != 0 && strcmp(on_failure, "pause") != 0)
        return bad(e, "strategy.on_failure", "expected \"rollback\" or \"pause\"");
    s->on_failure = *on_failure == 'r' ? GR_ON_FAILURE_ROLLBACK : GR_ON_FAILURE_PAUSE;
    return k;
}

// --- back to JSON
// ---------------------------------------------------------------------------------

static void add_duration(cJSON *o, const char *field, uint64_t usec)
{
    char text[32];
    snprintf(text, sizeof text, "%lluus", (unsigned long long)usec); // exact, whatever the value
    cJSON_AddStringToObject(o, field, text);
}

static cJSON *format_step(const struct gr_step *s)
{
    static const char *const names[] = {"weight", "shadow", "pause", "analysis"};
    cJSON *o = cJSON_CreateObject();
    if (s->kind == GR_STEP_WEIGHT || s->kind == GR_STEP_SHADOW) {
        cJSON_AddNumberToObject(o, names[s->kind], s->permyriad / 100.0);
        return o;
    }
    cJSON *v = cJSON_AddObjectToObject(o, names[s->kind]);
    if (s->duration_usec)
        add_duration(v, "duration", s->duration_usec);
    if (s->requests)
        cJSON_AddNumberToObject(v, "requests", (double)s->requests);
    return o;
}

static void format_analysis(cJSON *o, const struct gr_analysis *a)
{
    cJSON *v = cJSON_AddObjectToObject(o, "analysis");
    if (a->error_rate_max_increase >= 0)
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(v, "error_rate"), "max_increase",
                                a->error_rate_max_increase);
    if (a->latency_p99_max_ratio >= 0)
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(v, "latency_p99"), "max_ratio",
                                a->latency_p99_max_ratio);
    cJSON_AddNumberToObject(v, "alpha", a->alpha);
    cJSON_AddNumberToObject(v, "min_requests", (double)a->min_requests);
    cJSON_AddStringToObject(v, "on_inconclusive",
                            a->on_inconclusive == GR_INCONCLUSIVE_PAUSE ? "pause" : "rollback");
}

cJSON *gr_strategy_format(const struct gr_strategy *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *steps = s->n_steps ? cJSON_AddArrayToObject(o, "steps") : NULL;
    for (size_t i = 0; i < s->n_steps; i++)
        cJSON_AddItemToArray(steps, format_step(&s->steps[i]));
    if (s->match_json)
        cJSON_AddItemToObject(o, "match", cJSON_Parse(s->match_json));
    if (s->sticky[0])
        cJSON_AddStringToObject(o, "sticky", s->sticky);
    format_analysis(o, &s->analysis);
    if (s->harm_bad_responses)
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(o, "harm"), "bad_responses",
                                (double)s->harm_bad_responses);
    add_duration(o, "freeze_budget", s->freeze_budget_usec);
    add_duration(o, "bake", s->bake_usec);
    add_duration(o, "deadline", s->deadline_usec);
    cJSON_AddStringToObject(o, "on_failure",
                            s->on_failure == GR_ON_FAILURE_ROLLBACK ? "rollback" : "pause");
    return o;
}
