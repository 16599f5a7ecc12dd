// Owns the list of keys: reads a value into its field, and prints the whole.
#include "control/config-keys.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "control/config-value.h"
#include "control/ini.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PRINT_BYTES_MAX (1u << 20)
#define SPAN_USEC_MAX (24 * 3600 * GR_USEC_PER_SEC)
#define NEAR 3 // edits up to which another key is worth suggesting

enum kind {
    TEXT,
    DIRECTORY,
    CREDENTIAL,
    ROOTS,
    SCHEMES,
    URL,
    ADDRESS,
    NAME,
    ENDPOINTS,
    LISTEN,
    COUNT,
    FAULTS,
    POOL_THREADS,
    POOL_QUEUE,
    SPAN,    // a duration over 0
    TIMEOUT, // or 0, for none
    SIZE,
    ROOM, // a size, or 0 for none
    DURATION,
    RATIO,
    BOOL
};

#define AT(field) offsetof(struct gr_config, field)
static const struct key {
    const char *section, *name;
    enum kind kind;
    size_t offset;
} keys[] = {
    {"Service", "Name", NAME, AT(service)},
    {"Service", "Instance", NAME, AT(instance)},
    {"Service", "StateDirectory", DIRECTORY, AT(state_dir)},
    {"Service", "RuntimeDirectory", DIRECTORY, AT(runtime_dir)},
    {"Service", "StableAfter", DURATION, AT(stable_after_usec)},
    {"Source", "Etcd", ENDPOINTS, AT(endpoints)},
    {"Source", "Directory", DIRECTORY, AT(directory)},
    {"Etcd", "User", TEXT, AT(etcd_user)},
    {"Etcd", "PasswordFile", CREDENTIAL, AT(etcd_password_file)},
    {"Etcd", "CAFile", CREDENTIAL, AT(etcd_ca_file)},
    {"Etcd", "CertFile", CREDENTIAL, AT(etcd_cert_file)},
    {"Etcd", "KeyFile", CREDENTIAL, AT(etcd_key_file)},
    {"Dispatch", "Listen", LISTEN, AT(listen)},
    {"Dispatch", "Threads", COUNT, AT(threads)},
    {"Dispatch", "CallTimeout", TIMEOUT, AT(call_timeout_usec)},
    {"Dispatch", "CallGrace", SPAN, AT(call_grace_usec)},
    {"Dispatch", "PoolThreads", POOL_THREADS, AT(pool_threads)},
    {"Dispatch", "PoolQueue", POOL_QUEUE, AT(pool_queue)},
    {"Dispatch", "BreakerFaults", FAULTS, AT(breaker.faults)},
    {"Dispatch", "BreakerWindow", SPAN, AT(breaker.window_usec)},
    {"Dispatch", "BreakerBackoff", SPAN, AT(breaker.backoff_usec)},
    {"Dispatch", "MemoryLimit", ROOM, AT(memory_limit_bytes)},
    {"Dispatch", "AccessLog", BOOL, AT(access_log)},
    {"Admin", "Listen", ADDRESS, AT(admin_listen)},
    {"Admin", "AllowHosts", TEXT, AT(admin_hosts)},
    {"Admin", "TokenFile", CREDENTIAL, AT(admin_token_file)},
    {"Artifacts", "AllowSchemes", SCHEMES, AT(allow_schemes)},
    {"Artifacts", "AllowHosts", TEXT, AT(allow_hosts)},
    {"Artifacts", "FileRoots", ROOTS, AT(file_roots)},
    {"Artifacts", "MaxBytes", SIZE, AT(max_bytes)},
    {"Trust", "RootFile", CREDENTIAL, AT(trust_root_file)},
    {"Trust", "SealedModules", BOOL, AT(sealed_modules)},
    {"Telemetry", "Endpoint", URL, AT(telemetry_endpoint)},
    {"Telemetry", "SampleRatio", RATIO, AT(sample_ppm)},
};
_Static_assert(GR_COUNT(keys) == GR_CONFIG_KEYS, "config.h counts the keys");

static bool is_text(enum kind k)
{
    return k <= ADDRESS; // those before and with it are one char * each
}

// --- values
// ---------------------------------------------------------------------------------------

struct assignment {
    struct gr_config *config;
    const struct gr_config_place *at;
    const struct key *key;
    const char *value;
    struct gr_error *e;
};

int gr_config_refuse(const struct gr_config_place *at, struct gr_error *e, const char *format, ...)
{
    char text[GR_MESSAGE_MAX / 2], line[16] = "";
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (at->line)
        snprintf(line, sizeof line, ":%u", at->line);
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%.300s%s: %s", at->where, line,
                        text);
}

