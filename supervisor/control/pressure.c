// Hysteresis and back-off of replacements for want of memory.
#include "control/pressure.h"
#include "base/limits.h"

// What forbade the next one for so long, and was not needed for as long again, is forgotten.
static bool is_forgotten(const struct gr_pressure *p, uint64_t now_usec)
{
    return p->backoff_usec == 0 || now_usec - p->last_usec >= 2 * p->backoff_usec;
}

static enum gr_pressure_move replace(struct gr_pressure *p, uint64_t now_usec)
{
    uint64_t wait = is_forgotten(p, now_usec) ? GR_PRESSURE_BACKOFF_USEC : 2 * p->backoff_usec;
    p->backoff_usec = wait < GR_PRESSURE_BACKOFF_USEC_MAX ? wait : GR_PRESSURE_BACKOFF_USEC_MAX;
    p->not_before_usec = now_usec + p->backoff_usec;
    p->last_usec = now_usec;
    p->over = 0;
    p->spent = true;
    p->told = false;
    return GR_PRESSURE_REPLACE;
}

enum gr_pressure_move gr_pressure_note(struct gr_pressure *p, uint64_t now_usec, unsigned permyriad,
                                       bool faults)
{
    if (permyriad < GR_PRESSURE_LOW_PERMYRIAD)
        p->spent = p->told = false;
    if (permyriad <= GR_PRESSURE_HIGH_PERMYRIAD) {
        p->over = 0;
        return GR_PRESSURE_WAIT;
    }
    if (p->over < GR_PRESSURE_SUSTAINED)
        p->over++;
    if (!faults || p->over < GR_PRESSURE_SUSTAINED)
        return GR_PRESSURE_WAIT;
    if (p->spent) {
        bool first = !p->told;
        p->told = true;
        return first ? GR_PRESSURE_UNHELPED : GR_PRESSURE_WAIT;
    }
    return now_usec < p->not_before_usec ? GR_PRESSURE_WAIT : replace(p, now_usec);
}

void gr_pressure_another_worker(struct gr_pressure *p)
{
    p->over = 0;
}
