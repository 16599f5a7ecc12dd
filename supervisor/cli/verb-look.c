// Verbs that look: list, history, events.
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WAIT_USEC (60ull * 1000000)

static bool is_for_people(const struct gr_cli *cli)
{
    return cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
}

static void add_shown(const struct gr_cli *cli, const cJSON *modules)
{
    for (cJSON *m = modules && is_for_people(cli) ? modules->child : NULL; m; m = m->next)
        gr_explain_add_shown(m);
}

enum gr_exit gr_verb_list(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},
        {"VERSION", "stable.version", GR_CELL_TEXT, false},
        {"PHASE", "phase", GR_CELL_PHASE, false},
        {"ROLLOUT", "rollout.phase", GR_CELL_PHASE, false},
        {"CANDIDATE", "candidate.version", GR_CELL_TEXT, false},
        {"STEP", "shown.step", GR_CELL_TEXT, false},
        {"WEIGHT", "shown.weight", GR_CELL_TEXT, false},
        {"REASON", "reason", GR_CELL_TEXT, false},
        {"HASH", "stable.hash", GR_CELL_HASH, true},
        {"REQUESTS", "stable.requests", GR_CELL_TEXT, true},
        {"ERRORS", "stable.errors", GR_CELL_TEXT, true},
        {"P99", "stable.p99_usec", GR_CELL_USEC, true},
        {"REVISION", "observed_revision", GR_CELL_TEXT, true},
        {"UPDATED", "updated", GR_CELL_TIME, true},
    };
    struct gr_error e = {0};
    cJSON *answer = NULL;
    (void)args;
    if (gr_cli_request(cli, "GET", "/v1/modules", NULL, 0, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    const cJSON *modules = gr_output_find(answer, "modules");
    add_shown(cli, modules);
    gr_output_list(cli, modules, columns, GR_COUNT(columns), "module");
    if (cJSON_GetArraySize(modules) == 0)
        gr_cli_say(cli, "no module yet; next: grayctl publish FILE.so");
    cJSON_Delete(answer);
    return GR_EXIT_OK;
}

// A rollout of several modules becomes a row per module.
static cJSON *history_rows(const cJSON *rollouts, const char *only)
{
    const cJSON *rollout, *module, *field;
    cJSON *rows = cJSON_CreateArray();
    cJSON_ArrayForEach(rollout, rollouts)
        cJSON_ArrayForEach(module, gr_output_find(rollout, "modules"))
    {
        if (only && strcmp(gr_output_text(module, "module"), only))
            continue;
        cJSON *row = cJSON_Duplicate(module, true);
        cJSON_ArrayForEach(field, rollout)
        {
            const cJSON *own = gr_output_find(row, field->string);
            if (!strcmp(field->string, "modules") || (own && !cJSON_IsNull(own)))
                continue;
            cJSON_DeleteItemFromObjectCaseSensitive(row, field->string);
            cJSON_AddItemToObject(row, field->string, cJSON_Duplicate(field, true));
        }
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

// The newest one that did not stay has its reason told by another verb.
static void say_why(struct gr_cli *cli, const cJSON *rows)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const char *phase = gr_output_text(row, "phase");
        if (strcmp(phase, "RolledBack") != 0 && strcmp(phase, "Rejected") != 0)
            continue;
        if (is_for_people(cli))
            gr_cli_say(cli, "next: grayctl explain %.0f tells why",
                       cJSON_GetNumberValue(gr_output_find(row, "rollout")));
        return;
    }
}

enum gr_exit gr_verb_history(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {
        {"ROLLOUT", "rollout", GR_CELL_TEXT, false},
        {"MODULE", "module", GR_CELL_TEXT, false},
        {"FROM", "from.version", GR_CELL_TEXT, false},
        {"TO", "to.version", GR_CELL_TEXT, false},
        {"PHASE", "phase", GR_CELL_PHASE, false},
        {"REASON", "reason", GR_CELL_TEXT, false},
        {"UPDATED", "updated", GR_CELL_TIME, false},
        {"ACTOR", "actor", GR_CELL_TEXT, true},
        {"WHY", "why", GR_CELL_TEXT, true},
        {"MESSAGE", "message", GR_CELL_TEXT, true},
    };
    const char *module = args->n_words ? args->words[0] : NULL;
    struct gr_error e = {0};
    char path[256];
    int64_t limit = 20;
    cJSON *answer = NULL;
    if (gr_args_number(args, "limit", &limit, &e) < 0)
        return gr_cli_fail(cli, &e);
    snprintf(path, sizeof path, "/v1/history?limit=%" PRId64 "%s%.100s", limit,
             module ? "&module=" : "", module ? module : "");
    if (gr_cli_request(cli, "GET", path, NULL, 0, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    cJSON *rows = history_rows(gr_output_find(answer, "rollouts"), module);
    gr_output_list(cli, rows, columns, GR_COUNT(columns), "rollout");
    say_why(cli, rows);
    cJSON_Delete(rows);
    cJSON_Delete(answer);
    return GR_EXIT_OK;
}

static void drop_other_modules(cJSON *events, const char *module)
{
    for (cJSON *ev = events->child, *next; ev; ev = next) {
        next = ev->next;
        if (strcmp(gr_output_text(ev, "module"), module))
            cJSON_Delete(cJSON_DetachItemViaPointer(events, ev));
    }
}

struct telling { // of events to a person
    struct gr_output_table table;
    char last[GR_MESSAGE_MAX];
};

// A message that only repeats the phase, or the line above, hides those that say something.
static void shorten(cJSON *events, struct telling *t)
{
    cJSON *ev;
    cJSON_ArrayForEach(ev, events)
    {
        const char *message = gr_output_text(ev, "message");
        bool same = *message && !strcmp(message, t->last);
        if (!same)
            snprintf(t->last, sizeof t->last, "%s", message);
        if (same)
            cJSON_ReplaceItemInObjectCaseSensitive(ev, "message", cJSON_CreateString("(the same)"));
        else if (!strcmp(message, gr_output_text(ev, "phase")))
            cJSON_DeleteItemFromObjectCaseSensitive(ev, "message");
        int64_t rollout;
        if (gr_json_read_int(gr_output_find(ev, "rollout"), &rollout) && rollout == 0)
            cJSON_DeleteItemFromObjectCaseSensitive(ev, "rollout");
    }
}

static void print_events(struct gr_cli *cli, cJSON *events, bool follow, struct telling *t)
{
    static const struct gr_column columns[] = {
        {"SEQ", "seq", GR_CELL_TEXT, true},          {"AT", "at", GR_CELL_TIME, false},
        {"MODULE", "module", GR_CELL_TEXT, false},   {"VERSION", "version", GR_CELL_TEXT, false},
        {"ROLLOUT", "rollout", GR_CELL_TEXT, false}, {"PHASE", "phase", GR_CELL_PHASE, false},
        {"REASON", "reason", GR_CELL_TEXT, false},   {"MESSAGE", "message", GR_CELL_TEXT, false},
    };
    enum gr_format asked = cli->format;
    if (follow && asked == GR_FORMAT_JSON)
        cli->format = GR_FORMAT_JSONL; // a stream has no closing bracket
    if (is_for_people(cli))
        shorten(events, t);
    if (cJSON_GetArraySize(events) || !follow)
        gr_output_part(cli, events, columns, GR_COUNT(columns), "seq", &t->table);
    cli->format = asked;
    fflush(cli->out);
}

// All pages up to now, then, when following, whatever comes.
enum gr_exit gr_verb_events(struct gr_cli *cli, const struct gr_args *args)
{
    bool follow = gr_args_has(args, "follow");
    struct gr_error e = {0};
    int64_t after = 0;
    struct telling telling = {0};
    cJSON *all = cJSON_CreateArray();
    if (gr_args_number(args, "after", &after, &e) < 0) {
        cJSON_Delete(all);
        return gr_cli_fail(cli, &e);
    }
    for (bool caught_up = false;;) {
        char path[128];
        cJSON *answer = NULL;
        snprintf(path, sizeof path, "/v1/events?after=%" PRId64 "%s", after,
                 caught_up ? "&wait=60s" : "");
        if (gr_cli_request(cli, "GET", path, NULL, caught_up ? 2 * WAIT_USEC : 0, &answer, &e) <
            0) {
            cJSON_Delete(all);
            return gr_cli_fail(cli, &e);
        }
        cJSON *page = cJSON_GetObjectItemCaseSensitive(answer, "events");
        bool empty = cJSON_GetArraySize(page) == 0;
        (void)gr_json_read_int(gr_output_find(answer, "last"), &after);
        if (args->n_words && page)
            drop_other_modules(page, args->words[0]);
        if (caught_up)
            print_events(cli, page, true, &telling);
        while (!caught_up && page && page->child)
            cJSON_AddItemToArray(all, cJSON_DetachItemViaPointer(page, page->child));
        cJSON_Delete(answer);
        if (!caught_up && empty) {
            print_events(cli, all, follow, &telling);
            caught_up = true;
            if (!follow)
                break;
        }
    }
    cJSON_Delete(all);
    return GR_EXIT_OK;
}
