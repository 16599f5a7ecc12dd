// Says what stands in the tree's cells, from what the control socket tells.
#include "cli/tree-cells.h"
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include <inttypes.h>
#include <string.h>

#define PAST_SHOWN 3 // versions that were taken back or refused

static double number(const cJSON *o, const char *path)
{
    const cJSON *n = gr_output_find(o, path);
    return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static bool has(const cJSON *o, const char *path)
{
    const cJSON *v = gr_output_find(o, path);
    return v && !cJSON_IsNull(v);
}

// Appends to a cell; what does not fit is cut.
static void GR_PRINTF(2, 3) more(char *cell, const char *format, ...)
{
    size_t len = strlen(cell);
    va_list ap;
    va_start(ap, format);
    vsnprintf(cell + len, GR_TREE_CELL - len, format, ap);
    va_end(ap);
}

// --- numbers
// --------------------------------------------------------------------------------------

static const char *age_text(struct gr_wall now, const char *since, char buf[16])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    struct gr_wall then;
    buf[0] = '\0';
    if (!*since || gr_wall_parse(since, &then) < 0)
        return buf;
    int64_t s = now.usec > then.usec ? (now.usec - then.usec) / (int64_t)GR_USEC_PER_SEC : 0;
    for (size_t i = 0; i < GR_COUNT(units); i++)
        if (s >= units[i].seconds || i + 1 == GR_COUNT(units)) {
            snprintf(buf, 16, "%" PRId64 "%c", s / units[i].seconds, units[i].unit);
            break;
        }
    return buf;
}

static void add_time(char *cell, double usec)
{
    if (usec < 10e3)
        more(cell, "%.2f ms", usec / 1e3);
    else if (usec < 10e6)
        more(cell, "%.0f ms", usec / 1e3);
    else
        more(cell, "%.1f s", usec / 1e6);
}

static void add_count(char *cell, double n) // 4,182
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", n);
    for (int i = 0; i < len; i++)
        more(cell, "%c%s", digits[i], (len - 1 - i) % 3 == 0 && i + 1 < len ? "," : "");
}

static const char *sign(double x)
{
    return x < 0 ? "−" : "+";
}

static double size(double x)
{
    return x < 0 ? -x : x;
}

// --- rows
// -----------------------------------------------------------------------------------------

enum gr_mark gr_tree_mark_of(const char *phase)
{
    static const struct {
        const char *phase;
        enum gr_mark mark;
    } marks[] = {
        {"Healthy", GR_MARK_GOOD},      {"Successful", GR_MARK_GOOD}, {"Paused", GR_MARK_HELD},
        {"Inconclusive", GR_MARK_HELD}, {"Degraded", GR_MARK_BAD},    {"RolledBack", GR_MARK_BAD},
        {"RollingBack", GR_MARK_BAD},   {"Rejected", GR_MARK_BAD},    {"Failed", GR_MARK_BAD},
        {"Error", GR_MARK_BAD},         {"Superseded", GR_MARK_HELD}};
    for (size_t i = 0; i < GR_COUNT(marks); i++)
        if (!strcmp(marks[i].phase, phase))
            return marks[i].mark;
    return GR_MARK_RUNS;
}

static bool in_progress(const struct gr_tree *t)
{
    return has(t->module, "rollout.steps");
}

const char *gr_tree_phase(const struct gr_tree *t)
{
    const char *rollout = gr_output_text(t->module, "rollout.phase");
    return in_progress(t) && *rollout ? rollout : gr_output_text(t->module, "phase");
}

static const char *name_of(const cJSON *version, const char *fallback, char *buf, size_t cap)
{
    const char *text = gr_output_text(version, "version"), *hash = gr_output_text(version, "hash");
    size_t n = strlen(hash);
    if (!strncmp(hash, "sha256:", 7) && n > 20)
        snprintf(buf, cap, "%s %.4s…%s", text, hash + 7, hash + n - 2);
    else
        snprintf(buf, cap, "%s", *text ? text : fallback);
    return buf;
}

static bool same_version(const cJSON *a, const cJSON *b)
{
    return *gr_output_text(a, "hash") &&
           !strcmp(gr_output_text(a, "hash"), gr_output_text(b, "hash")) &&
           !strcmp(gr_output_text(a, "version"), gr_output_text(b, "version"));
}

