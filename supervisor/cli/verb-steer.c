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
                      struct gr_error *e)
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
    return r < 0 ? r : dry_run;
}

// --- orders
// ------------------------------------------------------------------------------------------------

struct order {
    const char *path, *would, *done, *next; // would: do what; done: what is true now
    bool of_modules;                        // the words are modules
    const char *limit;                      // requests wait at most so long; NULL: of no freeze
};

static cJSON *names_of(const struct gr_args *args)
{
    cJSON *modules = cJSON_CreateArray();
    for (size_t i = 0; i < args->n_words; i++)
        cJSON_AddItemToArray(modules, cJSON_CreateString(args->words[i]));
    return modules;
}

// A person is told on stderr, as after every order; a program reads the same as data.
static void tell(struct gr_cli *cli, const struct gr_args *args, const struct order *o,
                 bool dry_run)
{
    GR_AUTO_JSON cJSON *told = cJSON_CreateObject();
    char message[256];
    snprintf(message, sizeof message, "%s%s%s", dry_run ? "would " : "",
             dry_run ? o->would : o->done, dry_run ? "; nothing was changed (--dry-run)" : "");
    const char *next = dry_run ? "the same without --dry-run" : o->next;
    gr_cli_say(cli, "%s; next: %s", message, next);
    if (o->of_modules)
        cJSON_AddItemToObject(told, "modules", names_of(args));
    if (o->limit)
        cJSON_AddStringToObject(told, "for", o->limit);
    cJSON_AddBoolToObject(told, "dry_run", dry_run);
    cJSON_AddStringToObject(told, "message", message);
    cJSON_AddStringToObject(told, "next", next);
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, told);
    for (size_t i = 0; cli->format == GR_FORMAT_NAME && o->of_modules && i < args->n_words; i++)
        fprintf(cli->out, "%s\n", args->words[i]);
}

static enum gr_exit give(struct gr_cli *cli, const struct gr_args *args, const struct order *o)
{
    struct gr_error e = {0};
    int dry_run = look_first(cli, args, o->of_modules, &e), r = dry_run;
    if (r == 0) {
        cJSON *body = gr_cli_command(args);
        if (o->of_modules)
            cJSON_AddItemToObject(body, "modules", names_of(args));
        if (o->limit)
            cJSON_AddStringToObject(body, "for", o->limit);
        if (gr_args_has(args, "one-way"))
            cJSON_AddTrueToObject(body, "one_way");
        r = gr_cli_post(cli, o->path, body, NULL, &e);
    }
    if (r < 0)
        return gr_cli_fail(cli, &e);
    tell(cli, args, o, dry_run);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_worker(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct order order = {
        .path = "/v1/worker/replace",
        .would = "start a new worker beside the old one",
        .done = "a new worker is being started beside the old one",
        .next = "grayctl status",
    };
    return strcmp(args->words[0], "replace") ? usage(cli, args) : give(cli, args, &order);
}

enum gr_exit gr_verb_freeze(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    uint64_t usec = 0;
    char text[32], done[96], next[96];
    int r = gr_args_duration(args, "for", &usec, &e);
    if (r >= 0 && (usec == 0 || usec > FREEZE_MAX_USEC))
        r = gr_error_set(&e, -EINVAL, GR_REASON_NONE,
                         "freeze: for how long? expected --for up to 5m, like --for 30s");
    if (r < 0)
        return gr_cli_fail(cli, &e);
    struct order order = {.path = "/v1/freeze",
                          .would = "let requests wait",
                          .done = done,
                          .next = next,
                          .of_modules = true,
                          .limit = gr_duration_format(usec, text)};
    snprintf(done, sizeof done, "requests wait for at most %s", order.limit);
    snprintf(next, sizeof next, "grayctl thaw %.64s", args->words[0]);
    return give(cli, args, &order);
}

enum gr_exit gr_verb_thaw(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct order order = {.path = "/v1/thaw",
                                       .would = "let requests run again",
                                       .done = "requests run again",
                                       .next = "grayctl status",
                                       .of_modules = true};
    return give(cli, args, &order);
}

enum gr_exit gr_verb_source(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct order order = {
        .path = "/v1/source/accept-rewind",
        .would = "follow the source as it is",
        .done = "the source is followed again as it is",
        .next = "grayctl status --wait",
    };
    return strcmp(args->words[0], "accept-rewind") ? usage(cli, args) : give(cli, args, &order);
}

enum gr_exit gr_verb_safe_mode(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct order order = {
        .path = "/v1/safe-mode/leave",
        .would = "leave safe mode",
        .done = "the source is followed again",
        .next = "grayctl status --wait",
    };
    if (strcmp(args->words[0], "leave") || !gr_args_has(args, "reason"))
        return usage(cli, args);
    return give(cli, args, &order);
}
