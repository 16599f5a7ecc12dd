// status: what this host does, and waiting until a change has ended. Waiting is a long poll of the
// daemon's state, never a sleep.
#include "base/clock.h"
#include "base/json.h"
#include "cli/docstore.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define POLL_USEC (60ull * 1000000) // the daemon's own limit of a wait

struct watch {
    struct gr_cli *cli;
    const char *module; // NULL: all
    int64_t revision;   // that has to be answered; 0: any
    cJSON *status;      // newest
    char told[256];     // last line of talk
};

static void watch_done(struct watch *w)
{
    cJSON_Delete(w->status);
}

static cJSON *find_module(const cJSON *status, const char *name)
{
    cJSON *m;
    cJSON_ArrayForEach(
        m,
        gr_output_find(status, "modules")) if (!strcmp(gr_output_text(m, "module"), name)) return m;
    return NULL;
}

static int64_t number(const cJSON *o, const char *path)
{
    int64_t n = 0;
    (void)gr_json_read_int(gr_output_find(o, path), &n);
    return n;
}

// A pause that ends without a person: by time or requests, or once the numbers decide.
static bool goes_on(const cJSON *m)
{
    const char *hold = gr_output_text(m, "rollout.pause.hold");
    return !strcmp(gr_output_text(m, "phase"), "Paused") &&
           !*gr_output_text(m, "rollout.held_by") &&
           (!strcmp(hold, "undecided") ||
            (!strcmp(hold, "step") && !cJSON_IsTrue(gr_output_find(m, "rollout.pause.gate"))));
}

static bool is_settled(const struct watch *w, const cJSON *m)
{
    return m && strcmp(gr_output_text(m, "phase"), "Progressing") && !goes_on(m) &&
           number(m, "observed_revision") >= w->revision;
}

static bool all_settled(const struct watch *w)
{
    const cJSON *m;
    if (w->module)
        return is_settled(w, find_module(w->status, w->module));
    cJSON_ArrayForEach(m, gr_output_find(w->status, "modules")) if (!is_settled(w, m)) return false;
    return true;
}

// The newest wish was rejected or taken back, or the module says itself that it is not as wished.
static bool is_bad(const cJSON *m)
{
    const char *rollout = gr_output_text(m, "rollout.phase");
    bool newest = number(m, "rollout.id") >= number(m, "observed_revision");
    return !strcmp(gr_output_text(m, "phase"), "Degraded") ||
           (newest && (!strcmp(rollout, "RolledBack") || !strcmp(rollout, "Rejected")));
}

static enum gr_exit judge(const struct watch *w)
{
    const cJSON *m;
    if (w->module)
        return is_bad(find_module(w->status, w->module)) ? GR_EXIT_DEGRADED : GR_EXIT_OK;
    cJSON_ArrayForEach(m,
                       gr_output_find(w->status, "modules")) if (is_bad(m)) return GR_EXIT_DEGRADED;
    return !strcmp(gr_output_text(w->status, "phase"), "Degraded") ? GR_EXIT_DEGRADED : GR_EXIT_OK;
}

static void tell(struct watch *w)
{
    char line[256];
    const cJSON *m = w->module ? find_module(w->status, w->module) : NULL;
    if (!m)
        return;
    const char *candidate = gr_output_text(m, "candidate.version");
    const char *separator = *candidate ? ", candidate " : "";
    snprintf(line, sizeof line, "%s: %s (%s)%s%s", w->module, gr_output_text(m, "phase"),
             gr_output_text(m, "rollout.phase"), separator, candidate);
    if (strcmp(line, w->told))
        gr_cli_say(w->cli, "%s", line);
    strcpy(w->told, line);
}

static int refresh(struct watch *w, uint64_t wait_usec, struct gr_error *e)
{
    char path[128] = "/v1/status";
    cJSON *fresh = NULL;
    if (w->status)
        snprintf(path, sizeof path, "/v1/status?after=%.0f&wait=%" PRIu64 "ms",
                 cJSON_GetNumberValue(gr_output_find(w->status, "generation")),
                 wait_usec / 1000 + 1);
    int r = gr_cli_request(w->cli, "GET", path, NULL, w->status ? 2 * POLL_USEC : 0, &fresh, e);
    if (r < 0)
        return r;
    cJSON_Delete(w->status);
    w->status = fresh;
    return 0;
}

static int out_of_time(const struct watch *w, struct gr_error *e)
{
    const char *module = w->module ? w->module : "MODULE";
    int64_t left =
        w->module ? number(find_module(w->status, w->module), "rollout.bake_left_usec") : 0;
    char text[32];
    if (left > 0)
        return gr_error_set(
            e, -ETIME, GR_REASON_NONE,
            "%s still bakes, for another %s; it serves meanwhile. Wait on with a longer --timeout",
            module, gr_duration_format((uint64_t)left / GR_USEC_PER_SEC * GR_USEC_PER_SEC, text));
    const cJSON *m = w->module ? find_module(w->status, w->module) : NULL;
    if (!strcmp(gr_output_text(m, "rollout.phase"), "Pending") && *gr_output_text(m, "message"))
        return gr_error_set(e, -ETIME, GR_REASON_NONE, "%s did not settle in time: %.900s", module,
                            gr_output_text(m, "message"));
    return gr_error_set(
        e, -ETIME, GR_REASON_NONE,
        "%s did not settle in time; look with grayctl get %s, or wait on with a longer --timeout",
        w->module ? w->module : "the host", module);
}