// The member of a row of history that is this module.
static const cJSON *member_of(const struct gr_tree *t, const cJSON *rollout)
{
    const cJSON *m;
    cJSON_ArrayForEach(
        m, gr_output_find(rollout,
                          "modules")) if (!strcmp(gr_output_text(m, "module"),
                                                  gr_output_text(t->module, "module"))) return m;
    return NULL;
}

// When this host first heard of the newest release of a version.
static const char *born(const struct gr_tree *t, const cJSON *version)
{
    const cJSON *rollout;
    cJSON_ArrayForEach(rollout, gr_output_find(t->history, "rollouts"))
    {
        const cJSON *m = member_of(t, rollout);
        if (m && same_version(gr_output_find(m, "to"), version))
            return gr_output_text(rollout, "created");
    }
    return "";
}

static void say_traffic(const cJSON *v, char *info)
{
    double requests = number(v, "requests");
    if (!has(v, "requests")) {
        more(info, "not loaded");
        return;
    }
    more(info, "in flight %.0f, ", number(v, "in_flight"));
    if (requests <= 0) {
        more(info, "no requests yet");
        return;
    }
    more(info, "errors %.1f %%, p99 ", 100 * number(v, "errors") / requests);
    add_time(info, number(v, "p99_usec"));
}

static struct gr_tree_row *add_row(struct gr_tree_rows *rows, const char *kind, enum gr_mark mark,
                                   const char *status)
{
    struct gr_tree_row *r = &rows->row[rows->n < GR_TREE_ROWS ? rows->n++ : GR_TREE_ROWS - 1];
    *r = (struct gr_tree_row){.branch = "├─ ", .mark = mark};
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    snprintf(r->status, sizeof r->status, "%s", status);
    return r;
}

static void add_version(const struct gr_tree *t, struct gr_tree_rows *rows, const char *role,
                        const char *status)
{
    const cJSON *v = gr_output_find(t->module, role);
    bool failed = !strcmp(role, "candidate") &&
                  !strcmp(gr_output_text(t->module, "verdict.verdict"), "Failed");
    if (!v || cJSON_IsNull(v))
        return;
    enum gr_mark mark = failed                                      ? GR_MARK_BAD
                        : cJSON_IsTrue(gr_output_find(v, "loaded")) ? GR_MARK_GOOD
                                                                    : GR_MARK_RUNS;
    struct gr_tree_row *r = add_row(rows, "Version", mark, status);
    name_of(v, "?", r->name, sizeof r->name);
    age_text(t->now, born(t, v), r->age);
    say_traffic(v, r->info);
}

static void say_bound(char *info, const cJSON *v)
{
    if (cJSON_IsNumber(v))
        more(info, "%s%.2f", sign(v->valuedouble), size(100 * v->valuedouble));
    else
        more(info, "?");
}

static void add_analysis(const struct gr_tree *t, struct gr_tree_rows *rows)
{
    const cJSON *v = gr_output_find(t->module, "verdict");
    const char *verdict = gr_output_text(v, "verdict"), *reason = gr_output_text(v, "reason");
    if (!*verdict || !in_progress(t))
        return;
    struct gr_tree_row *r = add_row(rows, "Gate", gr_tree_mark_of(verdict), verdict);
    bool below = has(t->module, "candidate");
    r->branch = below ? "│  └─ " : "├─ ";
    snprintf(r->name, sizeof r->name, "analysis");
    age_text(t->now, born(t, gr_output_find(t->module, below ? "candidate" : "stable")), r->age);
    more(r->info, "n=");
    add_count(r->info, number(v, "requests"));
    if (has(v, "difference.estimate")) {
        double d = number(v, "difference.estimate");
        more(r->info, "  Δerr %s%.2f %% [", sign(d), size(100 * d));
        say_bound(r->info, gr_output_find(v, "difference.low"));
        more(r->info, ", ");
        say_bound(r->info, gr_output_find(v, "difference.high"));
        more(r->info, "]");
    }
    if (has(v, "p99_ratio"))
        more(r->info, "  p99 ×%.2f", number(v, "p99_ratio"));
    if (*reason)
        more(r->info, "  %s", reason);
}

