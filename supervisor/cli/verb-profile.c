// profile: where the worker spends its processor time. The daemon hands out addresses; here they
// get their names, from the files of this host.
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cli/output.h"
#include "cli/profile/flame.h"
#include "cli/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN 20 // functions, without -o wide
#define TURN_SECONDS 1
#define PATIENCE_SECONDS 45 // past the profile's end
#define PREFIX_DEFAULT "grayling-profile"

struct wish {
    int64_t seconds, hz;
    const char *prefix, *module;
};

static int read_wish(const struct gr_args *args, struct wish *ret, struct gr_error *e)
{
    const int64_t most = GR_PROFILE_USEC_MAX / GR_USEC_PER_SEC;
    *ret = (struct wish){.seconds = GR_PROFILE_USEC_DEFAULT / GR_USEC_PER_SEC,
                         .hz = GR_PROFILE_HZ_DEFAULT,
                         .prefix = gr_args_value(args, "write"),
                         .module = gr_args_value(args, "module")};
    if (!ret->prefix)
        ret->prefix = PREFIX_DEFAULT;
    int r = gr_args_number(args, "seconds", &ret->seconds, e);
    if (r >= 0)
        r = gr_args_number(args, "hz", &ret->hz, e);
    if (r >= 0 && (ret->seconds < 1 || ret->seconds > most))
        r = gr_error_set(e, -EINVAL, GR_REASON_NONE,
                         "--seconds %" PRId64 ": expected 1 to %" PRId64, ret->seconds, most);
    if (r >= 0 && (ret->hz < 1 || ret->hz > GR_PROFILE_HZ_MAX))
        r = gr_error_set(e, -EINVAL, GR_REASON_NONE, "--hz %" PRId64 ": expected 1 to %u", ret->hz,
                         GR_PROFILE_HZ_MAX);
    return r;
}

// --- asking --------------------------------------------------------------------------------------

static int begin(struct gr_cli *cli, const struct wish *w, uint64_t *ret_id, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL, *order = cJSON_CreateObject();
    cJSON_AddStringToObject(order, "actor", gr_cli_actor());
    gr_json_add_int(order, "hz", w->hz);
    gr_json_add_int(order, "usec", w->seconds * (int64_t)GR_USEC_PER_SEC);
    int r = gr_cli_request(cli, "POST", "/v1/profile", order, 0, &answer, e);
    return r < 0 ? r
                 : gr_json_uint(answer, "", "profile", GR_JSON_REQUIRED, 1, INT64_MAX, ret_id, e);
}

// Asks again and again, each time for a second, until it has ended. Owns: *ret by the caller.
static int await(struct gr_cli *cli, const struct wish *w, uint64_t id, cJSON **ret,
                 struct gr_error *e)
{
    bool person = isatty(fileno(cli->err));
    char path[64];
    snprintf(path, sizeof path, "/v1/profile/%" PRIu64 "?wait=%ds", id, TURN_SECONDS);
    int r = -EALREADY;
    for (int64_t at = 0; r == -EALREADY && at < w->seconds + PATIENCE_SECONDS; at += TURN_SECONDS) {
        if (person)
            fprintf(cli->err, "\rsampling: %" PRId64 " of %" PRId64 " s ",
                    at < w->seconds ? at : w->seconds, w->seconds);
        r = gr_cli_request(cli, "GET", path, NULL, 0, ret, e);
    }
    if (person)
        fputs("\r                              \r", cli->err);
    if (r == -EALREADY)
        r = gr_error_set(e, -ETIME, GR_REASON_NONE,
                         "the profile has not ended %d s after its time; is the worker stopped? "
                         "grayctl doctor",
                         PATIENCE_SECONDS);
    if (r == 0 && !cJSON_IsString(*ret))
        r = gr_error_set(e, -EIO, GR_REASON_NONE,
                         "the daemon's answer is no profile; do graylingd and grayctl differ?");
    return r;
}

