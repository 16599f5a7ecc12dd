// Which instance a drill gets, and what becomes of its result.
#include "cli/drill/runner.h"
#include "base/fault.h"
#include "base/fs.h"
#include "cli/drill/process.h"
#include "cli/output.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct runner {
    const struct gr_runner_asked *asked;
    const char *dir;
    struct gr_world *w;           // NULL: none runs
    const struct gr_drill *first; // whose needs it was made for
    unsigned n_worlds;
    cJSON *results;
    size_t n_bad;
};

static bool same_sets(const struct gr_drill *a, const struct gr_drill *b)
{
    if (a->n_sets != b->n_sets)
        return false;
    for (size_t i = 0; i < a->n_sets; i++)
        if (strcmp(a->sets[i], b->sets[i]))
            return false;
    return true;
}

static bool can_share(const struct runner *r, const struct gr_drill *d)
{
    return r->w && !gr_world_is_dead(r->w) &&
           !((d->needs | r->first->needs) & GR_DRILL_NEEDS_FRESH) &&
           !((d->needs ^ r->first->needs) & GR_DRILL_NEEDS_ETCD) && same_sets(d, r->first);
}

static int get_world(struct runner *r, const struct gr_drill *d, struct gr_error *e)
{
    char dir[PATH_MAX];
    if (r->asked->live)
        return r->w ? 0 : gr_world_live(r->asked->cli, &r->w, e);
    if (can_share(r, d)) {
        if (gr_world_clear(r->w, e) >= 0)
            return 0;
        gr_cli_say(r->asked->cli, "before %s, an instance of its own is started: %s", d->name.s,
                   e->message); // loud: it is no fault of this drill, and perhaps a fault
    }
    gr_world_free(gr_steal(r->w));
    snprintf(dir, sizeof dir, "%.4000s/%u", r->dir, ++r->n_worlds);
    const struct gr_world_asked asked = {
        .dir = dir, .etcd = d->needs & GR_DRILL_NEEDS_ETCD, .sets = d->sets, .n_sets = d->n_sets};
    int k = gr_fs_mkdir_all(dir, 0755);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_NONE, "cannot make %.300s: %s", dir, strerror(-k));
    r->first = d;
    return gr_world_new(&asked, &r->w, e);
}

// Why it cannot be run here; NULL: it can.
static const char *unfit(const struct runner *r, const struct gr_drill *d, char buf[300])
{
    char path[PATH_MAX];
    if (r->asked->live && (d->needs || d->n_sets))
        return "it breaks or configures its instance, so it runs against a throw-away one only";
    for (size_t i = 0; r->asked->live && i < d->n_lines; i++) {
        const char *module = d->lines[i].args[0];
        if (d->lines[i].act <= GR_DRILL_REMOVE && strncmp(module, "drill-", 6)) {
            snprintf(buf, 300,
                     "it puts %.64s; against a running instance only modules whose name "
                     "begins with drill- are put",
                     module);
            return buf;
        }
    }
    if (d->needs & GR_DRILL_NEEDS_FAULTS && !GR_FAULT_POINTS)
        return "it needs fault points, which only a build with GRAYLING_FAULT_POINTS=ON has";
    if (d->needs & GR_DRILL_NEEDS_ETCD && gr_process_find("etcd", path, sizeof path) < 0)
        return "it needs an etcd of its own, and there is none in PATH";
    return NULL;
}

static void keep_result(struct runner *r, const struct gr_result *result)
{
    struct gr_error e = {0};
    char detect[32] = "-", recover[32] = "-";
    const struct gr_story_figures *f = &result->figures;
    cJSON *json = gr_result_json(result);
    if (gr_result_save(r->asked->results, result, &e) < 0)
        gr_cli_say(r->asked->cli, "%s", e.message);
    if (!json || !cJSON_AddItemToArray(r->results, json))
        cJSON_Delete(json);
    if (f->detect_usec >= 0)
        gr_duration_format((uint64_t)f->detect_usec / 1000 * 1000, detect);
    if (f->recover_usec >= 0)
        gr_duration_format((uint64_t)f->recover_usec / 1000 * 1000, recover);
    gr_cli_say(r->asked->cli, "%-8s %-28s detected in %s, recovered in %s, lost %llu%s%s",
               result->verdict, result->drill->name.s, detect, recover, (unsigned long long)f->lost,
               *result->message ? ": " : "", result->message);
    r->n_bad += !strcmp(result->verdict, GR_RESULT_FAILED) ||
                (r->asked->strict && !strcmp(result->verdict, GR_RESULT_SKIPPED));
}

