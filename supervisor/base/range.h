// Version ranges as node-semver reads them, strictly parsed: comparators, x-ranges, `~`, `^`,
// hyphen ranges and `||`, by the grammar of its documentation ("Range Grammar" in node-semver's
// README). Blanks may stand between an operator and its version, as there; what node-semver takes
// beyond the grammar ("v1", "~>1", "==1") is refused.
#pragma once
#include "base/error.h"
#include "base/version.h"
#include <stdint.h>

#define GR_RANGE_MAX 127       // characters of a range
#define GR_RANGE_BOUNDS_MAX 32 // comparators that it may come down to; "^1" comes down to two

enum gr_range_op {
    GR_RANGE_LESS,
    GR_RANGE_LESS_OR_EQUAL,
    GR_RANGE_EQUAL,
    GR_RANGE_GREATER_OR_EQUAL,
    GR_RANGE_GREATER,
};
struct gr_range_bound {
    uint64_t major, minor, patch;
    enum gr_range_op op;
    uint8_t alternative; // which part between `||` it belongs to
    uint8_t pre;         // offset of its prerelease in the range's text; 0: none
    bool lowest;         // lower than every prerelease of its numbers: the end of "^1" is 2.0.0-0
};
// A value without pointers, copied freely. Zeroed it holds no version.
struct gr_range {
    char text[GR_RANGE_MAX + 1]; // as written
    uint8_t n_alternatives, n_bounds;
    struct gr_range_bound bounds[GR_RANGE_BOUNDS_MAX]; // by alternative; one without bounds is "*"
};
// "" is "*". Fails: -EINVAL/DocumentInvalid with a sentence that names the place.
GR_MUST_CHECK int gr_range_parse(const char *text, struct gr_range *ret, struct gr_error *e);
// A prerelease is held only by an alternative that names a prerelease of the same major, minor and
// patch; build metadata is ignored.
bool gr_range_matches(const struct gr_range *r, const struct gr_version *v);
