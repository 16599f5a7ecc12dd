// The reader's half: how a call pins the routing table, and what it looks at before it may run.
// Publishes first the table, then the record, each time looking again afterwards: what was
// exchanged or closed before the writer looked at this seat is seen here, and what this seat
// published before is seen by the writer (docs/DISPATCH.md).
#include "dispatch/internal.h"

void gr_unpin(struct gr_thread *t)
{
    gr_asym_store(&t->entered, NULL);
    gr_leave_notify(t->dispatch);
}

static bool gate_closed(struct gr_dispatch *d, const struct gr_record *r)
{
    if (__builtin_expect(gr_asym_load(&d->any_closed) == 0, 1))
        return false;
    struct gr_gates closed;
    for (unsigned i = 0; i < GR_COUNT(closed.bits); i++)
        closed.bits[i] = gr_asym_load(&d->closed[i]);
    return gr_gates_meet(&closed, &r->reach);
}

enum gr_entry gr_pin(struct gr_thread *t, const struct grayling_request *request,
                     const struct gr_route **ret)
{
    struct gr_dispatch *d = t->dispatch;
    const char *interface_name = request->interface_name, *method_name = request->method_name;
    uint64_t hash = gr_route_hash(interface_name, method_name);
    for (;; gr_unpin(t)) { // again: the table was exchanged meanwhile, and a waiting writer wants
                           // to hear of the retreat
        struct gr_table *table = gr_asym_load(&d->current);
        gr_asym_publish(&t->entered, &table->outside);
        if (gr_asym_load(&d->current) != table)
            continue;
        const struct gr_route *route = gr_table_find(table, hash, interface_name, method_name);
        if (!route)
            return GR_NO_ROUTE;
        gr_asym_publish(&t->entered, route->record);
        *ret = route;
        if (gate_closed(d, route->record))
            return GR_GATE_CLOSED;
        if (gr_asym_load(&d->current) != table)
            continue;
        return GR_ENTERED;
    }
}
