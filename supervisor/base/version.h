// Semantic versions, semver.org 2.0.0, strictly parsed; ordering by its §11. Ranges of them:
// base/range.h.
#pragma once
#include "base/macros.h"
#include <stdint.h>

#define GR_VERSION_MAX 127
struct gr_version {
    char text[GR_VERSION_MAX + 1]; // as written, canonical by definition of the grammar
    uint64_t major, minor, patch;
    uint16_t pre, build; // offsets of prerelease and build in text (without - and +); 0: none
};
// Fails: -EINVAL (also for leading zeros, "v1.0.0", blanks); -ERANGE for numbers over 2^53.
GR_MUST_CHECK int gr_version_parse(const char *text, struct gr_version *ret);
// <0, 0, >0; build metadata is ignored.
int gr_version_compare(const struct gr_version *a, const struct gr_version *b);
// The same for two prereleases alone, each up to the first character that none has.
int gr_version_compare_prerelease(const char *a, const char *b);
