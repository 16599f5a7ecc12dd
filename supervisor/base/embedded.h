// Text files that were built into a program; gr_embed() of cmake/Grayling.cmake makes the tables.
#pragma once
#include <stddef.h>

struct gr_embedded_file {
    const char *name, *text; // text: as it was in the tree, NUL-terminated
};
