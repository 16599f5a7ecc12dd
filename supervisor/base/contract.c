// Decodes a module's contract from the JSON of its note; everything in it is foreign until it has
// passed here.
#include "base/contract.h"
#include "base/json.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 256

static int refuse(struct gr_error *e, const char *path, const char *text, const char *expected)
{
    char shown[GR_SHOWN_MAX];
    return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE, "%s: expected %s, found %s", path,
                        expected, gr_utf8_show(text, strlen(text), shown));
}

static int out_of_memory(struct gr_error *e)
{
    return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                  "out of memory while a contract was read");
}

// Letters, digits and '_' in words; interfaces join several words with dots.
static bool is_identifier(const char *s, bool dotted)
{
    bool word_start = true;
    for (; *s; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_';
        bool digit = *s >= '0' && *s <= '9';
        if (dotted && *s == '.' && !word_start)
            word_start = true;
        else if (letter || (digit && !word_start))
            word_start = false;
        else
            return false;
    }
    return !word_start;
}

static int copy_identifier(const char *path, const char *text, bool dotted, char *buf, size_t cap,
                           struct gr_error *e)
{
    size_t len = strlen(text);
    if (len >= cap || !is_identifier(text, dotted))
        return refuse(e, path, text,
                      dotted ? "an interface name such as com.example.pay.PayService"
                             : "a method name such as Charge");
    memcpy(buf, text, len + 1);
    return 0;
}

static int get_version(const cJSON *object, const char *path, struct gr_version *ret,
                       struct gr_error *e)
{
    const char *text = "";
    int r = gr_json_string(object, path, "version", GR_JSON_REQUIRED, &text, e);
    if (r < 0)
        return r;
    char place[PATH_MAX_BYTES];
    snprintf(place, sizeof place, "%s%sversion", path, *path ? "." : "");
    return gr_version_parse(text, ret) < 0
               ? refuse(e, place, text, "a semantic version such as 2.1.0")
               : 0;
}

// A member that is one of two words; absent means the first.
static int get_choice(const cJSON *object, const char *field, const char *first, const char *second,
                      bool *ret, struct gr_error *e)
{
    const char *text = first;
    int r = gr_json_string(object, "", field, GR_JSON_OPTIONAL, &text, e);
    if (r < 0)
        return r;
    char expected[64];
    snprintf(expected, sizeof expected, "%s or %s", first, second);
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
        return refuse(e, field, text, expected);
    *ret = strcmp(text, second) == 0;
    return 0;
}

// --- provides
// -------------------------------------------------------------------------------------------------------

// The name of a codec, or a list of them.
static int parse_codec(const cJSON *method, const char *path, char ret[GR_CODEC_MAX + 1],
                       struct gr_error *e)
{
    const cJSON *codec = gr_json_get(method, "codec");
    const cJSON *item = cJSON_IsArray(codec) ? codec->child : codec;
    size_t len = 0;
    for (; item; item = cJSON_IsArray(codec) ? item->next : NULL) {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        size_t n = strlen(name);
        bool good = n > 0 && n == strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+._-");
        if (!good || len + (len > 0) + n > GR_CODEC_MAX)
            return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                                "%s.codec: expected a codec's name such as json, or a list of "
                                "names, at most %d characters in all",
                                path, GR_CODEC_MAX);
        if (len > 0)
            ret[len++] = ',';
        memcpy(ret + len, name, n + 1);
        len += n;
    }
    return 0;
}

// A message type; absent: "".
static int parse_type(const cJSON *method, const char *path, const char *field,
                      char ret[GR_TYPE_MAX + 1], struct gr_error *e)
{
    const char *text = NULL;
    char place[PATH_MAX_BYTES];
    int r = gr_json_string(method, path, field, GR_JSON_OPTIONAL, &text, e);
    if (r < 0 || !text)
        return r;
    snprintf(place, sizeof place, "%s.%s", path, field);
    size_t len = strlen(text);
    if (len > GR_TYPE_MAX || !is_identifier(text, true))
        return refuse(e, place, text, "a message type such as com.example.pay.ChargeRequest");
    memcpy(ret, text, len + 1);
    return 0;
}

