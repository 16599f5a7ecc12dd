// Reads HTTP/1.1 responses out of a stream, however it is cut: status, length, one header of
// interest. Knows Content-Length only, which is what every peer of the benchmark sends. Pure.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_HEAD_MAX 2048u
#define BENCH_VALUE_MAX 64u

struct bench_response { // all zero: nothing was read yet
    char head[BENCH_HEAD_MAX];
    size_t head_len;
    bool in_body, done; // done: status and what follows are valid
    uint64_t body_left;
    unsigned status;
    bool closes;                 // the peer will close the connection
    char value[BENCH_VALUE_MAX]; // of the header of interest; empty without one
};

// Makes ready for the next response.
void bench_response_reset(struct bench_response *r);
// Takes from the n bytes at data until the response is done; returns how many it took. `interest`
// is a header name in lower case, or NULL. Fails: -EBADMSG for what is no such response, -E2BIG for
// a head over the cap.
int64_t bench_response_feed(struct bench_response *r, const char *data, size_t n,
                            const char *interest);
