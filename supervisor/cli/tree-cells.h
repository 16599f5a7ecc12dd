// The texts of the tree, before they are laid out. Private to tree*.c.
#pragma once
#include "cli/tree.h"

#define GR_TREE_CELL 1200
#define GR_TREE_ROWS 12
struct gr_tree_row {
    const char *branch; // "├─ "
    char name[160], kind[16], status[32], age[16], info[GR_TREE_CELL];
    enum gr_mark mark;
};
struct gr_tree_rows {
    size_t n;
    struct gr_tree_row row[GR_TREE_ROWS];
};
void gr_tree_fill(const struct gr_tree *t, const struct gr_tree_style *style,
                  struct gr_tree_rows *ret);
const char *gr_tree_phase(const struct gr_tree *t); // what the module does: "Baking", "Healthy"
enum gr_mark gr_tree_mark_of(const char *phase);

// Each of the head's lines: the left and the right column.
void gr_tree_say_place(const struct gr_tree *t, char *left, char *right);
void gr_tree_say_progress(const struct gr_tree *t, char *left, char *right);
void gr_tree_say_weight(const struct gr_tree *t, char *left, char *right);
void gr_tree_say_dispatch(const struct gr_tree *t, char *left, char *right);
void gr_tree_say_next(const struct gr_tree *t, char *text);
void gr_tree_say_line(const struct gr_tree *t, char *text);