// --- telling -------------------------------------------------------------------------------------

static int cannot_write(const char *path, struct gr_error *e)
{
    return gr_error_set(e, -errno, GR_REASON_NONE,
                        "the profile cannot be written to %s: %s; expected a file that can be "
                        "made: --write PREFIX",
                        path, strerror(errno));
}

static int name_beside(const struct wish *w, const char *suffix, char **ret_path,
                       struct gr_error *e)
{
    struct stat st;
    bool directory = stat(w->prefix, &st) == 0 && S_ISDIR(st.st_mode);
    if (asprintf(ret_path, "%s%s%s", w->prefix, directory ? "/" PREFIX_DEFAULT : "", suffix) >= 0)
        return 0;
    *ret_path = NULL;
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

static int open_beside(const struct wish *w, const char *suffix, char **ret_path, FILE **ret,
                       struct gr_error *e)
{
    int r = name_beside(w, suffix, ret_path, e);
    if (r < 0)
        return r;
    *ret = fopen(*ret_path, "we");
    return *ret ? 0 : cannot_write(*ret_path, e);
}

// Before anything is sampled: a profile that nobody can keep would have been taken for nothing.
// Opened without truncating, so that a profile that is there stays; one that was made is removed.
static int try_beside(const struct wish *w, const char *suffix, struct gr_error *e)
{
    GR_AUTO_FREE char *path = NULL;
    int r = name_beside(w, suffix, &path, e);
    if (r < 0)
        return r;
    bool there = access(path, F_OK) == 0;
    GR_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return cannot_write(path, e);
    if (!there)
        unlink(path);
    return 0;
}

static int close_written(FILE *f, const char *path, struct gr_error *e)
{
    bool failed = ferror(f);
    if (fclose(f) == 0 && !failed)
        return 0;
    return gr_error_set(e, -EIO, GR_REASON_NONE, "%s could not be written whole: is the disk full?",
                        path);
}

struct result {
    const struct wish *wish;
    const struct gr_recording *recording;
    const struct gr_call_tree *tree;
    char *folded, *svg;
};

static int write_files(struct result *r, struct gr_error *e)
{
    const struct gr_recording *rec = r->recording;
    char title[160], about[200];
    FILE *f = NULL;
    snprintf(title, sizeof title, "grayling-worker %d%s%.64s", rec->pid,
             r->wish->module ? ", module " : "", r->wish->module ? r->wish->module : "");
    snprintf(about, sizeof about,
             "%" PRIu64 " samples in %g s, %u a second of processor time, %" PRIu64 " lost",
             r->tree->root.total, (double)rec->usec / GR_USEC_PER_SEC, rec->hz, rec->lost);
    int k = open_beside(r->wish, ".folded", &r->folded, &f, e);
    if (k < 0)
        return k;
    gr_call_tree_fold(r->tree, f);
    k = close_written(f, r->folded, e);
    if (k == 0)
        k = open_beside(r->wish, ".svg", &r->svg, &f, e);
    if (k < 0)
        return k;
    gr_flame_write(r->tree, title, about, f);
    return close_written(f, r->svg, e);
}

static double percent(uint64_t part, uint64_t of)
{
    return of ? round(10000.0 * (double)part / (double)of) / 100 : 0;
}

static cJSON *list_functions(const struct result *r, const struct gr_hot_function *f, size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "function", f[i].function);
        cJSON_AddStringToObject(o, "module", f[i].module);
        gr_json_add_uint(o, "self", f[i].self);
        gr_json_add_uint(o, "total", f[i].total);
        cJSON_AddNumberToObject(o, "self_percent", percent(f[i].self, r->tree->root.total));
        cJSON_AddNumberToObject(o, "total_percent", percent(f[i].total, r->tree->root.total));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static cJSON *whole(const struct result *r, cJSON *take_functions)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "pid", r->recording->pid);
    cJSON_AddNumberToObject(o, "hz", r->recording->hz);
    gr_json_add_uint(o, "usec", r->recording->usec);
    gr_json_add_uint(o, "samples", r->tree->root.total);
    gr_json_add_uint(o, "lost", r->recording->lost + r->tree->dropped);
    cJSON_AddStringToObject(o, "folded", r->folded);
    cJSON_AddStringToObject(o, "svg", r->svg);
    cJSON *unread = cJSON_AddArrayToObject(o, "unread");
    for (size_t i = 0; i < r->tree->n_unread; i++)
        cJSON_AddItemToArray(unread, cJSON_CreateString(r->tree->unread[i]));
    cJSON_AddItemToObject(o, "functions", take_functions);
    return o;
}

