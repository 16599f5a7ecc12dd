// A small table under a lock; dispatch is asked outside of it only where it blocks.
#include "worker/freezes.h"
#include <errno.h>

void gr_freezes_init(struct gr_freezes *f, struct gr_dispatch *d)
{
    *f = (struct gr_freezes){.dispatch = d};
    pthread_mutex_init(&f->lock, NULL);
}

static size_t list_names(const struct gr_freeze *z, const char *ret[GR_MODULES_MAX])
{
    for (size_t i = 0; i < z->n; i++)
        ret[i] = z->modules[i].s;
    return z->n;
}

static void thaw(struct gr_freezes *f, const struct gr_freeze *z)
{
    const char *names[GR_MODULES_MAX];
    size_t n = list_names(z, names);
    gr_dispatch_thaw(f->dispatch, names, n);
}

static int remember(struct gr_freezes *f, struct gr_freeze *freeze)
{
    int r = -ENOSPC;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < GR_COUNT(f->list) && r < 0; i++) {
        if (f->list[i])
            continue;
        f->list[i] = freeze;
        r = 0;
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

int gr_freezes_begin(struct gr_freezes *f, struct gr_freeze *freeze, struct gr_error *e)
{
    GR_AUTO_FREE struct gr_freeze *own = freeze;
    const char *names[GR_MODULES_MAX];
    size_t n = list_names(own, names);
    int r = gr_dispatch_freeze(f->dispatch, names, n, GR_FREEZE_BUDGET_DEFAULT_USEC, e);
    if (r < 0)
        return r;
    r = remember(f, own);
    if (r < 0) {
        thaw(f, own);
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "asked for one more freeze, but %d are in force, which is the most; "
                            "thaw one first",
                            GR_FREEZES_MAX);
    }
    own = NULL;
    return 0;
}

static bool share_a_module(const struct gr_freeze *a, const struct gr_freeze *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (gr_name_equal(&a->modules[i], &b->modules[k]))
                return true;
    return false;
}

void gr_freezes_end(struct gr_freezes *f, const struct gr_freeze *which)
{
    thaw(f, which);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < GR_COUNT(f->list); i++) {
        if (!f->list[i] || !share_a_module(f->list[i], which))
            continue;
        thaw(f, f->list[i]);
        free(gr_steal(f->list[i]));
    }
    pthread_mutex_unlock(&f->lock);
}

uint64_t gr_freezes_expire(struct gr_freezes *f, struct gr_mono now)
{
    uint64_t next = GR_USEC_INFINITY;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < GR_COUNT(f->list); i++) {
        if (f->list[i] && f->list[i]->until.usec <= now.usec) {
            thaw(f, f->list[i]);
            free(gr_steal(f->list[i]));
        } else if (f->list[i] && f->list[i]->until.usec < next) {
            next = f->list[i]->until.usec;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return next;
}
