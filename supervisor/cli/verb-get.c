// get: a module as a tree, once or at each change. Waiting is a long poll of the daemon's state. On
// a terminal the tree is drawn over the one before, at most every 200 ms, and at least once a
// second for its ages and counts; elsewhere a change is one line.
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/tree.h"
#include "cli/verbs.h"
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#define WAIT_USEC (60 * GR_USEC_PER_SEC)   // the daemon's own limit of a wait
#define LIVE_USEC GR_USEC_PER_SEC          // ages and counts go on without a change
#define DRAW_USEC (200 * GR_USEC_PER_MSEC) // between two drawings

struct view {
    struct gr_cli *cli;
    const char *name;
    bool terminal;
    struct gr_tree_style style;
    cJSON *status, *history;
    char *drawn; // text of the last drawing, or line
    struct gr_mono drawn_at;
};

static void view_done(struct view *v)
{
    cJSON_Delete(v->status);
    cJSON_Delete(v->history);
    free(v->drawn);
}

static bool is_for_people(const struct gr_cli *cli)
{
    return cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
}

static cJSON *module_of(const struct view *v)
{
    cJSON *m;
    cJSON_ArrayForEach(
        m, gr_output_find(v->status, "modules")) if (!strcmp(gr_output_text(m, "module"),
                                                             v->name)) return m;
    return NULL;
}

static unsigned rows_and_columns(const struct view *v, unsigned *ret_columns)
{
    struct winsize w = {0};
    bool known = v->terminal && ioctl(fileno(v->cli->out), TIOCGWINSZ, &w) == 0 && w.ws_col;
    *ret_columns = known ? w.ws_col : v->terminal ? 80 : 0;
    return known && w.ws_row ? w.ws_row : 24;
}

static void look_around(struct view *v)
{
    v->terminal = isatty(fileno(v->cli->out));
    setlocale(LC_CTYPE, "");
    v->style.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    v->style.color = v->cli->color;
    rows_and_columns(v, &v->style.columns);
}

// --- asking
// ---------------------------------------------------------------------------------------

static int refresh(struct view *v, uint64_t wait_usec, struct gr_error *e)
{
    char path[192] = "/v1/status";
    cJSON *fresh = NULL;
    if (v->status && wait_usec)
        snprintf(path, sizeof path, "/v1/status?after=%.0f&wait=%" PRIu64 "ms",
                 cJSON_GetNumberValue(gr_output_find(v->status, "generation")),
                 (uint64_t)(wait_usec / GR_USEC_PER_MSEC));
    int r = gr_cli_request(v->cli, "GET", path, NULL, 2 * WAIT_USEC, &fresh, e);
    if (r < 0)
        return r;
    cJSON_Delete(v->status);
    v->status = fresh;
    if (!module_of(v))
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "there is no module %.64s on this host; grayctl list shows which there "
                            "are, grayctl apply makes one",
                            v->name);
    cJSON_Delete(v->history);
    v->history = NULL;
    snprintf(path, sizeof path, "/v1/history?limit=20&module=%.100s", v->name);
    return is_for_people(v->cli) ? gr_cli_request(v->cli, "GET", path, NULL, 0, &v->history, e) : 0;
}

// --- showing
// --------------------------------------------------------------------------------------

