// What was loaded lately, by number: tells of a version when nothing else remembers it, so that an
// address that a profile met in it still has a name once it is unloaded.
#pragma once
#include "base/limits.h"
#include <stdbool.h>
#include <stdint.h>

struct gr_load_note {
    uint32_t serial;                     // of the load; never 0, never given twice
    char name[GR_LOAD_NAME_MAX];         // of the file, without directory
    char path[GR_LOAD_PATH_MAX];         // absolute; "" when it is longer
    char build_id[GR_BUILD_ID_TEXT_MAX]; // hex; "" none
};
// Any thread; copies. Returns the serial.
uint32_t gr_loads_note(const char *name, const char *path, const char *build_id);
// Any thread. false: so many were loaded since that it is forgotten.
bool gr_loads_find(uint32_t serial, struct gr_load_note *ret);
