// Module and service names as values: [a-z0-9][a-z0-9._-]{0,63}. Only such a value reaches a path,
// key or label.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stddef.h>

#define GR_NAME_MAX 64
struct gr_name {
    char s[GR_NAME_MAX + 1];
};
// Fails: -EINVAL. `len` bytes, need not be terminated.
GR_MUST_CHECK int gr_name_parse(const char *text, size_t len, struct gr_name *ret);
bool gr_name_equal(const struct gr_name *a, const struct gr_name *b);
