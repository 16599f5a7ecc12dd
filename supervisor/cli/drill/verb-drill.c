// drill: list what there is, run some, report what came of them.
#include "base/json.h"
#include "cli/drill/build.h"
#include "cli/drill/guard.h"
#include "cli/drill/runner.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
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

// The files that are named behind the first word. All are checked before any is run.
static int load(const struct gr_args *args, struct drills *ret, struct gr_error *e)
{
    int r = args->n_words > 1
                ? 0
                : gr_error_set(e, -EINVAL, GR_REASON_NONE,
                               "which drills? expected: grayctl drill %s FILE...", args->words[0]);
    for (size_t i = 1; r >= 0 && i < args->n_words; i++) {
        r = gr_drill_load(args->words[i], &ret->list[ret->n], e);
        ret->n += r >= 0;
        for (size_t k = 0; r >= 0 && k + 1 < ret->n; k++)
            if (gr_name_equal(&ret->list[k]->name, &ret->list[ret->n - 1]->name))
                r = gr_error_set(e, -EINVAL, GR_REASON_NONE, "two drills are called %s",
                                 ret->list[k]->name.s);
    }
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
        r = gr_drill_guard(gr_runner_run, &asked, NULL, &status, &e);
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
