// The SDK's template as it was when this program was built; template-files.c is made by CMake.
#pragma once
#include <stddef.h>

struct gr_template_file {
    const char *name, *text;
};
extern const struct gr_template_file gr_template_files[];
extern const size_t gr_n_template_files;
