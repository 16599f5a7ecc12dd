// SHA-256 as a value: parse, format, compare, and hash while streaming (OpenSSL EVP).
#pragma once
#include "base/error.h"
#include <stdint.h>

struct gr_digest {
    uint8_t bytes[32];
};
#define GR_DIGEST_TEXT_MAX 72 // "sha256:" + 64 hex + NUL
// "sha256:<64 lower-case hex>" only. Fails: -EINVAL.
GR_MUST_CHECK int gr_digest_parse(const char *text, struct gr_digest *ret);
const char *gr_digest_format(const struct gr_digest *d, char buf[GR_DIGEST_TEXT_MAX]);
// The first 16 hex digits, for file names and tables; buf of 17.
const char *gr_digest_short(const struct gr_digest *d, char buf[17]);
bool gr_digest_equal(const struct gr_digest *a, const struct gr_digest *b);

struct gr_hasher;
GR_MUST_CHECK int gr_hasher_new(struct gr_hasher **ret);
void gr_hasher_free(struct gr_hasher *h);
static inline void gr_hasher_freep(struct gr_hasher **h)
{
    gr_hasher_free(*h);
}
GR_MUST_CHECK int gr_hasher_update(struct gr_hasher *h, const void *bytes, size_t len);
GR_MUST_CHECK int gr_hasher_finish(struct gr_hasher *h, struct gr_digest *ret);
// Hashes the whole file behind fd with pread; the offset is untouched. Blocks. ret_bytes may be
// NULL.
GR_MUST_CHECK int gr_digest_fd(int fd, struct gr_digest *ret, uint64_t *ret_bytes);