static int parse_method(const cJSON *json, const char *path, struct gr_contract_method *m,
                        struct gr_error *e)
{
    static const char *const fields[] = {"input",    "output",     "codec",
                                         "deadline", "idempotent", NULL};
    int r = copy_identifier(path, json->string, false, m->name, sizeof m->name, e);
    if (r == 0)
        r = gr_json_check_fields(json, path, fields, e);
    if (r == 0)
        r = parse_type(json, path, "input", m->input, e);
    if (r == 0)
        r = parse_type(json, path, "output", m->output, e);
    if (r == 0)
        r = parse_codec(json, path, m->codec, e);
    if (r == 0)
        r = gr_json_duration(json, path, "deadline", GR_JSON_OPTIONAL, &m->deadline_usec, e);
    if (r == 0)
        r = gr_json_bool(json, path, "idempotent", GR_JSON_OPTIONAL, &m->idempotent, e);
    return r;
}

static int parse_methods(const cJSON *json, const char *path, struct gr_contract_interface *i,
                         size_t *n_methods, struct gr_error *e)
{
    const cJSON *methods = gr_json_get(json, "methods");
    if (!cJSON_IsObject(methods))
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%s.methods: required, an object with one member for each method",
                            path);
    size_t n = (size_t)cJSON_GetArraySize(methods);
    *n_methods += n;
    if (*n_methods > GR_METHODS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%s.methods: more than %d methods in one module", path, GR_METHODS_MAX);
    i->methods = calloc(n ? n : 1, sizeof *i->methods);
    if (!i->methods)
        return out_of_memory(e);
    for (const cJSON *m = methods->child; m; m = m->next) {
        char place[PATH_MAX_BYTES], shown[GR_SHOWN_MAX];
        snprintf(place, sizeof place, "%s.methods[%s]", path,
                 gr_utf8_show(m->string, strlen(m->string), shown));
        int r = parse_method(m, place, &i->methods[i->n_methods], e);
        if (r < 0)
            return r;
        i->n_methods++;
    }
    return 0;
}

static int parse_interface(const cJSON *json, const char *path, struct gr_contract *c,
                           size_t *n_methods, struct gr_error *e)
{
    static const char *const fields[] = {"interface", "version", "methods", NULL};
    struct gr_contract_interface *i = &c->provides[c->n_provides];
    const char *name = "";
    int r = gr_json_check_fields(json, path, fields, e);
    if (r == 0)
        r = gr_json_string(json, path, "interface", GR_JSON_REQUIRED, &name, e);
    if (r == 0)
        r = copy_identifier(path, name, true, i->name, sizeof i->name, e);
    for (size_t k = 0; k < c->n_provides && r == 0; k++)
        if (strcmp(c->provides[k].name, name) == 0)
            r = refuse(e, path, name, "an interface that is not listed before");
    c->n_provides++; // from here on freed with the rest
    if (r == 0)
        r = get_version(json, path, &i->version, e);
    return r < 0 ? r : parse_methods(json, path, i, n_methods, e);
}

static int parse_provides(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    const cJSON *list = gr_json_get(json, "provides");
    size_t n_methods = 0, n = (size_t)cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n > GR_METHODS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "provides: required, a list of at most %d interfaces", GR_METHODS_MAX);
    c->provides = calloc(n ? n : 1, sizeof *c->provides);
    if (!c->provides)
        return out_of_memory(e);
    for (const cJSON *i = list->child; i; i = i->next) {
        char path[32];
        snprintf(path, sizeof path, "provides[%zu]", c->n_provides);
        int r = parse_interface(i, path, c, &n_methods, e);
        if (r < 0)
            return r;
    }
    return 0;
}

// --- needs
// ----------------------------------------------------------------------------------------------------------

