// Verbs that go back: undo, and abort of a rollout. The host goes back at once; then the desired
// state is made to say so, or everything would drift forward again.
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static enum gr_exit undo_dry_run(struct gr_cli *cli, const char *module, const char *to)
{
    struct gr_error e = {0};
    char path[256];
    cJSON *m = NULL;
    snprintf(path, sizeof path, "/v1/modules/%.100s", module);
    if (gr_cli_request(cli, "GET", path, NULL, 0, &m, &e) < 0)
        return gr_cli_fail(cli, &e);
    const char *previous = gr_output_text(m, "previous.version"),
               *good = gr_output_text(m, "last_good");
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, m);
    else
        fprintf(cli->out, "%s: %s -> %s\n", module, gr_output_text(m, "stable.version"),
                to          ? to
                : *previous ? previous
                : *good     ? good
                            : "(the version before it)");
    gr_cli_say(cli, "nothing was changed (--dry-run); next: the same without --dry-run");
    cJSON_Delete(m);
    return GR_EXIT_OK;
}

static enum gr_exit abort_dry_run(struct gr_cli *cli, const char *module, int64_t rollout)
{
    GR_AUTO_JSON cJSON *m = NULL;
    struct gr_error e = {0};
    char path[256];
    snprintf(path, sizeof path, "/v1/modules/%.100s", module);
    if (gr_cli_request(cli, "GET", path, NULL, 0, &m, &e) < 0)
        return gr_cli_fail(cli, &e);
    int64_t now = 0;
    (void)gr_json_read_int(gr_output_find(m, "rollout.id"), &now);
    bool open = cJSON_IsArray(gr_output_find(m, "rollout.steps")); // told of those in progress only
    if (!open || (rollout >= 0 && rollout != now)) {
        gr_error_set(&e, -EBUSY, GR_REASON_NONE,
                     "abort of %s is not possible: %s rollout %" PRId64 ", which is %s", module,
                     open ? "in progress is another one," : "its newest one is", now,
                     gr_output_text(m, "rollout.phase"));
        return gr_cli_fail(cli, &e);
    }
    const char *candidate = gr_output_text(m, "candidate.version"),
               *stable = gr_output_text(m, "stable.version"),
               *previous = gr_output_text(m, "previous.version");
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, m);
    else
        fprintf(cli->out, "%s: rollout %" PRId64 " %s -> %s\n", module, now,
                *candidate ? candidate : stable,
                *candidate ? (*stable ? stable : "(nothing)")
                           : (*previous ? previous : "(nothing)"));
    gr_cli_say(cli, "nothing was changed (--dry-run); next: the same without --dry-run");
    return GR_EXIT_OK;
}

// A document that is newer than what was seen is a conflict before this host goes back, not after.
static int check_revision(struct gr_cli *cli, const struct gr_args *args, struct gr_error *e)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry now = {0};
    const char *module = args->words[0];
    int64_t most = -1;
    int r = gr_args_number(args, "if-revision", &most, e);
    if (r < 0 || most < 0)
        return r;
    if (gr_args_has(args, "local"))
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--if-revision is of the desired state, which --local leaves alone; "
                            "expected one of the two");
    if (gr_name_parse(module, strlen(module), &now.module) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "%.64s is no module's name", module);
    r = gr_docstore_open(cli, &store, e);
    if (r >= 0)
        r = gr_docstore_get(store, &now, 1, e);
    return r < 0 || now.revision <= most ? r : gr_docstore_conflict(&now, most, e);
}

// Those that have something to go back to. A rollout goes back as a whole, and so do its documents.
// `without`: modules that have nothing.
static int collect(cJSON *documents, struct gr_documents *d, struct gr_name without[GR_ARGS_MAX],
                   size_t *ret_without, struct gr_error *e)
{
    while (documents && documents->child) {
        cJSON *one = cJSON_DetachItemViaPointer(documents, documents->child);
        struct gr_name module;
        int r = gr_name_parse(one->string, strlen(one->string), &module);
        if (r == 0 && !cJSON_IsObject(one) && *ret_without < GR_ARGS_MAX)
            without[(*ret_without)++] = module;
        if (r < 0 || !cJSON_IsObject(one)) {
            cJSON_Delete(one);
            continue;
        }
        cJSON_DeleteItemFromObjectCaseSensitive(one, "actor"); // of those who wrote it then
        cJSON_DeleteItemFromObjectCaseSensitive(one, "reason");
        r = gr_documents_add(d, &module, one, e);
        if (r < 0)
            return r;
    }
    return 0;
}

