// What the writer does with the readers: closing gates, waiting for calls with a deadline, freeing
// tables that nobody is in.
#include "dispatch/internal.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

void gr_gates_publish_locked(struct gr_dispatch *d)
{
    struct gr_gates closed = d->held_by_swap;
    gr_gates_join(&closed, &d->held_by_operator);
    uint64_t any = 0;
    for (unsigned i = 0; i < GR_COUNT(closed.bits); i++) {
        gr_asym_store(&d->closed[i], closed.bits[i]);
        any |= closed.bits[i];
    }
    gr_asym_store(&d->any_closed, any != 0);
}

static void wait_left(struct gr_dispatch *d, uint32_t seen, uint64_t usec)
{
    struct timespec limit = {.tv_sec = (time_t)(usec / GR_USEC_PER_SEC),
                             .tv_nsec = (long)(usec % GR_USEC_PER_SEC) * 1000};
    // Spurious returns are harmless: the caller looks again.
    syscall(SYS_futex, &d->left, FUTEX_WAIT_PRIVATE, seen, &limit, NULL, 0);
}

int gr_drain(struct gr_dispatch *d, bool (*blocked)(struct gr_dispatch *d, void *arg), void *arg,
             struct gr_mono deadline)
{
    int r = 0;
    atomic_fetch_add(&d->waiting, 1);
    gr_asym_heavy(); // from here on a call that leaves unseen by `blocked` raises `left`
    for (;;) {
        uint32_t seen = atomic_load(&d->left);
        uint64_t now = gr_mono_now().usec;
        pthread_mutex_lock(&d->lock);
        bool still = blocked(d, arg);
        pthread_mutex_unlock(&d->lock);
        if (!still)
            break;
        if (now >= deadline.usec) {
            r = -ETIMEDOUT;
            break;
        }
        wait_left(d, seen, deadline.usec - now);
    }
    atomic_fetch_sub(&d->waiting, 1);
    return r;
}

// Is `r` a record of t? By address only: a thread that is about to notice that its table went away
// may still publish a record of a table that is freed.
static bool record_of(const struct gr_table *t, const struct gr_record *r)
{
    return r == &t->outside || (r >= t->records && r < t->records + t->n_records);
}

const struct gr_record *gr_entered_locked(struct gr_dispatch *d, const struct gr_thread *thread)
{
    const struct gr_record *r = gr_asym_load(&thread->entered);
    if (!r || record_of(atomic_load(&d->current), r))
        return r;
    for (const struct gr_table *t = d->retired; t; t = t->next_retired)
        if (record_of(t, r))
            return r;
    return NULL;
}

static bool somebody_inside(struct gr_dispatch *d, const struct gr_table *t)
{
    for (unsigned i = 0; i < d->max_threads; i++) {
        const struct gr_record *r = gr_asym_load(&d->threads[i].entered);
        if (r && record_of(t, r))
            return true;
    }
    return false;
}

// A thread pins at most the one table that it is in, so at most max_threads retired tables survive
// this.
void gr_reclaim_locked(struct gr_dispatch *d)
{
    gr_asym_heavy();
    for (struct gr_table **at = &d->retired; *at;) {
        struct gr_table *t = *at;
        if (somebody_inside(d, t)) {
            at = &t->next_retired;
            continue;
        }
        *at = t->next_retired;
        gr_table_free(t);
    }
}
