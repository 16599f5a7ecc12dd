// The dispatch object: made with an empty table, freed with everything it loaded; and what status
// asks of it.
#include "dispatch/dispatch.h"
#include "dispatch/internal.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

static int open_stats(struct gr_dispatch *d, struct gr_stats *given)
{
    d->private_stats_fd = -1;
    d->stats = given;
    return given ? 0 : gr_stats_new(&d->stats, &d->private_stats_fd);
}

static void free_parts(struct gr_dispatch *d)
{
    if (d->private_stats_fd >= 0) {
        gr_stats_free(d->stats);
        close(d->private_stats_fd);
    }
    gr_table_free(atomic_load(&d->current));
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->breakers_lock);
    free(d->threads);
    free(d);
}

static int allocate(const struct gr_dispatch_options *o, struct gr_dispatch **ret)
{
    struct gr_dispatch *d = aligned_alloc(_Alignof(struct gr_dispatch), sizeof(*d));
    if (!d)
        return -ENOMEM;
    memset(d, 0, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->breakers_lock, NULL);
    d->options = *o;
    d->max_threads = o->max_threads;
    d->parked_end = &d->parked;
    d->private_stats_fd = -1;
    d->threads = aligned_alloc(_Alignof(struct gr_thread), o->max_threads * sizeof(*d->threads));
    if (!d->threads) {
        free_parts(d);
        return -ENOMEM;
    }
    memset(d->threads, 0, o->max_threads * sizeof(*d->threads));
    for (unsigned i = 0; i < o->max_threads; i++) {
        d->threads[i].dispatch = d;
        d->threads[i].index = i;
    }
    *ret = d;
    return 0;
}

int gr_dispatch_new(const struct gr_dispatch_options *o, struct gr_dispatch **ret,
                    struct gr_error *e)
{
    if (o->max_threads < 1 || o->max_threads > GR_THREADS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked for %u dispatch threads, but 1 to %d are possible",
                            o->max_threads, GR_THREADS_MAX);
    gr_asym_init();
    struct gr_dispatch *d;
    struct gr_table *empty = NULL;
    int r = allocate(o, &d);
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_INTERNAL,
                                      "asked for a dispatch table, but memory ran out");
    r = open_stats(d, o->stats);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL,
                     "asked for a statistics segment: %s; memfd_create and mmap must be allowed",
                     strerror(-r));
    else
        r = gr_table_build(0, NULL, 0, &empty, e);
    if (r < 0) {
        free_parts(d);
        return r;
    }
    atomic_store(&d->current, empty);
    *ret = d;
    return 0;
}

static void keep_for_ever(struct gr_dispatch *d)
{
    static _Atomic(struct gr_dispatch *) kept; // where a leak checker finds it
    d->next_kept = atomic_load(&kept);
    while (!atomic_compare_exchange_weak(&kept, &d->next_kept, d))
        continue;
}

void gr_dispatch_free(struct gr_dispatch *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->max_threads; i++)
        assert(!d->threads[i].taken);
    // Nobody is inside: the last table goes the way of all retired ones, so that unload finds
    // nothing in its way.
    struct gr_table *last = atomic_exchange(&d->current, NULL);
    last->next_retired = d->retired;
    d->retired = last;
    for (int r = 0; d->instances && r != -EINVAL;)
        r = gr_instance_unload(d, d->instances, 0); // pinned ones leave the list too
    pthread_mutex_lock(&d->lock);
    gr_reclaim_locked(d);
    pthread_mutex_unlock(&d->lock);
    gr_guard_uninstall(d);
    if (gr_dispatch_is_astray(
            d)) // a hook that never came back may still do so, and asks its host for something
        keep_for_ever(d);
    else
        free_parts(d);
}

void gr_dispatch_each(struct gr_dispatch *d,
                      void (*fn)(void *userdata, const char *module, const char *version,
                                 unsigned slot),
                      void *userdata)
{
    pthread_mutex_lock(&d->lock);
    const struct gr_table *t = atomic_load(&d->current);
    for (size_t i = 0; i < t->n_records; i++) {
        const struct gr_member *m = &t->records[i].member;
        const struct gr_instance *versions[] = {m->stable, m->candidate};
        for (size_t v = 0; v < GR_COUNT(versions); v++)
            if (versions[v])
                fn(userdata, versions[v]->contract->module.s, versions[v]->contract->version.text,
                   versions[v]->slot);
    }
    pthread_mutex_unlock(&d->lock);
}

struct gr_gray *gr_dispatch_gray(struct gr_dispatch *d, int64_t rollout)
{
    struct gr_gray *found = NULL;
    pthread_mutex_lock(&d->lock);
    const struct gr_table *t = atomic_load(&d->current);
    for (size_t i = 0; i < t->n_rollouts && !found; i++)
        if (gr_gray_rollout(t->rollouts[i].gray) == rollout)
            found = gr_gray_ref(t->rollouts[i].gray);
    pthread_mutex_unlock(&d->lock);
    return found;
}

uint64_t gr_dispatch_pinned(const struct gr_dispatch *d)
{
    return atomic_load(&d->pinned);
}

bool gr_dispatch_is_astray(struct gr_dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    bool astray = d->handing > 0;
    pthread_mutex_unlock(&d->lock);
    return astray;
}
