// Harm budgets: how many bad answers a version on trial may still give. One shared-memory segment,
// which the supervisor makes and all its workers map: the one that serves, one that drains and one
// that lost its supervisor count together, so the Nth bad answer is the Nth of all of them.
//
// A bad answer is a run of the version on trial, for a real request (no shadow), that faulted or
// ended with a code that is the server's fault (gr_code_is_server_error): what the statistics count
// and the analysis judges. That stable answered again for it, or that a module called and made do
// without, changes nothing: the version was bad.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include "base/name.h"
#include <stdint.h>

struct gr_harms; // a mapping of the segment
struct gr_harm;  // one budget in it

// Makes the memfd (sealed against resizing) and maps it.
GR_MUST_CHECK int gr_harms_new(struct gr_harms **ret, int *ret_fd);
// Fails: -EPROTO when it is no such segment, or another build's.
GR_MUST_CHECK int gr_harms_map(int fd, struct gr_harms **ret);
void gr_harms_free(struct gr_harms *s); // unmaps only
// NULL: there is no such number, or nothing has it.
struct gr_harm *gr_harms_at(struct gr_harms *s, unsigned number);

// --- the supervisor, which alone opens and closes ---

// The number of the budget of one module in one rollout. One that is open goes on with what was
// counted; else `total` bad answers, of which `given` were given before. Fails: -ENOSPC.
GR_MUST_CHECK int gr_harms_open(struct gr_harms *s, int64_t rollout, const struct gr_name *module,
                                uint64_t total, uint64_t given);
// The same without opening it; NULL: none.
struct gr_harm *gr_harms_find(struct gr_harms *s, int64_t rollout, const struct gr_name *module);
// The rollout is over. What a late call still counts there goes to nobody: numbers are given again
// as late as can be.
void gr_harms_close(struct gr_harms *s, int64_t rollout);
// No worker that ever served is left: what was kept for calls that died with one is free again.
void gr_harms_forget_calls(struct gr_harms *s);

// --- any thread of any worker ---

// Keeps one of what is left for a call that is about to run. false: nothing is left, or all that is
// left is kept for calls that run now.
bool gr_harm_take(struct gr_harm *h);
void gr_harm_give_back(struct gr_harm *h); // the call ended well
// A bad answer; `taken`: by a call that gr_harm_take() kept one for. true: this was the Nth.
GR_MUST_CHECK bool gr_harm_count(struct gr_harm *h, bool taken);
bool gr_harm_is_spent(const struct gr_harm *h);
uint64_t gr_harm_given(const struct gr_harm *h); // bad answers so far, with those of before
int64_t gr_harm_rollout(const struct gr_harm *h);
const char *gr_harm_module(const struct gr_harm *h);
