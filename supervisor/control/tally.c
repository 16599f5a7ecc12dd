// An array in the order of use. It is short: a service has few modules.
#include "control/tally.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

void gr_tallies_done(struct gr_tallies *t)
{
    free(t->modules);
    *t = (struct gr_tallies){0};
}

static size_t find(const struct gr_tallies *t, const struct gr_name *module)
{
    size_t i = 0;
    while (i < t->n && !gr_name_equal(&t->modules[i].module, module))
        i++;
    return i;
}

struct gr_tally *gr_tallies_open(struct gr_tallies *t, const struct gr_name *module)
{
    size_t at = find(t, module);
    struct gr_tally one = {.module = *module};
    if (at < t->n) {
        one = t->modules[at];
    } else if (t->n < GR_TALLIES_MAX) {
        struct gr_tally *more = reallocarray(t->modules, t->n + 1, sizeof *more);
        if (!more)
            return NULL;
        t->modules = more;
        t->n++;
    } else {
        at--; // the oldest goes
    }
    memmove(&t->modules[1], &t->modules[0], at * sizeof one);
    t->modules[0] = one;
    return &t->modules[0];
}

const struct gr_tally *gr_tallies_find(const struct gr_tallies *t, const struct gr_name *module)
{
    size_t at = find(t, module);
    return at < t->n ? &t->modules[at] : NULL;
}

void gr_tallies_add_back(struct gr_tallies *t, uint64_t took_usec)
{
    t->back.count[gr_histogram_bucket(took_usec * 1000)]++;
    t->back_sum_nsec += took_usec * 1000;
}
