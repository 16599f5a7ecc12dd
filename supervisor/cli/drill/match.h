// One logical line against one form. Pure.
#pragma once
#include "cli/drill/drill.h"

// How many words in small letters the form begins with, if the text begins with the same; else 0.
size_t gr_drill_match_head(const char *form, const char *text);
// Fills ret->args, which the caller frees also on failure. `why` says what did not fit.
// Fails: -EINVAL, -ENOMEM.
GR_MUST_CHECK int gr_drill_match(const char *form, const char *text, struct gr_drill_line *ret,
                                 char why[256]);
