// Orders that exchange the routing table: swap (under freeze) and route (without), as the channel
// says them (base/channel.h).
#pragma once
#include "worker/inventory.h"

// Reads the order whole before anything is touched, obeys it, and notes in the inventory what is in
// force. NULL: *e says why, and nothing has changed (out of memory: *e untouched). Blocks, a swap
// for its budget.
cJSON *gr_tables_swap(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *order,
                      uint64_t id, struct gr_error *e);
cJSON *gr_tables_route(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *order,
                       uint64_t id, struct gr_error *e);