static bool is_shown(const struct gr_tree *t, const cJSON *version)
{
    static const char *const roles[] = {"stable", "candidate", "previous"};
    for (size_t i = 0; i < GR_COUNT(roles); i++)
        if (same_version(gr_output_find(t->module, roles[i]), version))
            return true;
    return false;
}

// The newest ones that did not stay, each version once.
static void add_past(const struct gr_tree *t, struct gr_tree_rows *rows)
{
    const cJSON *rollout, *told[PAST_SHOWN];
    size_t n = 0;
    cJSON_ArrayForEach(rollout, gr_output_find(t->history, "rollouts"))
    {
        const cJSON *m = member_of(t, rollout), *to = gr_output_find(m, "to");
        const char *phase = gr_output_text(rollout, "phase");
        bool known = n == PAST_SHOWN || !has(m, "to") || is_shown(t, to) ||
                     (strcmp(phase, "RolledBack") && strcmp(phase, "Rejected"));
        for (size_t i = 0; i < n && !known; i++)
            known = same_version(told[i], to);
        if (known)
            continue;
        told[n++] = to;
        const cJSON *from = *gr_output_text(m, "message") ? m : rollout;
        const char *reason = gr_output_text(from, "reason");
        struct gr_tree_row *r = add_row(rows, "Version", gr_tree_mark_of(phase), phase);
        name_of(to, "?", r->name, sizeof r->name);
        age_text(t->now, gr_output_text(rollout, "created"), r->age);
        more(r->info, "%s%s%s", reason, *reason ? ": " : "", gr_output_text(from, "message"));
    }
}

static const char *oldest(const struct gr_tree *t)
{
    const cJSON *rollout;
    const char *at = "";
    cJSON_ArrayForEach(rollout, gr_output_find(t->history, "rollouts")) if (member_of(t, rollout))
        at = gr_output_text(rollout, "created");
    return at;
}

static void close_branches(struct gr_tree_rows *rows)
{
    size_t last = rows->n - 1;
    if (!strcmp(rows->row[last].branch, "│  └─ ")) {
        rows->row[last].branch = "   └─ ";
        last--;
    }
    if (last > 0)
        rows->row[last].branch = "└─ ";
}

void gr_tree_fill(const struct gr_tree *t, const struct gr_tree_style *style,
                  struct gr_tree_rows *rows)
{
    const char *phase = gr_tree_phase(t);
    (void)style;
    struct gr_tree_row *r = add_row(rows, "Module", gr_tree_mark_of(phase), phase);
    r->branch = "⟳ ";
    snprintf(r->name, sizeof r->name, "%s", gr_output_text(t->module, "module"));
    age_text(t->now, in_progress(t) ? born(t, gr_output_find(t->module, "candidate")) : oldest(t),
             r->age);
    add_version(t, rows, "candidate", "Candidate");
    add_analysis(t, rows);
    add_version(t, rows, "stable", "Stable");
    add_version(t, rows, "previous", "Previous");
    add_past(t, rows);
    close_branches(rows);
}

// --- head
// -----------------------------------------------------------------------------------------

void gr_tree_say_place(const struct gr_tree *t, char *left, char *right)
{
    left[0] = right[0] = '\0';
    more(left, "%s", gr_output_text(t->module, "module"));
    more(right, "Host: %-12s", gr_output_text(t->status, "instance"));
    if (number(t->module, "rollout.id") > 0)
        more(right, "  Rollout: %.0f", number(t->module, "rollout.id"));
}

static void say_strategy(const struct gr_tree *t, char *right)
{
    const cJSON *step;
    const char *arrow = "";
    more(right, "Strategy: ");
    cJSON_ArrayForEach(step, gr_output_find(t->module, "rollout.steps"))
    {
        bool shadow = has(step, "shadow");
        if (!shadow && !has(step, "weight"))
            continue;
        more(right, "%s%s%g", arrow, shadow ? "shadow " : "",
             number(step, shadow ? "shadow" : "weight"));
        arrow = " → ";
    }
    if (!*arrow)
        more(right, "100 at once");
    if (number(t->module, "rollout.bake_usec") > 0) {
        char bake[32];
        more(right, ", bake %s",
             gr_duration_format((uint64_t)number(t->module, "rollout.bake_usec"), bake));
    }
}

