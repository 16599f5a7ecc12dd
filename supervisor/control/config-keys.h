// Which keys the configuration has, how their values are read, and how they are printed. Private
// to control/config*.c.
#pragma once
#include "control/config.h"

// Where an assignment stands: a file and a line, or "--set" (line 0).
struct gr_config_place {
    const char *where;
    unsigned line;
};
#define GR_CONFIG_SET "--set"

// Fails: -EINVAL, the sentence begins with the place and names the nearest key when there is one.
GR_MUST_CHECK int gr_config_assign(struct gr_config *c, const struct gr_config_place *at,
                                   const char *section, const char *key, const char *value,
                                   struct gr_error *e);
// Fails: -EINVAL, begins with the place.
int gr_config_refuse(const struct gr_config_place *at, struct gr_error *e, const char *format, ...)
    GR_PRINTF(3, 4);
// Replaces *at by a copy; "" becomes NULL. Fails: -ENOMEM.
GR_MUST_CHECK int gr_config_set_text(char **at, const char *value);
// Reads one file's text. Fails: as gr_ini_parse and gr_config_assign.
GR_MUST_CHECK int gr_config_take_text(struct gr_config *c, const char *where, const char *bytes,
                                      size_t len, struct gr_error *e);
