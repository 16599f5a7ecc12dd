// Building JSON with a chain of && that tells whether everything went in.
#pragma once
#include "base/clock.h"
#include <cjson/cJSON.h>
#include <stdbool.h>

static inline bool gr_json_add_text(cJSON *o, const char *name,
                                    const char *text) // NULL and "" become null
{
    return text && *text ? cJSON_AddStringToObject(o, name, text) : cJSON_AddNullToObject(o, name);
}
static inline bool gr_json_add_time(cJSON *o, const char *name, struct gr_wall t) // 0 becomes null
{
    char text[GR_WALL_TEXT_MAX];
    return t.usec ? cJSON_AddStringToObject(o, name, gr_wall_format(t, text))
                  : cJSON_AddNullToObject(o, name);
}
static inline bool gr_json_add(cJSON *o, const char *name, cJSON *take) // false when take is NULL
{
    if (take && cJSON_AddItemToObject(o, name, take))
        return true;
    cJSON_Delete(take);
    return false;
}
static inline bool gr_json_push(cJSON *array, cJSON *take)
{
    if (take && cJSON_AddItemToArray(array, take))
        return true;
    cJSON_Delete(take);
    return false;
}
static inline cJSON *gr_json_whole(cJSON *o, bool whole) // frees what is incomplete
{
    if (whole)
        return o;
    cJSON_Delete(o);
    return NULL;
}