static void run_one(struct runner *r, const struct gr_drill *d)
{
    struct gr_error e = {0};
    char why[300];
    const char *skipped = unfit(r, d, why);
    struct gr_result result = {.drill = d,
                               .verdict = GR_RESULT_ABORTED,
                               .message = "its runner died",
                               .live = r->asked->live,
                               .started = gr_wall_now(),
                               .figures = {.detect_usec = -1, .recover_usec = -1}};
    uint64_t begun = gr_mono_now().usec;
    if (skipped) {
        result.verdict = GR_RESULT_SKIPPED;
        result.message = skipped;
        keep_result(r, &result);
        return;
    }
    int k = gr_result_save(r->asked->results, &result, &e);
    if (k >= 0)
        k = get_world(r, d, &e);
    if (k >= 0)
        k = gr_story_tell(r->w, d, r->asked->modules, &result.figures, &e);
    result.took_usec = gr_mono_now().usec - begun;
    result.verdict = k < 0 ? GR_RESULT_FAILED : GR_RESULT_PASSED;
    result.message = k < 0 ? *e.message ? e.message : strerror(-k) : "";
    keep_result(r, &result);
    if (k < 0 && !r->asked->live)
        gr_world_free(gr_steal(r->w)); // nobody else is to find it as it is now
}

// Those that can share an instance stand together; else as they were named.
static int compare(const void *a, const void *b)
{
    const struct gr_drill *x = *(struct gr_drill *const *)a, *y = *(struct gr_drill *const *)b;
    unsigned mask = GR_DRILL_NEEDS_ETCD | GR_DRILL_NEEDS_FRESH;
    if ((x->needs & mask) != (y->needs & mask))
        return (x->needs & mask) < (y->needs & mask) ? -1 : 1;
    for (size_t i = 0; i < x->n_sets && i < y->n_sets; i++)
        if (strcmp(x->sets[i], y->sets[i]))
            return strcmp(x->sets[i], y->sets[i]);
    if (x->n_sets != y->n_sets)
        return x->n_sets < y->n_sets ? -1 : 1;
    return strcmp(x->name.s, y->name.s);
}

void gr_runner_print(struct gr_cli *cli, const cJSON *results)
{
    static const struct gr_column columns[] = {
        {"DRILL", "drill", GR_CELL_TEXT, false},
        {"VERDICT", "verdict", GR_CELL_TEXT, false},
        {"DETECTED", "detect_usec", GR_CELL_USEC, false},
        {"RECOVERED", "recover_usec", GR_CELL_USEC, false},
        {"REQUESTS", "requests", GR_CELL_TEXT, false},
        {"LOST", "lost", GR_CELL_TEXT, false},
        {"FAILED", "failed", GR_CELL_TEXT, true},
        {"RESCUED", "rescued", GR_CELL_TEXT, true},
        {"TOOK", "took_usec", GR_CELL_USEC, true},
        {"STARTED", "started", GR_CELL_TIME, true},
        {"WHY", "message", GR_CELL_TEXT, false},
    };
    gr_output_list(cli, results, columns, GR_COUNT(columns), "drill");
}

// A running instance is left as it was found; when that fails now, the lease sees to it.
static void end_world(struct runner *r)
{
    struct gr_error e = {0};
    if (r->w && r->asked->live &&
        (gr_world_clear(r->w, &e) < 0 || gr_drill_store_end(r->w->store, &e) < 0)) {
        gr_cli_say(r->asked->cli, "the drill's modules are not all removed yet: %s", e.message);
        r->n_bad++;
    }
    gr_world_free(gr_steal(r->w));
}

enum gr_exit gr_runner_run(void *userdata, const char *dir)
{
    const struct gr_runner_asked *asked = userdata;
    struct runner r = {.asked = asked, .dir = dir, .results = cJSON_CreateArray()};
    qsort(asked->drills, asked->n, sizeof *asked->drills, compare);
    for (size_t i = 0; i < asked->n && r.results; i++)
        run_one(&r, asked->drills[i]);
    end_world(&r);
    gr_runner_print(asked->cli, r.results);
    cJSON_Delete(r.results);
    return r.n_bad ? GR_EXIT_DEGRADED : GR_EXIT_OK;
}
