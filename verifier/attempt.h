// One try at one source: reads it into private bytes and says how it ended. fetch.c owns mirrors,
// retries and the deadline.
#pragma once
#include "verifier/bytes.h"
#include "verifier/policy.h"
#include "watchers/transport/transport.h"

struct gr_attempt_options { // borrowed while the attempt lives
    sd_event *event;
    struct gr_transport *transport;
    const struct gr_policy *policy;
    const struct gr_source *source;
    struct gr_bytes *into; // empty, not sealed
    uint64_t size;         // 0: unknown; else exactly so many bytes
    uint64_t max_bytes;
    uint64_t timeout_usec;
    const char *ca_file; // NULL: the system's
    // Once, never from inside start, never after cancel. NULL: every byte is there. `e->retryable`:
    // the same source may do better.
    void (*done)(void *userdata, const struct gr_error *e);
    void *userdata;
};

struct gr_file_attempt;
// Fails: SourceRefused (symbolic link, no regular file), FetchFailed, TooLarge.
GR_MUST_CHECK int gr_file_attempt_start(const struct gr_attempt_options *o,
                                        struct gr_file_attempt **ret, struct gr_error *e);
// The same for a descriptor that is open already; `source` and `policy` are not looked at. Takes
// fd, also when it fails.
GR_MUST_CHECK int gr_file_attempt_start_fd(const struct gr_attempt_options *o, int fd,
                                           const char *label, struct gr_file_attempt **ret,
                                           struct gr_error *e);
void gr_file_attempt_cancel(struct gr_file_attempt *a); // frees; NULL is fine

struct gr_http_attempt;
// Follows up to GR_REDIRECTS_MAX redirects, each judged by the policy like a source of its own.
GR_MUST_CHECK int gr_http_attempt_start(const struct gr_attempt_options *o,
                                        struct gr_http_attempt **ret, struct gr_error *e);
void gr_http_attempt_cancel(struct gr_http_attempt *a); // frees; NULL is fine

// The sentence for bytes that could not be appended: no room, or more than the cap.
int gr_attempt_append_error(const struct gr_attempt_options *o, int code, const char *label,
                            struct gr_error *e);
