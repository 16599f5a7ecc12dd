// Reads and writes operators' documents. Pure; strict: what is not understood is refused.
#include "state/desired.h"
#include "state/canonical.h"
#include "state/desired-internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_BYTES_MAX 2048
#define SIGNATURES_MAX 16
#define CANONICAL_GROWTH 4096 // what defaults and spelt-out durations may add to a document

// --- complaints ----------------------------------------------------------------------------------

int gr_desired_refuse(struct gr_error *e, const char *path, const char *format, ...)
{
    char text[GR_MESSAGE_MAX / 2];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s: %s", path, text);
}

int gr_desired_no_memory(struct gr_error *e)
{
    return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                  "out of memory while a document was read");
}

const char *gr_desired_show(const cJSON *v, char buf[GR_SHOWN_MAX])
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_DOCUMENT_BYTES_MAX * 2);
    size_t len = 0;
    if (gr_canonical_append(&b, v) == 0)
        len = b.len < GR_SHOWN_MAX ? b.len : gr_utf8_floor(b.data, GR_SHOWN_MAX - 4);
    snprintf(buf, GR_SHOWN_MAX, "%.*s%s", (int)len, b.data ? b.data : "", len < b.len ? "..." : "");
    return buf;
}

// --- reading -------------------------------------------------------------------------------------

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

static int parse_identity(struct gr_desired *d, const cJSON *o, struct gr_error *e)
{
    const char *version = NULL, *hash = NULL;
    char shown[GR_SHOWN_MAX];
    int k = gr_json_string(o, "", "version", GR_JSON_REQUIRED, &version, e);
    if (k == 0)
        k = gr_json_string(o, "", "version_hash", GR_JSON_REQUIRED, &hash, e);
    if (k < 0)
        return k;
    if (gr_version_parse(version, &d->version) < 0)
        return gr_desired_refuse(e, "version",
                                 "expected MAJOR.MINOR.PATCH as in semver.org 2.0.0, for example "
                                 "2.1.0, found %s",
                                 gr_desired_show(gr_json_get(o, "version"), shown));
    if (gr_digest_parse(hash, &d->digest) < 0)
        return gr_desired_refuse(e, "version_hash",
                                 "expected sha256: and 64 lower-case hex digits, found %s; "
                                 "sha256sum FILE.so prints them",
                                 gr_desired_show(gr_json_get(o, "version_hash"), shown));
    return gr_json_uint(o, "", "size", GR_JSON_OPTIONAL, 1, GR_ARTIFACT_BYTES_CEILING, &d->size, e);
}

static bool is_url(const char *s)
{
    static const char *const schemes[] = {"https://", "http://", "file:///"};
    size_t len = strlen(s), skip = 0;
    for (size_t i = 0; i < GR_COUNT(schemes) && !skip; i++)
        if (strncmp(s, schemes[i], strlen(schemes[i])) == 0)
            skip = strlen(schemes[i]);
    if (!skip || len > SOURCE_BYTES_MAX || !s[skip] || strchr("/?#:@", s[skip]))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
            return false;
    return true;
}

static int add_source(struct gr_desired *d, const cJSON *v, const char *path, struct gr_error *e)
{
    char shown[GR_SHOWN_MAX];
    if (!cJSON_IsString(v) || !is_url(v->valuestring))
        return gr_desired_refuse(e, path,
                                 "expected an absolute URL that begins with https://, http:// or "
                                 "file:/// (at most %d bytes, no blanks), found %s",
                                 SOURCE_BYTES_MAX, gr_desired_show(v, shown));
    d->sources[d->n_sources] = strdup(v->valuestring);
    if (!d->sources[d->n_sources])
        return gr_desired_no_memory(e);
    d->n_sources++;
    return 0;
}

static int parse_sources(struct gr_desired *d, const cJSON *v, struct gr_error *e)
{
    char shown[GR_SHOWN_MAX], path[32];
    if (!v)
        return gr_desired_refuse(e, "source",
                                 "required, but missing; expected a URL or a list of 1 to %d URLs "
                                 "that are tried in order",
                                 GR_SOURCES_MAX);
    int n = cJSON_GetArraySize(v);
    if (!cJSON_IsString(v) && (!cJSON_IsArray(v) || n < 1 || n > GR_SOURCES_MAX))
        return gr_desired_refuse(e, "source", "expected a URL or a list of 1 to %d URLs, found %s",
                                 GR_SOURCES_MAX, gr_desired_show(v, shown));
    d->sources = calloc(GR_SOURCES_MAX, sizeof *d->sources);
    if (!d->sources)
        return gr_desired_no_memory(e);
    if (cJSON_IsString(v))
        return add_source(d, v, "source", e);
    int k = 0;
    for (const cJSON *one = v->child; k == 0 && one; one = one->next) {
        snprintf(path, sizeof path, "source[%zu]", d->n_sources);
        k = add_source(d, one, path, e);
    }
    return k;
}

