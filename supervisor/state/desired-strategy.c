// Reads how a release is rolled out: its steps, times and what happens on failure.
#include "base/clock.h"
#include "base/json-same.h"
#include "state/canonical.h"
#include "state/desired-internal.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_USEC (366ull * 24 * 3600 * GR_USEC_PER_SEC) // of a pause, bake, deadline

static const char *const step_names[] = {[GR_STEP_WEIGHT] = "weight",
                                         [GR_STEP_SHADOW] = "shadow",
                                         [GR_STEP_PAUSE] = "pause",
                                         [GR_STEP_ANALYSIS] = "analysis"};

void gr_strategy_default(struct gr_strategy *s)
{
    *s = (struct gr_strategy){.analysis = {.error_rate_max_increase = 0.005,
                                           .latency_p99_max_ratio = 1.2,
                                           .alpha = 0.01,
                                           .min_requests = 200,
                                           .on_inconclusive = GR_INCONCLUSIVE_PAUSE,
                                           .growth_max = {-1, 0.5e-4, 0.5e-4},
                                           .warm_up_requests = 1000},
                              .freeze_budget_usec = GR_FREEZE_BUDGET_DEFAULT_USEC,
                              .bake_usec = GR_BAKE_DEFAULT_USEC,
                              .deadline_usec = GR_DEADLINE_DEFAULT_USEC,
                              .on_failure = GR_ON_FAILURE_ROLLBACK};
}

void gr_strategy_done(struct gr_strategy *s)
{
    free(gr_steal(s->steps));
    free(gr_steal(s->match_json));
    free(gr_steal(s->shadow_ignore_json));
    s->n_steps = 0;
}

// --- reading -------------------------------------------------------------------------------------

// Exactly: a number of two decimals is the double nearest to its hundredfold divided by 100.
static int parse_percent(const cJSON *v, const char *path, unsigned *ret, struct gr_error *e)
{
    char shown[GR_SHOWN_MAX];
    double percent = cJSON_IsNumber(v) ? v->valuedouble : -1, permyriad = nearbyint(percent * 100);
    if (!(percent >= 0 && percent <= 100) || permyriad / 100 != percent)
        return gr_desired_refuse(e, path,
                                 "expected a percentage from 0 to 100 with at most two decimals, "
                                 "found %s",
                                 gr_desired_show(v, shown));
    *ret = (unsigned)permyriad;
    return 0;
}

static int parse_duration(const cJSON *o, const char *path, const char *field, uint64_t min,
                          uint64_t max, uint64_t *ret, struct gr_error *e)
{
    uint64_t usec = *ret;
    int k = gr_json_duration(o, path, field, GR_JSON_OPTIONAL, &usec, e);
    if (k < 0 || !gr_json_get(o, field))
        return k;
    if (usec < min || usec > max) {
        char at[GR_FIELD_MAX], low[32], high[32], shown[GR_SHOWN_MAX];
        snprintf(at, sizeof at, "%s.%s", path, field);
        return gr_desired_refuse(e, at, "expected %s to %s, found %s", gr_duration_format(min, low),
                                 gr_duration_format(max, high),
                                 gr_desired_show(gr_json_get(o, field), shown));
    }
    *ret = usec;
    return 0;
}

static int parse_pause(const cJSON *v, const char *path, struct gr_step *s, struct gr_error *e)
{
    static const char *const fields[] = {"duration", "requests", NULL};
    int k = gr_json_check_fields(v, path, fields, e);
    if (k == 0)
        k = parse_duration(v, path, "duration", 1, DURATION_MAX_USEC, &s->duration_usec, e);
    if (k == 0)
        k = gr_json_uint(v, path, "requests", GR_JSON_OPTIONAL, 1, UINT32_MAX, &s->requests, e);
    return k;
}

