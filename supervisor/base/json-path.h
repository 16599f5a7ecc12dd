// How a place inside a document is written in complaints: "strategy.steps[2].weight". Private to
// the JSON files of base.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define GR_JSON_PATH_MAX 256
// A path under construction; too long ones end in "...". Keys that are no plain words appear quoted
// and shortened.
struct gr_json_path {
    char text[GR_JSON_PATH_MAX];
    size_t len;
    bool full;
};
void gr_json_path_start(struct gr_json_path *p, const char *path);
void gr_json_path_key(struct gr_json_path *p, const char *key, size_t len);
void gr_json_path_index(struct gr_json_path *p, size_t index);
