// Verbs that steer a rollout: promote, pause, resume, retry. Each is a compare-and-swap on the
// rollout and the step that the operator saw; the loser of a race is told who won. In etcd they are
// intents that every host of the service obeys; with --local, or without etcd, this host alone is
// asked.
#include "base/clock.h"
#include "base/json.h"
#include "cli/docstore.h"
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
                         .over_bad_stable = gr_args_has(args, "over-bad-stable")};
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
    if (r >= 0 && number(now, "intent.revision") == revision &&
        !strcmp(gr_output_text(now, "intent.result"), "refused"))
        return gr_error_set(e, -EBUSY, GR_REASON_NONE, "%s", gr_output_text(now, "intent.message"));
    return r;
}

static int order_fleet(struct gr_cli *cli, const char *module, const struct gr_order *o,
                       struct gr_docstore *store, struct gr_error *e)
{
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry before = {0};
    int64_t revision = 0;
    int r = gr_name_parse(module, strlen(module), &before.module);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE, "%.64s is no module's name", module);
    r = gr_docstore_get(store, &before, 1, e);
    if (r >= 0)
        r = write_intent(store, &before, o, &revision, e);
    return r < 0 ? r : await_answer(cli, module, revision, e);
}

// --- both
// -----------------------------------------------------------------------------------------

static void say_now(struct gr_cli *cli, const char *module)
{
    GR_AUTO_JSON cJSON *now = NULL;
    struct gr_error e = {0};
    if (get_module(cli, module, 0, 0, &now, &e) < 0)
        return;
    static const struct gr_column columns[] = {
        {"Module", "module", GR_CELL_TEXT, false},
        {"Rollout", "rollout.id", GR_CELL_TEXT, false},
        {"Rollout phase", "rollout.phase", GR_CELL_PHASE, false},
        {"Step", "rollout.step", GR_CELL_TEXT, false},
        {"Weight", "rollout.weight", GR_CELL_TEXT, false},
        {"Candidate", "candidate.version", GR_CELL_TEXT, false},
        {"Version", "stable.version", GR_CELL_TEXT, false},
        {"Message", "message", GR_CELL_TEXT, false},
    };
    gr_output_object(cli, now, columns, GR_COUNT(columns), "module");
}

static enum gr_exit steer(struct gr_cli *cli, const struct gr_args *args, enum gr_order_verb verb)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *intents = NULL;
    const char *module = args->words[0];
    struct gr_order o;
    struct gr_error e = {0};
    int r = make_order(cli, args, verb, &o, &e);
    if (r >= 0 && gr_args_has(args, "dry-run")) {
        gr_cli_say(cli,
                   "%s: %s of rollout %" PRId64 " at step %" PRId64 "; nothing was changed "
                   "(--dry-run); next: the same without --dry-run",
                   module, gr_order_verb_name(verb), o.rollout, o.step);
        return GR_EXIT_OK;
    }
    if (r >= 0 && !gr_args_has(args, "local"))
        r = gr_docstore_open_intents(cli, &intents, &e);
    if (r >= 0)
        r = intents ? order_fleet(cli, module, &o, intents, &e) : order_here(cli, module, &o, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    say_now(cli, module);
    gr_cli_say(cli, "next: grayctl get %s", module);
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
