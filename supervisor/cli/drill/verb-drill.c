// drill: list what there is, run some, report what came of them.
#include "base/json.h"
#include "cli/drill/build.h"
#include "cli/drill/guard.h"
#include "cli/drill/runner.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drills {
    size_t n;
    struct gr_drill *list[GR_ARGS_MAX];
};

static void drills_done(struct drills *d)
{
    for (size_t i = 0; i < d->n; i++)
        gr_drill_free(d->list[i]);
}

static int add_file(struct drills *to, const char *file, struct gr_error *e)
{
    if (to->n == GR_ARGS_MAX)
        return gr_error_set(e, -E2BIG, GR_REASON_NONE, "more than %d drills", GR_ARGS_MAX);
    int r = gr_drill_load(file, &to->list[to->n], e);
    to->n += r >= 0;
    for (size_t k = 0; r >= 0 && k + 1 < to->n; k++)
        if (gr_name_equal(&to->list[k]->name, &to->list[to->n - 1]->name))
            r = gr_error_set(e, -EINVAL, GR_REASON_NONE, "two drills are called %s",
                             to->list[k]->name.s);
    return r;
}

// Those of $GRAYLING_DRILLS, or the installed ones.
static int add_usual(struct drills *to, struct gr_error *e)
{
    char self[PATH_MAX], pattern[2 * PATH_MAX];
    const char *named = getenv("GRAYLING_DRILLS");
    glob_t found = {0};
    int r = gr_child_self_dir(self, sizeof self);
    if (named)
        snprintf(pattern, sizeof pattern, "%s/*.drill", named);
    else
        snprintf(pattern, sizeof pattern, "%s/../share/grayling/drills/*.drill", self);
    if (r < 0 || glob(pattern, 0, NULL, &found) != 0)
        r = gr_error_set(e, -EINVAL, GR_REASON_NONE,
                         "which drills? There are none at %.300s; name files, or a directory with "
                         "GRAYLING_DRILLS",
                         pattern);
    for (size_t i = 0; r >= 0 && i < found.gl_pathc; i++)
        r = add_file(to, found.gl_pathv[i], e);
    globfree(&found);
    return r;
}

// The files that are named behind the first word. All are checked before any is run.
static int load(const struct gr_args *args, struct drills *ret, struct gr_error *e)
{
    int r = args->n_words > 1 ? 0 : add_usual(ret, e);
    for (size_t i = 1; r >= 0 && i < args->n_words; i++)
        r = add_file(ret, args->words[i], e);
    return r;
}

static enum gr_exit list(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {{"DRILL", "drill", GR_CELL_TEXT, false},
                                               {"NEEDS", "needs", GR_CELL_TEXT, false},
                                               {"SHOWS", "shows", GR_CELL_TEXT, false}};
    GR_CLEANUP(drills_done) struct drills drills = {0};
    GR_AUTO_JSON cJSON *all = cJSON_CreateArray();
    struct gr_error e = {0};
    if (load(args, &drills, &e) < 0)
        return gr_cli_fail(cli, &e);
    for (size_t i = 0; i < drills.n; i++) {
        char needs[64];
        cJSON *o = cJSON_CreateObject();
        if (!o || !cJSON_AddItemToArray(all, o) ||
            !cJSON_AddStringToObject(o, "drill", drills.list[i]->name.s) ||
            !cJSON_AddStringToObject(o, "needs",
                                     gr_drill_needs_format(drills.list[i]->needs, needs)) ||
            !cJSON_AddStringToObject(o, "shows", drills.list[i]->shows))
            return GR_EXIT_INTERNAL;
    }
    gr_output_list(cli, all, columns, GR_COUNT(columns), "drill");
    return GR_EXIT_OK;
}

static int results_dir(const struct gr_args *args, char buf[PATH_MAX], struct gr_error *e)
{
    const char *given = gr_args_value(args, "results");
    if (!given)
        return gr_result_default_dir(buf, PATH_MAX, e);
    snprintf(buf, PATH_MAX, "%s", given);
    return 0;
}

static enum gr_exit run(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(drills_done) struct drills drills = {0};
    char modules[PATH_MAX], results[PATH_MAX];
    struct gr_error e = {0};
    enum gr_exit status = GR_EXIT_INTERNAL;
    struct gr_runner_asked asked = {.cli = cli,
                                    .drills = drills.list,
                                    .modules = modules,
                                    .results = results,
                                    .live = gr_args_has(args, "live"),
                                    .strict = gr_args_has(args, "strict")};
    int r = load(args, &drills, &e);
    asked.n = drills.n;
    if (r >= 0)
        r = gr_drill_find_modules(gr_args_value(args, "modules"), modules, sizeof modules, &e);
    if (r >= 0)
        r = results_dir(args, results, &e);
    if (r >= 0)
        r = gr_guard_run(
            &(struct gr_guarded){.name = "drill", .run = gr_runner_run, .userdata = &asked},
            &status, &e);
    return r < 0 ? gr_cli_fail(cli, &e) : status;
}

static enum gr_exit report(struct gr_cli *cli, const struct gr_args *args)
{
    GR_AUTO_JSON cJSON *results = NULL;
    char dir[PATH_MAX];
    struct gr_error e = {0};
    bool bad = false;
    int r = results_dir(args, dir, &e);
    if (r >= 0)
        r = gr_result_load_all(dir, &results, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    gr_runner_print(cli, results);
    const cJSON *one;
    cJSON_ArrayForEach(one, results)
    {
        const char *verdict = gr_output_text(one, "verdict");
        bad |= strcmp(verdict, GR_RESULT_PASSED) && strcmp(verdict, GR_RESULT_SKIPPED);
    }
    return bad ? GR_EXIT_DEGRADED : GR_EXIT_OK;
}

enum gr_exit gr_verb_drill(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (!strcmp(args->words[0], "list"))
        return list(cli, args);
    if (!strcmp(args->words[0], "run"))
        return run(cli, args);
    if (!strcmp(args->words[0], "report") && args->n_words == 1)
        return report(cli, args);
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl %s %s", args->verb->name,
                 args->verb->words);
    return gr_cli_fail(cli, &e);
}
