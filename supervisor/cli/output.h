// What goes to stdout: lists and objects as tables, JSON, JSON lines or names.
#pragma once
#include "cli/cli.h"

enum gr_cell {
    GR_CELL_TEXT,
    GR_CELL_PHASE,
    GR_CELL_HASH,
    GR_CELL_TIME,
    GR_CELL_PERCENT,
    GR_CELL_USEC
};
struct gr_column {
    const char *title, *path; // path: members joined by dots, "stable.version"
    enum gr_cell cell;
    bool wide; // shown with -o wide only
};
// `list` is an array of objects; `name_path` is what -o name prints of each.
void gr_output_list(struct gr_cli *cli, const cJSON *list, const struct gr_column *columns,
                    size_t n, const char *name_path);
#define GR_OUTPUT_COLUMNS_MAX 24
struct gr_output_table { // what a table that comes in parts remembers; zeroed at first
    bool begun;
    size_t width[GR_OUTPUT_COLUMNS_MAX];
};
// The same for a part of a list: the titles stand before the first one only, and columns stay where
// they are unless something wider comes.
void gr_output_part(struct gr_cli *cli, const cJSON *list, const struct gr_column *columns,
                    size_t n, const char *name_path, struct gr_output_table *t);
// One object: JSON, name, or one "Title: value" line per column (columns that are absent are left
// out).
void gr_output_object(struct gr_cli *cli, const cJSON *object, const struct gr_column *columns,
                      size_t n, const char *name_path);
// Follows dots; NULL: not there.
const cJSON *gr_output_find(const cJSON *object, const char *path);
// Text of a member; "" when absent, null or no text. Borrowed.
const char *gr_output_text(const cJSON *object, const char *path);
// Pretty for json, one line for jsonl; with apiVersion and kind, a list as {"items"}:
// grayctl.schema.json.
void gr_output_json(struct gr_cli *cli, const cJSON *value);
