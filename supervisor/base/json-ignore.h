// The parsed form of ignored paths. Private to json-same.c and json-ignore.c.
#pragma once
#include "base/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_json_hop { // one step down
    enum { GR_HOP_NAME, GR_HOP_INDEX, GR_HOP_ALL } kind;
    char *name; // decoded
    size_t index;
};
struct gr_json_ignored {
    size_t n;
    struct gr_json_hop hops[GR_JSON_IGNORE_HOPS_MAX];
};
struct gr_json_ignore {
    size_t n;
    struct gr_json_ignored paths[];
};
typedef uint32_t gr_json_alive; // a bit for every path that led here so far
_Static_assert(GR_JSON_IGNORE_PATHS_MAX <= 32, "a bit for each");
