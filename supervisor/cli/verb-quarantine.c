// quarantine: which digests nobody runs, and letting one go. With etcd a lift is a compare-and-swap
// on the conviction's key, which keeps who and why, and every host of the service follows it; with
// --local, or without etcd, this host alone is asked.
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "cli/docstore.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ANSWER_USEC (15 * GR_USEC_PER_SEC) // for this host to follow

static int fetch(struct gr_cli *cli, cJSON **ret, struct gr_error *e)
{
    return gr_cli_request(cli, "GET", "/v1/quarantine", NULL, 0, ret, e);
}

static enum gr_exit list(struct gr_cli *cli)
{
    static const struct gr_column columns[] = {
        {"HASH", "hash", GR_CELL_TEXT, false},        {"MODULE", "module", GR_CELL_TEXT, false},
        {"VERSION", "version", GR_CELL_TEXT, false},  {"REASON", "reason", GR_CELL_TEXT, false},
        {"BY", "instance", GR_CELL_TEXT, false},      {"AT", "at", GR_CELL_TIME, false},
        {"EVIDENCE", "evidence", GR_CELL_TEXT, true},
    };
    struct gr_error e = {0};
    GR_AUTO_JSON cJSON *answer = NULL;
    if (fetch(cli, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    gr_output_list(cli, gr_output_find(answer, "quarantine"), columns, GR_COUNT(columns), "hash");
    return GR_EXIT_OK;
}

// Borrowed from the list; NULL: it is not convicted here.
static const cJSON *find(const cJSON *answer, const char *hex)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, gr_output_find(answer, "quarantine"))
    {
        if (!strcmp(gr_output_text(one, "hash") + strlen("sha256:"), hex))
            return one;
    }
    return NULL;
}

static int not_convicted(const char *hex, const cJSON *lifted, struct gr_error *e)
{
    if (lifted)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "sha256:%s was lifted already by %.128s at %.40s: %.500s", hex,
                            gr_output_text(lifted, "actor"), gr_output_text(lifted, "at"),
                            gr_output_text(lifted, "reason"));
    return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                        "sha256:%s is not quarantined; grayctl quarantine list shows what is", hex);
}

