// What each key of the configuration means, for grayling.conf(5).
#pragma once
#include "control/config.h"

struct gr_config_doc {
    const char *section, *name;
    const char *value; // what stands after "=", with its unit
    const char
        *otherwise;   // the default as `grayctl config cat` prints it; in brackets: how it is found
    const char *text; // sentences
};
// In the order of the keys. NULL: there are no more.
const struct gr_config_doc *gr_config_doc(size_t i);