static int parse_step(const cJSON *o, const char *path, struct gr_step *s, struct gr_error *e)
{
    static const char *const nothing[] = {NULL};
    const char *const fields[] = {step_names[0], step_names[1], step_names[2], step_names[3], NULL};
    int k = gr_json_check_fields(o, path, fields, e);
    if (k < 0)
        return k;
    if (cJSON_GetArraySize(o) != 1)
        return gr_desired_refuse(e, path,
                                 "expected exactly one of weight, shadow, pause, analysis, found "
                                 "%d of them; make each a step of its own",
                                 cJSON_GetArraySize(o));
    char at[GR_FIELD_MAX];
    snprintf(at, sizeof at, "%s.%s", path, o->child->string);
    for (size_t i = 0; i < GR_COUNT(step_names); i++)
        if (strcmp(o->child->string, step_names[i]) == 0)
            s->kind = (enum gr_step_kind)i;
    switch (s->kind) {
    case GR_STEP_WEIGHT:
    case GR_STEP_SHADOW:
        return parse_percent(o->child, at, &s->permyriad, e);
    case GR_STEP_PAUSE:
        return parse_pause(o->child, at, s, e);
    case GR_STEP_ANALYSIS:
        return gr_json_check_fields(o->child, at, nothing, e);
    }
    return -EINVAL;
}

// The last weight must be 100: a rollout that stops below it would never end.
static int check_end(const struct gr_strategy *s, struct gr_error *e)
{
    for (size_t i = s->n_steps; i-- > 0;) {
        if (s->steps[i].kind != GR_STEP_WEIGHT)
            continue;
        if (s->steps[i].permyriad == 10000)
            return 0;
        char at[GR_FIELD_MAX];
        snprintf(at, sizeof at, "strategy.steps[%zu].weight", i);
        return gr_desired_refuse(e, at,
                                 "the last weight must be 100, found %g, with which the rollout "
                                 "would never end; add {\"weight\": 100}",
                                 s->steps[i].permyriad / 100.0);
    }
    return gr_desired_refuse(e, "strategy.steps",
                             "expected a weight, found none, without which nothing would be "
                             "released; add {\"weight\": 100} at the end");
}

static int parse_steps(const cJSON *list, struct gr_strategy *s, struct gr_error *e)
{
    char shown[GR_SHOWN_MAX];
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n < 1 || n > GR_STEPS_MAX)
        return gr_desired_refuse(e, "strategy.steps", "expected a list of 1 to %d steps, found %s",
                                 GR_STEPS_MAX, gr_desired_show(list, shown));
    s->steps = calloc((size_t)n, sizeof *s->steps);
    if (!s->steps)
        return gr_desired_no_memory(e);
    for (const cJSON *o = list->child; o; o = o->next) {
        char path[48];
        snprintf(path, sizeof path, "strategy.steps[%zu]", s->n_steps);
        int k = parse_step(o, path, &s->steps[s->n_steps++], e);
        if (k < 0)
            return k;
    }
    return check_end(s, e);
}

static int parse_times(const cJSON *o, struct gr_strategy *s, struct gr_error *e)
{
    static const char at[] = "strategy";
    int k = parse_duration(o, at, "freeze_budget", 1, GR_FREEZE_BUDGET_MAX_USEC,
                           &s->freeze_budget_usec, e);
    if (k == 0)
        k = parse_duration(o, at, "bake", 0, DURATION_MAX_USEC, &s->bake_usec, e);
    if (k == 0)
        k = parse_duration(o, at, "deadline", 1, DURATION_MAX_USEC, &s->deadline_usec, e);
    return k;
}

static int parse_failure(const cJSON *o, struct gr_strategy *s, struct gr_error *e)
{
    static const char *const harm_fields[] = {"bad_responses", NULL};
    const cJSON *harm = gr_json_get(o, "harm");
    const char *on_failure = "rollback";
    char shown[GR_SHOWN_MAX];
    int k = harm ? gr_json_check_fields(harm, "strategy.harm", harm_fields, e) : 0;
    if (k == 0 && harm)
        k = gr_json_uint(harm, "strategy.harm", "bad_responses", GR_JSON_REQUIRED, 1, UINT32_MAX,
                         &s->harm_bad_responses, e);
    if (k == 0)
        k = gr_json_string(o, "strategy", "on_failure", GR_JSON_OPTIONAL, &on_failure, e);
    if (k < 0)
        return k;
    if (strcmp(on_failure, "rollback") != 0 && strcmp(on_failure, "pause") != 0)
        return gr_desired_refuse(e, "strategy.on_failure",
                                 "expected \"rollback\" or \"pause\", found %s",
                                 gr_desired_show(gr_json_get(o, "on_failure"), shown));
    s->on_failure = strcmp(on_failure, "pause") == 0 ? GR_ON_FAILURE_PAUSE : GR_ON_FAILURE_ROLLBACK;
    return 0;
}

