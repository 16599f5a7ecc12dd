// Owns the number of this release, which the build hands over.
#include "base/release.h"

#include <stdio.h>
#include <string.h>

const char gr_release[] = GR_RELEASE;

bool gr_release_told(int argc, char **argv, const char *name)
{
    if (argc != 2 || strcmp(argv[1], "--version"))
        return false;
    printf("%s %s\n", name, gr_release);
    return true;
}
