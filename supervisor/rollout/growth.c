// Points at even distances of requests, thinned when there is no more room. Must not know whose
// they are, nor what is too much.
#include "rollout/growth.h"

#define POINTS_PER_WARM_UP 8

// Rises below these are no growth: a pool that gets a thread, a log file that is opened late, what
// an allocator takes at once.
static const double RISE_MIN[GR_RESOURCES] = {4 << 20, 4, 4};

const char *gr_resource_name(enum gr_resource r)
{
    static const char *const names[GR_RESOURCES] = {"bytes of memory", "descriptors", "threads"};
    return names[r];
}

static void thin_out(struct gr_growth *g)
{
    for (size_t i = 0; 2 * i < g->n; i++)
        g->points[i] = g->points[2 * i];
    g->n = (g->n + 1) / 2;
    g->spacing *= 2;
}

void gr_growth_note(struct gr_growth *g, const struct gr_usage *now, uint64_t requests,
                    uint64_t warm_up)
{
    if (g->process != now->process)
        *g = (struct gr_growth){.process = now->process,
                                .next = requests + warm_up,
                                .spacing = (warm_up + POINTS_PER_WARM_UP - 1) / POINTS_PER_WARM_UP};
    if (requests < g->next)
        return;
    if (g->n == GR_GROWTH_POINTS_MAX)
        thin_out(g);
    struct gr_growth_point *p = &g->points[g->n++];
    p->requests = requests;
    for (unsigned i = 0; i < GR_RESOURCES; i++)
        p->value[i] = now->value[i];
    g->next = requests + g->spacing;
}

// Fits the points from `begin` on.
static bool fit(const struct gr_growth *g, size_t begin, enum gr_resource r, double alpha,
                struct gr_slope *ret)
{
    struct gr_slope_point p[GR_GROWTH_POINTS_MAX];
    for (size_t i = begin; i < g->n; i++)
        p[i - begin] =
            (struct gr_slope_point){(double)g->points[i].requests, (double)g->points[i].value[r]};
    return gr_slope_fit(p, g->n - begin, alpha, ret) == 0;
}

void gr_growth_slope(const struct gr_growth *g, enum gr_resource r, double alpha,
                     struct gr_slope *ret)
{
    struct gr_slope late, all;
    size_t half = g->n / 2;
    // one that is warming up was seen, though there is no point yet
    *ret = (struct gr_slope){.points = g->process && !g->n ? 1 : g->n,
                             .low = -GR_SLOPE_UNBOUNDED,
                             .high = GR_SLOPE_UNBOUNDED};
    if (g->n < GR_GROWTH_POINTS_MIN || !fit(g, half, r, alpha / 2, &late) ||
        !fit(g, 0, r, alpha / 2, &all))
        return;
    ret->per_request = late.per_request;
    ret->low = late.low < all.low ? late.low : all.low;
    ret->high = late.high;
    double span = (double)(g->points[g->n - 1].requests - g->points[half].requests);
    if (late.per_request * span < RISE_MIN[r])
        ret->per_request = ret->low = ret->high = 0;
}
