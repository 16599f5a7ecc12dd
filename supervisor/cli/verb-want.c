// Verbs that say what should be: apply, lint.
#include "base/json.h"
#include "cli/document.h"
#include "cli/local-artifact.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include "state/passage.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// Files of -f and all words, in order.
int gr_want_read(const struct gr_args *args, struct gr_documents *d, struct gr_error *e)
{
    const char *files[GR_ARGS_MAX];
    size_t n = gr_args_list(args, "file", files, GR_ARGS_MAX);
    int r = 0;
    if (n + args->n_words == 0)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "%s: which file? grayctl %s %s",
                            args->verb->name, args->verb->name, args->verb->words);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = gr_documents_read(d, files[i], e);
    for (size_t i = 0; r >= 0 && i < args->n_words; i++)
        r = gr_documents_read(d, args->words[i], e);
    return r;
}

static cJSON *change_row(const struct gr_document *one, const cJSON *before, bool dry_run,
                         int64_t revision)
{
    cJSON *row = cJSON_CreateObject();
    const char *from = gr_output_text(before, "version");
    const char *action = !one->changed ? "unchanged" : one->now.present ? "changed" : "created";
    cJSON_AddStringToObject(row, "module", one->module.s);
    cJSON_AddStringToObject(row, "action", action);
    if (*from)
        cJSON_AddStringToObject(row, "from", from);
    cJSON_AddStringToObject(row, "to", gr_output_text(one->json, "version"));
    gr_json_add_int(row, "revision", one->changed && !dry_run ? revision : one->now.revision);
    cJSON_AddBoolToObject(row, "dry_run", dry_run);
    return row;
}

static void report(struct gr_cli *cli, const struct gr_documents *d, bool dry_run, int64_t revision)
{
    static const struct gr_column columns[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},     {"ACTION", "action", GR_CELL_TEXT, false},
        {"FROM", "from", GR_CELL_TEXT, false},         {"TO", "to", GR_CELL_TEXT, false},
        {"REVISION", "revision", GR_CELL_TEXT, false},
    };
    GR_AUTO_JSON cJSON *rows = cJSON_CreateArray();
    bool for_people = cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
    for (size_t i = 0; i < d->n; i++) {
        const struct gr_document *one = &d->items[i];
        GR_AUTO_JSON cJSON *before =
            one->now.value ? cJSON_Parse(one->now.value) : NULL; // only shown
        cJSON_AddItemToArray(rows, change_row(one, before, dry_run, revision));
        if (one->changed) {
            FILE *to = dry_run && for_people ? cli->out : cli->err;
            fprintf(to, "%s\n", one->module.s);
            gr_document_print_diff(to, before, one->json);
        }
    }
    gr_output_list(cli, rows, columns, GR_COUNT(columns), "module");
}

static void say_next(struct gr_cli *cli, const struct gr_documents *d, struct gr_docstore *store,
                     bool dry_run, int64_t revision)
{
    if (dry_run)
        gr_cli_say(cli, "nothing was written (--dry-run) to %s; next: the same without --dry-run",
                   store->place);
    else if (revision == 0)
        gr_cli_say(cli, "%s says so already; nothing was written", store->place);
    else if (d->n == 1)
        gr_cli_say(cli, "written to %s; next: grayctl status %s --wait --revision %" PRId64,
                   store->place, d->items[0].module.s, revision);
    else
        gr_cli_say(cli,
                   "written to %s as one change; next: grayctl status --wait --revision %" PRId64,
                   store->place, revision);
}

enum gr_exit gr_want(struct gr_cli *cli, const struct gr_args *args, struct gr_documents *d,
                     struct gr_docstore *store)
{
    bool dry_run = gr_args_has(args, "dry-run");
    struct gr_error e = {0};
    int64_t revision = 0, if_revision = -1;
    int r = gr_args_number(args, "if-revision", &if_revision, &e);
    for (size_t i = 0; r >= 0 && i < d->n; i++)
        r = gr_document_sign(&d->items[i], gr_cli_actor(), gr_args_value(args, "reason"), &e);
    if (r >= 0)
        r = gr_documents_compare(d, store, if_revision, &e);
    if (r >= 0 && !dry_run)
        r = gr_documents_write(d, store, &revision, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    report(cli, d, dry_run, revision);
    say_next(cli, d, store, dry_run, revision);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_apply(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    if (gr_want_read(args, &d, &e) < 0 || gr_docstore_open(cli, &store, &e) < 0)
        return gr_cli_fail(cli, &e);
    return gr_want(cli, args, &d, store);
}

static void print_warnings(struct gr_cli *cli, const struct gr_document *one,
                           const struct gr_desired *d)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection file = {0};
    struct gr_warnings w;
    gr_desired_warn(d, &w);
    if (gr_local_artifact(d, &file)) {
        gr_passage_warn(file.contract, d, &w);
        if (file.own_verdict.reason != GR_REASON_NONE)
            fprintf(cli->err, "warning: %s: a host refuses its file: %s\n", one->module.s,
                    file.own_verdict.message);
    }
    for (size_t i = 0; i < w.n; i++)
        gr_want_warn(cli, one->module.s, w.text[i]);
}

enum gr_exit gr_verb_lint(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_AUTO_JSON cJSON *rows = cJSON_CreateArray();
    bool for_people = cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
    struct gr_error e = {0};
    if (gr_want_read(args, &d, &e) < 0)
        return gr_cli_fail(cli, &e);
    for (size_t i = 0; i < d.n; i++) {
        GR_CLEANUP(gr_desired_freep) struct gr_desired *one = NULL;
        GR_AUTO_FREE char *text = gr_json_format(d.items[i].json);
        if (!text || gr_desired_parse(&d.items[i].module, 0, text, strlen(text), &one, &e) < 0)
            return gr_cli_fail(cli, &e);
        print_warnings(cli, &d.items[i], one);
        if (for_people)
            fprintf(cli->out, "%s %s: ok\n", d.items[i].module.s, one->version.text);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "module", d.items[i].module.s);
        cJSON_AddStringToObject(row, "version", one->version.text);
        cJSON_AddItemToArray(rows, row);
    }
    gr_want_warn_of_pooling(cli, &d);
    if (!for_people)
        gr_output_list(cli, rows, NULL, 0, "module");
    return GR_EXIT_OK;
}
