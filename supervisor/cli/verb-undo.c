// Verbs that go back: undo, and abort of a rollout. The host goes back at once; then the desired
// state is made to say so, or everything would drift forward again.
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include <errno.h>
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
static enum gr_exit want_back(struct gr_cli *cli, const struct gr_args *args, cJSON *answer)
{
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    struct gr_name module;
    cJSON *document = cJSON_DetachItemFromObjectCaseSensitive(answer, "document");
    if (gr_args_has(args, "local")) {
        cJSON_Delete(document);
        gr_cli_say(cli,
                   "the desired state was not changed (--local): this host stays where it is "
                   "until the source tells of something newer; next: the same without --local");
        return GR_EXIT_OK;
    }
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
    body = gr_cli_command(args);
    if (to)
        cJSON_AddStringToObject(body, "to", to);
    if (gr_cli_post(cli, path, body, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    const char *now = gr_output_text(answer, "to.version");
    gr_cli_say(cli, "%s: %s -> %s on this host", module, gr_output_text(answer, "from.version"),
               *now ? now : "(none)");
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
    if (gr_args_number(args, "rollout", &rollout, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (gr_args_has(args, "dry-run"))
        return undo_dry_run(cli, module, NULL);
    snprintf(path, sizeof path, "/v1/modules/%.100s/abort", module);
    cJSON *body = gr_cli_command(args);
    if (rollout >= 0)
        cJSON_AddNumberToObject(body, "rollout", (double)rollout);
    if (gr_cli_post(cli, path, body, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "%s: rollout %.0f is taken back on this host, %s serves", module,
               cJSON_GetNumberValue(gr_output_find(answer, "rollout")),
               gr_output_text(answer, "to.version"));
    return want_back(cli, args, answer);
}
