// Lines for a terminal: cells in colour, no wider than the screen, in ASCII where the locale asks
// for it. Pure.
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct gr_tree_style {
    unsigned columns; // 0: no terminal, lines are as long as they are
    bool utf8, color;
};
enum gr_mark {
    GR_MARK_NONE,
    GR_MARK_GOOD,
    GR_MARK_RUNS,
    GR_MARK_HELD,
    GR_MARK_BAD,
    GR_MARK_MODULE
};

#define GR_TREE_LINE_MAX 4096
struct gr_tree_line {
    const struct gr_tree_style *style;
    char text[GR_TREE_LINE_MAX];
    size_t len, width; // bytes; characters that are seen
};
// Appends foreign text: control characters become blanks, and without UTF-8 what is not ASCII is
// written in it.
void gr_tree_add(struct gr_tree_line *l, const char *text);
// The mark, a blank and the word, in the mark's colour: never colour alone.
void gr_tree_add_mark(struct gr_tree_line *l, enum gr_mark mark, const char *word);
void gr_tree_pad(struct gr_tree_line *l, size_t width);
// Writes the line, cut to the screen, without trailing blanks; the line is empty after that.
void gr_tree_flush(struct gr_tree_line *l, FILE *to);
size_t gr_tree_width(const struct gr_tree_style *style, const char *text); // as gr_tree_add() would
