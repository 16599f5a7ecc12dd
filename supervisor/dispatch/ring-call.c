// What a module that answers in one process calls of others, through the slot that it answers in:
// its server asks, whoever waits for the answer calls. One thread on each side, one at a time.
#include "dispatch/ring-layout.h"
#include <errno.h>
#include <string.h>

#define ALIGNMENT 64u // of results

// --- serving -----------------------------------------------------------------------------------

static bool put_name(char *to, size_t room, const char *name)
{
    size_t len = strnlen(name, room);
    if (len == room)
        return false;
    memcpy(to, name, len + 1);
    return true;
}

int gr_ring_call(struct gr_ring *r, unsigned slot, const char *interface_name,
                 const char *method_name, struct grayling_bytes payload, int32_t *ret_code,
                 struct grayling_bytes *ret, bool *ret_stays)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    if (!put_name(s->call.interface_name, sizeof(s->call.interface_name), interface_name) ||
        !put_name(s->call.method_name, sizeof(s->call.method_name), method_name))
        return -ENAMETOOLONG;
    if (payload.size > GR_REQUEST_BYTES_MAX)
        return -EMSGSIZE;
    s->call.payload_size = payload.size;
    if (payload.size)
        memcpy(gr_ring_place(r, slot) + GR_RING_CALL_AT, payload.data, payload.size);
    gr_ring_turn(s, GR_RING_CALLING, &s->asker_sleeps);
    gr_ring_serve_until(r, slot, GR_RING_CALLED);
    *ret_code = s->result.code;
    *ret_stays = s->result.stays;
    *ret = s->result.size
               ? (struct grayling_bytes){gr_ring_place(r, slot) + GR_RING_RESULTS_AT + s->result.at,
                                         s->result.size}
               : (struct grayling_bytes){0};
    return 0;
}

// --- calling -----------------------------------------------------------------------------------

static bool is_text(const char *text, size_t room)
{
    return text[0] && strnlen(text, room) < room;
}

int gr_ring_called(struct gr_ring *r, unsigned slot, struct gr_ring_call *ret)
{
    __typeof__(((struct gr_ring_slot *)0)->call) c;
    memcpy(&c, &gr_ring_slot_at(r, slot)->call, sizeof(c)); // once: it may change
    if (c.payload_size > GR_REQUEST_BYTES_MAX ||
        !is_text(c.interface_name, sizeof(c.interface_name)) ||
        !is_text(c.method_name, sizeof(c.method_name)))
        return -EPROTO;
    memcpy(ret->interface_name, c.interface_name, sizeof(c.interface_name));
    memcpy(ret->method_name, c.method_name, sizeof(c.method_name));
    ret->payload =
        (struct grayling_bytes){gr_ring_place(r, slot) + GR_RING_CALL_AT, c.payload_size};
    if (c.payload_size > r->used[slot].call)
        r->used[slot].call = c.payload_size;
    return 0;
}

// The module may look at every result until it answers: they lie one behind the other. What does
// not fit into the first half is copied by the server, and its place taken by the next one.
void gr_ring_return(struct gr_ring *r, unsigned slot, int32_t code, struct grayling_bytes payload)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    struct gr_ring_used *used = &r->used[slot];
    uint64_t at = used->stay, end = at + payload.size;
    bool stays = end <= GR_RESPONSE_BYTES_MAX;
    if (payload.size)
        memcpy(gr_ring_place(r, slot) + GR_RING_RESULTS_AT + at, payload.data, payload.size);
    if (end > used->results)
        used->results = end;
    if (stays)
        used->stay = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    s->result.code = code;
    s->result.stays = stays;
    s->result.at = at;
    s->result.size = payload.size;
    gr_ring_turn(s, GR_RING_CALLED, &s->server_sleeps);
}
_Static_assert(GR_RESPONSE_BYTES_MAX % ALIGNMENT == 0, "what begins there has room");
