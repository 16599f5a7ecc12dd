// Private bytes: a memfd that nobody else can change, hashed while it is filled, sealed before it
// is read. Facts are taken from it and the store file is written from it, so what was judged is
// what is kept.
#pragma once
#include "base/digest.h"
#include "base/error.h"
#include <stdint.h>

struct gr_bytes;

// `max`: more is -EFBIG. Owns: *ret by caller. Fails: -ENOMEM, errno of memfd_create.
GR_MUST_CHECK int gr_bytes_new(uint64_t max, struct gr_bytes **ret);
void gr_bytes_free(struct gr_bytes *b); // NULL is fine
static inline void gr_bytes_freep(struct gr_bytes **b)
{
    gr_bytes_free(*b);
}
// Fails: -EFBIG (nothing appended), errno of write.
GR_MUST_CHECK int gr_bytes_append(struct gr_bytes *b, const void *data, size_t len);
// Appends at most `chunk` bytes read from fd. 1: some; 0: end of the file. Fails: as append, errno
// of read.
GR_MUST_CHECK int gr_bytes_append_fd(struct gr_bytes *b, int fd, size_t chunk);
// Appends until the end of the file, then seals. Blocks.
GR_MUST_CHECK int gr_bytes_load(struct gr_bytes *b, int fd);
// Seals against every change, finishes the digest and maps the bytes for reading.
GR_MUST_CHECK int gr_bytes_seal(struct gr_bytes *b);

uint64_t gr_bytes_size(const struct gr_bytes *b);
int gr_bytes_fd(const struct gr_bytes *b); // borrowed
// After the seal only.
const void *gr_bytes_data(const struct gr_bytes *b);
const struct gr_digest *gr_bytes_digest(const struct gr_bytes *b);
