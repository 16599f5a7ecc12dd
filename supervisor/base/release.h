// Which release of Grayling this is. Only one object file holds it, so that another version of the
// same tree costs one compilation.
#pragma once
#include <stdbool.h>

extern const char gr_release[]; // "1.2.3"
// For programs that are started by others only: whether the one argument is --version, which is
// answered then with "NAME 1.2.3" on standard output.
bool gr_release_told(int argc, char **argv, const char *name);
