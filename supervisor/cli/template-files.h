// The SDK's template as it was when this program was built; template_files.c is made by CMake.
#pragma once
#include "base/embedded.h"

extern const struct gr_embedded_file gr_template_files[];
extern const size_t gr_n_template_files;
