// Where a complete request goes: to the door's own pages, or as a Connect call into dispatch.
#pragma once
#include "worker/exchange.h"

// `path` is the target without its query. Called again after a wait.
enum MHD_Result gr_route_request(struct gr_exchange *x, const char *path, const char *method);
// The end of a call on a thread that does not serve its lane: whoever does sends the answer, unless
// the client has one. From here on the exchange is theirs. seat NULL: it was not called.
void gr_route_settle(struct gr_exchange *x, struct gr_thread *seat,
                     const struct grayling_request *q, enum gr_call_result result, bool given_up);
enum MHD_Result gr_route_refuse_oversized(struct gr_exchange *x);
