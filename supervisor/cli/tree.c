// Draws the tree: head, table, next command. What is in the cells comes from tree-cells.c.
#include "cli/tree.h"
#include "base/json.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/tree-cells.h"
#include <string.h>

#define HEAD_LEFT 45  // width of the head's left column
#define HEAD_LABEL 11 // of its labels
#define NAME_WIDTH 16 // at least, so that the columns stay where they are
#define AGE_WIDTH 4
#define WIDE 100  // KIND is shown from here on
#define NARROW 80 // AGE is shown from here on

// --- head
// -----------------------------------------------------------------------------------------

static void begin(struct gr_tree_line *l, const char *label)
{
    gr_tree_add(l, label);
    gr_tree_pad(l, HEAD_LABEL);
}

// The right column stands beside the left one, or below it.
static void put_right(struct gr_tree_line *l, const char *text, FILE *to)
{
    if (*text && l->style->columns && l->style->columns < NARROW) {
        gr_tree_flush(l, to);
        gr_tree_pad(l, HEAD_LABEL);
    } else if (*text) {
        gr_tree_pad(l, l->width < HEAD_LEFT ? HEAD_LEFT : l->width + 2);
    }
    gr_tree_add(l, text);
    gr_tree_flush(l, to);
}

static void put_head(const struct gr_tree *t, struct gr_tree_line *l, FILE *to)
{
    char left[GR_TREE_CELL], right[GR_TREE_CELL];
    gr_tree_say_place(t, left, right);
    begin(l, "Module:");
    gr_tree_add(l, left);
    put_right(l, right, to);
    begin(l, "Status:");
    const char *phase = gr_tree_phase(t);
    gr_tree_add_mark(l, gr_tree_mark_of(phase), phase);
    gr_tree_say_progress(t, left, right);
    gr_tree_add(l, left);
    put_right(l, right, to);
    gr_tree_say_weight(t, left, right);
    begin(l, "Weight:");
    gr_tree_add(l, left);
    put_right(l, right, to);
    gr_tree_say_dispatch(t, left, right);
    begin(l, "Dispatch:");
    gr_tree_add(l, left);
    put_right(l, right, to);
}

// Something came after it: the module has moved since, and what was wrong then is wrong no more.
static bool is_overtaken(const cJSON *module)
{
    struct gr_wall refused, moved;
    return !strcmp(gr_output_text(module, "intent.result"), "refused") &&
           gr_wall_parse(gr_output_text(module, "intent.at"), &refused) == 0 &&
           gr_wall_parse(gr_output_text(module, "updated"), &moved) == 0 &&
           moved.usec > refused.usec;
}

// What is not as always.
static void put_notes(const struct gr_tree *t, struct gr_tree_line *l, FILE *to)
{
    static const struct {
        const char *label, *path;
    } notes[] = {{"Step:", "shown.step"},       {"Pause:", "shown.pause"},
                 {"One way:", "shown.one_way"}, {"Breaker:", "shown.breaker"},
                 {"Fault:", "shown.fault"},     {"Order:", "shown.intent"},
                 {"Reason:", "reason"},         {"Message:", "message"}};
    GR_AUTO_JSON cJSON *copy = cJSON_Duplicate(t->module, true);
    gr_explain_add_shown(copy);
    for (size_t i = 0; i < GR_COUNT(notes); i++) {
        const char *text = gr_output_text(copy, notes[i].path);
        bool going_on = i == 0 && strcmp(gr_tree_phase(t), "Paused");
        bool old = !strcmp(notes[i].path, "shown.intent") && is_overtaken(t->module);
        if (!*text || going_on || old) // the head says the step
            continue;
        begin(l, notes[i].label);
        gr_tree_add(l, text);
        gr_tree_flush(l, to);
    }
}

// --- table
// ----------------------------------------------------------------------------------------

struct widths {
    size_t name, kind, status, age;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t name_width(const struct gr_tree_style *style, const struct gr_tree_row *r)
{
    return gr_tree_width(style, r->branch) + gr_tree_width(style, r->name);
}

static struct widths measure(const struct gr_tree_rows *rows, const struct gr_tree_style *style)
{
    struct widths w = {NAME_WIDTH, strlen("KIND"), strlen("STATUS"), AGE_WIDTH};
    for (size_t i = 0; i < rows->n; i++) {
        const struct gr_tree_row *r = &rows->row[i];
        w.name = larger(w.name, name_width(style, r));
        w.kind = larger(w.kind, strlen(r->kind));
        w.status = larger(w.status, 2 + strlen(r->status));
        w.age = larger(w.age, strlen(r->age));
    }
    return w;
}

static void put_row(const struct gr_tree_row *r, const struct widths *w, struct gr_tree_line *l,
                    FILE *to)
{
    unsigned columns = l->style->columns ? l->style->columns : WIDE;
    size_t at = w->name + 2;
    gr_tree_add(l, r->branch);
    gr_tree_add(l, r->name);
    gr_tree_pad(l, at);
    if (columns >= WIDE) {
        gr_tree_add(l, r->kind);
        gr_tree_pad(l, at += w->kind + 2);
    }
    gr_tree_add_mark(l, r->mark, r->status);
    gr_tree_pad(l, at += w->status + 2);
    if (columns >= NARROW) {
        gr_tree_add(l, r->age);
        gr_tree_pad(l, at += w->age + 2);
    }
    gr_tree_add(l, r->info);
    gr_tree_flush(l, to);
}

// In as many lines as it takes: a command that is cut cannot be typed.
static void put_next(const char *text, struct gr_tree_line *l, FILE *to)
{
    static const char label[] = "Next: ";
    size_t room = l->style->columns > 2 * sizeof label ? l->style->columns - strlen(label) : 0;
    for (bool first = true; *text; first = false) {
        size_t len = strlen(text), end = len;
        char part[GR_TREE_CELL];
        if (room && len > room)
            for (end = room; end && text[end] != ' ';)
                end--;
        if (!end) // a word that is longer than the line
            end = len;
        snprintf(part, sizeof part, "%.*s", (int)end, text);
        gr_tree_add(l, first ? label : "      ");
        gr_tree_add(l, part);
        gr_tree_flush(l, to);
        text += end + (text[end] == ' ');
    }
}

void gr_tree_print(const struct gr_tree *t, const struct gr_tree_style *style, FILE *to)
{
    static const struct gr_tree_row titles = {.branch = "",
                                              .name = "NAME",
                                              .kind = "KIND",
                                              .status = "STATUS",
                                              .age = "AGE",
                                              .info = "INFO"};
    struct gr_tree_line l = {.style = style};
    struct gr_tree_rows rows = {0};
    char next[GR_TREE_CELL];
    put_head(t, &l, to);
    put_notes(t, &l, to);
    fputc('\n', to);
    gr_tree_fill(t, style, &rows);
    const struct widths w = measure(&rows, style);
    put_row(&titles, &w, &l, to);
    for (size_t i = 0; i < rows.n; i++)
        put_row(&rows.row[i], &w, &l, to);
    gr_tree_say_next(t, next);
    put_next(next, &l, to);
}

void gr_tree_print_line(const struct gr_tree *t, const struct gr_tree_style *style, FILE *to)
{
    struct gr_tree_line l = {.style = style};
    char text[GR_TREE_CELL];
    gr_tree_say_line(t, text);
    gr_tree_add(&l, text);
    gr_tree_flush(&l, to);
}
