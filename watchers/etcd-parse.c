// Answers of etcd's JSON gateway as structs. Only what a field says counts, never how the text is
// laid out.
#include "base/json.h"
#include "base/limits.h"
#include "watchers/etcd-codec.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int refuse(struct gr_error *e, const char *field, const char *expected)
{
    return gr_error_set_retryable(
        e, -EINVAL, GR_REASON_SOURCE_UNREACHABLE,
        "etcd's answer cannot be understood: field \"%s\" should be %s. Check that the endpoint is "
        "an etcd v3 JSON gateway and no proxy rewrites its answers.",
        field, expected);
}

// Absent is 0. Quoted or bare, sign only where allowed, no blanks, no overflow.
static int take_uint(const cJSON *o, const char *field, bool is_signed, uint64_t *ret,
                     struct gr_error *e)
{
    const cJSON *v = gr_json_get(o, field);
    if (!v) {
        *ret = 0;
        return 0;
    }
    if (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 9007199254740992.0 &&
        v->valuedouble == (double)(uint64_t)v->valuedouble) {
        *ret = (uint64_t)v->valuedouble;
        return 0;
    }
    if (!cJSON_IsString(v))
        return refuse(e, field, "a 64-bit number");
    const char *text = v->valuestring;
    bool minus = is_signed && text[0] == '-';
    char *end;
    if (!isdigit((unsigned char)text[minus]))
        return refuse(e, field, "a 64-bit number");
    errno = 0;
    unsigned long long n = strtoull(text + minus, &end, 10);
    if (errno || *end || (is_signed && n > INT64_MAX))
        return refuse(e, field, "a 64-bit number");
    *ret = minus ? 0 - n : n;
    return 0;
}

static int take_int(const cJSON *o, const char *field, int64_t *ret, struct gr_error *e)
{
    uint64_t v;
    int r = take_uint(o, field, true, &v, e);
    if (r >= 0)
        *ret = (int64_t)v;
    return r;
}

static int take_bool(const cJSON *o, const char *field, bool *ret, struct gr_error *e)
{
    *ret = false;
    return gr_json_bool(o, "", field, GR_JSON_OPTIONAL, ret, e);
}

static int take_bytes(const cJSON *o, const char *field, char **ret, size_t *ret_len,
                      struct gr_error *e)
{
    const cJSON *v = gr_json_get(o, field);
    const char *text = !v ? "" : cJSON_IsString(v) ? v->valuestring : NULL;
    int r = text ? gr_base64_decode(text, strlen(text), ret, ret_len) : -EINVAL;
    return r == -EINVAL ? refuse(e, field, "base64") : r;
}

// An absent member is an empty list or object; any other type is refused.
static int take_array(const cJSON *o, const char *field, const cJSON **ret, struct gr_error *e)
{
    *ret = gr_json_get(o, field);
    return *ret && !cJSON_IsArray(*ret) ? refuse(e, field, "a list") : 0;
}

static int take_kv(const cJSON *o, struct gr_etcd_kv *ret, struct gr_error *e)
{
    if (!cJSON_IsObject(o))
        return refuse(e, "kvs", "a list of objects");
    int r = take_bytes(o, "key", &ret->key, &ret->key_len, e);
    if (r >= 0)
        r = take_bytes(o, "value", &ret->value, &ret->value_len, e);
    if (r >= 0)
        r = take_int(o, "create_revision", &ret->create_revision, e);
    if (r >= 0)
        r = take_int(o, "mod_revision", &ret->mod_revision, e);
    if (r >= 0)
        r = take_int(o, "version", &ret->version, e);
    if (r >= 0)
        r = take_int(o, "lease", &ret->lease, e);
    return r;
}

