// Layout of the ring, for its two files. A page says what it is; each slot has its words and the
// request's header fields, then room for the largest request, the largest response, the largest
// request of the module's own, and what such requests are answered with. What was never touched
// takes no memory.
#pragma once
#include "dispatch/ring.h"

#define GR_RING_PAGE 4096u
#define GR_RING_HEAD_BYTES (32u * 1024 - 1024) // a head of GR_HEADER_BYTES_MAX, twice
#define GR_RING_KEPT_BYTES (64u * 1024) // of a payload; what was larger goes back to the system

enum gr_ring_state {
    GR_RING_FREE,
    GR_RING_ASKED,
    GR_RING_ANSWERED,
    GR_RING_HUNG_UP,
    GR_RING_CALLING, // the server wants somebody called
    GR_RING_CALLED,  // that is answered
    GR_RING_STATES,
};

struct gr_ring_slot {
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t asker_sleeps, server_sleeps;
    struct {
        uint32_t method, codec, n_headers, head_bytes;
        uint64_t deadline_usec, payload_size;
        char request_id[sizeof(((struct gr_ring_question *)0)->request_id)];
    } question;
    struct {
        int32_t code;
        uint64_t size;
        char message[sizeof(((struct gr_ring_answer *)0)->message)];
    } answer;
    struct { // by the server
        char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1];
        uint64_t payload_size;
    } call;
    struct { // by the asker
        int32_t code;
        uint32_t stays;
        uint64_t at, size;
    } result;
    char head[GR_RING_HEAD_BYTES]; // "name\0value\0" for each field
};
#define GR_RING_REQUEST_AT                                                                         \
    ((sizeof(struct gr_ring_slot) + GR_RING_PAGE - 1) / GR_RING_PAGE * GR_RING_PAGE)
#define GR_RING_RESPONSE_AT (GR_RING_REQUEST_AT + GR_REQUEST_BYTES_MAX)
#define GR_RING_CALL_AT (GR_RING_RESPONSE_AT + GR_RESPONSE_BYTES_MAX)
#define GR_RING_RESULTS_AT (GR_RING_CALL_AT + GR_REQUEST_BYTES_MAX)
// One that begins in the first half has room for the largest.
#define GR_RING_RESULTS_BYTES (2 * (uint64_t)GR_RESPONSE_BYTES_MAX)
#define GR_RING_STRIDE (GR_RING_RESULTS_AT + GR_RING_RESULTS_BYTES)
_Static_assert(GR_REQUEST_BYTES_MAX % GR_RING_PAGE == 0 &&
                   GR_RESPONSE_BYTES_MAX % GR_RING_PAGE == 0,
               "whole pages");

struct gr_ring {
    char *memory;
    size_t size;
    unsigned slots, spins;
    int fd; // -1: serving side
    // Calling side, of the question in each slot, by its asker: bytes that the largest call's
    // payload took, and the results; those that stay.
    struct gr_ring_used {
        uint64_t call, results, stay;
    } used[GR_RING_SLOTS_MAX];
};

static inline char *gr_ring_place(const struct gr_ring *r, unsigned slot)
{
    return r->memory + GR_RING_PAGE + (size_t)slot * GR_RING_STRIDE;
}

static inline struct gr_ring_slot *gr_ring_slot_at(const struct gr_ring *r, unsigned slot)
{
    return (struct gr_ring_slot *)(void *)gr_ring_place(r, slot);
}

// --- ring.c ------------------------------------------------------------------------------------
// Writes the state, and wakes who said that it sleeps.
void gr_ring_turn(struct gr_ring_slot *s, enum gr_ring_state state, _Atomic uint32_t *sleeps);
// Serving side: until the state is this one.
void gr_ring_serve_until(struct gr_ring *r, unsigned slot, enum gr_ring_state state);
// Gives `room` bytes at `at` of a slot back to the system, if more were used than are kept.
void gr_ring_give_back(const struct gr_ring *r, unsigned slot, size_t at, uint64_t used,
                       uint64_t room);
