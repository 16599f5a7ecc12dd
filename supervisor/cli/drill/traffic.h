// Honest clients: each calls over a connection of its own, and counts whatever did not come back.
// Bounded in clients and rate. Threads of their own; these functions are for one thread.
#pragma once
#include "base/clock.h"
#include "base/error.h"
#include "base/name.h"
#include <stddef.h>

struct gr_traffic_asked {
    struct gr_name module;
    char url[512];          // of the method
    char header[256];       // "name:value"; "": none
    unsigned clients, rate; // requests a second of all clients together
};
#define GR_TRAFFIC_VERSIONS 16
struct gr_traffic_seen {
    uint64_t answered; // with any status
    uint64_t failed;   // ... other than 200
    uint64_t lost;     // no answer, or a connection that broke between two of them
    uint64_t rescued;  // stable answered for a candidate that failed
    size_t n_versions;
    struct {
        char version[64];
        uint64_t n;
    } versions[GR_TRAFFIC_VERSIONS];
    struct gr_wall first_harm, last_harm; // failed, lost or rescued; 0: none
    char why[160];                        // what the last loss was
};
struct gr_traffic;
// Begins to call. Fails: -ENOMEM, -EAGAIN.
GR_MUST_CHECK int gr_traffic_new(const struct gr_traffic_asked *asked, struct gr_traffic **ret,
                                 struct gr_error *e);
// Joins the clients. NULL is fine.
void gr_traffic_free(struct gr_traffic *t);
const struct gr_name *gr_traffic_module(const struct gr_traffic *t);
// All since the beginning, or since the last reset.
void gr_traffic_look(struct gr_traffic *t, struct gr_traffic_seen *ret);
// The versions and the harm are counted anew from here.
void gr_traffic_mark(struct gr_traffic *t);
// Until each client has ended `turns` calls that it began after this was asked. Blocks. Fails:
// -ETIME.
GR_MUST_CHECK int gr_traffic_await_turns(struct gr_traffic *t, unsigned turns,
                                         uint64_t timeout_usec);
// Until all clients together had n more answers. Blocks. Fails: -ETIME.
GR_MUST_CHECK int gr_traffic_await(struct gr_traffic *t, uint64_t n, uint64_t timeout_usec);