static int parse_config(struct gr_desired *d, const cJSON *config, struct gr_error *e)
{
    static const char *const any = NULL;
    if (!cJSON_IsObject(config))
        return gr_json_check_fields(config, "config", &any, e);
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_CONFIG_BYTES_MAX);
    int k = gr_canonical_append(&b, config);
    if (k == -E2BIG)
        return gr_desired_refuse(e, "config",
                                 "expected at most %u bytes, found more; keep bulk data in a file "
                                 "that the module reads",
                                 GR_CONFIG_BYTES_MAX);
    if (k < 0)
        return gr_desired_no_memory(e);
    d->config = gr_buf_take(&b, NULL);
    return 0;
}

// The envelope's shape; whether it is true is the verifier's business.
static int parse_release(struct gr_desired *d, const cJSON *o, struct gr_error *e)
{
    static const char *const fields[] = {"payloadType", "payload", "signatures", NULL};
    static const char *const signature_fields[] = {"keyid", "sig", NULL};
    static const char at[] = "release";
    const char *text;
    char shown[GR_SHOWN_MAX], path[40];
    int k = gr_json_check_fields(o, at, fields, e);
    if (k == 0)
        k = gr_json_string(o, at, "payloadType", GR_JSON_REQUIRED, &text, e);
    if (k == 0)
        k = gr_json_string(o, at, "payload", GR_JSON_REQUIRED, &text, e);
    if (k < 0)
        return k;
    const cJSON *list = gr_json_get(o, "signatures");
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > SIGNATURES_MAX)
        return gr_desired_refuse(e, "release.signatures",
                                 "expected a list of at most %d signatures, found %s",
                                 SIGNATURES_MAX, list ? gr_desired_show(list, shown) : "nothing");
    int i = 0;
    for (const cJSON *one = list->child; k == 0 && one; one = one->next) {
        snprintf(path, sizeof path, "release.signatures[%d]", i++);
        k = gr_json_check_fields(one, path, signature_fields, e);
        if (k == 0)
            k = gr_json_string(one, path, "keyid", GR_JSON_OPTIONAL, &text, e);
        if (k == 0)
            k = gr_json_string(one, path, "sig", GR_JSON_REQUIRED, &text, e);
    }
    if (k < 0)
        return k;
    d->release_json = gr_canonical_format(o, GR_DOCUMENT_BYTES_MAX);
    return d->release_json ? 0 : gr_desired_no_memory(e);
}

static int parse_text(const cJSON *o, const char *field, char *buf, size_t cap, struct gr_error *e)
{
    const char *s = "";
    int k = gr_json_string(o, "", field, GR_JSON_OPTIONAL, &s, e);
    if (k < 0)
        return k;
    if (strlen(s) >= cap)
        return gr_desired_refuse(e, field, "expected at most %zu bytes, found %zu; shorten it",
                                 cap - 1, strlen(s));
    memcpy(buf, s, strlen(s) + 1);
    return 0;
}

static int parse_document(struct gr_desired *d, const cJSON *o, struct gr_error *e)
{
    static const char *const fields[] = {"version", "version_hash", "source",  "size",
                                         "config",  "strategy",     "release", "one_way",
                                         "actor",   "reason",       NULL};
    int k = gr_json_check_fields(o, "", fields, e);
    if (k == 0)
        k = parse_identity(d, o, e);
    if (k < 0)
        return k;
    const cJSON *config = gr_json_get(o, "config"), *strategy = gr_json_get(o, "strategy"),
                *release = gr_json_get(o, "release");
    k = parse_sources(d, gr_json_get(o, "source"), e);
    if (k == 0 && config)
        k = parse_config(d, config, e);
    if (k == 0 && strategy)
        k = gr_strategy_parse(strategy, &d->strategy, e);
    if (k == 0 && release)
        k = parse_release(d, release, e);
    if (k == 0)
        k = gr_json_bool(o, "", "one_way", GR_JSON_OPTIONAL, &d->one_way, e);
    if (k == 0)
        k = parse_text(o, "actor", d->actor, sizeof d->actor, e);
    return k < 0 ? k : parse_text(o, "reason", d->reason, sizeof d->reason, e);
}

// A text that is no JSON object has no field that could be named: the module and the way out are.
static int parse_object(const struct gr_name *module, const char *bytes, size_t len, size_t max,
                        cJSON **ret, struct gr_error *e)
{
    struct gr_error why = {0};
    static const char *const any = NULL;
    GR_AUTO_JSON cJSON *o = NULL;
    int k = gr_json_parse(bytes, len, max, &o, &why);
    if (k == 0 && !cJSON_IsObject(o))
        k = gr_json_check_fields(o, "", &any, &why);
    if (k == 0)
        *ret = gr_steal(o);
    if (k == 0 || why.reason != GR_REASON_DOCUMENT_INVALID)
        return k == 0 ? 0 : gr_desired_no_memory(e);
    return gr_error_set(e, k, why.reason,
                        "%s. This is the document of module %s; expected one JSON object in UTF-8. "
                        "Mend it and write it again: grayctl lint FILE finds such mistakes before",
                        why.message, module->s);
}

