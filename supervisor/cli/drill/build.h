// Artifacts and documents of drills. Each build has a digest of its own: nothing of it is in a
// store or in a quarantine yet.
#pragma once
#include "cli/drill/drill.h"
#include "cli/drill/world.h"

struct gr_drill_build {
    const char *module, *version;
    const char *build; // a directory below next/; NULL: an ordinary build
    const char *from;  // what the artifact server does with it; NULL: a file
    bool wrong_digest;
    const char *more; // JSON of members that replace those of the document; NULL: none
};
// Where module builds are: $GRAYLING_MODULES, the build tree's beside grayctl, or the installed
// ones. Fails: -ENOENT.
GR_MUST_CHECK int gr_drill_find_modules(const char *given, char *buf, size_t cap,
                                        struct gr_error *e);
// *ret is the caller's. Fails: -ENOENT (no such build), negative errno of the copy.
GR_MUST_CHECK int gr_drill_document(struct gr_world *w, const char *modules,
                                    const struct gr_drill_build *b, cJSON **ret,
                                    struct gr_error *e);
