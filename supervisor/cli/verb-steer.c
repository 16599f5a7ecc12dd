// Verbs that steer this host as a whole: worker, freeze, thaw, source, safe mode.
#include "base/clock.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FREEZE_MAX_USEC (300 * GR_USEC_PER_SEC)

static enum gr_exit usage(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl %s %s", args->verb->name,
                 args->verb->words);
    return gr_cli_fail(cli, &e);
}

// --- before an order
// ------------------------------------------------------------------------------------------------

static int check_modules(const cJSON *status, const struct gr_args *args, struct gr_error *e)
{
    for (size_t i = 0; i < args->n_words; i++) {
        const cJSON *m;
        bool known = false;
        cJSON_ArrayForEach(m, gr_output_find(status, "modules")) known |=
            !strcmp(gr_output_text(m, "module"), args->words[i]);
        if (!known)
            return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                                "there is no module %.64s on this host; grayctl list shows which "
                                "there are",
                                args->words[i]);
    }
    return 0;
}

// What --if-revision and --dry-run ask for. Returns 1 when there is nothing more to do.
static int look_first(struct gr_cli *cli, const struct gr_args *args, bool of_modules,
                      const char *what, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *status = NULL;
    bool dry_run = gr_args_has(args, "dry-run"), bound = gr_args_has(args, "if-revision");
    int64_t limit = 0, revision = 0;
    int r = gr_args_number(args, "if-revision", &limit, e);
    if (r >= 0 && (dry_run || bound))
        r = gr_cli_request(cli, "GET", "/v1/status", NULL, 0, &status, e);
    if (r >= 0 && bound && gr_json_read_int(gr_output_find(status, "source_revision"), &revision) &&
        revision > limit)
        r = gr_error_set(e, -EALREADY, GR_REASON_NONE,
                         "this host follows revision %" PRId64 ", which is newer than %" PRId64
                         "; look with grayctl status, then say it with --if-revision %" PRId64,
                         revision, limit, revision);
    if (r >= 0 && dry_run && of_modules)
        r = check_modules(status, args, e);
    if (r >= 0 && dry_run)
        gr_cli_say(cli,
                   "would %s; nothing was changed (--dry-run); next: the same without "
                   "--dry-run",
                   what);
    return r < 0 ? r : dry_run;
}

// --- worker, freeze, thaw, source
// --------------------------------------------------------------------------------------

enum gr_exit gr_verb_worker(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (strcmp(args->words[0], "replace"))
        return usage(cli, args);
    int r = look_first(cli, args, false, "start a new worker beside the old one", &e);
    if (r != 0)
        return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
    cJSON *body = gr_cli_command(args);
    if (gr_args_has(args, "one-way"))
        cJSON_AddTrueToObject(body, "one_way");
    if (gr_cli_post(cli, "/v1/worker/replace", body, NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "a new worker is being started beside the old one; next: grayctl status");
    return GR_EXIT_OK;
}

static cJSON *modules_body(const struct gr_args *args)
{
    cJSON *body = gr_cli_command(args), *modules = cJSON_AddArrayToObject(body, "modules");
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
    if (r >= 0)
        r = look_first(cli, args, true, "let requests wait", &e);
    if (r != 0)
        return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
    cJSON *body = modules_body(args);
    cJSON_AddStringToObject(body, "for", gr_duration_format(usec, text));
    if (gr_cli_post(cli, "/v1/freeze", body, NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "requests wait for at most %s; next: grayctl thaw %s", text, args->words[0]);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_thaw(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    int r = look_first(cli, args, true, "let requests run again", &e);
    if (r != 0)
        return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
    if (gr_cli_post(cli, "/v1/thaw", modules_body(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "requests run again; next: grayctl status");
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_source(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (strcmp(args->words[0], "accept-rewind"))
        return usage(cli, args);
    int r = look_first(cli, args, false, "follow the source as it is", &e);
    if (r != 0)
        return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
    if (gr_cli_post(cli, "/v1/source/accept-rewind", gr_cli_command(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "the source is followed again as it is; next: grayctl status --wait");
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_safe_mode(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (strcmp(args->words[0], "leave") || !gr_args_has(args, "reason"))
        return usage(cli, args);
    int r = look_first(cli, args, false, "leave safe mode", &e);
    if (r != 0)
        return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
    if (gr_cli_post(cli, "/v1/safe-mode/leave", gr_cli_command(args), NULL, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_cli_say(cli, "the source is followed again; next: grayctl status --wait");
    return GR_EXIT_OK;
}
