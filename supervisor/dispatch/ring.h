// The shared memory through which a version in a process of its own is called: a number of slots,
// each for one call at a time and each served by one thread of the other process. A payload is
// written into the slot once and read where it lies.
//
// Either side may be killed at any instant, and what runs on the serving side is module code: the
// calling side checks every number that it reads, reads it once, and waits for nothing without an
// end. There are no locks. Who waits, waits on the slot's state (futex(2)), after a short spin
// where there is more than one processor.
#pragma once
#include "base/contract.h"
#include "base/limits.h"
#include "base/macros.h"
#include <grayling/module.h>
#include <stdatomic.h>
#include <stdbool.h>

struct gr_ring; // a mapping of it

// Calling side: makes the memory, sealed against resizing, with 1..GR_RING_SLOTS_MAX slots. Fails:
// -EINVAL, -ENOMEM, errno of memfd_create and mmap. *ret_fd is the caller's.
GR_MUST_CHECK int gr_ring_new(unsigned slots, struct gr_ring **ret, int *ret_fd);
// Serving side. `fd` stays the caller's. Fails: -EPROTO for what is no ring of this build.
GR_MUST_CHECK int gr_ring_map(int fd, struct gr_ring **ret);
void gr_ring_free(struct gr_ring *r); // unmaps only; NULL is nothing
unsigned gr_ring_slots(const struct gr_ring *r);

// --- calling -----------------------------------------------------------------------------------

// Puts a request into a slot that nobody uses, and wakes its server. Fails: -EMSGSIZE when its
// header fields or payload have no room; nobody was woken.
GR_MUST_CHECK int gr_ring_ask(struct gr_ring *r, unsigned slot, const struct grayling_request *q);
enum { GR_RING_HAS_ANSWERED, GR_RING_WANTS_A_CALL };
// Waits until it is answered, or its server wants somebody called, until then (CLOCK_MONOTONIC) or
// until *gone, which whoever sets it follows by gr_ring_hang_up(). Fails: -ETIMEDOUT, -EPIPE; the
// slot is then lost: its server may still write to it.
GR_MUST_CHECK int gr_ring_await(struct gr_ring *r, unsigned slot, uint64_t until_usec,
                                const _Atomic bool *gone);
void gr_ring_hang_up(struct gr_ring *r, unsigned slot);

struct gr_ring_answer {
    int32_t code;
    struct grayling_bytes payload; // in the slot; the server can still change the bytes
    char message[256];
};
// What was answered. Fails: -EPROTO for a size that the slot does not have.
GR_MUST_CHECK int gr_ring_read(const struct gr_ring *r, unsigned slot, struct gr_ring_answer *ret);
struct gr_ring_call {
    char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1];
    struct grayling_bytes payload; // in the slot; the server can still change the bytes
};
// Who is to be called, when the server wants that. Fails: -EPROTO for what no module is called by.
GR_MUST_CHECK int gr_ring_called(struct gr_ring *r, unsigned slot, struct gr_ring_call *ret);
// What came of it, GR_RESPONSE_BYTES_MAX at most; gr_ring_await() follows.
void gr_ring_return(struct gr_ring *r, unsigned slot, int32_t code, struct grayling_bytes payload);
// The slot may be asked again; what a large payload took is given back to the system.
void gr_ring_clear(struct gr_ring *r, unsigned slot);

// --- serving -----------------------------------------------------------------------------------

struct gr_ring_question {
    struct grayling_request request; // without names: those of the method's number
    struct grayling_header headers[GR_HEADERS_MAX];
    char request_id[40];
};
void gr_ring_wait(struct gr_ring *r, unsigned slot); // until it is asked
// Everything but the payload's bytes is checked. *ret points into the slot and into itself. Fails:
// -EPROTO.
GR_MUST_CHECK int gr_ring_question(struct gr_ring *r, unsigned slot, struct gr_ring_question *ret);
// Where the answer's payload goes: GR_RESPONSE_BYTES_MAX bytes.
void *gr_ring_room(struct gr_ring *r, unsigned slot);
// Before that: has the asker call somebody, and waits for what comes of it. *ret lies in the slot,
// until the answer or, without *ret_stays, until the next such call. Fails: -ENAMETOOLONG for what
// nobody is called, -EMSGSIZE.
GR_MUST_CHECK int gr_ring_call(struct gr_ring *r, unsigned slot, const char *interface_name,
                               const char *method_name, struct grayling_bytes payload,
                               int32_t *ret_code, struct grayling_bytes *ret, bool *ret_stays);
// Answers with `size` bytes that lie there. `message` may be "".
void gr_ring_answer(struct gr_ring *r, unsigned slot, int32_t code, uint64_t size,
                    const char *message);
