// Owns the reading of the configuration: files, drop-ins, --set, defaults.
#include "control/config.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONFIG_BYTES_MAX (1u << 20)
#define DEFAULT_PATH "/etc/grayling/grayling.conf"

enum kind { TEXT, PATH_, LIST, LISTEN, COUNT, SIZE, BOOL, NAME, CREDENTIAL };

struct key {
    const char *section, *name;
    enum kind kind;
    size_t offset;
};
#define AT(field) offsetof(struct gr_config, field)
static const struct key keys[] = {
    {"Service", "Name", NAME, AT(service)},
    {"Service", "Instance", NAME, AT(instance)},
    {"Service", "StateDirectory", PATH_, AT(state_dir)},
    {"Service", "RuntimeDirectory", PATH_, AT(runtime_dir)},
    {"Source", "Etcd", LIST, AT(endpoints)},
    {"Source", "Directory", PATH_, AT(directory)},
    {"Etcd", "User", TEXT, AT(etcd_user)},
    {"Etcd", "PasswordFile", CREDENTIAL, AT(etcd_password_file)},
    {"Etcd", "CAFile", CREDENTIAL, AT(etcd_ca_file)},
    {"Etcd", "CertFile", CREDENTIAL, AT(etcd_cert_file)},
    {"Etcd", "KeyFile", CREDENTIAL, AT(etcd_key_file)},
    {"Dispatch", "Listen", LISTEN, AT(listen)},
    {"Dispatch", "Threads", COUNT, AT(threads)},
    {"Admin", "Listen", TEXT, AT(admin_listen)},
    {"Artifacts", "AllowSchemes", TEXT, AT(allow_schemes)},
    {"Artifacts", "AllowHosts", TEXT, AT(allow_hosts)},
    {"Artifacts", "FileRoots", TEXT, AT(file_roots)},
    {"Artifacts", "MaxBytes", SIZE, AT(max_bytes)},
    {"Trust", "RootFile", CREDENTIAL, AT(trust_root_file)},
    {"Trust", "SealedModules", BOOL, AT(sealed_modules)},
};

struct loading {
    struct gr_config *config;
    struct gr_error *error;
    const char *where; // file, or "--set"
    unsigned line;
};

static int refuse(const struct loading *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int refuse(const struct loading *l, const char *format, ...)
{
    char text[GR_MESSAGE_MAX - 300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!l->line)
        return gr_error_set(l->error, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%.200s: %s", l->where,
                            text);
    return gr_error_set(l->error, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%.200s:%u: %s", l->where,
                        l->line, text);
}

// --- values
// ---------------------------------------------------------------------------------------

static int set_text(char **at, const char *value)
{
    char *copy = *value ? strdup(value) : NULL;
    if (*value && !copy)
        return -ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

static int set_list(const struct loading *l, char **items, size_t *n, size_t max, const char *value,
                    bool replace)
{
    if (replace || !*value)
        for (; *n; (*n)--)
            free(items[*n - 1]);
    char *copy GR_AUTO_FREE = strdup(value);
    char *rest = copy;
    for (char *word; copy && (word = strsep(&rest, " \t"));) {
        if (!*word)
            continue;
        if (*n == max)
            return refuse(l, "at most %zu entries", max);
        items[*n] = strdup(word);
        if (!items[*n])
            return -ENOMEM;
        (*n)++;
    }
    return copy ? 0 : -ENOMEM;
}

static int parse_number(const struct loading *l, const char *value, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(value, &end, 10);
    if (errno || end == value || !isdigit((unsigned char)*value))
        return refuse(l, "'%s' is not a number", value);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end[shift ? 1 : 0] || v > max >> shift)
        return refuse(l, "'%s': expected a number up to %llu (K, M and G are allowed)", value,
                      (unsigned long long)max);
    *ret = v << shift;
    return 0;
}

static int parse_bool(const struct loading *l, const char *value, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
                                                                                "off", "0"};
    for (size_t i = 0; i < GR_COUNT(yes); i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *ret = strcasecmp(value, yes[i]) == 0;
            return 0;
        }
    }
    return refuse(l, "'%s' is neither yes nor no", value);
}

static int set_credential(char **at, const char *value)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || !*value || *value == '/')
        return set_text(at, value);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, value);
    return set_text(at, path);
}

