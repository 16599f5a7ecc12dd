// Owns the decoding of operators' documents. Pure; strict: what is not understood is refused with
// its path.
#include "state/desired.h"
#include "base/json.h"
#include "state/desired-strategy.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_BYTES_MAX 2048

static int bad(struct gr_error *e, const char *path, const char *sentence)
{
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s: %s", path, sentence);
}

void gr_desired_free(struct gr_desired *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_sources; i++)
        free(d->sources[i]);
    free(d->sources);
    free(d->config);
    free(d->release_json);
    gr_strategy_done(&d->strategy);
    free(d);
}

static int add_source(struct gr_desired *d, const cJSON *v, const char *path, struct gr_error *e)
{
    static const char *const schemes[] = {"https://", "http://", "file:///"};
    const char *s = cJSON_IsString(v) ? v->valuestring : "";
    bool known = false;
    for (size_t i = 0; i < GR_COUNT(schemes); i++)
        known |= strncmp(s, schemes[i], strlen(schemes[i])) == 0 && s[strlen(schemes[i])];
    if (!known || strlen(s) > SOURCE_BYTES_MAX)
        return bad(e, path,
                   "expected an absolute URL that begins with https://, http:// or file:///");
    d->sources[d->n_sources] = strdup(s);
    if (!d->sources[d->n_sources])
        return -ENOMEM;
    d->n_sources++;
    return 0;
}

static int parse_sources(struct gr_desired *d, const cJSON *v, struct gr_error *e)
{
    d->sources = calloc(GR_SOURCES_MAX, sizeof *d->sources);
    if (!d->sources)
        return -ENOMEM;
    if (!cJSON_IsArray(v))
        return add_source(d, v, "source", e);
    int n = cJSON_GetArraySize(v);
    if (n < 1 || n > GR_SOURCES_MAX)
        return bad(e, "source", "expected a URL or a list of 1 to 8 URLs");
    for (int i = 0; i < n; i++) {
        char path[32];
        snprintf(path, sizeof path, "source[%d]", i);
        int k = add_source(d, cJSON_GetArrayItem(v, i), path, e);
        if (k < 0)
            return k;
    }
    return 0;
}

static int parse_identity(struct gr_desired *d, const cJSON *o, struct gr_error *e)
{
    const char *version = NULL, *hash = NULL;
    int k = gr_json_string(o, "", "version", GR_JSON_REQUIRED, &version, e);
    if (k == 0)
        k = gr_json_string(o, "", "version_hash", GR_JSON_REQUIRED, &hash, e);
    if (k < 0)
        return k;
    if (gr_version_parse(version, &d->version) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "version: '%.60s' is not a semantic version; expected "
                            "MAJOR.MINOR.PATCH as in semver.org 2.0.0, for example 2.1.0",
                            version);
    if (gr_digest_parse(hash, &d->digest) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "version_hash: '%.80s' is not a digest; expected sha256: and 64 "
                            "lower-case hex digits (sha256sum FILE.so)",
                            hash);
    if (!gr_json_get(o, "source"))
        return bad(e, "source", "is missing; expected a URL or a list of URLs");
    return gr_json_uint(o, "", "size", GR_JSON_OPTIONAL, 1, GR_ARTIFACT_BYTES_CEILING, &d->size, e);
}

static int parse_text(const cJSON *o, const char *field, char *buf, size_t cap, struct gr_error *e)
{
    const char *s = "";
    int k = gr_json_string(o, "", field, GR_JSON_OPTIONAL, &s, e);
    if (k == 0 && strlen(s) >= cap)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: %zu bytes; expected at most %zu", field, strlen(s), cap - 1);
    if (k == 0)
        memcpy(buf, s, strlen(s) + 1);
    return k;
}

