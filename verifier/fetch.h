// Gets the bytes of an artifact from the first source that has them: mirrors in order, retries, one
// deadline.
#pragma once
#include "base/clock.h"
#include "verifier/bytes.h"
#include "verifier/policy.h"
#include "watchers/transport/transport.h"

struct gr_fetch;
struct gr_fetch_options { // copied
    sd_event *event;
    struct gr_transport *transport;
    struct gr_policy *policy; // referenced
    const char *const *sources;
    size_t n_sources;
    const struct gr_digest *digest; // a source that gives other bytes has failed
    uint64_t size;                  // 0: unknown
    uint64_t max_bytes;
    struct gr_mono deadline;
    const char *ca_file;
    // Once, never from inside begin, never after free. Owns: bytes (sealed, of that digest) are the
    // receiver's; NULL: *e says why.
    void (*done)(void *userdata, struct gr_bytes *bytes, const struct gr_error *e);
    void *userdata;
};
// Judges every source; opens none. Fails: SourceRefused (one of the sources is not allowed: none is
// fetched), TooLarge (by the declared size), -EINVAL, -ENOMEM.
GR_MUST_CHECK int gr_fetch_new(const struct gr_fetch_options *o, struct gr_fetch **ret,
                               struct gr_error *e);
GR_MUST_CHECK int gr_fetch_begin(struct gr_fetch *f);
void gr_fetch_free(struct gr_fetch *f); // cancels; NULL is fine
