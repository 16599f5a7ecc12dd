// explain: why a rollout is where it is, for a person who was woken by it. replay: whether its
// verdicts come out again from the numbers that were stored with them, to the bit.
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "rollout/analysis-record.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// --- asking
// ---------------------------------------------------------------------------------------

// A word of digits is a rollout's number, anything else a module, whose newest rollout is meant.
static int find_rollout(struct gr_cli *cli, const char *word, int64_t *ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *module = NULL;
    char path[192];
    if (word[strspn(word, "0123456789")] == '\0') {
        *ret = strtoll(word, NULL, 10);
        return 0;
    }
    snprintf(path, sizeof path, "/v1/modules/%.100s", word);
    int r = gr_cli_request(cli, "GET", path, NULL, 0, &module, e);
    if (r < 0)
        return r;
    int64_t id = 0;
    (void)gr_json_read_int(gr_output_find(module, "rollout.id"), &id);
    if (id == 0)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "there was no rollout of %s here that is still known; grayctl history "
                            "%s shows those that are",
                            word, word);
    *ret = id;
    return 0;
}

static int get_verdicts(struct gr_cli *cli, const char *word, cJSON **ret, struct gr_error *e)
{
    char path[96];
    int64_t id = 0;
    int r = find_rollout(cli, word, &id, e);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/v1/rollouts/%" PRId64 "/verdicts", id);
    return gr_cli_request(cli, "GET", path, NULL, 0, ret, e);
}

static int read_record(const cJSON *verdict, struct gr_verdict_record *ret, struct gr_error *e)
{
    GR_AUTO_FREE char *text = gr_json_format(gr_output_find(verdict, "record"));
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    int r = gr_verdict_record_parse(text, strlen(text), ret, e);
    if (r < 0)
        gr_error_wrap(e, "the verdict of %s at %s cannot be read",
                      gr_output_text(verdict, "module"), gr_output_text(verdict, "at"));
    return r;
}

// --- explain
// --------------------------------------------------------------------------------------

// Adds "sentence" and "lines" (one per gate) to each verdict.
static int explain_records(cJSON *answer, struct gr_error *e)
{
    cJSON *v;
    cJSON_ArrayForEach(v, gr_output_find(answer, "verdicts"))
    {
        GR_AUTO_BUF struct gr_buf text = GR_BUF(64 * 1024);
        struct gr_verdict_record record;
        int r = read_record(v, &record, e);
        if (r < 0)
            return r;
        if (gr_verdict_explain(&record, true, &text) < 0)
            return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
        cJSON *lines = cJSON_CreateArray();
        char *rest = text.data, *line = strsep(&rest, "\n");
        cJSON_AddStringToObject(v, "sentence", line);
        while ((line = strsep(&rest, "\n")))
            if (*line)
                cJSON_AddItemToArray(lines, cJSON_CreateString(line + strspn(line, " ")));
        cJSON_AddItemToObject(v, "lines", lines);
    }
    return 0;
}

static const cJSON *newest_of(const cJSON *answer, const char *module)
{
    const cJSON *v, *found = NULL;
    cJSON_ArrayForEach(
        v, gr_output_find(answer, "verdicts")) if (!strcmp(gr_output_text(v, "module"), module))
        found = v;
    return found;
}

static const char *decision(const char *phase)
{
    static const struct {
        const char *phase, *text;
    } all[] = {{"Healthy", "promoted, and kept"},
               {"RolledBack", "taken back"},
               {"RollingBack", "is being taken back"},
               {"Rejected", "refused before anybody saw it"},
               {"Superseded", "replaced by a newer one"},
               {"Paused", "held"},
               {"Progressing", "goes on"},
               {"Baking", "promoted, and watched"}};
    for (size_t i = 0; i < GR_COUNT(all); i++)
        if (!strcmp(all[i].phase, phase))
            return all[i].text;
    return "not exposed yet";
}

static bool is_back(const char *phase)
{
    return !strcmp(phase, "RolledBack") || !strcmp(phase, "RollingBack");
}