static int refuse(const struct assignment *a, const char *word, const char *expected)
{
    char shown[GR_SHOWN_MAX];
    snprintf(shown, sizeof shown, "%s", word);
    shown[gr_utf8_floor(shown, strlen(shown))] = '\0';
    return gr_config_refuse(a->at, a->e, "[%s] %s: '%s' is %s", a->key->section, a->key->name,
                            shown, expected);
}

int gr_config_set_text(char **at, const char *value)
{
    char *copy = *value ? strdup(value) : NULL;
    if (*value && !copy)
        return -ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

typedef int (*each_word)(const struct assignment *a, const char *word);

static int walk_words(const struct assignment *a, each_word visit)
{
    GR_AUTO_FREE char *copy = strdup(a->value);
    char *rest = copy;
    int k = copy ? 0 : -ENOMEM;
    for (char *word; k == 0 && (word = strsep(&rest, " \t"));)
        if (*word)
            k = visit(a, word);
    return k;
}

static int check_root(const struct assignment *a, const char *word)
{
    return *word == '/' ? 0 : refuse(a, word, "not an absolute path; expected one like /srv/in");
}

static int check_scheme(const struct assignment *a, const char *word)
{
    bool known = !strcmp(word, "https") || !strcmp(word, "http") || !strcmp(word, "file");
    return known ? 0 : refuse(a, word, "not a scheme; expected https, http or file");
}

static void clear_list(char **items, size_t *n)
{
    for (; *n; (*n)--)
        free(gr_steal(items[*n - 1]));
}

static int add_item(const struct assignment *a, char **items, size_t *n, size_t max,
                    const char *word)
{
    if (*n == max)
        return gr_config_refuse(a->at, a->e, "[%s] %s: expected at most %zu entries, found more",
                                a->key->section, a->key->name, max);
    items[*n] = strdup(word);
    if (!items[*n])
        return -ENOMEM;
    (*n)++;
    return 0;
}

static int add_endpoint(const struct assignment *a, const char *word)
{
    if (!gr_config_is_endpoint(word))
        return refuse(a, word, "not a URL; expected http://HOST:PORT or https://HOST:PORT");
    return add_item(a, a->config->endpoints, &a->config->n_endpoints, GR_ENDPOINTS_MAX, word);
}

static const char no_address[] =
    "not an address; expected IPV4:PORT, [IPV6]:PORT, *:PORT or unix:/PATH";

static int add_address(const struct assignment *a, const char *word)
{
    if (!gr_config_is_address(word))
        return refuse(a, word, no_address);
    return add_item(a, a->config->listen, &a->config->n_listen, GR_LISTEN_MAX, word);
}

static int set_credential(const struct assignment *a, char **at)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    if (!dir || !*a->value || *a->value == '/')
        return gr_config_set_text(at, a->value);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, a->value) >= sizeof path)
        return refuse(a, a->value, "too long for a path");
    return gr_config_set_text(at, path);
}

static int set_name(const struct assignment *a, struct gr_name *at)
{
    *at = (struct gr_name){0};
    if (*a->value && gr_name_parse(a->value, strlen(a->value), at) < 0)
        return refuse(a, a->value,
                      "not a name; expected a-z, 0-9, '.', '_' and '-', at most 64, beginning "
                      "with a letter or digit");
    return 0;
}

static int set_number(const struct assignment *a, uint64_t max, uint64_t *at)
{
    char expected[96];
    int k = gr_config_parse_size(a->value, max, at);
    snprintf(expected, sizeof expected, "%s; expected a number up to %llu (K, M and G are allowed)",
             k == -EINVAL ? "not a number" : "out of range", (unsigned long long)max);
    return k < 0 ? refuse(a, a->value, expected) : 0;
}

static int set_size(const struct assignment *a)
{
    int k = set_number(a, GR_ARTIFACT_BYTES_CEILING, &a->config->max_bytes);
    if (k == 0 && a->config->max_bytes == 0)
        k = refuse(a, a->value, "nothing; expected more than 0");
    return k;
}

static int set_duration(const struct assignment *a, uint64_t *at)
{
    uint64_t usec = 0;
    if (gr_duration_parse(a->value, &usec) < 0 || usec > GR_START_STABLE_USEC_MAX)
        return refuse(a, a->value, "no duration; expected one up to 1h, like 10s");
    *at = usec;
    return 0;
}

static int set_count(const struct assignment *a, uint64_t max, unsigned *at)
{
    uint64_t n = 0;
    int k = set_number(a, max, &n);
    *at = (unsigned)n;
    return k;
}

static int set_some(const struct assignment *a, uint64_t max, unsigned *at)
{
    int k = set_count(a, max, at);
    return k == 0 && *at == 0 ? refuse(a, a->value, "too few; expected 1 at least") : k;
}