static char *render(const struct view *v, bool line)
{
    char *text = NULL;
    size_t len = 0;
    const struct gr_tree t = {
        .status = v->status, .module = module_of(v), .history = v->history, .now = gr_wall_now()};
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    if (line)
        gr_tree_print_line(&t, &v->style, to);
    else
        gr_tree_print(&t, &v->style, to);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

// As `-o wide` shows them: all that is known, a line each.
static void print_fields(struct gr_cli *cli, cJSON *module)
{
    static const struct gr_column columns[] = {
        {"Module", "module", GR_CELL_TEXT, false},
        {"Phase", "phase", GR_CELL_PHASE, false},
        {"Reason", "reason", GR_CELL_TEXT, false},
        {"Message", "message", GR_CELL_TEXT, false},
        {"Stable", "stable.version", GR_CELL_TEXT, false},
        {"Stable hash", "stable.hash", GR_CELL_TEXT, false},
        {"Requests", "stable.requests", GR_CELL_TEXT, false},
        {"Errors", "stable.errors", GR_CELL_TEXT, false},
        {"Process", "shown.process", GR_CELL_TEXT, false},
        {"Faults", "shown.faults", GR_CELL_TEXT, false},
        {"Breaker", "shown.breaker", GR_CELL_TEXT, false},
        {"Last fault", "shown.fault", GR_CELL_TEXT, false},
        {"Backtrace", "shown.backtrace", GR_CELL_TEXT, false},
        {"Latency p50", "stable.p50_usec", GR_CELL_USEC, false},
        {"Latency p99", "stable.p99_usec", GR_CELL_USEC, false},
        {"Candidate", "candidate.version", GR_CELL_TEXT, false},
        {"Candidate hash", "candidate.hash", GR_CELL_TEXT, false},
        {"Previous", "previous.version", GR_CELL_TEXT, false},
        {"Last good", "last_good", GR_CELL_TEXT, false},
        {"Rollout", "rollout.id", GR_CELL_TEXT, false},
        {"Rollout phase", "rollout.phase", GR_CELL_PHASE, false},
        {"Step", "shown.step", GR_CELL_TEXT, false},
        {"Weight", "shown.weight", GR_CELL_TEXT, false},
        {"Pause", "shown.pause", GR_CELL_TEXT, false},
        {"One way", "shown.one_way", GR_CELL_TEXT, false},
        {"Verdict", "verdict.sentence", GR_CELL_TEXT, false},
        {"Last order", "shown.intent", GR_CELL_TEXT, false},
        {"Revision", "observed_revision", GR_CELL_TEXT, false},
        {"Updated", "updated", GR_CELL_TIME, false},
    };
    if (is_for_people(cli))
        gr_explain_add_shown(module);
    gr_output_object(cli, module, columns, GR_COUNT(columns), "module");
}

static enum gr_exit show_once(struct view *v)
{
    char next[512];
    cJSON *module = module_of(v);
    gr_explain_next_of(module, next, sizeof next);
    if (is_for_people(v->cli)) {
        GR_AUTO_FREE char *text = render(v, false);
        fputs(text ? text : "", v->cli->out);
    }
    if (v->cli->format != GR_FORMAT_TABLE)
        gr_cli_say(v->cli, "next: %s", next);
    if (v->cli->format == GR_FORMAT_WIDE)
        fputc('\n', v->cli->out);
    if (v->cli->format != GR_FORMAT_TABLE)
        print_fields(v->cli, module);
    return GR_EXIT_OK;
}

// Lines that a drawing took, so that the next one can begin where it began.
static unsigned lines_of(const char *text)
{
    unsigned n = 0;
    for (; text && *text; text++)
        n += *text == '\n';
    return n;
}

// What does not fit the screen is left out at the end: it could not be drawn over.
static void cut_lines(char *text, unsigned rows)
{
    for (unsigned n = 0; *text; text++)
        if (*text == '\n' && ++n + 1 >= rows) {
            text[1] = '\0';
            return;
        }
}

static void draw(struct view *v)
{
    unsigned before = lines_of(v->drawn), rows = rows_and_columns(v, &v->style.columns);
    char *text = render(v, false);
    if (!text)
        return;
    cut_lines(text, rows);
    if (v->drawn && !strcmp(v->drawn, text)) {
        free(text);
        return;
    }
    if (before)
        fprintf(v->cli->out, "\033[%uA\r\033[J", before);
    fputs(text, v->cli->out);
    fflush(v->cli->out);
    free(v->drawn);
    v->drawn = text;
    v->drawn_at = gr_mono_now();
}

// A line without its time, which is no change.
static const char *after_time(const char *line)
{
    const char *blank = strchr(line, ' ');
    return blank ? blank : line;
}

static void print_change(struct view *v)
{
    bool people = is_for_people(v->cli);
    char *text = people                             ? render(v, true)
                 : v->cli->format == GR_FORMAT_NAME ? strdup(v->name)
                                                    : gr_json_format(module_of(v));
    if (!text)
        return;
    if (!v->drawn ||
        strcmp(people ? after_time(v->drawn) : v->drawn, people ? after_time(text) : text)) {
        enum gr_format asked = v->cli->format;
        v->cli->format = asked == GR_FORMAT_JSON ? GR_FORMAT_JSONL : asked; // a stream of lines
        if (people || asked == GR_FORMAT_NAME)
            fprintf(v->cli->out, people ? "%s" : "%s\n", text);
        else
            gr_output_json(v->cli, module_of(v));
        v->cli->format = asked;
    }
    fflush(v->cli->out);
    free(v->drawn);
    v->drawn = text;
}

static enum gr_exit watch(struct view *v)
{
    bool live = v->terminal && is_for_people(v->cli);
    struct gr_error e = {0};
    for (;;) {
        if (live)
            draw(v);
        else
            print_change(v);
        if (ferror(v->cli->out))
            return GR_EXIT_INTERNAL;
        uint64_t since = gr_mono_now().usec - v->drawn_at.usec;
        if (live && since < DRAW_USEC) // the limit of a screen, not a wait for something
            poll(NULL, 0, (int)((DRAW_USEC - since) / GR_USEC_PER_MSEC + 1));
        if (refresh(v, live ? LIVE_USEC : WAIT_USEC, &e) < 0)
            return gr_cli_fail(v->cli, &e);
    }
}

enum gr_exit gr_verb_get(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(view_done) struct view v = {.cli = cli, .name = args->words[0]};
    struct gr_error e = {0};
    look_around(&v);
    if (refresh(&v, 0, &e) < 0)
        return gr_cli_fail(cli, &e);
    return gr_args_has(args, "watch") ? watch(&v) : show_once(&v);
}