// What apply would print of a document that stayed as it was.
static void print_local(struct gr_cli *cli, const char *module, const cJSON *answer)
{
    GR_AUTO_JSON cJSON *rows = cJSON_CreateArray();
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "module", module);
    cJSON_AddStringToObject(row, "action", "unchanged");
    if (*gr_output_text(answer, "from.version"))
        cJSON_AddStringToObject(row, "from", gr_output_text(answer, "from.version"));
    cJSON_AddStringToObject(row, "to", gr_output_text(answer, "to.version"));
    cJSON_AddNumberToObject(row, "revision", 0);
    cJSON_AddBoolToObject(row, "dry_run", false);
    cJSON_AddBoolToObject(row, "local", true);
    cJSON_AddItemToArray(rows, row);
    if (cli->format != GR_FORMAT_TABLE && cli->format != GR_FORMAT_WIDE)
        gr_output_list(cli, rows, NULL, 0, "module");
}

// Makes the desired state say what the host went back to.
static enum gr_exit want_back(struct gr_cli *cli, const struct gr_args *args, cJSON *answer)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    const char *module = args->words[0];
    struct gr_name without[GR_ARGS_MAX];
    size_t n_without = 0;
    if (gr_args_has(args, "local")) {
        gr_cli_say(cli,
                   "the desired state was not changed (--local): this host stays where it is "
                   "until the source tells of something newer; next: grayctl undo %s",
                   module);
        print_local(cli, module, answer);
        return GR_EXIT_OK;
    }
    if (collect(cJSON_GetObjectItemCaseSensitive(answer, "documents"), &d, without, &n_without,
                &e) < 0 ||
        gr_docstore_open(cli, &store, &e) < 0) {
        gr_error_wrap(&e, "this host has gone back, but the desired state could not be changed");
        return gr_cli_fail(cli, &e);
    }
    enum gr_exit status = d.n ? gr_want(cli, args, &d, store) : GR_EXIT_OK;
    if (status != GR_EXIT_OK)
        gr_cli_say(cli,
                   "this host has gone back, but the desired state was not changed; next: "
                   "grayctl undo %s as soon as it can be written, or other hosts stay forward",
                   module);
    for (size_t i = 0; i < n_without; i++)
        gr_cli_say(cli,
                   "%s has no version to go back to, so that its desired state stays as it is, and "
                   "it does not serve; next: grayctl apply a good one, or delete its key",
                   without[i].s);
    return status == GR_EXIT_OK && n_without ? GR_EXIT_DEGRADED : status;
}

static void say_gone_back(struct gr_cli *cli, const char *module, const cJSON *answer)
{
    const char *from = gr_output_text(answer, "from.version"),
               *to = gr_output_text(answer, "to.version"),
               *message = gr_output_text(answer, "message");
    if (*message)
        gr_cli_say(cli, "%s: %s", module, message);
    gr_cli_say(cli, "%s: %s -> %s on this host", module, *from ? from : "(removed)",
               *to ? to : "(nothing)");
}

enum gr_exit gr_verb_undo(struct gr_cli *cli, const struct gr_args *args)
{
    const char *module = args->words[0], *to = gr_args_value(args, "to");
    struct gr_error e = {0};
    char path[256];
    cJSON *answer = NULL, *body;
    if (check_revision(cli, args, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (gr_args_has(args, "dry-run"))
        return undo_dry_run(cli, module, to);
    snprintf(path, sizeof path, "/v1/modules/%.100s/undo", module);
    body = gr_cli_command(args);
    if (to)
        cJSON_AddStringToObject(body, "to", to);
    if (gr_args_has(args, "one-way"))
        cJSON_AddTrueToObject(body, "one_way");
    if (gr_args_has(args, "local"))
        cJSON_AddTrueToObject(body, "local");
    if (gr_cli_post(cli, path, body, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    say_gone_back(cli, module, answer);
    enum gr_exit status = want_back(cli, args, answer);
    cJSON_Delete(answer);
    return status;
}

enum gr_exit gr_verb_abort(struct gr_cli *cli, const struct gr_args *args)
{
    const char *module = args->words[0];
    struct gr_error e = {0};
    char path[256];
    GR_AUTO_JSON cJSON *answer = NULL;
    int64_t rollout = -1;
    if (gr_args_number(args, "rollout", &rollout, &e) < 0 || check_revision(cli, args, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (gr_args_has(args, "dry-run"))
        return abort_dry_run(cli, module, rollout);
    snprintf(path, sizeof path, "/v1/modules/%.100s/abort", module);
    cJSON *body = gr_cli_command(args);
    if (rollout >= 0)
        cJSON_AddNumberToObject(body, "rollout", (double)rollout);
    if (gr_args_has(args, "one-way"))
        cJSON_AddTrueToObject(body, "one_way");
    if (gr_cli_post(cli, path, body, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "%s: rollout %.0f is taken back", module,
               cJSON_GetNumberValue(gr_output_find(answer, "rollout")));
    say_gone_back(cli, module, answer);
    return want_back(cli, args, answer);
}
