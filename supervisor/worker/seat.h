// The dispatch seat of the running thread: taken at its first call, given back when it ends.
#pragma once
#include "dispatch/dispatch.h"

// NULL: all seats are taken. Only for threads that end before gr_dispatch_free().
struct gr_thread *gr_seat_take(struct gr_dispatch *d);