static int set_span(const struct assignment *a, uint64_t *at, bool or_none)
{
    uint64_t usec = 0;
    if (gr_duration_parse(a->value, &usec) < 0 || (usec == 0 && !or_none) || usec > SPAN_USEC_MAX)
        return refuse(a, a->value, "no duration; expected one like 60s or 5m, up to 24h");
    *at = usec;
    return 0;
}

// A value of --set wins over those of the files; among themselves they add up.
static int set_listen(const struct assignment *a, bool first_from_here)
{
    bool is_set = strcmp(a->at->where, GR_CONFIG_SET) == 0;
    if (!*a->value || (is_set && first_from_here))
        clear_list(a->config->listen, &a->config->n_listen);
    return walk_words(a, add_address);
}

static int set_value(const struct assignment *a, bool first_from_here)
{
    void *at = (char *)a->config + a->key->offset;
    bool is_set = strcmp(a->at->where, GR_CONFIG_SET) == 0;
    int k = 0;
    switch (a->key->kind) {
    case TEXT:
        return gr_config_set_text(at, a->value);
    case DIRECTORY:
        if (*a->value && *a->value != '/' && !is_set)
            return refuse(a, a->value, "not an absolute path; expected one that begins with /");
        return gr_config_set_text(at, a->value);
    case CREDENTIAL:
        return set_credential(a, at);
    case ROOTS:
        k = walk_words(a, check_root);
        return k < 0 ? k : gr_config_set_text(at, a->value);
    case SCHEMES:
        k = walk_words(a, check_scheme);
        return k < 0 ? k : gr_config_set_text(at, a->value);
    case ADDRESS:
        if (*a->value && !gr_config_is_address(a->value))
            return refuse(a, a->value, no_address);
        return gr_config_set_text(at, a->value);
    case URL:
        if (*a->value && !gr_config_is_url(a->value))
            return refuse(a, a->value,
                          "not a URL; expected one like http://127.0.0.1:4318/v1/traces, without "
                          "user, password and query");
        return gr_config_set_text(at, a->value);
    case NAME:
        return set_name(a, at);
    case ENDPOINTS:
        clear_list(a->config->endpoints, &a->config->n_endpoints);
        return walk_words(a, add_endpoint);
    case LISTEN:
        return set_listen(a, first_from_here);
    case COUNT:
        return set_count(a, GR_DOOR_THREADS_MAX, at);
    case POOL_THREADS:
        return set_some(a, GR_POOL_THREADS_MAX, at);
    case POOL_QUEUE:
        return set_count(a, GR_POOL_QUEUE_MAX, at);
    case FAULTS:
        return set_count(a, GR_BREAKER_FAULTS_MAX, at);
    case SPAN:
        return set_span(a, at, false);
    case TIMEOUT:
        return set_span(a, at, true);
    case SIZE:
        return set_size(a);
    case ROOM:
        return set_number(a, GR_MEMORY_LIMIT_MAX, at);
    case DURATION:
        return set_duration(a, at);
    case RATIO:
        return gr_config_parse_ratio(a->value, at) < 0
                   ? refuse(a, a->value,
                            "no ratio; expected one from 0 to 1 with up to six decimals, like 0.01")
                   : 0;
    case BOOL:
        return gr_config_parse_bool(a->value, at) < 0
                   ? refuse(a, a->value, "neither yes nor no; expected one of them")
                   : 0;
    }
    return -EINVAL;
}

// --- keys
// -----------------------------------------------------------------------------------------

static int refuse_unknown(const struct gr_config_place *at, const char *section, const char *name,
                          struct gr_error *e)
{
    const char *near_key = NULL, *near_section = NULL;
    unsigned best_key = NEAR + 1, best_section = NEAR + 1;
    bool known = false;
    for (size_t i = 0; i < GR_COUNT(keys); i++) {
        unsigned d = gr_config_distance(section, keys[i].section);
        known |= strcmp(section, keys[i].section) == 0;
        if (d < best_section) {
            best_section = d;
            near_section = keys[i].section;
        }
        d = gr_config_distance(name, keys[i].name);
        if (strcmp(section, keys[i].section) == 0 && d < best_key) {
            best_key = d;
            near_key = keys[i].name;
        }
    }
    const char *nearest = known ? near_key : near_section;
    char what[128];
    if (known)
        snprintf(what, sizeof what, "unknown key '%.48s' in [%s]", name, section);
    else
        snprintf(what, sizeof what, "unknown section [%.31s]", section);
    what[gr_utf8_floor(what, strlen(what))] = '\0';
    if (nearest)
        return gr_config_refuse(at, e, "%s; did you mean '%s'?", what, nearest);
    return gr_config_refuse(at, e, "%s; grayling.conf(5) lists what there is", what);
}

