// One thread for each slot. The module's answer is written into the slot by the host's respond();
// nothing is copied on the way.
#include "dispatch/afar.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>

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
    t->ring = ring;
    t->ring_slot = slot;
    if (gr_dispatch_call(t, &q.request, &response) == GR_CALL_PARKED) {
        gr_ring_answer(ring, slot, GRAYLING_UNAVAILABLE, 0, "the version is not routed");
        return;
    }
    int32_t code = response.code;
    uint64_t size = response.payload.size;
    gr_response_done(t->dispatch, &response);
    gr_ring_answer(ring, slot, code, size, response.message);
}

// The other side says in its sentence why a call did not end well, if the module says nothing.
static int32_t not_called(struct grayling_call *call, int32_t code, const char *why)
{
    if (!call->message[0])
        snprintf(call->message, GR_SENTENCE_BYTES, "%s", why);
    return code;
}

// What cannot stay in the slot is kept here.
static int32_t keep(struct grayling_call *call, int32_t code, struct grayling_bytes *ret)
{
    struct gr_answer *a = gr_answer_copy(*ret);
    if (!a) {
        *ret = (struct grayling_bytes){0};
        return not_called(call, GRAYLING_RESOURCE_EXHAUSTED, "memory for an answer ran out");
    }
    a->next = call->kept;
    call->kept = a;
    *ret = (struct grayling_bytes){a->data, a->size};
    return code;
}

int32_t gr_afar_call(struct grayling_call *call, const char *interface_name,
                     const char *method_name, struct grayling_bytes payload,
                     struct grayling_bytes *ret)
{
    struct gr_thread *t = call->thread;
    int32_t code;
    bool stays;
    *ret = (struct grayling_bytes){0};
    int r = gr_ring_call(t->ring, t->ring_slot, interface_name, method_name, payload, &code, ret,
                         &stays);
    if (r == -EMSGSIZE)
        return not_called(
            call, GRAYLING_RESOURCE_EXHAUSTED,
            "the payload of a call to another module is larger than a request may be");
    if (r < 0)
        return not_called(call, GRAYLING_UNIMPLEMENTED,
                          "a call to another module names none: its name is too long");
    return stays || ret->size == 0 ? code : keep(call, code, ret);
}

void gr_afar_serve(struct gr_thread *t, struct gr_ring *ring, unsigned slot,
                   const struct gr_contract *contract)
{
    for (;;) {
        gr_ring_wait(ring, slot);
        answer(t, ring, slot, contract);
    }
}