static int parse(const struct gr_name *module, int64_t mod_revision, const char *bytes, size_t len,
                 size_t max, struct gr_desired **ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *o = NULL;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = calloc(1, sizeof *d);
    if (!d)
        return gr_desired_no_memory(e);
    d->module = *module;
    d->mod_revision = mod_revision;
    gr_strategy_default(&d->strategy);
    int k = parse_object(module, bytes, len, max, &o, e);
    if (k == 0)
        k = parse_document(d, o, e);
    if (k == 0)
        *ret = gr_steal(d);
    return k;
}

int gr_desired_parse(const struct gr_name *module, int64_t mod_revision, const char *bytes,
                     size_t len, struct gr_desired **ret, struct gr_error *e)
{
    struct gr_desired *d GR_CLEANUP(gr_desired_freep) = NULL;
    int k = parse(module, mod_revision, bytes, len, GR_DOCUMENT_BYTES_MAX, &d, e);
    if (k == 0)
        k = gr_analysis_check(&d->strategy, e);
    if (k == 0)
        *ret = gr_steal(d);
    return k;
}

int gr_desired_restore(const struct gr_name *module, int64_t mod_revision, const char *text,
                       struct gr_desired **ret, struct gr_error *e)
{
    return parse(module, mod_revision, text, strlen(text), GR_DOCUMENT_BYTES_MAX + CANONICAL_GROWTH,
                 ret, e);
}

// --- writing -------------------------------------------------------------------------------------

bool gr_desired_add(cJSON *o, const char *field, cJSON *take)
{
    if (take && cJSON_AddItemToObject(o, field, take))
        return true;
    cJSON_Delete(take);
    return false;
}

static bool add_sources(cJSON *o, const struct gr_desired *d)
{
    cJSON *list = cJSON_AddArrayToObject(o, "source");
    bool ok = list;
    for (size_t i = 0; ok && i < d->n_sources; i++) {
        cJSON *one = cJSON_CreateString(d->sources[i]);
        ok = one && cJSON_AddItemToArray(list, one);
        if (!ok)
            cJSON_Delete(one);
    }
    return ok;
}

static bool add_all(cJSON *o, const struct gr_desired *d)
{
    char hash[GR_DIGEST_TEXT_MAX];
    return cJSON_AddStringToObject(o, "version", d->version.text) &&
           cJSON_AddStringToObject(o, "version_hash", gr_digest_format(&d->digest, hash)) &&
           add_sources(o, d) && (!d->size || gr_json_add_uint(o, "size", d->size)) &&
           (!d->config || gr_desired_add(o, "config", cJSON_Parse(d->config))) &&
           gr_desired_add(o, "strategy", gr_strategy_format(&d->strategy)) &&
           (!d->release_json || gr_desired_add(o, "release", cJSON_Parse(d->release_json))) &&
           (!d->one_way || cJSON_AddTrueToObject(o, "one_way")) &&
           (!d->actor[0] || cJSON_AddStringToObject(o, "actor", d->actor)) &&
           (!d->reason[0] || cJSON_AddStringToObject(o, "reason", d->reason));
}

char *gr_desired_format(const struct gr_desired *d)
{
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    return o && add_all(o, d) ? gr_canonical_format(o, GR_DOCUMENT_BYTES_MAX + CANONICAL_GROWTH)
                              : NULL;
}

int gr_desired_copy(const struct gr_desired *d, struct gr_desired **ret)
{
    GR_AUTO_FREE char *text = gr_desired_format(d);
    return text ? gr_desired_restore(&d->module, d->mod_revision, text, ret, NULL) : -ENOMEM;
}

bool gr_desired_same_release(const struct gr_desired *a, const struct gr_desired *b)
{
    return strcmp(a->version.text, b->version.text) == 0 &&
           gr_digest_equal(&a->digest, &b->digest) &&
           strcmp(a->config ? a->config : "{}", b->config ? b->config : "{}") == 0;
}

int gr_desired_fingerprint(const struct gr_desired *d, struct gr_digest *ret)
{
    const char *config = d->config ? d->config : "{}";
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = NULL;
    int k = gr_hasher_new(&h);
    if (k == 0)
        k = gr_hasher_update(h, d->digest.bytes, sizeof d->digest.bytes);
    if (k == 0)
        k = gr_hasher_update(h, config, strlen(config));
    return k < 0 ? k : gr_hasher_finish(h, ret);
}