// Kept as text: what it means is decided where answers are compared.
static int parse_ignore(const cJSON *list, char **ret, struct gr_error *e)
{
    struct gr_json_ignore *parsed = NULL;
    int k = gr_json_ignore_parse(list, "strategy.shadow_ignore", &parsed, e);
    if (k < 0 || !parsed)
        return k;
    gr_json_ignore_free(parsed);
    *ret = gr_canonical_format(list, GR_DOCUMENT_BYTES_MAX);
    return *ret ? 0 : gr_desired_no_memory(e);
}

int gr_strategy_parse(const cJSON *o, struct gr_strategy *s, struct gr_error *e)
{
    static const char *const fields[] = {"steps",         "match",         "sticky", "analysis",
                                         "harm",          "shadow_ignore", "bake",   "deadline",
                                         "freeze_budget", "on_failure",    NULL};
    int k = gr_json_check_fields(o, "strategy", fields, e);
    if (k < 0)
        return k;
    const cJSON *steps = gr_json_get(o, "steps"), *match = gr_json_get(o, "match"),
                *sticky = gr_json_get(o, "sticky"), *ignore = gr_json_get(o, "shadow_ignore"),
                *analysis = gr_json_get(o, "analysis");
    if (steps)
        k = parse_steps(steps, s, e);
    if (k == 0 && match)
        k = gr_match_parse(match, &s->match_json, e);
    if (k == 0 && sticky)
        k = gr_sticky_parse(sticky, s->sticky, sizeof s->sticky, e);
    if (k == 0 && ignore)
        k = parse_ignore(ignore, &s->shadow_ignore_json, e);
    if (k == 0 && analysis)
        k = gr_analysis_parse(analysis, &s->analysis, e);
    if (k == 0)
        k = parse_times(o, s, e);
    return k < 0 ? k : parse_failure(o, s, e);
}

// --- writing -------------------------------------------------------------------------------------

static bool add_duration(cJSON *o, const char *field, uint64_t usec)
{
    char text[32];
    return cJSON_AddStringToObject(o, field, gr_duration_format(usec, text));
}

static bool add_step(cJSON *list, const struct gr_step *s)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    if (s->kind == GR_STEP_WEIGHT || s->kind == GR_STEP_SHADOW)
        return cJSON_AddNumberToObject(o, step_names[s->kind], s->permyriad / 100.0);
    cJSON *v = cJSON_AddObjectToObject(o, step_names[s->kind]);
    return v && (!s->duration_usec || add_duration(v, "duration", s->duration_usec)) &&
           (!s->requests || gr_json_add_uint(v, "requests", s->requests));
}

static bool add_steps(cJSON *o, const struct gr_strategy *s)
{
    cJSON *list = s->n_steps ? cJSON_AddArrayToObject(o, "steps") : NULL;
    bool ok = list || !s->n_steps;
    for (size_t i = 0; ok && i < s->n_steps; i++)
        ok = add_step(list, &s->steps[i]);
    return ok;
}

static bool add_harm(cJSON *o, const struct gr_strategy *s)
{
    cJSON *harm = s->harm_bad_responses ? cJSON_AddObjectToObject(o, "harm") : NULL;
    return !s->harm_bad_responses ||
           (harm && gr_json_add_uint(harm, "bad_responses", s->harm_bad_responses));
}

cJSON *gr_strategy_format(const struct gr_strategy *s)
{
    cJSON *o = cJSON_CreateObject();
    const char *on_failure = s->on_failure == GR_ON_FAILURE_ROLLBACK ? "rollback" : "pause";
    bool ok = o && add_steps(o, s) &&
              (!s->match_json || gr_desired_add(o, "match", cJSON_Parse(s->match_json))) &&
              (!s->shadow_ignore_json ||
               gr_desired_add(o, "shadow_ignore", cJSON_Parse(s->shadow_ignore_json))) &&
              (!s->sticky[0] || cJSON_AddStringToObject(o, "sticky", s->sticky)) &&
              gr_desired_add(o, "analysis", gr_analysis_format(&s->analysis)) && add_harm(o, s) &&
              add_duration(o, "freeze_budget", s->freeze_budget_usec) &&
              add_duration(o, "bake", s->bake_usec) &&
              add_duration(o, "deadline", s->deadline_usec) &&
              cJSON_AddStringToObject(o, "on_failure", on_failure);
    if (!ok)
        cJSON_Delete(o);
    return ok ? o : NULL;
}
