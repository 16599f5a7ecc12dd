// Verbs that steer a rollout: promote, pause, resume, retry. Each is a compare-and-swap on the
// rollout and the step that the operator saw; the loser of a race is told who won. In etcd they are
// intents that every host of the service obeys; with --local, or without etcd, this host alone is
// asked.
#include "base/clock.h"
#include "base/json.h"
#include "cli/docstore.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "state/order.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ANSWER_USEC (15 * GR_USEC_PER_SEC) // for this host to take an intent up

static int get_module(struct gr_cli *cli, const char *module, uint64_t after, uint64_t wait_usec,
                      cJSON **ret, struct gr_error *e)
{
    char path[192];
    if (wait_usec)
        snprintf(path, sizeof path, "/v1/modules/%.100s?after=%" PRIu64 "&wait=%" PRIu64 "ms",
                 module, after, wait_usec / 1000 + 1);
    else
        snprintf(path, sizeof path, "/v1/modules/%.100s", module);
    return gr_cli_request(cli, "GET", path, NULL, wait_usec ? 2 * wait_usec + ANSWER_USEC : 0, ret,
                          e);
}

static int64_t number(const cJSON *o, const char *path)
{
    const cJSON *n = gr_output_find(o, path);
    return cJSON_IsNumber(n) ? (int64_t)n->valuedouble : 0;
}

// What the operator saw: --rollout and --step, else what the host says now.
static int make_order(struct gr_cli *cli, const struct gr_args *args, enum gr_order_verb verb,
                      struct gr_order *ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *now = NULL;
    const char *reason = gr_args_value(args, "reason");
    struct gr_order o = {.verb = verb,
                         .rollout = -1,
                         .step = -1,
                         .full = gr_args_has(args, "full"),
                         .over_bad_stable = gr_args_has(args, "over-bad-stable"),
                         .one_way = gr_args_has(args, "one-way")};
    int r = gr_args_number(args, "rollout", &o.rollout, e);
    if (r >= 0)
        r = gr_args_number(args, "step", &o.step, e);
    if (r >= 0 && (o.rollout < 0 || o.step < 0))
        r = get_module(cli, args->words[0], 0, 0, &now, e);
    if (r < 0)
        return r;
    if (o.rollout < 0)
        o.rollout = number(now, "rollout.id");
    if (o.step < 0)
        o.step = number(now, "rollout.step");
    snprintf(o.actor, sizeof o.actor, "%s", gr_cli_actor());
    snprintf(o.reason, sizeof o.reason, "%s", reason ? reason : "");
    *ret = o;
    return 0;
}

// --- this host alone
// ------------------------------------------------------------------------------

static int order_here(struct gr_cli *cli, const char *module, const struct gr_order *o,
                      struct gr_error *e)
{
    char path[192];
    GR_AUTO_FREE char *text = gr_order_format(o, NULL);
    cJSON *body = text ? cJSON_Parse(text) : NULL;
    if (!body)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    cJSON_DeleteItemFromObjectCaseSensitive(body, "verb"); // the path says it
    snprintf(path, sizeof path, "/v1/modules/%.100s/%s", module, gr_order_verb_name(o->verb));
    return gr_cli_post(cli, path, body, NULL, e);
}

// --- the fleet
// ------------------------------------------------------------------------------------

// With --if-revision the intent that was there has to be no newer than that.
static int check_revision(const struct gr_args *args, const struct gr_docstore_entry *before,
                          struct gr_error *e)
{
    int64_t most = -1;
    int r = gr_args_number(args, "if-revision", &most, e);
    if (r < 0 || most < 0 || before->revision <= most)
        return r;
    return gr_docstore_conflict(before, most, e);
}

static int write_intent(struct gr_docstore *store, const struct gr_docstore_entry *before,
                        const struct gr_order *o, int64_t *ret_revision, struct gr_error *e)
{
    char at[GR_WALL_TEXT_MAX];
    GR_AUTO_FREE char *text = gr_order_format(o, gr_wall_format(gr_wall_now(), at));
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    const struct gr_docstore_change change = {
        .module = before->module, .expected = before->revision, .value = text};
    return gr_docstore_put(store, &change, 1, ret_revision, e);
}

// What this host says of the intent that was written at that revision; NULL: it did not take it up.
static const cJSON *find_result(const cJSON *module, int64_t revision)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, gr_output_find(module, "intents"))
    {
        if (number(one, "revision") == revision)
            return one;
    }
    return NULL;
}

static int read_result(const cJSON *module, int64_t revision, struct gr_error *e)
{
    const cJSON *own = find_result(module, revision);
    const char *actor = gr_output_text(module, "intent.actor");
    if (own && !strcmp(gr_output_text(own, "result"), "refused"))
        return gr_error_set(e, -EBUSY, GR_REASON_NONE, "%s", gr_output_text(own, "message"));
    if (own)
        return 0;
    return gr_error_set(e, -EBUSY, GR_REASON_NONE,
                        "%.128s's %.16s at %.40s (revision %" PRId64
                        ") came before this host took yours (revision %" PRId64
                        ") up; nothing of yours was done here. Look again, then order",
                        *actor ? actor : "somebody", gr_output_text(module, "intent.verb"),
                        gr_output_text(module, "intent.at"), number(module, "intent.revision"),
                        revision);
}

