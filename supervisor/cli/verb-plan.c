// plan: what the daemon would do with documents, whom it could hurt, and where a request would go.
// Touches nothing.
#include "base/clock.h"
#include "base/json.h"
#include "cli/local-artifact.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include "cli/whereto.h"
#include "rollout/analysis.h"
#include "state/desired.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const double faults[] = {0.02, 0.1}; // more errors than stable, that one imagines

static int parse_document(const struct gr_document *one, struct gr_desired **ret,
                          struct gr_error *e)
{
    GR_AUTO_FREE char *text = gr_json_format(one->json);
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    return gr_desired_parse(&one->module, 0, text, strlen(text), ret, e);
}

// --- harm
// -----------------------------------------------------------------------------------------

// The error share that stable shows on this host; 0: nothing is known.
static double stable_errors(struct gr_cli *cli, const char *module)
{
    GR_AUTO_JSON cJSON *now = NULL;
    struct gr_error e = {0};
    char path[192];
    snprintf(path, sizeof path, "/v1/modules/%.100s", module);
    if (gr_cli_request(cli, "GET", path, NULL, 0, &now, &e) < 0)
        return 0;
    double n = cJSON_GetNumberValue(gr_output_find(now, "stable.requests")),
           errors = cJSON_GetNumberValue(gr_output_find(now, "stable.errors"));
    return n > 0 && errors >= 0 ? errors / n : 0;
}

static void add_harm(cJSON *rows, const struct gr_desired *d, double stable, size_t step,
                     unsigned permyriad, double fault)
{
    const struct gr_harm_question q = {.stable_error_rate = stable,
                                       .candidate_error_rate =
                                           stable + fault < 1 ? stable + fault : 1,
                                       .max_increase = d->strategy.analysis.error_rate_max_increase,
                                       .alpha = d->strategy.analysis.alpha,
                                       .harm_bad_responses = d->strategy.harm_bad_responses,
                                       .candidate_share = permyriad / 10000.0};
    const struct gr_harm_expectation x = gr_harm_expect(&q);
    cJSON *o = cJSON_CreateObject();
    char text[64];
    cJSON_AddStringToObject(o, "module", d->module.s);
    cJSON_AddNumberToObject(o, "step", (double)step + 1);
    cJSON_AddNumberToObject(o, "weight", permyriad / 100.0);
    snprintf(text, sizeof text, "%.3g %% -> %.3g %%", 100 * stable, 100 * q.candidate_error_rate);
    cJSON_AddStringToObject(o, "fault", text);
    if (x.requests >= 0) {
        cJSON_AddNumberToObject(o, "requests", __builtin_ceil(x.requests));
        cJSON_AddNumberToObject(o, "bad_responses", __builtin_ceil(x.bad_responses));
        cJSON_AddNumberToObject(o, "total_requests", __builtin_ceil(x.total_requests));
    }
    cJSON_AddStringToObject(o, "ended_by",
                            x.requests < 0 ? "nothing: no gate looks at errors"
                            : x.by_budget  ? "the harm budget"
                                           : "the analysis");
    cJSON_AddItemToArray(rows, o);
}

static int harm_of(struct gr_cli *cli, const struct gr_documents *d, cJSON *rows,
                   struct gr_error *e)
{
    for (size_t i = 0; i < d->n; i++) {
        GR_CLEANUP(gr_desired_freep) struct gr_desired *one = NULL;
        int r = parse_document(&d->items[i], &one, e);
        if (r < 0)
            return r;
        double stable = stable_errors(cli, one->module.s);
        for (size_t k = 0; k < one->strategy.n_steps; k++) {
            const struct gr_step *s = &one->strategy.steps[k];
            // with all of the traffic there is no stable beside it, and the formula is for both
            bool beside = s->kind == GR_STEP_WEIGHT && s->permyriad > 0 && s->permyriad < 10000;
            for (size_t f = 0; beside && f < GR_COUNT(faults); f++)
                add_harm(rows, one, stable, k, s->permyriad, faults[f]);
        }
    }
    return 0;
}

static void print_harm(struct gr_cli *cli, const cJSON *rows)
{
    static const struct gr_column columns[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},
        {"STEP", "step", GR_CELL_TEXT, false},
        {"WEIGHT %", "weight", GR_CELL_TEXT, false},
        {"IF ERRORS WENT", "fault", GR_CELL_TEXT, false},
        {"FOUND AFTER REQUESTS", "requests", GR_CELL_TEXT, false},
        {"OF THEM BAD", "bad_responses", GR_CELL_TEXT, false},
        {"OF BOTH VERSIONS", "total_requests", GR_CELL_TEXT, false},
        {"ENDED BY", "ended_by", GR_CELL_TEXT, false},
    };
    if (!cJSON_GetArraySize(rows))
        return;
    fprintf(cli->out, "\nexpected until a fault is found, if it began at that step:\n");
    gr_output_list(cli, rows, columns, GR_COUNT(columns), "module");
}

// --- documents
// ------------------------------------------------------------------------------------

static void print_passages(struct gr_cli *cli, const cJSON *items)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, items)
    {
        bool one_way = cJSON_IsTrue(gr_output_find(it, "one_way"));
        if (*gr_output_text(it, "state"))
            fprintf(cli->out, "\n%s%s\n", one_way ? "one way: " : "", gr_output_text(it, "state"));
    }
}

