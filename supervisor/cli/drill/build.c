// A fresh build is a copy with a few bytes behind its end, which no loader reads.
#include "cli/drill/build.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "cli/input.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NOWHERE "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int gr_drill_find_modules(const char *given, char *buf, size_t cap, struct gr_error *e)
{
    char self[PATH_MAX];
    const char *named = given ? given : getenv("GRAYLING_MODULES");
    int n = snprintf(buf, cap, "%s", named ? named : "");
    if (!named && gr_child_self_dir(self, sizeof self) >= 0) {
        static const char *const beside[] = {"modules", "../modules", "../lib/grayling/drill"};
        for (size_t i = 0; i < GR_COUNT(beside); i++) {
            n = snprintf(buf, cap, "%s/%s", self, beside[i]);
            if (is_directory(buf))
                break;
        }
    }
    if (n > 0 && (size_t)n < cap && is_directory(buf))
        return 0;
    return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                        "the modules that drills put are not at %.200s; give --modules DIR", buf);
}

static int read_build(const char *modules, const struct gr_drill_build *b, struct gr_buf *bytes,
                      struct gr_error *e)
{
    char path[PATH_MAX + 256];
    if (b->build)
        snprintf(path, sizeof path, "%s/next/%s/%s-%s.so", modules, b->build, b->module,
                 b->version);
    else
        snprintf(path, sizeof path, "%s/%s-%s.so", modules, b->module, b->version);
    return gr_input_read(path, bytes, e);
}

static int hash(const struct gr_buf *bytes, char text[GR_DIGEST_TEXT_MAX])
{
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = NULL;
    struct gr_digest digest;
    int r = gr_hasher_new(&h);
    if (r >= 0)
        r = gr_hasher_update(h, bytes->data, bytes->len);
    if (r >= 0)
        r = gr_hasher_finish(h, &digest);
    if (r >= 0)
        gr_digest_format(&digest, text);
    return r;
}

// A name that says nothing about the module: what is refused must be refused by its content.
static int publish(struct gr_world *w, const struct gr_buf *bytes, char name[64],
                   struct gr_error *e)
{
    static unsigned n;
    GR_AUTO_CLOSE int dir_fd = -1;
    snprintf(name, 64, "drill-%d-%u.so", (int)getpid(), ++n);
    int r = gr_fs_open_dir(w->incoming, &dir_fd);
    if (r >= 0)
        r = gr_fs_write_atomic(dir_fd, name, bytes->data, bytes->len, 0444);
    return r < 0 ? gr_error_set(e, r, GR_REASON_NONE, "cannot write to %.200s: %s", w->incoming,
                                strerror(-r))
                 : 0;
}

static bool replace_members(cJSON *document, const char *more)
{
    GR_AUTO_JSON cJSON *members = more ? cJSON_Parse(more) : NULL; // checked when it was parsed
    while (members && members->child) {
        cJSON *one = cJSON_DetachItemViaPointer(members, members->child);
        char *name = strdup(one->string);
        if (name)
            cJSON_DeleteItemFromObjectCaseSensitive(document, name);
        if (!name || !cJSON_AddItemToObject(document, name, one)) {
            free(name);
            cJSON_Delete(one);
            return false;
        }
        free(name);
    }
    return true;
}

static cJSON *compose(struct gr_world *w, const struct gr_drill_build *b, const char *name,
                      const char *digest)
{
    char source[PATH_MAX + 128];
    if (b->from)
        snprintf(source, sizeof source, "%s/%s/%s", w->server, b->from, name);
    else
        snprintf(source, sizeof source, "file://%s/%s", w->incoming, name);
    cJSON *d = cJSON_CreateObject(), *strategy;
    bool ok = d && cJSON_AddStringToObject(d, "version", b->version) &&
              cJSON_AddStringToObject(d, "version_hash", b->wrong_digest ? NOWHERE : digest) &&
              cJSON_AddStringToObject(d, "source", source) &&
              cJSON_AddStringToObject(d, "actor", "drill") &&
              (strategy = cJSON_AddObjectToObject(d, "strategy")) &&
              cJSON_AddStringToObject(strategy, "bake", "100ms") && replace_members(d, b->more);
    if (ok)
        return d;
    cJSON_Delete(d);
    return NULL;
}

int gr_drill_document(struct gr_world *w, const char *modules, const struct gr_drill_build *b,
                      cJSON **ret, struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf bytes = GR_BUF(GR_ARTIFACT_BYTES_DEFAULT);
    char name[64], digest[GR_DIGEST_TEXT_MAX];
    static unsigned n;
    int r = read_build(modules, b, &bytes, e);
    if (r >= 0 && (r = gr_buf_printf(&bytes, "drill %d %lld %u", (int)getpid(),
                                     (long long)gr_wall_now().usec, ++n)) < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "out of memory");
    if (r >= 0)
        r = publish(w, &bytes, name, e);
    if (r >= 0 && (r = hash(&bytes, digest)) < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "cannot hash a build: %s", strerror(-r));
    if (r >= 0 && !(*ret = compose(w, b, name, digest)))
        r = gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    return r;
}
