// A hook of state between the worker and the process of an isolated version (isolated.c):
//   {"type":"export","id"}                                   + fds [parcel]
//   {"type":"import","id","schema","size","object"}          + fds [parcel, sealed]
//     -> {"type":"hooked","id","end":"done|code|crashed|release-crashed|wrong","code","what",
//         "schema","size","object"}
// The answer is written by a process that runs module code.
#pragma once
#include "base/json.h"
#include "dispatch/carry.h"

cJSON *gr_hook_order(const struct gr_state_hook *h, uint64_t id);  // NULL: out of memory
cJSON *gr_hook_answer(const struct gr_state_hook *h, uint64_t id); // NULL: out of memory
// false: the message is another. The parcel is not of the message.
bool gr_hook_read_order(const cJSON *m, struct gr_state_hook *ret, uint64_t *ret_id);
// Of the hook with this number. Fails: -ENOENT, it is of another; -EPROTO. *h is untouched then.
GR_MUST_CHECK int gr_hook_read_answer(const cJSON *m, uint64_t id, struct gr_state_hook *h);