static int parse_need(const cJSON *json, const char *field, struct gr_contract_need *need,
                      struct gr_error *e)
{
    int r = copy_identifier(field, json->string, true, need->interface, sizeof need->interface, e);
    if (r < 0)
        return r;
    if (!cJSON_IsString(json) || !*json->valuestring)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%s.%s: expected a version range such as \"^2.0.0\"", field,
                            need->interface);
    r = gr_range_parse(json->valuestring, &need->range, e);
    if (r < 0)
        gr_error_wrap(e, "%s.%s", field, need->interface);
    return r;
}

static int parse_needs(const cJSON *json, const char *field, struct gr_contract_need **ret,
                       size_t *ret_n, struct gr_error *e)
{
    const cJSON *object = gr_json_get(json, field);
    if (!object)
        return 0;
    size_t n = (size_t)cJSON_GetArraySize(object);
    if (!cJSON_IsObject(object) || n > GR_MODULES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%s: expected an object of at most %d interfaces and version ranges",
                            field, GR_MODULES_MAX);
    GR_AUTO_FREE struct gr_contract_need *needs = calloc(n ? n : 1, sizeof *needs);
    if (!needs)
        return out_of_memory(e);
    size_t i = 0;
    for (const cJSON *member = object->child; member; member = member->next) {
        int r = parse_need(member, field, &needs[i++], e);
        if (r < 0)
            return r;
    }
    *ret = gr_steal(needs);
    *ret_n = n;
    return 0;
}

static int check_needed_once(const struct gr_contract *c, struct gr_error *e)
{
    for (size_t i = 0; i < c->n_optional; i++)
        for (size_t k = 0; k < c->n_requires; k++)
            if (strcmp(c->optional[i].interface, c->requires[k].interface) == 0)
                return refuse(e, "optional", c->optional[i].interface,
                              "an interface that is not required too");
    return 0;
}

// --- the rest
// -------------------------------------------------------------------------------------------------------

static int parse_identity(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    static const char *const fields[] = {"major", "minor", NULL};
    const cJSON *abi = gr_json_get(json, "abi");
    const char *module = "";
    uint64_t major = 0, minor = 0;
    int r = gr_json_string(json, "", "module", GR_JSON_REQUIRED, &module, e);
    if (r == 0 && gr_name_parse(module, strlen(module), &c->module) < 0)
        r = refuse(e, "module", module, "a name of [a-z0-9][a-z0-9._-]{0,63}");
    if (r == 0)
        r = get_version(json, "", &c->version, e);
    if (r == 0 && !abi)
        r = gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                         "abi: required, an object with major and minor");
    if (r == 0)
        r = gr_json_check_fields(abi, "abi", fields, e);
    if (r == 0)
        r = gr_json_uint(abi, "abi", "major", GR_JSON_REQUIRED, 0, UINT16_MAX, &major, e);
    if (r == 0)
        r = gr_json_uint(abi, "abi", "minor", GR_JSON_REQUIRED, 0, UINT16_MAX, &minor, e);
    c->abi_major = (unsigned)major;
    c->abi_minor = (unsigned)minor;
    return r;
}

static int parse_upgrade_lock(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    const cJSON *lock = gr_json_get(json, "upgrade_lock");
    if (!cJSON_IsString(lock))
        return gr_json_bool(json, "", "upgrade_lock", GR_JSON_OPTIONAL, &c->upgrade_lock, e);
    c->upgrade_lock = true;
    const char *group = lock->valuestring;
    if (gr_name_parse(group, strlen(group), &c->upgrade_group) < 0)
        return refuse(e, "upgrade_lock", group,
                      "true, false or a group's name of [a-z0-9][a-z0-9._-]{0,63}");
    return 0;
}

static int parse_sla(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    static const char *const fields[] = {"p99", "error_rate", NULL};
    const cJSON *sla = gr_json_get(json, "sla");
    c->sla_error_rate = -1;
    int r = sla ? gr_json_check_fields(sla, "sla", fields, e) : 0;
    if (r == 0 && sla)
        r = gr_json_duration(sla, "sla", "p99", GR_JSON_OPTIONAL, &c->sla_p99_usec, e);
    if (r == 0 && sla)
        r = gr_json_double(sla, "sla", "error_rate", GR_JSON_OPTIONAL, 0, 1, &c->sla_error_rate, e);
    return r;
}

