// Who runs on the pool's threads without having asked for it: a module with `execution: inline`
// that can call one with `execution: pool`, as dispatch/table.c finds it. Pure: from contracts.
#pragma once
#include "base/contract.h"
#include "base/limits.h"

// What there is to say about set[at], a sentence; "" and false: nothing. Of an inline module: whom
// it reaches. Of one of the pool: who reaches it. NULL contracts are not known, and say nothing.
bool gr_pooling_say(const struct gr_contract *const *set, size_t n, size_t at,
                    char ret[GR_MESSAGE_MAX]);
