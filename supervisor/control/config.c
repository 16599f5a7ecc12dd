// Loads the configuration: the file, its drop-ins, --set, the environment's defaults.
#include "control/config.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "control/config-keys.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX (1u << 20)
#define DEFAULT_PATH "/etc/grayling/grayling.conf"

// --- files
// ----------------------------------------------------------------------------------------

static int read_file(const char *path, struct gr_buf *b)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char dir[PATH_MAX] = ".";
    if (slash &&
        (size_t)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path + 1), path) >= sizeof dir)
        return -ENAMETOOLONG;
    GR_AUTO_CLOSE int dir_fd = -1;
    int k = gr_fs_open_dir(dir, &dir_fd);
    return k < 0 ? k : gr_fs_read(dir_fd, name, b);
}

static int take_file(struct gr_config *c, const char *path, struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(FILE_BYTES_MAX);
    int k = read_file(path, &b);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_DOCUMENT_INVALID,
                            "%.500s could not be read: %s; expected a regular file (no link) of "
                            "at most %u bytes that this user may read",
                            path, strerror(-k), FILE_BYTES_MAX);
    return b.len ? gr_config_take_text(c, path, b.data, b.len, e) : 0;
}

static int is_drop_in(const struct dirent *de)
{
    size_t n = strlen(de->d_name);
    return de->d_name[0] != '.' && n > 5 && strcmp(de->d_name + n - 5, ".conf") == 0;
}

static int take_drop_ins(struct gr_config *c, const char *path, struct gr_error *e)
{
    char dir[PATH_MAX];
    struct dirent **list = NULL;
    snprintf(dir, sizeof dir, "%s.d", path);
    int n = scandir(dir, &list, is_drop_in, alphasort), k = 0;
    if (n < 0 && errno != ENOENT) {
        k = -errno;
        return gr_error_set(e, k, GR_REASON_DOCUMENT_INVALID,
                            "%.500s could not be read: %s; expected a directory with *.conf "
                            "files, or nothing",
                            dir, strerror(-k));
    }
    for (int i = 0; i < n; i++) {
        char file[PATH_MAX + NAME_MAX + 2];
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
    static const struct gr_config_place at = {.where = GR_CONFIG_SET};
    GR_AUTO_FREE char *copy = strdup(set);
    if (!copy)
        return -ENOMEM;
    char *equal = strchr(copy, '='), *dot = strchr(copy, '.');
    if (!equal || !dot || dot > equal)
        return gr_config_refuse(&at, e,
                                "'%.200s' is not SECTION.KEY=VALUE; expected for example "
                                "Service.Name=order",
                                set);
    *equal = *dot = '\0';
    return gr_config_assign(c, &at, copy, dot + 1, equal + 1, e);
}

// --- defaults
// -------------------------------------------------------------------------------------

static int default_text(char **at, const char *value)
{
    return *at ? 0 : gr_config_set_text(at, value);
}

static const char *environment_or(const char *name, const char *otherwise)
{
    const char *v = getenv(name);
    return v && *v ? v : otherwise;
}

static void default_instance(struct gr_config *c)
{
    char host[GR_NAME_MAX + 1] = "";
    if (c->instance.s[0])
        return;
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    for (char *p = host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (gr_name_parse(host, strlen(host), &c->instance) < 0)
        (void)!gr_name_parse("localhost", strlen("localhost"), &c->instance);
}

static int default_listen(struct gr_config *c)
{
    if (c->n_listen)
        return 0;
    c->listen[0] = strdup("127.0.0.1:8080");
    c->n_listen = c->listen[0] ? 1 : 0;
    return c->listen[0] ? 0 : -ENOMEM;
}

static int default_roots(struct gr_config *c)
{
    char roots[PATH_MAX + 16];
    snprintf(roots, sizeof roots, "%s/incoming", c->state_dir);
    return default_text(&c->file_roots, roots);
}

static int set_defaults(struct gr_config *c)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    default_instance(c);
    if (!c->threads)
        c->threads = processors < 1                     ? 1
                     : processors > GR_DOOR_THREADS_MAX ? GR_DOOR_THREADS_MAX
                                                        : (unsigned)processors;
    int k = default_text(&c->state_dir, environment_or("STATE_DIRECTORY", "/var/lib/grayling"));
    if (k == 0)
        k = default_text(&c->runtime_dir, environment_or("RUNTIME_DIRECTORY", "/run/grayling"));
    if (k == 0)
        k = default_text(&c->directory, "/etc/grayling/modules.d");
    if (k == 0)
        k = default_text(&c->allow_schemes, "https file");
    if (k == 0)
        k = default_roots(c);
    return k < 0 ? k : default_listen(c);
}

// --- the whole
// ------------------------------------------------------------------------------------

static struct gr_config *config_new(void)
{
    struct gr_config *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->max_bytes = GR_ARTIFACT_BYTES_DEFAULT;
    c->breaker = GR_BREAKER_POLICY_DEFAULT;
    c->sample_ppm = 10000;
    c->call_timeout_usec = GR_CALL_TIMEOUT_DEFAULT_USEC;
    c->pool_threads = GR_POOL_THREADS_DEFAULT;
    c->pool_queue = GR_POOL_QUEUE_DEFAULT;
    c->call_grace_usec = GR_CALL_GRACE_DEFAULT_USEC;
    c->stable_after_usec = GR_START_STABLE_DEFAULT_USEC;
    if (gr_config_set_text(&c->admin_listen, "127.0.0.1:9464") == 0) // an empty one means none
        return c;
    gr_config_free(c);
    return NULL;
}

static int complete(struct gr_config *c, struct gr_error *e)
{
    int k = set_defaults(c);
    if (k < 0)
        return k;
    if (!c->service.s[0])
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "[Service] Name is missing; expected the service's name, which is "
                            "{service} in every etcd key. Set it in the file or with --set "
                            "Service.Name=NAME");
    return 0;
}

static int take_all(struct gr_config *c, const char *path, char *const *sets, size_t n_sets,
                    struct gr_error *e)
{
    const char *file = path ? path : environment_or("GRAYLING_CONFIG", DEFAULT_PATH);
    bool may_be_missing = !path && !getenv("GRAYLING_CONFIG");
    int k = may_be_missing && access(file, F_OK) < 0 ? 0 : take_file(c, file, e);
    if (k == 0)
        k = take_drop_ins(c, file, e);
    for (size_t i = 0; k == 0 && i < n_sets; i++)
        k = take_set(c, sets[i], e);
    return k;
}

// What ran out of memory below has told nobody.
static int told(int k, struct gr_error *e)
{
    return k == -ENOMEM && e && !e->message[0]
               ? gr_error_set_retryable(e, k, GR_REASON_INTERNAL,
                                        "the configuration could not be read: out of memory")
               : k;
}

int gr_config_load(const char *path, char *const *sets, size_t n_sets, struct gr_config **ret,
                   struct gr_error *e)
{
    GR_CLEANUP(gr_config_freep) struct gr_config *c = config_new();
    int k = c ? take_all(c, path, sets, n_sets, e) : -ENOMEM;
    if (k == 0)
        k = complete(c, e);
    if (k == 0)
        *ret = gr_steal(c);
    return told(k, e);
}

int gr_config_restore(const char *where, const char *text, struct gr_config **ret,
                      struct gr_error *e)
{
    GR_CLEANUP(gr_config_freep) struct gr_config *c = config_new();
    int k = c ? gr_config_take_text(c, where, text, strlen(text), e) : -ENOMEM;
    if (k == 0)
        k = complete(c, e);
    if (k == 0)
        *ret = gr_steal(c);
    return told(k, e);
}
