// Arithmetic over a ring of times. Values may come from a segment that a broken process wrote: any
// of them is taken without harm.
#include "dispatch/breaker.h"

const char *gr_breaker_state_name(enum gr_breaker_state s)
{
    static const char *const names[] = {
        [GR_BREAKER_CLOSED] = "closed",
        [GR_BREAKER_HALF_OPEN] = "half-open",
        [GR_BREAKER_OPEN] = "open",
    };
    return names[s];
}

enum gr_breaker_state gr_breaker_state(const struct gr_breaker *b, uint64_t now_usec)
{
    if (!b->open)
        return GR_BREAKER_CLOSED;
    return now_usec < b->until_usec ? GR_BREAKER_OPEN : GR_BREAKER_HALF_OPEN;
}

uint64_t gr_breaker_left_usec(const struct gr_breaker *b, uint64_t now_usec)
{
    return b->open && now_usec < b->until_usec ? b->until_usec - now_usec : 0;
}

unsigned gr_breaker_recent(const struct gr_breaker *b, const struct gr_breaker_policy *p,
                           uint64_t now_usec)
{
    uint64_t known = b->n_faults < GR_BREAKER_FAULTS_MAX ? b->n_faults : GR_BREAKER_FAULTS_MAX;
    unsigned n = 0;
    for (uint64_t i = 0; i < known; i++)
        n += b->fault_usec[i] >= b->closed_usec && b->fault_usec[i] <= now_usec &&
             now_usec - b->fault_usec[i] < p->window_usec;
    return n;
}

enum gr_breaker_answer gr_breaker_ask(struct gr_breaker *b, uint64_t now_usec)
{
    if (!b->open)
        return GR_BREAKER_PASS;
    if (now_usec < b->until_usec || b->probe)
        return GR_BREAKER_REFUSE;
    b->probe = 1;
    return GR_BREAKER_PROBE;
}

static uint64_t backoff(const struct gr_breaker *b, const struct gr_breaker_policy *p)
{
    uint64_t usec = p->backoff_usec;
    for (uint64_t i = 0; i < b->times_opened && usec < GR_BREAKER_BACKOFF_USEC_MAX; i++)
        usec *= 2;
    // who asks for a longer first one gets it
    return usec < GR_BREAKER_BACKOFF_USEC_MAX || usec == p->backoff_usec
               ? usec
               : GR_BREAKER_BACKOFF_USEC_MAX;
}

static bool open_for(struct gr_breaker *b, const struct gr_breaker_policy *p, uint64_t now)
{
    b->open = 1;
    b->probe = 0;
    b->until_usec = now + backoff(b, p);
    b->times_opened++;
    return true;
}

static bool long_well(const struct gr_breaker *b, const struct gr_breaker_policy *p, uint64_t now)
{
    uint64_t since = b->closed_usec;
    uint64_t last = b->n_faults ? b->fault_usec[(b->n_faults - 1) % GR_BREAKER_FAULTS_MAX] : 0;
    since = last > since ? last : since;
    return now >= since && now - since >= p->window_usec;
}

bool gr_breaker_fault(struct gr_breaker *b, const struct gr_breaker_policy *p, uint64_t now_usec,
                      bool probe)
{
    if (!b->open && long_well(b, p, now_usec))
        b->times_opened = 0;
    b->fault_usec[b->n_faults++ % GR_BREAKER_FAULTS_MAX] = now_usec;
    if (b->open) // one that began before is no news
        return probe && open_for(b, p, now_usec);
    if (p->faults == 0 || gr_breaker_recent(b, p, now_usec) < p->faults)
        return false;
    return open_for(b, p, now_usec);
}

void gr_breaker_probe_ended(struct gr_breaker *b, uint64_t now_usec)
{
    b->open = b->probe = 0;
    b->closed_usec = now_usec;
}

struct gr_breaker gr_breaker_handed_over(const struct gr_breaker *b)
{
    struct gr_breaker next = *b;
    next.probe = 0;
    return next;
}
