// Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), read field by field and
// without copying. Knows no schema.
#pragma once
#include "base/macros.h"
#include <stddef.h>
#include <stdint.h>

enum gr_wire_type {
    GR_WIRE_VARINT = 0,
    GR_WIRE_FIXED64 = 1,
    GR_WIRE_BYTES = 2,
    GR_WIRE_FIXED32 = 5
};

struct gr_wire { // what is left to read; borrowed
    const unsigned char *at;
    size_t left;
};
struct gr_wire_field {
    uint64_t number;
    enum gr_wire_type type;
    uint64_t value;       // of a varint or fixed number
    struct gr_wire bytes; // of text, bytes, a message or packed numbers
};
// 1: *ret is the next field; 0: the end. Fails: -EBADMSG (cut off, overlong, a group).
GR_MUST_CHECK int gr_wire_next(struct gr_wire *w, struct gr_wire_field *ret);
// 1: one number of a packed list; 0: the end. Fails: -EBADMSG.
GR_MUST_CHECK int gr_wire_number(struct gr_wire *w, uint64_t *ret);
