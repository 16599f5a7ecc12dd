// A version from its source into the store: fetched, verified, written, tried in the sandbox, and
// opened again as at a later start.
#include "base/fs.h"
#include "base/limits.h"
#include "story.h"
#include "verifier/verify.h"
#include "watchers/transport/transport.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "echo-1.0.0.so"

static struct gr_name module;
static struct gr_version version;
static struct gr_digest digest;
static char source[320], roots[300];

static struct gr_digest digest_of(const char *path)
{
    struct gr_digest d = {0};
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    story_must(fd >= 0 && gr_digest_fd(fd, &d, NULL) == 0, path);
    return d;
}

static void begin(const char *dir)
{
    char built[256];
    const char *build = getenv("GRAYLING_BUILD");
    story_must(build != NULL, "GRAYLING_BUILD is set");
    snprintf(roots, sizeof roots, "%s/modules", build);
    snprintf(built, sizeof built, "%.200s/modules/" FILE_NAME, build);
    snprintf(source, sizeof source, "file://%s", built);
    digest = digest_of(built);
    story_must(gr_name_parse("echo", 4, &module) == 0 && gr_version_parse("1.0.0", &version) == 0,
               "a name and a version");
    (void)dir;
}

// fn(path) for each file of the store.
static void each(const char *dir, void (*fn)(const char *path, void *u), void *u)
{
    char store[256], path[600];
    DIR *d = opendir(story_path(dir, "store", store));
    for (struct dirent *de; d && (de = readdir(d));)
        if (de->d_name[0] != '.' || de->d_name[1] == 't') {
            snprintf(path, sizeof path, "%s/%s", store, de->d_name);
            fn(path, u);
        }
    if (d)
        closedir(d);
}

static void drop(const char *path, void *u)
{
    (void)u;
    story_must(remove(path) == 0, path);
}

static void prepare(const char *dir)
{
    each(dir, drop, NULL);
}

struct outcome {
    bool done;
    struct gr_verified *v;
    struct gr_error e;
};

static void on_done(void *u, struct gr_verified *v, const struct gr_error *e)
{
    struct outcome *o = u;
    *o = (struct outcome){.done = true, .v = v};
    if (e)
        o->e = *e;
}

static int verify(sd_event *event, struct gr_verifier *verifier, struct gr_error *e)
{
    const char *const sources[] = {source};
    const struct gr_verify_request r = {.module = &module,
                                        .version = &version,
                                        .digest = &digest,
                                        .sources = sources,
                                        .n_sources = 1};
    struct outcome o = {0};
    const struct gr_verify_callbacks cb = {.done = on_done, .userdata = &o};
    struct gr_verification *v = NULL;
    int k = gr_verification_start(verifier, &r, &cb, &v, e);
    if (k < 0)
        return k;
    while (!o.done && k >= 0)
        k = sd_event_run(event, UINT64_MAX);
    if (!o.done) {
        gr_verification_cancel(v);
        return gr_error_set(e, k, GR_REASON_INTERNAL, "the event loop ended: %s", strerror(-k));
    }
    if (!o.v)
        *e = o.e;
    k = o.v ? 0 : o.e.code ? o.e.code : -EIO;
    gr_verified_free(o.v);
    return k;
}

static int run(const char *dir, struct gr_error *e)
{
    char store[256];
    sd_event *event = NULL;
    struct gr_transport *transport = NULL;
    struct gr_verifier *verifier = NULL;
    struct gr_verified *again = NULL;
    const struct gr_verifier_config c = {.store_dir = story_path(dir, "store", store),
                                         .allow_schemes = "file",
                                         .file_roots = roots,
                                         .max_bytes = GR_ARTIFACT_BYTES_DEFAULT};
    int k = sd_event_new(&event);
    if (k >= 0)
        k = gr_transport_new(event, &transport);
    if (k < 0)
        gr_error_set(e, k, GR_REASON_INTERNAL, "no transport: %s", strerror(-k)); // has no argument
    else
        k = gr_verifier_new(event, transport, &c, &verifier, e);
    if (k == 0)
        k = verify(event, verifier, e);
    if (k == 0)
        k = gr_verified_reopen(verifier, &module, &version, &digest, &again, e);
    gr_verified_free(again);
    gr_verifier_free(verifier);
    gr_transport_free(transport);
    sd_event_unref(event);
    return k;
}

struct judging {
    size_t n;
    char *why;
    size_t cap;
};

static void look(const char *path, void *u)
{
    struct judging *j = u;
    size_t len = strlen(path);
    if (strcmp(path + len - 3, ".so") != 0 && !strstr(path, ".damaged"))
        snprintf(j->why, j->cap, "left behind: %s", path);
    const struct gr_digest d = digest_of(path);
    if (!strstr(path, ".damaged") && !gr_digest_equal(&d, &digest))
        snprintf(j->why, j->cap, "not whole: %s", path);
    j->n += !strstr(path, ".damaged");
}

static enum story_end judge(const char *dir, char *why, size_t cap)
{
    struct judging j = {.why = why, .cap = cap};
    each(dir, look, &j);
    return *why || j.n > 1 ? STORY_BETWEEN : j.n ? STORY_NEW : STORY_OLD;
}

const struct story story_verify = {"verify", begin, prepare, run, judge};