static int set_value(const struct loading *l, const struct key *k, const char *value)
{
    struct gr_config *c = l->config;
    void *at = (char *)c + k->offset;
    uint64_t number = 0;
    int r = 0;
    switch (k->kind) {
    case TEXT:
        return set_text(at, value);
    case PATH_:
        if (*value && *value != '/' && strcmp(l->where, "--set") != 0)
            return refuse(l, "%s: '%s' is not an absolute path", k->name, value);
        return set_text(at, value);
    case CREDENTIAL:
        return set_credential(at, value);
    case NAME:
        if (!*value)
            *(struct gr_name *)at = (struct gr_name){0};
        else if (gr_name_parse(value, strlen(value), at) < 0)
            return refuse(l,
                          "%s: '%s' is not a name; expected a-z, 0-9, '.', '_' and '-', at most "
                          "64, beginning with a letter or digit",
                          k->name, value);
        return 0;
    case LIST:
        return set_list(l, c->endpoints, &c->n_endpoints, GR_ENDPOINTS_MAX, value, true);
    case LISTEN:
        return set_list(l, c->listen, &c->n_listen, GR_LISTEN_MAX, value, false);
    case COUNT:
        r = parse_number(l, value, GR_THREADS_MAX, &number);
        *(unsigned *)at = (unsigned)number;
        return r;
    case SIZE:
        r = parse_number(l, value, GR_ARTIFACT_BYTES_CEILING, &number);
        if (r == 0 && !number)
            return refuse(l, "%s must be more than 0", k->name);
        c->max_bytes = number;
        return r;
    case BOOL:
        return parse_bool(l, value, at);
    }
    return -EINVAL;
}

// --- keys and lines
// -------------------------------------------------------------------------------

// Edits between two short words (Levenshtein), for "did you mean".
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= GR_COUNT(row))
        return UINT_MAX;
    for (unsigned i = 0; i <= n; i++)
        row[i] = i;
    for (; *a; a++) {
        unsigned diagonal = row[0]++;
        for (size_t i = 1; i <= n; i++) {
            unsigned best =
                diagonal + (tolower((unsigned char)*a) != tolower((unsigned char)b[i - 1]));
            diagonal = row[i];
            if (row[i] + 1 < best)
                best = row[i] + 1;
            if (row[i - 1] + 1 < best)
                best = row[i - 1] + 1;
            row[i] = best;
        }
    }
    return row[n];
}

static int assign(const struct loading *l, const char *section, const char *name, const char *value)
{
    const char *nearest = NULL;
    unsigned best = 4;
    bool section_known = false;
    for (size_t i = 0; i < GR_COUNT(keys); i++) {
        if (strcmp(keys[i].section, section) != 0)
            continue;
        section_known = true;
        if (strcmp(keys[i].name, name) == 0)
            return set_value(l, &keys[i], value);
        unsigned d = distance(name, keys[i].name);
        if (d < best) {
            best = d;
            nearest = keys[i].name;
        }
    }
    if (!section_known)
        return refuse(l,
                      "unknown section [%s]; expected Service, Source, Etcd, Dispatch, Admin, "
                      "Artifacts or Trust",
                      section);
    return nearest
               ? refuse(l, "unknown key '%s' in [%s]; did you mean '%s'?", name, section, nearest)
               : refuse(l, "unknown key '%s' in [%s]", name, section);
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n && strchr(" \t\r", s[n - 1]))
        s[--n] = '\0';
    return s;
}

static int take_line(const struct loading *l, char *section, size_t cap, char *line)
{
    char *s = trim(line);
    if (!*s || *s == '#' || *s == ';')
        return 0;
    size_t n = strlen(s);
    if (*s == '[') {
        if (s[n - 1] != ']' || n - 2 >= cap)
            return refuse(l, "'%s' is not a section; expected [Name]", s);
        snprintf(section, cap, "%.*s", (int)(n - 2), s + 1);
        return 0;
    }
    char *equal = strchr(s, '=');
    if (!equal)
        return refuse(l, "'%s' is not an assignment; expected Key=Value", s);
    *equal = '\0';
    if (!*section)
        return refuse(l, "'%s' stands before any [Section]", s);
    return assign(l, section, trim(s), trim(equal + 1));
}

