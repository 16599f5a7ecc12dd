// See backoff.h.
#include "watchers/backoff.h"
#include "base/clock.h"
#include <sys/random.h>

#define FIRST_USEC (100 * GR_USEC_PER_MSEC)
#define LAST_USEC (10 * GR_USEC_PER_SEC)

uint64_t gr_backoff_ceiling_usec(unsigned failures)
{
    uint64_t ceiling = FIRST_USEC;
    for (unsigned i = 0; i < failures && ceiling < LAST_USEC; i++)
        ceiling *= 2;
    return ceiling < LAST_USEC ? ceiling : LAST_USEC;
}

uint64_t gr_backoff_next_usec(struct gr_backoff *b, unsigned patience)
{
    uint64_t random = 0;
    uint64_t ceiling = FIRST_USEC / 4;
    if (b->failures >= patience)
        ceiling = gr_backoff_ceiling_usec(b->failures - patience);
    if (b->failures < UINT32_MAX)
        b->failures++;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return random % (ceiling + 1);
}