// Until this host has taken the intent up, or refused it.
static int await_answer(struct gr_cli *cli, const char *module, int64_t revision,
                        struct gr_error *e)
{
    uint64_t deadline = gr_mono_now().usec + ANSWER_USEC;
    GR_AUTO_JSON cJSON *now = NULL;
    int r = get_module(cli, module, 0, 0, &now, e);
    while (r >= 0 && number(now, "intent.revision") < revision) {
        uint64_t usec = gr_mono_now().usec;
        if (usec >= deadline)
            return gr_error_set(e, -ETIME, GR_REASON_NONE,
                                "the intent is written, but this host has not taken it up yet; "
                                "expected an answer within 15 s. Look with grayctl get %s, and "
                                "with grayctl status for the source",
                                module);
        cJSON *fresh = NULL;
        r = get_module(cli, module, (uint64_t)number(now, "generation"), deadline - usec, &fresh,
                       e);
        if (r >= 0) {
            cJSON_Delete(now);
            now = fresh;
        }
    }
    return r < 0 ? r : read_result(now, revision, e);
}

// `write` false: only whether it could be written.
static int order_fleet(struct gr_cli *cli, const struct gr_args *args, const struct gr_order *o,
                       struct gr_docstore *store, bool write, struct gr_error *e)
{
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry before = {0};
    const char *module = args->words[0];
    int64_t revision = 0;
    int r = gr_name_parse(module, strlen(module), &before.module);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE, "%.64s is no module's name", module);
    r = gr_docstore_get(store, &before, 1, e);
    if (r >= 0)
        r = check_revision(args, &before, e);
    if (r < 0 || !write)
        return r;
    r = write_intent(store, &before, o, &revision, e);
    return r < 0 ? r : await_answer(cli, module, revision, e);
}

// --- both
// -----------------------------------------------------------------------------------------

static void say_now(struct gr_cli *cli, const char *module)
{
    GR_AUTO_JSON cJSON *now = NULL;
    struct gr_error e = {0};
    char next[512];
    if (get_module(cli, module, 0, 0, &now, &e) < 0)
        return;
    static const struct gr_column columns[] = {
        {"Module", "module", GR_CELL_TEXT, false},
        {"Rollout", "rollout.id", GR_CELL_TEXT, false},
        {"Rollout phase", "rollout.phase", GR_CELL_PHASE, false},
        {"Step", "shown.step", GR_CELL_TEXT, false},
        {"Weight", "shown.weight", GR_CELL_TEXT, false},
        {"Pause", "shown.pause", GR_CELL_TEXT, false},
        {"One way", "shown.one_way", GR_CELL_TEXT, false},
        {"Candidate", "candidate.version", GR_CELL_TEXT, false},
        {"Version", "stable.version", GR_CELL_TEXT, false},
        {"Message", "message", GR_CELL_TEXT, false},
    };
    gr_explain_next_of(now, next, sizeof next);
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE)
        gr_explain_add_shown(now);
    gr_output_object(cli, now, columns, GR_COUNT(columns), "module");
    gr_cli_say(cli, "next: %s", next);
}

// Where it stands and what was asked, without doing it.
static enum gr_exit say_dry(struct gr_cli *cli, const char *module, const struct gr_order *o)
{
    GR_AUTO_JSON cJSON *now = NULL;
    struct gr_error e = {0};
    if (get_module(cli, module, 0, 0, &now, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, now);
    gr_explain_add_shown(now);
    const char *step = gr_output_text(now, "shown.step");
    if (cli->format != GR_FORMAT_JSON && cli->format != GR_FORMAT_JSONL)
        fprintf(cli->out, "%s: %s%s of rollout %" PRId64 ", which is %s%s%s\n", module,
                gr_order_verb_name(o->verb), o->full ? " --full" : "", o->rollout,
                gr_output_text(now, "rollout.phase"), *step ? " at step " : "", step);
    gr_cli_say(cli, "nothing was changed (--dry-run); next: the same without --dry-run");
    return GR_EXIT_OK;
}

static enum gr_exit steer(struct gr_cli *cli, const struct gr_args *args, enum gr_order_verb verb)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *intents = NULL;
    const char *module = args->words[0];
    bool dry_run = gr_args_has(args, "dry-run"), local = gr_args_has(args, "local");
    struct gr_order o;
    struct gr_error e = {0};
    int r = make_order(cli, args, verb, &o, &e);
    if (r >= 0 && local && gr_args_has(args, "if-revision"))
        r = gr_error_set(&e, -EINVAL, GR_REASON_NONE,
                         "--if-revision is of the intent in etcd, and --local asks this host "
                         "alone; use --rollout and --step to say what was seen");
    if (r >= 0 && !local)
        r = gr_docstore_open_intents(cli, &intents, &e);
    if (r >= 0 && intents)
        r = order_fleet(cli, args, &o, intents, !dry_run, &e);
    else if (r >= 0 && !dry_run)
        r = order_here(cli, module, &o, &e);
    if (r < 0) {
        enum gr_exit status = gr_cli_fail(cli, &e);
        if (e.reason == GR_REASON_SOURCE_UNREACHABLE)
            gr_cli_say(cli,
                       "next: grayctl %s %s --local orders it of this host alone, which needs no "
                       "etcd; or again when etcd answers",
                       args->verb->name, module);
        return status;
    }
    if (dry_run)
        return say_dry(cli, module, &o);
    say_now(cli, module);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_promote(struct gr_cli *cli, const struct gr_args *args)
{
    return steer(cli, args, GR_ORDER_PROMOTE);
}

enum gr_exit gr_verb_pause(struct gr_cli *cli, const struct gr_args *args)
{
    return steer(cli, args, GR_ORDER_PAUSE);
}

enum gr_exit gr_verb_resume(struct gr_cli *cli, const struct gr_args *args)
{
    return steer(cli, args, GR_ORDER_RESUME);
}

enum gr_exit gr_verb_retry(struct gr_cli *cli, const struct gr_args *args)
{
    return steer(cli, args, GR_ORDER_RETRY);
}