static void print_member(FILE *out, const cJSON *answer, const cJSON *member)
{
    const char *name = gr_output_text(member, "module"),
               *from = gr_output_text(member, "from.version"),
               *to = gr_output_text(member, "to.version");
    const cJSON *newest = newest_of(answer, name), *v, *line;
    fprintf(out, "%s %s -> %s\n", name, *from ? from : "(nothing)", *to ? to : "(removed)");
    if (*gr_output_text(member, "now"))
        fprintf(out, "  now       %s\n", gr_output_text(member, "now"));
    if (!newest) {
        fprintf(out, "  verdict   none: it was not measured\n");
        return;
    }
    // who reads "Successful crashes: 0" of what crashed must know that it was before
    bool other = is_back(gr_output_text(answer, "phase")) &&
                 strncmp(gr_output_text(newest, "sentence"), "Failed", strlen("Failed")) != 0;
    fprintf(out, "  verdict   %s%s\n", gr_output_text(newest, "sentence"),
            other ? " (the last look before it was taken back, which was for another reason)" : "");
    cJSON_ArrayForEach(line, gr_output_find(newest, "lines"))
        fprintf(out, "            %s\n", line->valuestring);
    cJSON_ArrayForEach(v, gr_output_find(answer, "verdicts"))
    {
        if (v != newest && !strcmp(gr_output_text(v, "module"), name))
            fprintf(out, "  before    %s %s\n", gr_output_text(v, "at"),
                    gr_output_text(v, "sentence"));
    }
}

static void print_explained(FILE *out, const cJSON *answer)
{
    const char *phase = gr_output_text(answer, "phase"), *reason = gr_output_text(answer, "reason");
    const cJSON *member;
    const char *updated = gr_output_text(answer, "updated");
    char age[48];
    fprintf(out, "rollout %.0f: %s (%s%s%s) at %s%s\n",
            cJSON_GetNumberValue(gr_output_find(answer, "rollout")), decision(phase), phase,
            *reason ? ", " : "", reason, updated, gr_explain_age(updated, gr_wall_now(), age));
    fprintf(out, "why: %s\n", gr_output_text(answer, "message"));
    if (*gr_output_text(answer, "fault"))
        fprintf(out, "fault: %s\n", gr_output_text(answer, "fault"));
    if (*gr_output_text(answer, "backtrace"))
        fprintf(out, "backtrace: %s\n", gr_output_text(answer, "backtrace"));
    fprintf(out, "next: %s\n", gr_output_text(answer, "next"));
    cJSON_ArrayForEach(member, gr_output_find(answer, "modules")) print_member(out, answer, member);
}

// The evidence of the version that the rollout was about.
static void add_evidence(cJSON *now, const char *version, cJSON *answer)
{
    static const char *const lines[] = {"fault", "backtrace"};
    if (!*version || strcmp(gr_output_text(now, "fault.version"), version) != 0)
        return;
    gr_explain_add_shown(now);
    const cJSON *shown = gr_output_find(now, "shown");
    for (size_t i = 0; i < GR_COUNT(lines); i++)
        cJSON_AddStringToObject(answer, lines[i], gr_output_text(shown, lines[i]));
}

static void add_next(const cJSON *now, cJSON *answer)
{
    const cJSON *first = cJSON_GetArrayItem(gr_output_find(answer, "modules"), 0);
    const char *phase = gr_output_text(answer, "phase");
    bool same = cJSON_GetNumberValue(gr_output_find(now, "rollout.id")) ==
                cJSON_GetNumberValue(gr_output_find(answer, "rollout"));
    char next[512];
    // the desired state was made to say what serves: what failed is history
    bool agreed = same && is_back(phase) && !strcmp(gr_output_text(now, "phase"), "Healthy");
    if (agreed)
        snprintf(next, sizeof next, "nothing has to be done: what serves is what is asked for");
    else if (same)
        gr_explain_next_of(now, next, sizeof next);
    else
        gr_explain_next(gr_output_text(first, "module"), phase, gr_output_text(answer, "reason"),
                        "", next, sizeof next);
    cJSON_AddStringToObject(answer, "next", next);
}

