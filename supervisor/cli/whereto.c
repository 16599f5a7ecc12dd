// Explains dispatch's decision about one request. Decides nothing itself.
#include "cli/whereto.h"
#include "base/json.h"
#include "cli/output.h"
#include "dispatch/gray.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// --- the request
// ----------------------------------------------------------------------------------

static int add_header(struct gr_whereto *w, const char *text, struct gr_error *e)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--request %.100s: expected 'name: value', as in 'x-user-id: 7'", text);
    char *copy = strdup(text);
    if (!copy)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    char *value = copy + (colon - text);
    *value++ = '\0';
    value += strspn(value, " \t");
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    w->texts[w->n] = copy;
    w->headers[w->n++] = (struct grayling_header){.name = copy, .value = value};
    return 0;
}

int gr_whereto_init(struct gr_whereto *w, const char *const *headers, size_t n, const char *path,
                    struct gr_error *e)
{
    int r = 0;
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (path && (*path != '/' || slash == path || !slash[1]))
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--path %.200s: expected /INTERFACE/METHOD, as in "
                            "/com.example.pay.PayService/Charge",
                            path);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_header(w, headers[i], e);
    if (r < 0)
        return r;
    w->interface = path ? strndup(path + 1, (size_t)(slash - path) - 1) : strdup("");
    w->method = strdup(path ? slash + 1 : "");
    return w->interface && w->method
               ? 0
               : gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

void gr_whereto_done(struct gr_whereto *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->texts[i]);
    free(w->interface);
    free(w->method);
    *w = (struct gr_whereto){0};
}

// --- the answer
// -----------------------------------------------------------------------------------

struct said {
    const char *goes_to, *version;
    int rule, bucket;
    unsigned permyriad;
    char why[512];
};

static int format(const char *module, const struct said *s, cJSON **ret, struct gr_error *e)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "module", module) &&
              cJSON_AddStringToObject(o, "goes_to", s->goes_to) &&
              (*s->version ? cJSON_AddStringToObject(o, "version", s->version)
                           : cJSON_AddNullToObject(o, "version")) &&
              cJSON_AddNumberToObject(o, "rule", s->rule) &&
              cJSON_AddNumberToObject(o, "bucket", s->bucket) &&
              cJSON_AddNumberToObject(o, "weight", s->permyriad / 100.0) &&
              cJSON_AddStringToObject(o, "why", s->why);
    if (!ok) {
        cJSON_Delete(o);
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    }
    *ret = o;
    return 0;
}

static void say_turn(struct said *s, const char *sticky)
{
    s->goes_to = "turn";
    s->version = "";
    snprintf(s->why, sizeof s->why,
             "%s%.128s%s: it takes a turn, and %g of 100 turns are the candidate's",
             *sticky ? "the request has no " : "no rule matches and no key is asked for", sticky,
             *sticky ? ", which the key would be" : "", s->permyriad / 100.0);
}

static void say_rule(struct said *s, const struct gr_gray_decision *d, const char *candidate,
                     const char *stable)
{
    s->rule = d->rule;
    s->goes_to = d->candidate ? "candidate" : "stable";
    s->version = d->candidate ? candidate : stable;
    snprintf(s->why, sizeof s->why, "match[%d] fits, the first rule that does, whatever the weight",
             d->rule);
}

static struct grayling_request request_of(const struct gr_whereto *w)
{
    return (struct grayling_request){.struct_size = sizeof(struct grayling_request),
                                     .interface_name = w->interface,
                                     .method_name = w->method,
                                     .n_headers = (uint32_t)w->n,
                                     .headers = w->headers};
}