static int take_text(struct loading *l, char *text)
{
    char section[32] = "";
    char *rest = text;
    int k = 0;
    while (k == 0 && rest) {
        char *line = strsep(&rest, "\n");
        unsigned at = ++l->line;
        for (size_t n = strlen(line); n && line[n - 1] == '\\' && rest;
             n = strlen(line)) { // continued on the next line
            line[n - 1] = ' ';
            char *next = strsep(&rest, "\n");
            memmove(line + n, next, strlen(next) + 1);
            at++;
        }
        k = take_line(l, section, sizeof section, line);
        l->line = at;
    }
    return k;
}

static int take_file(struct gr_config *c, const char *path, struct gr_error *e)
{
    struct loading l = {.config = c, .error = e, .where = path};
    struct gr_buf b GR_AUTO_BUF = GR_BUF(CONFIG_BYTES_MAX);
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir ? 1 : 0] = '\0';
    int dir_fd GR_AUTO_CLOSE = -1;
    int k = gr_fs_open_dir(slash ? dir : ".", &dir_fd);
    if (k == 0)
        k = gr_fs_read(dir_fd, slash ? strrchr(path, '/') + 1 : path, &b);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_DOCUMENT_INVALID, "%s could not be read: %s", path,
                            strerror(-k));
    if (b.len && memchr(b.data, '\0', b.len))
        return refuse(&l, "a NUL byte; expected text");
    return b.len ? take_text(&l, b.data) : 0;
}

static int is_drop_in(const struct dirent *de)
{
    size_t n = strlen(de->d_name);
    return de->d_name[0] != '.' && n > 5 && strcmp(de->d_name + n - 5, ".conf") == 0;
}

static int take_drop_ins(struct gr_config *c, const char *path, struct gr_error *e)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s.d", path);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, is_drop_in, alphasort), k = 0;
    if (n < 0 && errno != ENOENT) {
        k = -errno;
        return gr_error_set(e, k, GR_REASON_DOCUMENT_INVALID,
                            "%s could not be read: %s; expected a directory with *.conf files, or "
                            "nothing",
                            dir, strerror(-k));
    }
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX + 256];
        snprintf(file, sizeof file, "%s/%s", dir, list[i]->d_name);
        if (k == 0)
            k = take_file(c, file, e);
        free(list[i]);
    }
    free(list);
    return k;
}

static int take_set(struct gr_config *c, const char *set, struct gr_error *e)
{
    struct loading l = {.config = c, .error = e, .where = "--set"};
    char *copy GR_AUTO_FREE = strdup(set);
    if (!copy)
        return -ENOMEM;
    char *equal = strchr(copy, '='), *dot = strchr(copy, '.');
    if (!equal || !dot || dot > equal)
        return refuse(&l, "'%s' is not SECTION.KEY=VALUE", set);
    *equal = *dot = '\0';
    return assign(&l, copy, dot + 1, equal + 1);
}

// --- defaults and the whole
// -----------------------------------------------------------------------

static int default_text(char **at, const char *value)
{
    return *at ? 0 : set_text(at, value);
}

static const char *environment_or(const char *name, const char *otherwise)
{
    const char *v = getenv(name);
    return v && *v ? v : otherwise;
}

static void default_instance(struct gr_config *c)
{
    char host[65] = "";
    if (c->instance.s[0] || gethostname(host, sizeof host - 1) < 0)
        return;
    for (char *p = host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (gr_name_parse(host, strlen(host), &c->instance) < 0)
        (void)!gr_name_parse("localhost", 9, &c->instance);
}

static int set_defaults(struct gr_config *c)
{
    default_instance(c);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!c->threads)
        c->threads = cpus < 1 ? 1 : cpus > GR_THREADS_MAX ? GR_THREADS_MAX : (unsigned)cpus;
    int k = default_text(&c->state_dir, environment_or("STATE_DIRECTORY", "/var/lib/grayling"));
    if (k == 0)
        k = default_text(&c->runtime_dir, environment_or("RUNTIME_DIRECTORY", "/run/grayling"));
    if (k == 0)
        k = default_text(&c->directory, "/etc/grayling/modules.d");
    if (k == 0)
        k = default_text(&c->allow_schemes, "https file");
    if (k == 0)
        k = default_text(&c->allow_hosts, "");
    if (k == 0 && !c->file_roots) {
        char roots[PATH_MAX];
        snprintf(roots, sizeof roots, "%s/incoming", c->state_dir);
        k = set_text(&c->file_roots, roots);
    }
    if (k == 0 && !c->n_listen) {
        c->listen[0] = strdup("127.0.0.1:8080");
        c->n_listen = c->listen[0] ? 1 : 0;
    }
    return k;
}

