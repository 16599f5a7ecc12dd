// Where a complete request goes: to the door's own pages, or as a Connect call into dispatch.
#pragma once
#include "worker/exchange.h"

// `path` is the target without its query. Called again after a wait.
enum MHD_Result gr_route_request(struct gr_exchange *x, const char *path, const char *method);
enum MHD_Result gr_route_refuse_oversized(struct gr_exchange *x);
