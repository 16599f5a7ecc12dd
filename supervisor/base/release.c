// Owns the number of this release, which the build hands over.
#include "base/release.h"

const char gr_release[] = GR_RELEASE;