static int check(const struct gr_config *c, struct gr_error *e)
{
    if (!c->service.s[0])
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "[Service] Name is missing; expected the service's name, which is "
                            "{service} in every etcd key. Set it in the file or with "
                            "--set Service.Name=NAME");
    for (size_t i = 0; i < c->n_endpoints; i++)
        if (strncmp(c->endpoints[i], "http://", 7) != 0 &&
            strncmp(c->endpoints[i], "https://", 8) != 0)
            return gr_error_set(
                e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                "[Source] Etcd: '%s' is not a URL; expected http://HOST:PORT or https://HOST:PORT",
                c->endpoints[i]);
    return 0;
}

int gr_config_load(const char *path, char *const *sets, size_t n_sets, struct gr_config **ret,
                   struct gr_error *e)
{
    struct gr_config *c GR_CLEANUP(gr_config_freep) = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->max_bytes = GR_ARTIFACT_BYTES_DEFAULT;
    const char *admin = "127.0.0.1:9464";
    int k = set_text(&c->admin_listen, admin);
    bool named = path || getenv("GRAYLING_CONFIG");
    const char *file = path ? path : environment_or("GRAYLING_CONFIG", DEFAULT_PATH);
    if (k == 0 && (named || access(file, F_OK) == 0))
        k = take_file(c, file, e);
    if (k == 0)
        k = take_drop_ins(c, file, e);
    for (size_t i = 0; k == 0 && i < n_sets; i++)
        k = take_set(c, sets[i], e);
    if (k == 0)
        k = set_defaults(c);
    if (k == 0)
        k = check(c, e);
    if (k < 0)
        return k;
    *ret = gr_steal(c);
    return 0;
}

void gr_config_free(struct gr_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < GR_COUNT(keys); i++)
        if (keys[i].kind == TEXT || keys[i].kind == PATH_ || keys[i].kind == CREDENTIAL)
            free(*(char **)((char *)c + keys[i].offset));
    for (size_t i = 0; i < c->n_endpoints; i++)
        free(c->endpoints[i]);
    for (size_t i = 0; i < c->n_listen; i++)
        free(c->listen[i]);
    free(c);
}

static int format_key(const struct gr_config *c, const struct key *k, struct gr_buf *b)
{
    const void *at = (const char *)c + k->offset;
    const char *text;
    int r = 0;
    switch (k->kind) {
    case TEXT:
    case PATH_:
    case CREDENTIAL:
        text = *(char *const *)at;
        return gr_buf_printf(b, "%s=%s\n", k->name, text ? text : "");
    case NAME:
        return gr_buf_printf(b, "%s=%s\n", k->name, ((const struct gr_name *)at)->s);
    case LIST:
        r = gr_buf_printf(b, "%s=", k->name);
        for (size_t i = 0; r == 0 && i < c->n_endpoints; i++)
            r = gr_buf_printf(b, "%s%s", i ? " " : "", c->endpoints[i]);
        return r < 0 ? r : gr_buf_printf(b, "\n");
    case LISTEN:
        for (size_t i = 0; r == 0 && i < c->n_listen; i++)
            r = gr_buf_printf(b, "%s=%s\n", k->name, c->listen[i]);
        return r;
    case COUNT:
        return gr_buf_printf(b, "%s=%u\n", k->name, *(const unsigned *)at);
    case SIZE:
        return gr_buf_printf(b, "%s=%llu\n", k->name, (unsigned long long)c->max_bytes);
    case BOOL:
        return gr_buf_printf(b, "%s=%s\n", k->name, *(const bool *)at ? "yes" : "no");
    }
    return -EINVAL;
}

char *gr_config_format(const struct gr_config *c)
{
    struct gr_buf b GR_AUTO_BUF = GR_BUF(CONFIG_BYTES_MAX);
    const char *section = "";
    int k = 0;
    for (size_t i = 0; k == 0 && i < GR_COUNT(keys); i++) {
        if (strcmp(section, keys[i].section) != 0)
            k = gr_buf_printf(&b, "%s[%s]\n", i ? "\n" : "", keys[i].section);
        section = keys[i].section;
        if (k == 0)
            k = format_key(c, &keys[i], &b);
    }
    return k < 0 ? NULL : gr_buf_take(&b, NULL);
}
