// The pool that answers copies of requests: threads and seats of its own, a bounded queue, low
// priority. Nobody waits for it: what has no room or comes too late is dropped and counted with the
// candidate.
#pragma once
#include "worker/shadow-copy.h"

struct gr_shadow;
// Needs GR_SHADOW_THREADS seats of the dispatch.
GR_MUST_CHECK int gr_shadow_start(struct gr_dispatch *d, struct gr_shadow **ret);
// Takes the copy, which is complete. Never waits. `seat` is the calling thread's.
void gr_shadow_offer(struct gr_shadow *s, struct gr_thread *seat, struct gr_shadow_copy *c);
// A copy that could not be made.
void gr_shadow_lost(struct gr_thread *seat, const struct grayling_request *q,
                    const struct gr_shadow_turn *turn);
// Drops what waits, and from now on all that is offered. NULL is nothing.
void gr_shadow_close(struct gr_shadow *s);
// After close: no copy is being answered. NULL is idle.
bool gr_shadow_idle(struct gr_shadow *s);
// Closes, and joins the threads after what they are at. NULL is nothing.
void gr_shadow_stop(struct gr_shadow *s);