static int take_kvs(const cJSON *o, struct gr_etcd_result *ret, struct gr_error *e)
{
    const cJSON *list, *item;
    int r = take_array(o, "kvs", &list, e);
    size_t more = list ? (size_t)cJSON_GetArraySize(list) : 0;
    if (r < 0 || more == 0)
        return r;
    struct gr_etcd_kv *kvs = reallocarray(ret->kvs, ret->n_kvs + more, sizeof *kvs);
    if (!kvs)
        return -ENOMEM;
    ret->kvs = kvs;
    cJSON_ArrayForEach(item, list)
    {
        struct gr_etcd_kv *kv = &kvs[ret->n_kvs++];
        *kv = (struct gr_etcd_kv){0};
        r = take_kv(item, kv, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_responses(const cJSON *o, struct gr_etcd_result *ret, struct gr_error *e)
{
    const cJSON *list, *item;
    int r = take_array(o, "responses", &list, e);
    if (r < 0 || !list)
        return r;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *range = gr_json_get(item, "response_range");
        const cJSON *gone = gr_json_get(item, "response_delete_range");
        int64_t deleted = 0;
        r = range ? take_kvs(range, ret, e) : 0;
        if (r >= 0 && gone)
            r = take_int(gone, "deleted", &deleted, e);
        if (r < 0)
            return r;
        ret->deleted = (int64_t)((uint64_t)ret->deleted + (uint64_t)deleted);
    }
    return 0;
}

static int take_header(const cJSON *o, uint64_t *cluster_id, uint64_t *member_id, int64_t *revision,
                       struct gr_error *e)
{
    const cJSON *h = gr_json_get(o, "header");
    int r = take_uint(h, "cluster_id", false, cluster_id, e);
    if (r >= 0)
        r = take_uint(h, "member_id", false, member_id, e);
    return r < 0 ? r : take_int(h, "revision", revision, e);
}

static int take_answer(const cJSON *o, struct gr_etcd_result *ret, char **ret_token,
                       struct gr_error *e)
{
    int r = take_header(o, &ret->cluster_id, &ret->member_id, &ret->revision, e);
    if (r >= 0)
        r = take_kvs(o, ret, e);
    if (r >= 0)
        r = take_responses(o, ret, e);
    if (r >= 0)
        r = take_int(o, "count", &ret->count, e);
    if (r >= 0)
        r = take_bool(o, "more", &ret->more, e);
    if (r >= 0)
        r = take_bool(o, "succeeded", &ret->succeeded, e);
    if (r >= 0 && gr_json_get(o, "deleted"))
        r = take_int(o, "deleted", &ret->deleted, e);
    if (r >= 0)
        r = take_int(o, "ID", &ret->lease, e);
    if (r >= 0)
        r = take_int(o, "TTL", &ret->ttl_sec, e);
    const cJSON *token = gr_json_get(o, "token");
    if (r >= 0 && ret_token && cJSON_IsString(token)) {
        *ret_token = strdup(token->valuestring);
        r = *ret_token ? 0 : -ENOMEM;
    }
    return r;
}

int gr_etcd_answer_parse(const char *bytes, size_t len, struct gr_etcd_result *ret,
                         char **ret_token, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *doc = NULL;
    int r = gr_json_parse(bytes, len, GR_ETCD_RANGE_BYTES_MAX, &doc, e);
    if (r < 0)
        return r;
    const cJSON *stream = gr_json_get(doc, "result"); // keepalive answers as a stream of one
    const cJSON *answer = stream ? stream : doc;
    if (!cJSON_IsObject(answer))
        return refuse(e, "result", "an object");
    struct gr_etcd_result out = {0};
    GR_AUTO_FREE char *token = NULL;
    r = take_answer(answer, &out, &token, e);
    if (r < 0) {
        gr_etcd_result_done(&out);
        return r == -ENOMEM ? gr_error_set_retryable(e, r, GR_REASON_INTERNAL, "Out of memory.")
                            : r;
    }
    *ret = out;
    if (ret_token)
        *ret_token = gr_steal(token);
    return 0;
}

void gr_etcd_result_done(struct gr_etcd_result *r)
{
    for (size_t i = 0; i < r->n_kvs; i++) {
        free(r->kvs[i].key);
        free(r->kvs[i].value);
    }
    free(r->kvs);
    r->kvs = NULL;
    r->n_kvs = 0;
}

// Foreign words inside our sentences: one line, no control characters.
static void copy_words(const char *text, size_t len, char *ret, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < cap; i++) {
        unsigned char c = (unsigned char)text[i];
        ret[n++] = c >= 0x20 && c < 0x7f ? (char)c : ' ';
    }
    while (n > 0 && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

static void take_complaint(const cJSON *o, struct gr_etcd_complaint *ret)
{
    static const char *const codes[] = {"code", "grpc_code"};
    for (size_t i = 0; i < GR_COUNT(codes); i++) {
        const cJSON *code = gr_json_get(o, codes[i]);
        if (cJSON_IsNumber(code) && code->valuedouble >= 0 && code->valuedouble < 1000)
            ret->grpc_code = (int)code->valuedouble;
    }
    const cJSON *message = gr_json_get(o, "message");
    if (cJSON_IsString(message))
        copy_words(message->valuestring, strlen(message->valuestring), ret->message,
                   sizeof ret->message);
}

void gr_etcd_complaint_parse(const char *bytes, size_t len, struct gr_etcd_complaint *ret)
{
    GR_AUTO_JSON cJSON *doc = NULL;
    *ret = (struct gr_etcd_complaint){0};
    if (gr_json_parse(bytes, len, GR_ETCD_RANGE_BYTES_MAX, &doc, NULL) >= 0) {
        const cJSON *inner =
            gr_json_get(doc, "error"); // an object in streams, a string in unary answers
        take_complaint(cJSON_IsObject(inner) ? inner : doc, ret);
    }
    if (!ret->message[0])
        copy_words(bytes, len, ret->message, sizeof ret->message);
    if (!ret->message[0])
        snprintf(ret->message, sizeof ret->message, "no explanation");
}

bool gr_etcd_complaint_wants_login(long http_status, const struct gr_etcd_complaint *c)
{
    static const char *const phrases[] = {"invalid auth token", "revision of auth store is old",
                                          "user name is empty"};
    if (http_status == 401 || c->grpc_code == GR_GRPC_UNAUTHENTICATED)
        return true;
    for (size_t i = 0; i < GR_COUNT(phrases); i++)
        if (strstr(c->message, phrases[i]))
            return true;
    return false;
}

void gr_etcd_watch_line_done(struct gr_etcd_watch_line *l)
{
    for (size_t i = 0; i < l->n_events; i++)
        free(l->events[i].key);
    free(l->events);
    l->events = NULL;
    l->n_events = 0;
}

// PUT is what an absent type means.
static bool is_deletion(const cJSON *event)
{
    const cJSON *type = gr_json_get(event, "type");
    return cJSON_IsString(type) && strcmp(type->valuestring, "DELETE") == 0;
}

static int take_event(const cJSON *item, struct gr_etcd_event *ret, struct gr_error *e)
{
    const cJSON *kv = gr_json_get(item, "kv");
    *ret = (struct gr_etcd_event){.deleted = is_deletion(item)};
    int r = take_int(kv, "mod_revision", &ret->mod_revision, e);
    return r < 0 ? r : take_bytes(kv, "key", &ret->key, &ret->key_len, e);
}

static int take_events(const cJSON *o, struct gr_etcd_watch_line *ret, struct gr_error *e)
{
    const cJSON *list, *item;
    int r = take_array(o, "events", &list, e);
    if (r < 0 || !list)
        return r;
    ret->events = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *ret->events);
    if (!ret->events)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    cJSON_ArrayForEach(item, list)
    {
        struct gr_etcd_event *ev = &ret->events[ret->n_events];
        r = take_event(item, ev, e);
        if (r < 0)
            return r;
        ret->n_events++;
        if (ev->mod_revision > ret->max_mod_revision)
            ret->max_mod_revision = ev->mod_revision;
    }
    return 0;
}

static int take_watch_result(const cJSON *o, struct gr_etcd_watch_line *ret, struct gr_error *e)
{
    uint64_t member;
    const char *why = "";
    int r = take_header(o, &ret->cluster_id, &member, &ret->revision, e);
    if (r >= 0)
        r = take_bool(o, "created", &ret->created, e);
    if (r >= 0)
        r = take_bool(o, "canceled", &ret->canceled, e);
    if (r >= 0)
        r = take_bool(o, "fragment", &ret->fragment, e);
    if (r >= 0)
        r = take_int(o, "compact_revision", &ret->compact_revision, e);
    if (r >= 0)
        r = gr_json_string(o, "", "cancel_reason", GR_JSON_OPTIONAL, &why, e);
    if (r >= 0)
        copy_words(why, strlen(why), ret->complaint.message, sizeof ret->complaint.message);
    return r < 0 ? r : take_events(o, ret, e);
}

int gr_etcd_watch_line_parse(const char *bytes, size_t len, struct gr_etcd_watch_line *ret,
                             struct gr_error *e)
{
    GR_AUTO_JSON cJSON *doc = NULL;
    int r = gr_json_parse(bytes, len, GR_ETCD_LINE_MAX, &doc, e);
    if (r < 0)
        return r;
    struct gr_etcd_watch_line line = {0};
    const cJSON *result = gr_json_get(doc, "result"), *error = gr_json_get(doc, "error");
    if (error) {
        line.failed = true;
        gr_etcd_complaint_parse(bytes, len, &line.complaint);
    } else if (!cJSON_IsObject(result)) {
        return refuse(e, "result", "an object");
    } else {
        r = take_watch_result(result, &line, e);
        if (r < 0) {
            gr_etcd_watch_line_done(&line);
            return r;
        }
    }
    *ret = line;
    return 0;
}