// The conviction, as etcd or, when it was not told yet, this host has it.
static int look_up(struct gr_cli *cli, const char *hex, const struct gr_docstore_entry *entry,
                   cJSON **ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    GR_AUTO_JSON cJSON *known = entry->value ? cJSON_Parse(entry->value) : NULL;
    const cJSON *lifted = gr_output_find(known, "lifted");
    if (cJSON_IsObject(known) && !cJSON_IsObject(lifted)) {
        *ret = gr_steal(known);
        return 0;
    }
    int r = fetch(cli, &answer, e);
    const cJSON *own = r < 0 ? NULL : find(answer, hex);
    if (r >= 0 && !own)
        r = not_convicted(hex, cJSON_IsObject(lifted) ? lifted : NULL, e);
    *ret = own ? cJSON_Duplicate(own, true) : NULL;
    return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

static bool add_lift(cJSON *conviction, const char *reason)
{
    char at[GR_WALL_TEXT_MAX];
    cJSON *lifted = cJSON_AddObjectToObject(conviction, "lifted");
    return lifted && cJSON_AddStringToObject(lifted, "actor", gr_cli_actor()) &&
           cJSON_AddStringToObject(lifted, "reason", reason) &&
           cJSON_AddStringToObject(lifted, "at", gr_wall_format(gr_wall_now(), at));
}

static int write_lift(struct gr_docstore *store, const struct gr_docstore_entry *before,
                      const cJSON *conviction, struct gr_error *e)
{
    int64_t revision = 0;
    GR_AUTO_FREE char *text = gr_json_format(conviction);
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    const struct gr_docstore_change change = {
        .module = before->module, .expected = before->revision, .value = text};
    return gr_docstore_put(store, &change, 1, &revision, e);
}

// Until this host has followed; others do by themselves.
static int await(struct gr_cli *cli, const char *hex, struct gr_error *e)
{
    uint64_t deadline = gr_mono_now().usec + ANSWER_USEC, now;
    char path[128] = "/v1/status";
    for (;;) {
        GR_AUTO_JSON cJSON *status = NULL;
        int r = gr_cli_request(cli, "GET", path, NULL, 2 * ANSWER_USEC, &status, e);
        if (r < 0 || !find(status, hex))
            return r;
        now = gr_mono_now().usec;
        if (now >= deadline)
            return gr_error_set(e, -ETIME, GR_REASON_NONE,
                                "the lift is written, but this host has not followed it yet; "
                                "expected it to within 15 s. Look with grayctl status for the "
                                "source");
        snprintf(path, sizeof path, "/v1/status?after=%.0f&wait=%" PRIu64 "ms",
                 cJSON_GetNumberValue(gr_output_find(status, "generation")),
                 (uint64_t)((deadline - now) / GR_USEC_PER_MSEC + 1));
    }
}

static int check_revision(const struct gr_args *args, const struct gr_docstore_entry *before,
                          struct gr_error *e)
{
    int64_t most = -1;
    int r = gr_args_number(args, "if-revision", &most, e);
    return r < 0 || most < 0 || before->revision <= most ? r
                                                         : gr_docstore_conflict(before, most, e);
}

static int lift_everywhere(struct gr_cli *cli, const struct gr_args *args, const char *hex,
                           struct gr_docstore *store, struct gr_error *e)
{
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry entry = {0};
    GR_AUTO_JSON cJSON *conviction = NULL;
    int r = gr_name_parse(hex, strlen(hex), &entry.module);
    if (r >= 0)
        r = gr_docstore_get(store, &entry, 1, e);
    if (r >= 0)
        r = check_revision(args, &entry, e);
    if (r >= 0)
        r = look_up(cli, hex, &entry, &conviction, e);
    if (r < 0 || gr_args_has(args, "dry-run"))
        return r;
    cJSON_DeleteItemFromObjectCaseSensitive(conviction, "lifted");
    if (!add_lift(conviction, gr_args_value(args, "reason")))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    r = write_lift(store, &entry, conviction, e);
    return r < 0 ? r : await(cli, hex, e);
}

static int lift_here(struct gr_cli *cli, const struct gr_args *args, const char *hex,
                     struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    char path[256];
    int r = fetch(cli, &answer, e);
    if (r >= 0 && !find(answer, hex))
        r = not_convicted(hex, NULL, e);
    if (r < 0 || gr_args_has(args, "dry-run"))
        return r;
    snprintf(path, sizeof path, "/v1/quarantine/%.100s/lift", hex);
    return gr_cli_post(cli, path, gr_cli_command(args), NULL, e);
}

static void print_lift(struct gr_cli *cli, const char *hash, bool everywhere, bool dry_run)
{
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "hash", hash);
    cJSON_AddStringToObject(o, "lifted", everywhere ? "service" : "host");
    cJSON_AddBoolToObject(o, "dry_run", dry_run);
    if (cli->format != GR_FORMAT_TABLE && cli->format != GR_FORMAT_WIDE)
        gr_output_object(cli, o, NULL, 0, "hash");
}

static enum gr_exit lift(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    struct gr_digest digest;
    char text[2 * GR_DIGEST_TEXT_MAX];
    const char *word = args->words[1], *hex = text + strlen("sha256:");
    snprintf(text, sizeof text, "%s%.120s", strncmp(word, "sha256:", 7) ? "sha256:" : "", word);
    int r = gr_digest_parse(text, &digest);
    if (r < 0)
        gr_error_set(&e, -EINVAL, GR_REASON_NONE,
                     "%.100s is not a digest; expected 64 lower-case hex digits as in grayctl "
                     "quarantine list",
                     word);
    else if (!gr_args_has(args, "local"))
        r = gr_docstore_open_quarantine(cli, &store, &e);
    if (r >= 0)
        r = store ? lift_everywhere(cli, args, hex, store, &e) : lift_here(cli, args, hex, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    print_lift(cli, text, store != NULL, gr_args_has(args, "dry-run"));
    if (gr_args_has(args, "dry-run"))
        gr_cli_say(cli, "%s would be lifted; nothing was changed (--dry-run)", text);
    else
        gr_cli_say(cli,
                   "%s may run again on %s; next: grayctl retry, or apply a document that "
                   "names it",
                   text, store ? "every host of the service" : "this host");
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_quarantine(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (!strcmp(args->words[0], "list") && args->n_words == 1)
        return list(cli);
    if (!strcmp(args->words[0], "lift") && args->n_words == 2 && gr_args_has(args, "reason"))
        return lift(cli, args);
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl %s %s", args->verb->name,
                 args->verb->words);
    return gr_cli_fail(cli, &e);
}
