#include "cli/contract/wire.h"
#include <errno.h>

#define VARINT_BITS 64

int gr_wire_number(struct gr_wire *w, uint64_t *ret)
{
    uint64_t value = 0;
    if (w->left == 0)
        return 0;
    for (unsigned shift = 0; shift < VARINT_BITS && w->left > 0; shift += 7) {
        unsigned char byte = *w->at++;
        w->left--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return 1;
        }
    }
    return -EBADMSG;
}

static int read_fixed(struct gr_wire *w, size_t len, uint64_t *ret)
{
    if (w->left < len)
        return -EBADMSG;
    *ret = 0;
    for (size_t i = 0; i < len; i++)
        *ret |= (uint64_t)w->at[i] << (8 * i);
    w->at += len;
    w->left -= len;
    return 1;
}

static int read_bytes(struct gr_wire *w, struct gr_wire *ret)
{
    uint64_t len;
    if (gr_wire_number(w, &len) != 1 || len > w->left)
        return -EBADMSG;
    *ret = (struct gr_wire){.at = w->at, .left = (size_t)len};
    w->at += len;
    w->left -= (size_t)len;
    return 1;
}

int gr_wire_next(struct gr_wire *w, struct gr_wire_field *ret)
{
    uint64_t key;
    int r = gr_wire_number(w, &key);
    if (r != 1)
        return r;
    *ret = (struct gr_wire_field){.number = key >> 3, .type = (enum gr_wire_type)(key & 7)};
    switch (key & 7) {
    case GR_WIRE_VARINT:
        return gr_wire_number(w, &ret->value) == 1 ? 1 : -EBADMSG;
    case GR_WIRE_FIXED64:
        return read_fixed(w, 8, &ret->value);
    case GR_WIRE_BYTES:
        return read_bytes(w, &ret->bytes);
    case GR_WIRE_FIXED32:
        return read_fixed(w, 4, &ret->value);
    default:
        return -EBADMSG;
    }
}
