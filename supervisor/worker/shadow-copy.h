// What outlives an exchange so that its request can be answered again: names and metadata, copied
// while the request is still there; its body and stable's answer, once that answer is on its way.
#pragma once
#include "dispatch/dispatch.h"

#define GR_SHADOW_HEADER "x-grayling-shadow" // "1" in a shadow's metadata, and in no other's

struct gr_shadow_copy {
    struct grayling_request request; // all of it the copy's own; no deadline
    struct gr_shadow_turn turn;
    uint64_t allowed_usec; // time that the client gave; 0: any
    struct gr_mono born;   // when it was complete
    int32_t code;          // stable's answer
    char *body, *answer;
    size_t answer_len, bytes;         // bytes: of everything
    struct grayling_header headers[]; // and then the texts
};
// NULL: out of memory.
struct gr_shadow_copy *gr_shadow_copy_new(const struct grayling_request *q,
                                          const struct gr_shadow_turn *turn, uint64_t allowed_usec);
// Takes the request's body (NULL: none) and copies the answer. Fails: -ENOMEM; the body is taken
// all the same.
GR_MUST_CHECK int gr_shadow_copy_complete(struct gr_shadow_copy *c, char *body, size_t body_len,
                                          const struct gr_response *stable);
void gr_shadow_copy_free(struct gr_shadow_copy *c);
// The same answer as stable's? Status, then payload: as JSON where the request was, else by bytes;
// texts of errors are not compared. 1, 0 or -ENOMEM.
GR_MUST_CHECK int gr_shadow_copy_same(const struct gr_shadow_copy *c, const struct gr_response *r,
                                      const struct gr_json_ignore *ignore);
