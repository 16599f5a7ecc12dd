// The view as JSON: the status keys of INTERFACES §4 and, with more of everything, the control
// socket's answers. Pure.
#pragma once
#include "control/view.h"
#include <cjson/cJSON.h>

#define GR_API_VERSION "grayling/v1"

// Each returns a new object, caller frees; NULL: out of memory.
cJSON *gr_view_instance_key(const struct gr_view *v); // .../instances/{instance}
cJSON *
gr_view_module_key(const struct gr_view_module *m);   // .../instances/{instance}/modules/{module}
cJSON *gr_view_to_json(const struct gr_view *v);      // everything: instance, source, modules with
                                                      // counters, gauges, convictions
cJSON *gr_view_host_to_json(const struct gr_view *v); // of it: instance, source, gauges
// What an operator who steered it is told: module, rollout, step, phase, message.
cJSON *gr_view_steered_json(const struct gr_view_module *m);
cJSON *gr_view_module_to_json(const struct gr_view_module *m); // one module with counters
cJSON *gr_view_find_module_json(const struct gr_view *v,
                                const char *module); // NULL too when there is none
cJSON *
gr_conviction_to_json(const struct gr_conviction *c); // also the value of .../quarantine/{sha256}
