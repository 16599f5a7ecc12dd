// The access log: one line for each request, when [Dispatch] AccessLog asks for it.
#pragma once
#include "worker/exchange.h"

// Once an answer is given. Time counts from the whole head to here, without sending.
void gr_access_log(const struct gr_exchange *x, const char *method, const char *path);