// What is true now, beside what was decided then.
static void add_now(struct gr_cli *cli, cJSON *answer)
{
    cJSON *modules = cJSON_GetObjectItemCaseSensitive(answer, "modules"), *member;
    bool first = true;
    cJSON_ArrayForEach(member, modules)
    {
        GR_AUTO_JSON cJSON *now = NULL;
        struct gr_error e = {0};
        char path[192], text[512];
        snprintf(path, sizeof path, "/v1/modules/%.100s", gr_output_text(member, "module"));
        if (gr_cli_request(cli, "GET", path, NULL, 0, &now, &e) >= 0) {
            gr_explain_now_of(now, text, sizeof text);
            cJSON_AddStringToObject(member, "now", text);
        }
        if (first && cJSON_GetNumberValue(gr_output_find(now, "rollout.id")) ==
                         cJSON_GetNumberValue(gr_output_find(answer, "rollout")))
            add_evidence(now, gr_output_text(member, "to.version"), answer);
        if (first)
            add_next(now, answer);
        first = false;
    }
    if (first)
        add_next(NULL, answer);
}

enum gr_exit gr_verb_explain(struct gr_cli *cli, const struct gr_args *args)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    struct gr_error e = {0};
    if (get_verdicts(cli, args->words[0], &answer, &e) < 0 || explain_records(answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    add_now(cli, answer);
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, answer);
    else if (cli->format == GR_FORMAT_NAME)
        fprintf(cli->out, "%.0f\n", cJSON_GetNumberValue(gr_output_find(answer, "rollout")));
    else
        print_explained(cli->out, answer);
    return GR_EXIT_OK;
}

// --- replay
// ---------------------------------------------------------------------------------------

static cJSON *replay_one(const cJSON *verdict, bool *ret_same)
{
    struct gr_verdict_record record;
    struct gr_error e = {0};
    cJSON *row = cJSON_CreateObject();
    int r = read_record(verdict, &record, &e);
    const char *name = r < 0 ? "" : gr_verdict_name(record.verdict.verdict);
    if (r == 0)
        r = gr_verdict_replay(&record, &e);
    *ret_same = r == 0;
    cJSON_AddStringToObject(row, "module", gr_output_text(verdict, "module"));
    cJSON_AddStringToObject(row, "at", gr_output_text(verdict, "at"));
    cJSON_AddStringToObject(row, "verdict", name);
    cJSON_AddBoolToObject(row, "same", *ret_same);
    cJSON_AddStringToObject(row, "message", *ret_same ? "same to the bit" : e.message);
    return row;
}

enum gr_exit gr_verb_replay(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},
        {"AT", "at", GR_CELL_TIME, false},
        {"VERDICT", "verdict", GR_CELL_TEXT, false},
        {"REPLAYED", "message", GR_CELL_TEXT, false},
    };
    GR_AUTO_JSON cJSON *answer = NULL, *rows = cJSON_CreateArray();
    struct gr_error e = {0};
    const cJSON *v;
    int n = 0, differ = 0;
    if (get_verdicts(cli, args->words[0], &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    cJSON_ArrayForEach(v, gr_output_find(answer, "verdicts"))
    {
        bool same = false;
        cJSON_AddItemToArray(rows, replay_one(v, &same));
        n++;
        differ += !same;
    }
    if (n == 0) {
        gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                     "rollout %.0f was not judged, so that there is nothing to replay; it ended "
                     "before requests were measured, or it is older than verdicts are kept",
                     cJSON_GetNumberValue(gr_output_find(answer, "rollout")));
        return gr_cli_fail(cli, &e);
    }
    gr_output_list(cli, rows, columns, GR_COUNT(columns), "module");
    if (differ)
        gr_cli_say(cli, "%d of %d verdicts did not come out again", differ, n);
    else
        gr_cli_say(cli, "all %d came out again from the stored numbers: same to the bit", n);
    return differ ? GR_EXIT_INTERNAL : GR_EXIT_OK;
}
