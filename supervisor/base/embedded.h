// Text files that were built into a program; gr_embed() of cmake/Grayling.cmake makes the tables.
#pragma once
#include <stddef.h>

struct gr_embedded_file {
    const char *name, *text; // text: as it was in the tree, NUL-terminated
    size_t len;              // of the text
    const char *sha256;      // of the text, 64 hex digits
    const char *gzip;        // the text compressed; NULL: the table was made without
    size_t gzip_len;
};
