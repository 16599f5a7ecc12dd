// Verbs that steer this host: undo, quarantine, worker, freeze, thaw, source.
#include "base/clock.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FREEZE_MAX_USEC (300 * GR_USEC_PER_SEC)

// {"actor","reason"} for commands.
static cJSON *command_body(const struct gr_args *args)
{
    const char *reason = gr_args_value(args, "reason");
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "actor", gr_cli_actor());
    if (reason)
        cJSON_AddStringToObject(body, "reason", reason);
    return body;
}

static int post(struct gr_cli *cli, const char *path, cJSON *take_body, cJSON **ret,
                struct gr_error *e)
{
    int r = gr_cli_request(cli, "POST", path, take_body, 0, ret, e);
    cJSON_Delete(take_body);
    return r;
}

// --- undo
// --------------------------------------------------------------------------------------------------------------

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
    fprintf(cli->out, "%s: %s -> %s\n", module, gr_output_text(m, "stable.version"),
            to          ? to
            : *previous ? previous
            : *good     ? good
                        : "(the version before it)");
    gr_cli_say(cli, "nothing was changed (--dry-run); next: the same without --dry-run");
    cJSON_Delete(m);
    return GR_EXIT_OK;
}

// Makes the desired state say what the host went back to.
static enum gr_exit undo_desired(struct gr_cli *cli, const struct gr_args *args, cJSON *answer)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    struct gr_name module;
    cJSON *document = cJSON_DetachItemFromObjectCaseSensitive(answer, "document");
    if (!cJSON_IsObject(document) ||
        gr_name_parse(args->words[0], strlen(args->words[0]), &module) < 0) {
        cJSON_Delete(document);
        gr_cli_say(cli,
                   "%s has no version to go back to, so that the desired state stays as it is; "
                   "next: grayctl apply a good one",
                   args->words[0]);
        return GR_EXIT_DEGRADED;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(document, "actor"); // of those who wrote it then
    cJSON_DeleteItemFromObjectCaseSensitive(document, "reason");
    if (gr_documents_add(&d, &module, document, &e) < 0 || gr_docstore_open(cli, &store, &e) < 0) {
        gr_error_wrap(&e, "this host has gone back, but the desired state could not be changed");
        return gr_cli_fail(cli, &e);
    }
    enum gr_exit status = gr_want(cli, args, &d, store);
    if (status != GR_EXIT_OK)
        gr_cli_say(cli, "this host has gone back, but the desired state was not changed: run the "
                        "same again, or it will drift back");
    return status;
}

enum gr_exit gr_verb_undo(struct gr_cli *cli, const struct gr_args *args)
{
    const char *module = args->words[0], *to = gr_args_value(args, "to");
    struct gr_error e = {0};
    char path[256];
    cJSON *answer = NULL, *body;
    if (gr_args_has(args, "dry-run"))
        return undo_dry_run(cli, module, to);
    snprintf(path, sizeof path, "/v1/modules/%.100s/undo", module);
    body = command_body(args);
    if (to)
        cJSON_AddStringToObject(body, "to", to);
    if (post(cli, path, body, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "%s: %s -> %s on this host", module, gr_output_text(answer, "from.version"),
               gr_output_text(answer, "to.version"));
    enum gr_exit status = undo_desired(cli, args, answer);
    cJSON_Delete(answer);
    return status;
}

// --- quarantine
// --------------------------------------------------------------------------------------------------------

static enum gr_exit quarantine_list(struct gr_cli *cli)
{
    static const struct gr_column columns[] = {
        {"HASH", "hash", GR_CELL_TEXT, false},       {"MODULE", "module", GR_CELL_TEXT, false},
        {"VERSION", "version", GR_CELL_TEXT, false}, {"REASON", "reason", GR_CELL_TEXT, false},
        {"AT", "at", GR_CELL_TIME, false},           {"EVIDENCE", "evidence", GR_CELL_TEXT, true},
    };
    struct gr_error e = {0};
    cJSON *answer = NULL;
    if (gr_cli_request(cli, "GET", "/v1/quarantine", NULL, 0, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_output_list(cli, gr_output_find(answer, "quarantine"), columns, GR_COUNT(columns), "hash");
    cJSON_Delete(answer);
    return GR_EXIT_OK;
}

static enum gr_exit usage(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl %s %s", args->verb->name,
                 args->verb->words);
    return gr_cli_fail(cli, &e);
}

enum gr_exit gr_verb_quarantine(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    char path[256];
    if (!strcmp(args->words[0], "list") && args->n_words == 1)
        return quarantine_list(cli);
    if (strcmp(args->words[0], "lift") || args->n_words != 2 || !gr_args_has(args, "reason"))
        return usage(cli, args);
    snprintf(path, sizeof path, "/v1/quarantine/%.100s/lift", args->words[1]);
    if (post(cli, path, command_body(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "%s may run again on this host; next: grayctl apply a document that names it",
               args->words[1]);
    return GR_EXIT_OK;
}

// --- worker, freeze, thaw, source
// --------------------------------------------------------------------------------------

enum gr_exit gr_verb_worker(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (strcmp(args->words[0], "replace"))
        return usage(cli, args);
    if (post(cli, "/v1/worker/replace", command_body(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "a new worker is being started beside the old one; next: grayctl status");
    return GR_EXIT_OK;
}

static cJSON *modules_body(const struct gr_args *args)
{
    cJSON *body = command_body(args), *modules = cJSON_AddArrayToObject(body, "modules");
    for (size_t i = 0; i < args->n_words; i++)
        cJSON_AddItemToArray(modules, cJSON_CreateString(args->words[i]));
    return body;
}

enum gr_exit gr_verb_freeze(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    uint64_t usec = 0;
    char text[32];
    int r = gr_args_duration(args, "for", &usec, &e);
    if (r >= 0 && (usec == 0 || usec > FREEZE_MAX_USEC))
        r = gr_error_set(&e, -EINVAL, GR_REASON_NONE,
                         "freeze: for how long? expected --for up to 5m, like --for 30s");
    if (r < 0)
        return gr_cli_fail(cli, &e);
    cJSON *body = modules_body(args);
    cJSON_AddStringToObject(body, "for", gr_duration_format(usec, text));
    if (post(cli, "/v1/freeze", body, NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "requests wait for at most %s; next: grayctl thaw %s", text, args->words[0]);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_thaw(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (post(cli, "/v1/thaw", modules_body(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "requests run again; next: grayctl status");
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_source(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (strcmp(args->words[0], "accept-rewind"))
        return usage(cli, args);
    if (post(cli, "/v1/source/accept-rewind", command_body(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "the source is followed again as it is; next: grayctl status --wait");
    return GR_EXIT_OK;
}
