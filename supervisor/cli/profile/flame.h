// A flame graph as one SVG file that needs nothing else: no script, no font, no network. Who points
// at a frame, or has the file read out, is told its name and share.
#pragma once
#include "cli/profile/tree.h"

// `title` and `subtitle` are plain text.
void gr_flame_write(const struct gr_call_tree *t, const char *title, const char *subtitle,
                    FILE *to);