void gr_tree_say_progress(const struct gr_tree *t, char *left, char *right)
{
    double n = number(t->module, "rollout.n_steps"), step = number(t->module, "rollout.step");
    left[0] = right[0] = '\0';
    if (!in_progress(t))
        return;
    if (n > 0)
        more(left, "  step %.0f/%.0f", step < n ? step + 1 : n, n);
    say_strategy(t, right);
}

void gr_tree_say_weight(const struct gr_tree *t, char *left, char *right)
{
    const char *sticky = gr_output_text(t->module, "rollout.sticky"), *colon = strchr(sticky, ':');
    left[0] = right[0] = '\0';
    if (!in_progress(t)) {
        more(left, "%s", has(t->module, "stable") ? "all to stable" : "none");
        return;
    }
    more(left, "set %g %%", number(t->module, "rollout.weight"));
    if (has(t->module, "rollout.weight_observed"))
        more(left, "   observed %.1f %%", number(t->module, "rollout.weight_observed"));
    if (number(t->module, "rollout.shadow") > 0)
        more(left, "   shadow %g %%", number(t->module, "rollout.shadow"));
    if (*sticky && colon)
        more(right, "Sticky: %.*s %s", (int)(colon - sticky), sticky, colon + 1);
    else if (*sticky)
        more(right, "Sticky: %s", sticky);
}

void gr_tree_say_dispatch(const struct gr_tree *t, char *left, char *right)
{
    double parked = number(t->status, "worker.parked");
    char age[16];
    left[0] = right[0] = '\0';
    if (number(t->status, "worker.pid") <= 0)
        more(left, "no worker");
    else if (parked > 0)
        more(left, "%.0f requests wait", parked);
    else
        more(left, "open");
    if (number(t->status, "worker.freeze_last_usec") > 0) {
        more(left, "   last freeze ");
        add_time(left, number(t->status, "worker.freeze_last_usec"));
    }
    if (*age_text(t->now, gr_output_text(t->status, "worker.swapped"), age))
        more(right, "last swap %s ago", age);
}

void gr_tree_say_next(const struct gr_tree *t, char *text)
{
    const char *m = gr_output_text(t->module, "module"),
               *hold = gr_output_text(t->module, "rollout.pause.hold"), *phase = gr_tree_phase(t),
               *good = gr_output_text(t->module, "last_good");
    bool plain = !*hold || !strcmp(hold, "step"), gray = number(t->module, "rollout.n_steps") > 0;
    text[0] = '\0';
    if (!plain || !gray || *gr_output_text(t->module, "rollout.held_by") ||
        (strcmp(phase, "Progressing") && strcmp(phase, "Paused"))) {
        gr_explain_next_of(t->module, text, GR_TREE_CELL);
        return;
    }
    more(text, "grayctl promote %s | grayctl abort %s", m, m);
    if (*good)
        more(text, " | grayctl undo %s --to %s", m, good);
}

void gr_tree_say_line(const struct gr_tree *t, char *text)
{
    char at[GR_WALL_TEXT_MAX], left[GR_TREE_CELL], right[GR_TREE_CELL];
    const char *verdict = gr_output_text(t->module, "verdict.verdict"),
               *reason = gr_output_text(t->module, "reason");
    text[0] = '\0';
    gr_wall_format(t->now, at);
    gr_tree_say_progress(t, left, right);
    more(text, "%.19sZ %s %s%s", at, gr_output_text(t->module, "module"), gr_tree_phase(t), left);
    if (in_progress(t))
        more(text, "  weight %g %%", number(t->module, "rollout.weight"));
    if (has(t->module, "stable"))
        more(text, "  stable %s", gr_output_text(t->module, "stable.version"));
    if (has(t->module, "candidate"))
        more(text, "  candidate %s", gr_output_text(t->module, "candidate.version"));
    if (*verdict && in_progress(t))
        more(text, "  %s", verdict);
    if (*reason)
        more(text, "  %s: %s", reason, gr_output_text(t->module, "message"));
}