// What would wait for others, or take along what waits.
static void print_waits(struct gr_cli *cli, const cJSON *plan)
{
    const cJSON *r;
    cJSON_ArrayForEach(r, gr_output_find(plan, "rollouts"))
    {
        if (*gr_output_text(r, "waits"))
            fprintf(cli->out, "\ngroup %.0f: %s\n",
                    cJSON_GetNumberValue(gr_output_find(r, "group")), gr_output_text(r, "waits"));
    }
}

static void say_next(struct gr_cli *cli, bool refused, bool changes)
{
    if (refused)
        gr_cli_say(cli, "this would be refused as a whole; nothing was touched");
    else if (!changes)
        gr_cli_say(cli, "nothing would change");
    else
        gr_cli_say(cli, "nothing was touched; next: grayctl apply with the same files");
}

static enum gr_exit plan_documents(struct gr_cli *cli, const struct gr_documents *d)
{
    static const struct gr_column columns[] = {
        {"GROUP", "group", GR_CELL_TEXT, false},     {"MODULE", "module", GR_CELL_TEXT, false},
        {"ACTION", "kind", GR_CELL_TEXT, false},     {"FROM", "from.version", GR_CELL_TEXT, false},
        {"TO", "to.version", GR_CELL_TEXT, false},   {"REASON", "reason", GR_CELL_TEXT, false},
        {"MESSAGE", "message", GR_CELL_TEXT, false},
    };
    GR_AUTO_JSON cJSON *question = gr_want_question(d), *plan = NULL;
    struct gr_error e = {0};
    if (gr_cli_request(cli, "POST", "/v1/plan", question, 0, &plan, &e) < 0)
        return gr_cli_fail(cli, &e);
    cJSON *harm = cJSON_AddArrayToObject(plan, "harm");
    if (harm_of(cli, d, harm, &e) < 0)
        return gr_cli_fail(cli, &e);
    const cJSON *items = gr_output_find(plan, "items");
    bool refused = cJSON_IsTrue(gr_output_find(plan, "refused"));
    bool for_people = cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, plan);
    else
        gr_output_list(cli, items, columns, GR_COUNT(columns), "module");
    gr_want_print_warnings(cli, plan);
    if (for_people)
        print_waits(cli, plan);
    if (for_people && !refused)
        print_passages(cli, items);
    if (for_people && !refused)
        print_harm(cli, harm);
    say_next(cli, refused, cJSON_GetArraySize(items) > 0);
    return refused ? GR_EXIT_REFUSED : GR_EXIT_OK;
}

// --- one request
// ----------------------------------------------------------------------------------

static void print_whereto(struct gr_cli *cli, const cJSON *rows)
{
    static const struct gr_column columns[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},   {"GOES TO", "goes_to", GR_CELL_TEXT, false},
        {"VERSION", "version", GR_CELL_TEXT, false}, {"RULE", "rule", GR_CELL_TEXT, true},
        {"BUCKET", "bucket", GR_CELL_TEXT, true},    {"WHY", "why", GR_CELL_TEXT, false},
    };
    gr_output_list(cli, rows, columns, GR_COUNT(columns), "goes_to");
}

static enum gr_exit plan_request(struct gr_cli *cli, const struct gr_args *args,
                                 const struct gr_documents *d)
{
    GR_AUTO_JSON cJSON *rows = cJSON_CreateArray();
    GR_CLEANUP(gr_whereto_done) struct gr_whereto w = {0};
    struct gr_error e = {0};
    const char *headers[GR_ARGS_MAX];
    size_t n = gr_args_list(args, "request", headers, GR_ARGS_MAX);
    int r = gr_whereto_init(&w, headers, n, gr_args_value(args, "path"), &e);
    for (size_t i = 0; r >= 0 && i < d->n; i++) {
        GR_CLEANUP(gr_desired_freep) struct gr_desired *one = NULL;
        cJSON *row = NULL;
        r = parse_document(&d->items[i], &one, &e);
        if (r >= 0)
            r = gr_whereto_document(&w, one, &row, &e);
        if (r >= 0)
            cJSON_AddItemToArray(rows, row);
    }
    for (size_t i = 0; r >= 0 && d->n == 0 && i < args->n_words; i++) {
        GR_AUTO_JSON cJSON *module = NULL;
        cJSON *row = NULL;
        char path[192];
        snprintf(path, sizeof path, "/v1/modules/%.100s", args->words[i]);
        r = gr_cli_request(cli, "GET", path, NULL, 0, &module, &e);
        if (r >= 0)
            r = gr_whereto_module(&w, module, &row, &e);
        if (r >= 0)
            cJSON_AddItemToArray(rows, row);
    }
    if (r < 0)
        return gr_cli_fail(cli, &e);
    print_whereto(cli, rows);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_plan(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    struct gr_error e = {0};
    bool request = gr_args_has(args, "request") || gr_args_has(args, "path");
    bool modules = request && !gr_args_has(args, "file") && args->n_words > 0;
    if (!modules && gr_want_read(args, &d, &e) < 0)
        return gr_cli_fail(cli, &e);
    return request ? plan_request(cli, args, &d) : plan_documents(cli, &d);
}
