// One blocking HTTP request with libcurl, over TCP or a unix socket.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

struct gr_curl_ask {
    const char *unix_path; // NULL: TCP
    const char *url, *method;
    const char *const *headers; // "Name: value", NULL-terminated; may be NULL
    const void *body;           // NULL: none
    size_t body_len;
    uint64_t timeout_usec; // 0: 30 s
};
struct gr_curl_answer {
    long status;
    struct gr_buf head, body; // header lines as they came; capped
};
// Fails: -ECONNREFUSED (nobody answers; the sentence says what was tried), -ETIME, -E2BIG, -EIO.
// Any HTTP status is success.
GR_MUST_CHECK int gr_curl(const struct gr_curl_ask *ask, struct gr_curl_answer *ret,
                          struct gr_error *e);
void gr_curl_answer_done(struct gr_curl_answer *a);
