// Two versions in dispatch: loaded, exchanged under a frozen gate, the older one let go.
#include "base/limits.h"
#include "dispatch/dispatch.h"
#include "story.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static unsigned runs;             // each has paths of its own: a reused one would be the old file
static char paths[2][256];        // of this run
static char serving[GR_NAME_MAX]; // version in force when it ended

static void begin(const char *dir)
{
    (void)dir;
    story_must(getenv("GRAYLING_BUILD") != NULL, "GRAYLING_BUILD is set");
}

static void prepare(const char *dir)
{
    static const char *const names[] = {"echo-1.0.0", "echo-1.0.1"};
    char from[256];
    runs++;
    for (size_t i = 0; i < 2; i++) {
        (void)remove(paths[i]);
        snprintf(paths[i], sizeof paths[i], "%.200s/%s-%u.so", dir, names[i], runs);
        snprintf(from, sizeof from, "%.200s/modules/%s.so", getenv("GRAYLING_BUILD"), names[i]);
        story_copy(from, paths[i]);
    }
    serving[0] = '\0';
}

static void on_each(void *u, const char *module, const char *version, unsigned slot)
{
    (void)u, (void)module, (void)slot;
    snprintf(serving, sizeof serving, "%s", version);
}

static int put(struct gr_dispatch *d, struct gr_instance *i, struct gr_instance *rescue,
               struct gr_error *e)
{
    const struct gr_change c = {.module = "echo", .stable = i, .rescue = rescue};
    struct gr_swap_result swapped;
    return gr_dispatch_swap(d, &c, 1, GR_USEC_PER_SEC, &swapped, e);
}

static int release(struct gr_dispatch *d, struct gr_error *e)
{
    struct gr_instance *old = NULL, *new = NULL;
    struct gr_swap_result routed;
    int k = gr_instance_load(d, &(struct gr_load){.path = paths[0], .fd = -1, .slot = 0}, &old, e);
    if (k == 0)
        k = put(d, old, NULL, e);
    if (k == 0)
        k = gr_instance_load(d, &(struct gr_load){.path = paths[1], .fd = -1, .slot = 1}, &new, e);
    if (k == 0)
        k = put(d, new, old, e);
    const struct gr_change settled = {.module = "echo", .stable = new};
    if (k == 0)
        k = gr_dispatch_route(d, &settled, 1, &routed, e);
    if (k == 0 && (k = gr_instance_unload(d, old, GR_USEC_PER_SEC)) < 0)
        gr_error_set(e, k, GR_REASON_INTERNAL, "not unloaded: %s", strerror(-k)); // no argument
    return k;
}

static int run(const char *dir, struct gr_error *e)
{
    struct gr_dispatch *d = NULL;
    (void)dir;
    int k = gr_dispatch_new(&(struct gr_dispatch_options){.max_threads = 2}, &d, e);
    if (k < 0)
        return k;
    k = release(d, e);
    gr_dispatch_each(d, on_each, NULL);
    gr_dispatch_free(d);
    return k;
}

static enum story_end judge(const char *dir, char *why, size_t cap)
{
    (void)dir;
    for (size_t i = 0; i < 2; i++) {
        void *still = dlopen(paths[i], RTLD_NOW | RTLD_NOLOAD);
        if (still) {
            dlclose(still);
            snprintf(why, cap, "%s is still mapped", paths[i]);
            return STORY_BETWEEN;
        }
    }
    return strcmp(serving, "1.0.1") == 0 ? STORY_NEW : STORY_OLD;
}

const struct story story_load = {"load", begin, prepare, run, judge};
