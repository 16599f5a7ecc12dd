// grayling-worker --isolated: the process of one version whose contract says `isolation: process`.
// Started by the worker's nursery (nursery.h), which says what is spoken over the channel.
#pragma once
#include "base/macros.h"

#define GR_ISOLATED_ARGUMENT "--isolated"

// Serves until the channel says end, or breaks. `channel` is taken. Returns the exit status.
GR_MUST_CHECK int gr_isolated_run(int channel);
