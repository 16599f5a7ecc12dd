// Requests that met a closed gate. The host keeps them; here they only wait for the word to try
// again.
#include "dispatch/internal.h"
#include <errno.h>

static bool still_closed_locked(const struct gr_dispatch *d, const struct grayling_request *request)
{
    const struct gr_route *route = gr_table_find(
        atomic_load(&d->current), gr_route_hash(request->interface_name, request->method_name),
        request->interface_name, request->method_name);
    return route && (gr_gates_meet(&route->record->reach, &d->held_by_swap) ||
                     gr_gates_meet(&route->record->reach, &d->held_by_operator));
}

int gr_dispatch_park(struct gr_dispatch *d, const struct grayling_request *request,
                     struct gr_waiter *w)
{
    int r = 0;
    pthread_mutex_lock(&d->lock);
    if (!still_closed_locked(d, request)) {
        r = -EAGAIN;
    } else if (d->n_parked == GR_PARKED_MAX) {
        r = -ENOBUFS;
    } else {
        w->next = NULL;
        *d->parked_end = w;
        d->parked_end = &w->next;
        d->n_parked++;
        gr_stats_parked_add(d->stats, 1);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}