int gr_config_assign(struct gr_config *c, const struct gr_config_place *at, const char *section,
                     const char *key, const char *value, struct gr_error *e)
{
    size_t i = 0;
    while (i < GR_COUNT(keys) && (strcmp(keys[i].section, section) || strcmp(keys[i].name, key)))
        i++;
    if (i == GR_COUNT(keys))
        return refuse_unknown(at, section, key, e);
    const struct assignment a = {.config = c, .at = at, .key = &keys[i], .value = value, .e = e};
    int k = set_value(&a, !c->origins[i] || strcmp(c->origins[i], at->where) != 0);
    return k < 0 ? k : gr_config_set_text(&c->origins[i], at->where);
}

struct taking {
    struct gr_config *config;
    const char *where;
    struct gr_error *e;
};

static int take_assignment(void *u, const char *section, const char *key, const char *value,
                           unsigned line)
{
    const struct taking *t = u;
    const struct gr_config_place at = {.where = t->where, .line = line};
    return gr_config_assign(t->config, &at, section, key, value, t->e);
}

int gr_config_take_text(struct gr_config *c, const char *where, const char *bytes, size_t len,
                        struct gr_error *e)
{
    struct taking t = {.config = c, .where = where, .e = e};
    return gr_ini_parse(where, bytes, len, take_assignment, &t, e);
}

// --- the whole
// ------------------------------------------------------------------------------------

void gr_config_free(struct gr_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < GR_COUNT(keys); i++) {
        if (is_text(keys[i].kind))
            free(*(char **)((char *)c + keys[i].offset));
        free(c->origins[i]);
    }
    clear_list(c->endpoints, &c->n_endpoints);
    clear_list(c->listen, &c->n_listen);
    free(c);
}

static int print_endpoints(const struct gr_config *c, const char *name, struct gr_buf *b)
{
    int k = gr_buf_printf(b, "%s=", name);
    for (size_t i = 0; k == 0 && i < c->n_endpoints; i++)
        k = gr_buf_printf(b, "%s%s", i ? " " : "", c->endpoints[i]);
    return k < 0 ? k : gr_buf_printf(b, "\n");
}

static int print_listen(const struct gr_config *c, const char *name, struct gr_buf *b)
{
    int k = 0;
    for (size_t i = 0; k == 0 && i < c->n_listen; i++)
        k = gr_buf_printf(b, "%s=%s\n", name, c->listen[i]);
    return k;
}

static int print_key(const struct gr_config *c, const struct key *key, struct gr_buf *b)
{
    const void *at = (const char *)c + key->offset;
    const char *text = is_text(key->kind) ? *(char *const *)at : NULL;
    char duration[32];
    switch (key->kind) {
    case TEXT:
    case DIRECTORY:
    case CREDENTIAL:
    case ROOTS:
    case SCHEMES:
    case URL:
    case ADDRESS:
        return gr_buf_printf(b, "%s=%s\n", key->name, text ? text : "");
    case NAME:
        return gr_buf_printf(b, "%s=%s\n", key->name, ((const struct gr_name *)at)->s);
    case ENDPOINTS:
        return print_endpoints(c, key->name, b);
    case LISTEN:
        return print_listen(c, key->name, b);
    case COUNT:
    case POOL_THREADS:
    case POOL_QUEUE:
    case FAULTS:
        return gr_buf_printf(b, "%s=%u\n", key->name, *(const unsigned *)at);
    case SPAN:
    case TIMEOUT:
    case DURATION:
        return gr_buf_printf(b, "%s=%s\n", key->name,
                             gr_duration_format(*(const uint64_t *)at, duration));
    case SIZE:
        return gr_buf_printf(b, "%s=%llu\n", key->name, (unsigned long long)c->max_bytes);
    case ROOM:
        return gr_buf_printf(b, "%s=%llu\n", key->name, (unsigned long long)*(const uint64_t *)at);
    case RATIO:
        gr_config_format_ratio(*(const unsigned *)at, duration);
        return gr_buf_printf(b, "%s=%s\n", key->name, duration);
    case BOOL:
        return gr_buf_printf(b, "%s=%s\n", key->name, *(const bool *)at ? "yes" : "no");
    }
    return -EINVAL;
}

char *gr_config_format(const struct gr_config *c)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(PRINT_BYTES_MAX);
    const char *section = "", *origin = "";
    int k = 0;
    for (size_t i = 0; k == 0 && i < GR_COUNT(keys); i++) {
        const char *from = c->origins[i] ? c->origins[i] : "the defaults";
        bool new_section = strcmp(section, keys[i].section) != 0;
        if (new_section)
            k = gr_buf_printf(&b, "%s[%s]\n", i ? "\n" : "", keys[i].section);
        if (k == 0 && (new_section || strcmp(origin, from) != 0))
            k = gr_buf_printf(&b, "# from %s\n", from);
        section = keys[i].section;
        origin = from;
        if (k == 0)
            k = print_key(c, &keys[i], &b);
    }
    return k < 0 ? NULL : gr_buf_take(&b, NULL);
}
