// The manual pages that come from tables, in mdoc(7).
#pragma once
#include "cli/cli.h"

void gr_manual_grayctl(FILE *to, const struct gr_verb *verbs, size_t n); // grayctl(1)
void gr_manual_config(FILE *to);                                         // grayling.conf(5)
