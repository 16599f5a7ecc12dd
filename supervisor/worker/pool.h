// The threads on which versions with `execution: pool` run. They belong to no version: each has a
// share of them, with so many calls at work and so many that wait, so that one which blocks takes
// its own share and no more. Started when there is something to do, up to GR_POOL_THREADS_MAX.
#pragma once
#include "dispatch/dispatch.h"

struct gr_pool;

struct gr_task { // one call; part of what its owner keeps of it
    struct gr_task *next;
    unsigned slot;       // whose share it has room in
    uint64_t until_usec; // monotonic; not begun after that. 0: whenever
};
struct gr_pool_options {
    struct gr_dispatch *dispatch; // borrowed, as is stats; has GR_POOL_THREADS_MAX seats for it
    struct gr_stats *stats;
    unsigned threads, queue; // of one share
    // On a thread of the pool. `seat` NULL: none is left.
    void (*work)(void *userdata, struct gr_thread *seat, struct gr_task *t);
    // After work, on the same thread: the task is its owner's again. given_up: its client has been
    // answered.
    void (*done)(void *userdata, struct gr_thread *seat, struct gr_task *t, bool given_up);
    // Instead of both, on any thread, maybe under dispatch's lock: its time had passed before it
    // began; or it waited when gr_pool_send_back() came, and is its owner's again.
    void (*late)(void *userdata, struct gr_task *t);
    void (*sent_back)(void *userdata, struct gr_task *t);
    void *userdata;
};
GR_MUST_CHECK int gr_pool_new(const struct gr_pool_options *o, struct gr_pool **ret);
// Keeps room for one task in a share. Never waits. false: as many work and wait as may; counted.
bool gr_pool_reserve(struct gr_pool *p, unsigned slot);
// Gives it back.
void gr_pool_cancel(struct gr_pool *p, unsigned slot);
// Takes a task for which there is room.
void gr_pool_put(struct gr_pool *p, struct gr_task *t);
// Nobody is to wait in that share any more: gives back all that waits in it, and what had room
// there and is put later. Costs what waits, and the others nothing. Any thread.
void gr_pool_send_back(struct gr_pool *p, unsigned slot);
// From time to time: ends the tasks that wait and whose time has passed.
void gr_pool_look(struct gr_pool *p);
// The call of that seat is overdue. true: nobody waits for it any more, after `tell` was called for
// its task, under the pool's lock; its place in the share is free. Also for a seat that is none of
// the pool's. false: its thread answers after all.
bool gr_pool_give_up(struct gr_pool *p, const struct gr_thread *seat,
                     void (*tell)(void *userdata, struct gr_task *t), void *userdata);
// Threads that are inside of a call that was given up.
unsigned gr_pool_astray(struct gr_pool *p);
// Joins the threads, after what they are at: none may be astray, and nothing may wait.
void gr_pool_stop(struct gr_pool *p);
void gr_pool_free(struct gr_pool *p); // stopped; NULL is nothing