// `drawn` false: the salt is not known, and with it no bucket is.
static int decide(const struct gr_whereto *w, const struct gr_gray_spec *spec, bool drawn,
                  const char *candidate, const char *stable, struct said *s, struct gr_error *e)
{
    GR_AUTO_GRAY struct gr_gray *gray = NULL;
    const struct grayling_request request = request_of(w);
    struct gr_gray_decision d;
    int r = gr_gray_new(spec, NULL, &gray, e);
    if (r < 0)
        return r;
    bool decided = gr_gray_decide(gray, &request, &d);
    *s = (struct said){.rule = -1, .bucket = -1, .permyriad = spec->weight_permyriad};
    if (!decided) {
        say_turn(s, spec->sticky ? spec->sticky : "");
    } else if (d.rule >= 0) {
        say_rule(s, &d, candidate, stable);
    } else if (!drawn) {
        s->goes_to = "key";
        s->version = "";
        snprintf(s->why, sizeof s->why,
                 "its key (%.128s) decides: one of %d buckets, which depends on the salt that is "
                 "drawn when the rollout starts; %g of 100 keys see the candidate at this weight, "
                 "and keep it",
                 spec->sticky, GR_GRAY_BUCKETS, s->permyriad / 100.0);
    } else {
        s->bucket = d.bucket;
        s->goes_to = d.candidate ? "candidate" : "stable";
        s->version = d.candidate ? candidate : stable;
        snprintf(s->why, sizeof s->why,
                 "bucket %d of %d of its key (%.128s) is %s the weight %u (%g %%)", d.bucket,
                 GR_GRAY_BUCKETS, spec->sticky, d.candidate ? "below" : "not below", s->permyriad,
                 s->permyriad / 100.0);
    }
    if (d.given_up) {
        size_t len = strlen(s->why);
        snprintf(s->why + len, sizeof s->why - len,
                 "; %u patterns met a bound of their cost, which is no match", d.given_up);
    }
    return 0;
}

static int read_salt(const cJSON *module, uint64_t *ret, struct gr_error *e)
{
    const char *text = gr_output_text(module, "rollout.salt");
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "the daemon's answer has no salt; expected 16 hex digits, found "
                            "\"%.32s\". Are grayctl and graylingd of one release? grayctl version",
                            text);
    *ret = strtoull(text, NULL, 16);
    return 0;
}

int gr_whereto_module(const struct gr_whereto *w, const cJSON *module, cJSON **ret,
                      struct gr_error *e)
{
    const char *name = gr_output_text(module, "module"),
               *phase = gr_output_text(module, "rollout.phase"),
               *stable = gr_output_text(module, "stable.version"),
               *candidate = gr_output_text(module, "candidate.version");
    const cJSON *match = gr_output_find(module, "rollout.match"),
                *weight = gr_output_find(module, "rollout.weight");
    GR_AUTO_FREE char *rules = cJSON_IsArray(match) ? gr_json_format(match) : NULL;
    struct said s = {.goes_to = "stable", .version = stable, .rule = -1, .bucket = -1};
    struct gr_gray_spec spec = {.sticky = gr_output_text(module, "rollout.sticky"),
                                .match_json = rules};
    if (strcmp(phase, "Progressing") && strcmp(phase, "Paused")) {
        snprintf(s.why, sizeof s.why,
                 "%s is served by one version: no rollout of it walks its "
                 "steps (the newest is %s)",
                 name, *phase ? phase : "none");
        return format(name, &s, ret, e);
    }
    int r = read_salt(module, &spec.salt, e);
    if (r < 0)
        return r;
    spec.weight_permyriad =
        (unsigned)(cJSON_IsNumber(weight) ? weight->valuedouble * 100 + 0.5 : 0);
    r = decide(w, &spec, true, candidate, stable, &s, e);
    return r < 0 ? r : format(name, &s, ret, e);
}

int gr_whereto_document(const struct gr_whereto *w, const struct gr_desired *d, cJSON **ret,
                        struct gr_error *e)
{
    const struct gr_strategy *t = &d->strategy;
    struct gr_gray_spec spec = {.sticky = t->sticky, .match_json = t->match_json};
    struct said s;
    size_t i = 0;
    while (i < t->n_steps && (t->steps[i].kind != GR_STEP_WEIGHT || !t->steps[i].permyriad))
        i++;
    spec.weight_permyriad = i < t->n_steps ? t->steps[i].permyriad : 10000;
    int r = decide(w, &spec, false, d->version.text, "", &s, e);
    return r < 0 ? r : format(d->module.s, &s, ret, e);
}