static int parse_objects(struct gr_desired *d, const cJSON *o, struct gr_error *e)
{
    static const char *const release_fields[] = {"payloadType", "payload", "signatures", NULL};
    const cJSON *config = gr_json_get(o, "config"), *release = gr_json_get(o, "release"),
                *strategy = gr_json_get(o, "strategy");
    if (config && !cJSON_IsObject(config))
        return bad(e, "config", "expected an object");
    if (config && !(d->config = gr_json_format(config)))
        return -ENOMEM;
    if (d->config && strlen(d->config) > GR_CONFIG_BYTES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "config: %zu bytes; expected at most %u", strlen(d->config),
                            GR_CONFIG_BYTES_MAX);
    int k = release ? gr_json_check_fields(release, "release", release_fields, e) : 0;
    if (k == 0 && release && !(d->release_json = gr_json_format(release)))
        return -ENOMEM;
    return k < 0 || !strategy ? k : gr_strategy_parse(strategy, &d->strategy, e);
}

int gr_desired_parse(const struct gr_name *module, int64_t mod_revision, const char *bytes,
                     size_t len, struct gr_desired **ret, struct gr_error *e)
{
    static const char *const fields[] = {"version",  "version_hash", "source", "size",   "config",
                                         "strategy", "release",      "actor",  "reason", NULL};
    cJSON *o GR_AUTO_JSON = NULL;
    struct gr_desired *d GR_CLEANUP(gr_desired_freep) = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->module = *module;
    d->mod_revision = mod_revision;
    gr_strategy_default(&d->strategy);
    int k = gr_json_parse(bytes, len, GR_DOCUMENT_BYTES_MAX, &o, e);
    if (k == 0)
        k = gr_json_check_fields(o, "", fields, e);
    if (k == 0)
        k = parse_identity(d, o, e);
    if (k == 0)
        k = parse_sources(d, gr_json_get(o, "source"), e);
    if (k == 0)
        k = parse_objects(d, o, e);
    if (k == 0)
        k = parse_text(o, "actor", d->actor, sizeof d->actor, e);
    if (k == 0)
        k = parse_text(o, "reason", d->reason, sizeof d->reason, e);
    if (k < 0) {
        if (e && e->reason == GR_REASON_NONE)
            gr_error_set(e, k, GR_REASON_DOCUMENT_INVALID, "the document could not be read: %s",
                         strerror(-k));
        return k;
    }
    *ret = gr_steal(d);
    return 0;
}

static cJSON *to_json(const struct gr_desired *d)
{
    char hash[GR_DIGEST_TEXT_MAX];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "version", d->version.text);
    cJSON_AddStringToObject(o, "version_hash", gr_digest_format(&d->digest, hash));
    cJSON *sources = cJSON_AddArrayToObject(o, "source");
    for (size_t i = 0; i < d->n_sources; i++)
        cJSON_AddItemToArray(sources, cJSON_CreateString(d->sources[i]));
    if (d->size)
        cJSON_AddNumberToObject(o, "size", (double)d->size);
    if (d->config)
        cJSON_AddItemToObject(o, "config", cJSON_Parse(d->config));
    cJSON_AddItemToObject(o, "strategy", gr_strategy_format(&d->strategy));
    if (d->release_json)
        cJSON_AddItemToObject(o, "release", cJSON_Parse(d->release_json));
    if (d->actor[0])
        cJSON_AddStringToObject(o, "actor", d->actor);
    if (d->reason[0])
        cJSON_AddStringToObject(o, "reason", d->reason);
    return o;
}

char *gr_desired_format(const struct gr_desired *d)
{
    cJSON *o GR_AUTO_JSON = to_json(d);
    return o ? gr_json_format(o) : NULL;
}

int gr_desired_copy(const struct gr_desired *d, struct gr_desired **ret)
{
    char *text GR_AUTO_FREE = gr_desired_format(d);
    return text ? gr_desired_parse(&d->module, d->mod_revision, text, strlen(text), ret, NULL)
                : -ENOMEM;
}

bool gr_desired_same_release(const struct gr_desired *a, const struct gr_desired *b)
{
    return strcmp(a->version.text, b->version.text) == 0 &&
           gr_digest_equal(&a->digest, &b->digest) &&
           strcmp(a->config ? a->config : "{}", b->config ? b->config : "{}") == 0;
}
