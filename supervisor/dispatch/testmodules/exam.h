// What a test and the modules herald and scribe share by a pointer in the payload: what each of
// them saw of the call that it got.
#pragma once
#include <grayling/module.h>
#include <pthread.h>
#include <string.h>

struct seen {
    pthread_t thread;
    struct grayling_request request; // with the addresses that it came with
    uint64_t left_usec;
};

struct exam {
    const char *ask;             // scribe's method that herald calls
    void (*between)(void *test); // what happens between herald's two calls, or in scribe's Wait;
                                 // NULL: no second one
    void *test;
    int32_t end;                       // how herald ends when its call fails; OK: as the call did
    const char *say;                   // ... and what it says then; NULL: nothing
    struct seen caller, callee, after; // after: herald's, when its first call has returned
    int32_t code;                      // of the first call
    struct grayling_bytes answer;      // ... as herald got it
    const void *kept;                  // scribe's own buffer that it handed over
};

static inline struct exam *exam_of(const struct grayling_request *request)
{
    struct exam *e = NULL;
    if (request->payload.size == sizeof(e))
        memcpy(&e, request->payload.data, sizeof(e));
    return e;
}

static inline void exam_see(struct seen *seen, const struct grayling_host *host,
                            struct grayling_call *call, const struct grayling_request *request)
{
    seen->thread = pthread_self();
    seen->request = *request;
    seen->left_usec = host->time_left_usec(call);
}