static int parse_imports(const cJSON *list, struct gr_contract *c, struct gr_error *e)
{
    size_t n = (size_t)cJSON_GetArraySize(list);
    bool good = cJSON_IsArray(list) && n <= GR_STATE_IMPORTS_MAX;
    c->imports = calloc(n ? n : 1, sizeof *c->imports);
    if (!c->imports)
        return out_of_memory(e);
    for (const cJSON *i = list->child; i && good; i = i->next) {
        good = cJSON_IsNumber(i) && i->valuedouble >= 0 && i->valuedouble <= UINT32_MAX &&
               i->valuedouble == (double)(uint32_t)i->valuedouble;
        if (good)
            c->imports[c->n_imports++] = (uint64_t)i->valuedouble;
    }
    return good ? 0
                : gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                               "state.imports: expected a list of at most %d schema numbers from "
                               "0 to 4294967295",
                               GR_STATE_IMPORTS_MAX);
}

static int parse_state(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    static const char *const fields[] = {"schema", "imports", NULL};
    const cJSON *state = gr_json_get(json, "state"), *imports = gr_json_get(state, "imports");
    int r = state ? gr_json_check_fields(state, "state", fields, e) : 0;
    if (r == 0 && state)
        r = gr_json_uint(state, "state", "schema", GR_JSON_REQUIRED, 0, UINT32_MAX,
                         &c->state_schema, e);
    c->has_state = state != NULL;
    return r < 0 || !imports ? r : parse_imports(imports, c, e);
}

static int parse_all(const cJSON *json, struct gr_contract *c, struct gr_error *e)
{
    static const char *const fields[] = {"module",   "version",   "abi",          "provides",
                                         "requires", "optional",  "upgrade_lock", "sla",
                                         "state",    "execution", "isolation",    NULL};
    int r = gr_json_check_fields(json, "", fields, e);
    if (r == 0)
        r = parse_identity(json, c, e);
    if (r == 0)
        r = parse_provides(json, c, e);
    if (r == 0)
        r = parse_needs(json, "requires", &c->requires, &c->n_requires, e);
    if (r == 0)
        r = parse_needs(json, "optional", &c->optional, &c->n_optional, e);
    if (r == 0)
        r = check_needed_once(c, e);
    if (r == 0)
        r = parse_upgrade_lock(json, c, e);
    if (r == 0)
        r = parse_sla(json, c, e);
    if (r == 0)
        r = parse_state(json, c, e);
    if (r == 0)
        r = get_choice(json, "execution", "inline", "pool", &c->execution_pool, e);
    if (r == 0)
        r = get_choice(json, "isolation", "worker", "process", &c->isolation_process, e);
    return r;
}

int gr_contract_parse(const char *text, size_t len, struct gr_contract **ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *json = NULL;
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = calloc(1, sizeof *c);
    if (!c)
        return out_of_memory(e);
    int r = gr_json_parse(text, len, GR_DOCUMENT_BYTES_MAX, &json, e);
    if (r == 0)
        r = parse_all(json, c, e);
    if (r == -EINVAL ||
        r == -E2BIG) { // whatever is wrong with the document, the file is no module of ours
        gr_error_wrap(e, "the contract note is malformed");
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%s; rebuild the module with grayling_add_module()",
                            e ? e->message : "");
    }
    if (r < 0)
        return r;
    c->json = strndup(text, len);
    if (!c->json)
        return out_of_memory(e);
    *ret = gr_steal(c);
    return 0;
}

void gr_contract_free(struct gr_contract *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_provides; i++)
        free(c->provides[i].methods);
    free(c->provides);
    free(c->requires);
    free(c->optional);
    free(c->imports);
    free(c->json);
    free(c);
}
