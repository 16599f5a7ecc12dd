// INI as systemd writes it: [Section], Key=Value, comments with # or ; on lines of their own, and a
// backslash at the end of a line that joins the next one. Knows no keys.
#pragma once
#include "base/error.h"

// `line` is where the assignment begins. What it fails with ends the reading.
typedef int (*gr_ini_assign)(void *userdata, const char *section, const char *key,
                             const char *value, unsigned line);
// Fails: -EINVAL "WHERE:LINE: ..." (control characters and broken UTF-8 too); -E2BIG for a line
// over GR_INI_LINE_MAX; -ENOMEM; or as `assign`.
#define GR_INI_LINE_MAX (64u * 1024)
GR_MUST_CHECK int gr_ini_parse(const char *where, const char *bytes, size_t len,
                               gr_ini_assign assign, void *userdata, struct gr_error *e);
