// A module with its versions and its rollout as a tree, as `grayctl get` shows it. Pure.
#pragma once
#include "base/clock.h"
#include "cli/tree-line.h"
#include <cjson/cJSON.h>

struct gr_tree {
    const cJSON *status;  // of the host, as /v1/status tells it
    const cJSON *module;  // of its modules
    const cJSON *history; // of the module, newest first, as /v1/history tells it; may be NULL
    struct gr_wall now;
};
// Below 100 columns KIND is left out, below 80 AGE too, and the head has one column.
void gr_tree_print(const struct gr_tree *t, const struct gr_tree_style *style, FILE *to);
// What changed, in one line, for who has no terminal.
void gr_tree_print_line(const struct gr_tree *t, const struct gr_tree_style *style, FILE *to);