// Fails: -ETIME.
static int wait_settled(struct watch *w, uint64_t timeout_usec, struct gr_error *e)
{
    uint64_t deadline = gr_mono_now().usec + timeout_usec;
    while (!all_settled(w)) {
        uint64_t now = gr_mono_now().usec;
        tell(w);
        if (now >= deadline)
            return out_of_time(w, e);
        int r = refresh(w, deadline - now < POLL_USEC ? deadline - now : POLL_USEC, e);
        if (r < 0)
            return r;
    }
    tell(w);
    return 0;
}

// Which revision of the module the source holds now, so that waiting right after a write does not
// end with what was before it.
static void find_wanted(struct watch *w)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry entry = {0};
    struct gr_error e = {0};
    if (!w->module || gr_name_parse(w->module, strlen(w->module), &entry.module) < 0)
        return;
    if (gr_docstore_open(w->cli, &store, &e) < 0 || gr_docstore_get(store, &entry, 1, &e) < 0)
        gr_cli_say(w->cli, "the desired state cannot be read, waiting for what the host knows: %s",
                   e.message);
    w->revision = entry.revision;
}

static void print_status(struct gr_cli *cli, const cJSON *status)
{
    static const struct gr_column host[] = {
        {"Service", "service", GR_CELL_TEXT, false},
        {"Instance", "instance", GR_CELL_TEXT, false},
        {"Phase", "phase", GR_CELL_PHASE, false},
        {"Message", "message", GR_CELL_TEXT, false},
        {"Version", "version", GR_CELL_TEXT, false},
        {"Process", "pid", GR_CELL_TEXT, false},
        {"Worker", "worker.pid", GR_CELL_TEXT, false},
        {"Started", "started", GR_CELL_TIME, false},
        {"Source", "source.kind", GR_CELL_TEXT, false},
        {"Source at", "source.endpoint", GR_CELL_TEXT, false},
        {"Source up", "source.up", GR_CELL_TEXT, false},
        {"Source says", "source.message", GR_CELL_TEXT, false},
        {"Revision", "source_revision", GR_CELL_TEXT, false},
        {"Trust", "trust", GR_CELL_TEXT, false},
        {"Admin", "admin", GR_CELL_TEXT, false},
    };
    static const struct gr_column modules[] = {
        {"MODULE", "module", GR_CELL_TEXT, false},
        {"VERSION", "stable.version", GR_CELL_TEXT, false},
        {"PHASE", "phase", GR_CELL_PHASE, false},
        {"ROLLOUT", "rollout.phase", GR_CELL_PHASE, false},
        {"REASON", "reason", GR_CELL_TEXT, false},
        {"MESSAGE", "message", GR_CELL_TEXT, true},
    };
    const cJSON *list = gr_output_find(status, "modules"), *endpoint, *m;
    gr_output_object(cli, status, host, GR_COUNT(host), "instance");
    if (cli->format != GR_FORMAT_TABLE && cli->format != GR_FORMAT_WIDE)
        return;
    cJSON_ArrayForEach(endpoint, gr_output_find(status, "endpoints"))
        fprintf(cli->out, "Front door:  %s\n", cJSON_GetStringValue(endpoint));
    if (cJSON_GetArraySize(list)) {
        fputc('\n', cli->out);
        gr_output_list(cli, list, modules, GR_COUNT(modules), "module");
    }
    cJSON_ArrayForEach(m, list) if (is_bad(m))
        gr_cli_say(cli, "next: grayctl explain %s", gr_output_text(m, "module"));
}

static void print_module(struct gr_cli *cli, cJSON *m)
{
    static const struct gr_column columns[] = {
        {"Module", "module", GR_CELL_TEXT, false},
        {"Phase", "phase", GR_CELL_PHASE, false},
        {"Version", "stable.version", GR_CELL_TEXT, false},
        {"Candidate", "candidate.version", GR_CELL_TEXT, false},
        {"Rollout", "rollout.id", GR_CELL_TEXT, false},
        {"Rollout phase", "rollout.phase", GR_CELL_PHASE, false},
        {"Step", "shown.step", GR_CELL_TEXT, false},
        {"Weight", "shown.weight", GR_CELL_TEXT, false},
        {"Pause", "shown.pause", GR_CELL_TEXT, false},
        {"One way", "shown.one_way", GR_CELL_TEXT, false},
        {"Verdict", "verdict.sentence", GR_CELL_TEXT, false},
        {"Reason", "reason", GR_CELL_TEXT, false},
        {"Message", "message", GR_CELL_TEXT, false},
        {"Last good", "last_good", GR_CELL_TEXT, false},
        {"Revision", "observed_revision", GR_CELL_TEXT, false},
    };
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE)
        gr_explain_add_shown(m);
    gr_output_object(cli, m, columns, GR_COUNT(columns), "module");
    if (is_bad(m))
        gr_cli_say(cli, "next: grayctl explain %s", gr_output_text(m, "module"));
}

enum gr_exit gr_verb_status(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(watch_done)
    struct watch w = {.cli = cli, .module = args->n_words ? args->words[0] : NULL};
    bool wait = gr_args_has(args, "wait");
    uint64_t timeout = 60 * GR_USEC_PER_SEC;
    struct gr_error e = {0};
    if (gr_args_duration(args, "timeout", &timeout, &e) < 0 ||
        gr_args_number(args, "revision", &w.revision, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (wait && !w.revision)
        find_wanted(&w);
    int r = refresh(&w, 0, &e);
    if (r >= 0 && wait)
        r = wait_settled(&w, timeout, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    cJSON *m = w.module ? find_module(w.status, w.module) : NULL;
    if (w.module && !m) {
        gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                     "there is no module %.64s on this host; grayctl list shows which there are",
                     w.module);
        return gr_cli_fail(cli, &e);
    }
    if (m)
        print_module(cli, m);
    else
        print_status(cli, w.status);
    return judge(&w);
}
