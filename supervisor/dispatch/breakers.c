// The breakers of the loaded versions: kept in the statistics segment, where the supervisor reads
// them and from where the next worker gets them, and changed under one lock of this process. A
// closed breaker costs a call one load.
#include "dispatch/breaker.h"
#include "dispatch/internal.h"

// --- in a call ---------------------------------------------------------------------------------

// As one would find it that is not asked yet: whoever is told no is the probe no more than others.
static bool refuses(const struct gr_breaker *b, uint64_t now_usec)
{
    return b->open && (b->probe || gr_breaker_state(b, now_usec) == GR_BREAKER_OPEN);
}

bool gr_breakers_refuse(const struct gr_instance *i, uint64_t now_usec)
{
    struct gr_breaker b;
    gr_stats_breaker_read(i->breaker, &b);
    return refuses(&b, now_usec);
}

bool gr_breakers_admit(struct gr_instance *i, uint64_t now_usec, bool *ret_probe)
{
    struct gr_dispatch *d = i->dispatch;
    struct gr_breaker b;
    gr_stats_breaker_read(i->breaker, &b);
    // Only a call that could be the probe takes the lock.
    if (refuses(&b, now_usec))
        return false;
    pthread_mutex_lock(&d->breakers_lock);
    gr_stats_breaker_read(i->breaker, &b);
    enum gr_breaker_answer answer = gr_breaker_ask(&b, now_usec);
    gr_stats_breaker_write(i->breaker, &b);
    pthread_mutex_unlock(&d->breakers_lock);
    *ret_probe = answer == GR_BREAKER_PROBE;
    return answer != GR_BREAKER_REFUSE;
}

static void tell(const struct gr_instance *i, const struct gr_breaker *b, uint64_t now_usec)
{
    const struct gr_dispatch_options *o = &i->dispatch->options;
    if (o->on_breaker)
        o->on_breaker(o->userdata, i->slot, gr_breaker_state(b, now_usec),
                      gr_breaker_recent(b, &o->breaker, now_usec),
                      gr_breaker_left_usec(b, now_usec));
}

void gr_breakers_fault(struct gr_instance *i, bool probe, uint64_t now_usec)
{
    struct gr_dispatch *d = i->dispatch;
    struct gr_breaker b;
    pthread_mutex_lock(&d->breakers_lock);
    gr_stats_breaker_read(i->breaker, &b);
    bool opened = gr_breaker_fault(&b, &d->options.breaker, now_usec, probe);
    gr_stats_breaker_write(i->breaker, &b);
    pthread_mutex_unlock(&d->breakers_lock);
    if (opened)
        tell(i, &b, now_usec);
}

void gr_breakers_probe_ended(struct gr_instance *i, uint64_t now_usec)
{
    struct gr_dispatch *d = i->dispatch;
    struct gr_breaker b;
    pthread_mutex_lock(&d->breakers_lock);
    gr_stats_breaker_read(i->breaker, &b);
    gr_breaker_probe_ended(&b, now_usec);
    gr_stats_breaker_write(i->breaker, &b);
    pthread_mutex_unlock(&d->breakers_lock);
    tell(i, &b, now_usec);
}

// --- for health --------------------------------------------------------------------------------

void gr_dispatch_each_broken(struct gr_dispatch *d,
                             void (*fn)(void *userdata, const char *module, const char *version,
                                        enum gr_breaker_state state, uint64_t left_usec),
                             void *userdata)
{
    uint64_t now = gr_mono_now().usec;
    pthread_mutex_lock(&d->lock);
    const struct gr_table *t = atomic_load(&d->current);
    for (size_t i = 0; i < t->n_records; i++) {
        const struct gr_instance *stable = t->records[i].member.stable;
        struct gr_breaker b;
        if (!stable)
            continue;
        gr_stats_breaker_read(stable->breaker, &b);
        enum gr_breaker_state state = gr_breaker_state(&b, now);
        if (state != GR_BREAKER_CLOSED)
            fn(userdata, stable->contract->module.s, stable->contract->version.text, state,
               gr_breaker_left_usec(&b, now));
    }
    pthread_mutex_unlock(&d->lock);
}
