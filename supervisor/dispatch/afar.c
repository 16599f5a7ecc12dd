// One thread for each slot. The module's answer is written into the slot by the host's respond();
// nothing is copied on the way.
#include "dispatch/afar.h"
#include "dispatch/internal.h"

// Numbers count over all interfaces, as they do in the routing table. false: there is none such.
static bool name_method(const struct gr_contract *c, struct grayling_request *q)
{
    uint32_t left = q->method;
    for (size_t i = 0; i < c->n_provides; i++) {
        const struct gr_contract_interface *f = &c->provides[i];
        if (left < f->n_methods) {
            q->interface_name = f->name;
            q->method_name = f->methods[left].name;
            return true;
        }
        left -= (uint32_t)f->n_methods;
    }
    return false;
}

static void answer(struct gr_thread *t, struct gr_ring *ring, unsigned slot,
                   const struct gr_contract *contract)
{
    struct gr_ring_question q GR_UNINITIALIZED;
    struct gr_response response GR_UNINITIALIZED;
    if (gr_ring_question(ring, slot, &q) < 0 || !name_method(contract, &q.request)) {
        gr_ring_answer(ring, slot, GRAYLING_INTERNAL, 0, "the worker asked what is no request");
        return;
    }
    t->room = gr_ring_room(ring, slot);
    if (gr_dispatch_call(t, &q.request, &response) == GR_CALL_PARKED) {
        gr_ring_answer(ring, slot, GRAYLING_UNAVAILABLE, 0, "the version is not routed");
        return;
    }
    int32_t code = response.code;
    uint64_t size = response.payload.size;
    gr_response_done(t->dispatch, &response);
    gr_ring_answer(ring, slot, code, size, response.message);
}

void gr_afar_serve(struct gr_thread *t, struct gr_ring *ring, unsigned slot,
                   const struct gr_contract *contract)
{
    for (;;) {
        gr_ring_wait(ring, slot);
        answer(t, ring, slot, contract);
    }
}
