// Seats of the calling threads: attach, detach, and the word by which a leaving call wakes a
// waiting writer.
#include "dispatch/internal.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

static struct gr_thread *take_seat(struct gr_dispatch *d)
{
    struct gr_thread *seat = NULL;
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->max_threads && !seat; i++)
        if (!d->threads[i].taken)
            seat = &d->threads[i];
    if (seat)
        seat->taken = true;
    pthread_mutex_unlock(&d->lock);
    return seat;
}

static void leave_seat(struct gr_thread *t)
{
    pthread_mutex_lock(&t->dispatch->lock);
    t->taken = false;
    pthread_mutex_unlock(&t->dispatch->lock);
}

int gr_thread_attach(struct gr_dispatch *d, struct gr_thread **ret)
{
    struct gr_thread *t = take_seat(d);
    if (!t)
        return -ENOSPC;
    int r = gr_stats_claim_row(d->stats, &t->row);
    if (r < 0) {
        leave_seat(t);
        return r;
    }
    r = gr_guard_enter((int32_t)t->row, &t->guard);
    if (r < 0) {
        gr_stats_release_row(d->stats, t->row);
        leave_seat(t);
        return r;
    }
    t->inside = &d->stats->seg->inside[t->row];
    atomic_store(&t->lost, false);
    t->ring = NULL;
    t->bound_nsec = 0;
    *ret = t;
    return 0;
}

void gr_thread_detach(struct gr_thread *t)
{
    if (!t)
        return;
    gr_guard_leave();
    gr_stats_release_row(t->dispatch->stats, t->row);
    leave_seat(t);
}

void gr_leave_notify(struct gr_dispatch *d)
{
    gr_asym_light();
    if (__builtin_expect(gr_asym_load(&d->waiting) == 0, 1))
        return;
    atomic_fetch_add(&d->left, 1);
    syscall(SYS_futex, &d->left, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
