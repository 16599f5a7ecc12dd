// Files of results, written atomically.
#include "cli/drill/result.h"
#include "base/fs.h"
#include "base/json.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".json"
#define BYTES_MAX (64u * 1024)

int gr_result_default_dir(char *buf, size_t cap, struct gr_error *e)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = state && *state ? snprintf(buf, cap, "%s/grayling/drills", state)
            : home && *home ? snprintf(buf, cap, "%s/.local/state/grayling/drills", home)
                            : 0;
    return n > 0 && (size_t)n < cap
               ? 0
               : gr_error_set(e, -ENOENT, GR_REASON_NONE,
                              "there is no home directory to keep results in; give --results DIR");
}

static bool add_usec(cJSON *o, const char *name, int64_t usec)
{
    return usec < 0 ? cJSON_AddNullToObject(o, name) : gr_json_add_int(o, name, usec);
}

cJSON *gr_result_json(const struct gr_result *r)
{
    char at[GR_WALL_TEXT_MAX];
    const struct gr_story_figures *f = &r->figures;
    cJSON *o = cJSON_CreateObject(), *rows = NULL;
    bool ok = o && cJSON_AddStringToObject(o, "drill", r->drill->name.s) &&
              cJSON_AddStringToObject(o, "verdict", r->verdict) &&
              cJSON_AddStringToObject(o, "shows", r->drill->shows) &&
              (rows = cJSON_AddArrayToObject(o, "rows"));
    for (size_t i = 0; ok && i < r->drill->n_rows; i++)
        ok = cJSON_AddItemToArray(rows, cJSON_CreateNumber(r->drill->rows[i]));
    ok = ok && cJSON_AddBoolToObject(o, "live", r->live) &&
         cJSON_AddStringToObject(o, "started", gr_wall_format(r->started, at)) &&
         gr_json_add_uint(o, "took_usec", r->took_usec) &&
         add_usec(o, "detect_usec", f->detect_usec) &&
         add_usec(o, "recover_usec", f->recover_usec) &&
         gr_json_add_uint(o, "requests", f->answered + f->lost) &&
         gr_json_add_uint(o, "failed", f->failed) && gr_json_add_uint(o, "rescued", f->rescued) &&
         gr_json_add_uint(o, "lost", f->lost) && cJSON_AddStringToObject(o, "message", r->message);
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

int gr_result_save(const char *dir, const struct gr_result *r, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *json = gr_result_json(r);
    GR_AUTO_FREE char *text = json ? gr_json_format(json) : NULL;
    GR_AUTO_CLOSE int fd = -1;
    char name[GR_NAME_MAX + sizeof SUFFIX];
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    snprintf(name, sizeof name, "%s" SUFFIX, r->drill->name.s);
    int k = gr_fs_mkdir_all(dir, 0755);
    if (k >= 0)
        k = gr_fs_open_dir(dir, &fd);
    if (k >= 0)
        k = gr_fs_write_atomic(fd, name, text, strlen(text), 0644);
    return k < 0 ? gr_error_set(e, k, GR_REASON_NONE, "cannot keep the result in %.300s: %s", dir,
                                strerror(-k))
                 : 0;
}

static int is_result(const struct dirent *d)
{
    size_t n = strlen(d->d_name), suffix = sizeof SUFFIX - 1;
    return d->d_name[0] != '.' && n > suffix && !strcmp(d->d_name + n - suffix, SUFFIX);
}

static int load(const char *dir, const char *name, cJSON *list, struct gr_error *e)
{
    GR_AUTO_CLOSE int fd = -1;
    GR_AUTO_BUF struct gr_buf text = GR_BUF(BYTES_MAX);
    GR_AUTO_JSON cJSON *one = NULL;
    int r = gr_fs_open_dir(dir, &fd);
    if (r >= 0)
        r = gr_fs_read(fd, name, &text);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE, "cannot read %.300s/%.100s: %s", dir, name,
                            strerror(-r));
    r = gr_json_parse(text.len ? text.data : "", text.len, BYTES_MAX, &one, e);
    if (r < 0)
        gr_error_wrap(e, "%.300s/%.100s", dir, name);
    else if (cJSON_AddItemToArray(list, one))
        one = NULL;
    return r;
}

int gr_result_load_all(const char *dir, cJSON **ret, struct gr_error *e)
{
    struct dirent **names = NULL;
    GR_AUTO_JSON cJSON *list = cJSON_CreateArray();
    int n = scandir(dir, &names, is_result, alphasort);
    if (n < 0)
        return gr_error_set(e, -errno, GR_REASON_NONE, "cannot read results in %.300s: %s", dir,
                            strerror(errno));
    int r = list ? 0 : -ENOMEM;
    for (int i = 0; i < n; i++) {
        if (r >= 0 && i < GR_DRILL_RESULTS_MAX)
            r = load(dir, names[i]->d_name, list, e);
        free(names[i]);
    }
    free(names);
    if (r >= 0)
        *ret = gr_steal(list);
    return r;
}