static int tell(struct gr_cli *cli, const struct result *r, struct gr_error *e)
{
    static const struct gr_column columns[] = {{"Self", "self_percent", GR_CELL_PERCENT, false},
                                               {"Total", "total_percent", GR_CELL_PERCENT, false},
                                               {"Samples", "self", GR_CELL_TEXT, true},
                                               {"Function", "function", GR_CELL_TEXT, false},
                                               {"Module", "module", GR_CELL_TEXT, false}};
    GR_AUTO_FREE struct gr_hot_function *f = NULL;
    size_t n = 0;
    if (gr_call_tree_functions(r->tree, &f, &n) < 0)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    if (cli->format == GR_FORMAT_TABLE && n > SHOWN)
        n = SHOWN;
    GR_AUTO_JSON cJSON *all = whole(r, list_functions(r, f, n));
    if (cli->format == GR_FORMAT_JSON || cli->format == GR_FORMAT_JSONL)
        gr_output_json(cli, all);
    else
        gr_output_list(cli, gr_json_get(all, "functions"), columns, GR_COUNT(columns), "function");
    for (size_t i = 0; i < r->tree->n_unread; i++)
        gr_cli_say(cli, "no names from %s", r->tree->unread[i]);
    gr_cli_say(cli, "%" PRIu64 " samples: %s, %s", r->tree->root.total, r->folded, r->svg);
    if (r->tree->root.total == 0)
        gr_cli_say(cli, "nothing used the processor%s; was there traffic?",
                   r->wish->module ? " in that module" : "");
    return 0;
}

static int report(struct gr_cli *cli, const struct wish *w, const char *text, struct gr_error *e)
{
    struct gr_recording recording = {0};
    struct gr_call_tree tree = {0};
    int k = gr_recording_parse(text, strlen(text), &recording, e);
    if (k < 0)
        return k;
    k = gr_call_tree_build(&recording, w->module, &tree);
    if (k < 0)
        gr_error_set(e, k, GR_REASON_INTERNAL, "out of memory");
    struct result r = {.wish = w, .recording = &recording, .tree = &tree};
    if (k == 0)
        k = write_files(&r, e);
    if (k == 0)
        k = tell(cli, &r, e);
    free(r.folded);
    free(r.svg);
    gr_call_tree_done(&tree);
    gr_recording_done(&recording);
    return k;
}

enum gr_exit gr_verb_profile(struct gr_cli *cli, const struct gr_args *args)
{
    GR_AUTO_JSON cJSON *text = NULL;
    struct gr_error e = {0};
    struct wish w;
    uint64_t id = 0;
    int r = read_wish(args, &w, &e);
    if (r < 0) {
        gr_cli_fail(cli, &e);
        return GR_EXIT_USAGE;
    }
    r = try_beside(&w, ".folded", &e);
    if (r == 0)
        r = try_beside(&w, ".svg", &e);
    if (r == 0)
        r = begin(cli, &w, &id, &e);
    if (r == 0)
        r = await(cli, &w, id, &text, &e);
    if (r == 0)
        r = report(cli, &w, text->valuestring, &e);
    return r < 0 ? gr_cli_fail(cli, &e) : GR_EXIT_OK;
}
