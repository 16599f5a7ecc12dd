// One HTTP request and its answer, from the request line to the last byte sent. Runs on the
// library's threads; a request that meets a closed gate is suspended and tried again.
#pragma once
#include "dispatch/dispatch.h"
#include "worker/connect.h"
#include "worker/shadow.h"
#include "worker/trace.h"
#include "worker/visitors.h"
#include <microhttpd.h>
#include <stdatomic.h>

struct gr_service { // what every request needs; outlives them all
    struct gr_dispatch *dispatch;
    struct gr_stats *stats;
    struct gr_shadow *shadow;
    struct gr_spans *spans; // NULL: none are recorded
    struct gr_visitors visitors;
    struct gr_pool *pool;
    bool access_log;
    _Atomic bool draining; // answers close their connection, /-/ready says no
};

struct gr_exchange {
    struct gr_service *service;
    struct MHD_Connection *connection;
    struct gr_visitor *visitor;
    const char *target; // in the connection's receive buffer; unescaped and cut since
    size_t target_len;
    const char *target_fault; // why the target is refused; NULL: sound
    bool head_seen, chunked, escaped, oversized, nowhere_to_wait, called;
    bool answered, given_up; // by a thread that is none of its lane's (lane.h, pool.h)
    bool late;               // its deadline passed before the pool began with it
    struct gr_place place;   // in the pool, and what is decided already
    struct lane *lane;       // whose connection it is; NULL before the first call
    uint32_t codec;          // of the answer, with answered
    struct gr_mono received;
    unsigned status; // of the answer; 0: none was given yet
    char *body;
    size_t body_len, body_cap, discarded;
    struct gr_waiter waiter;
    struct gr_response response;   // valid once called
    struct gr_shadow_copy *shadow; // NULL: the request is not chosen for one
    char request_id[GR_REQUEST_ID_MAX + 1];
    struct gr_trace trace;
};

// The library's callbacks; their userdata is the gr_service.
void *gr_exchange_begin(void *service, const char *target, struct MHD_Connection *c);
enum MHD_Result gr_exchange_advance(void *service, struct MHD_Connection *c, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **exchange);
void gr_exchange_end(void *service, struct MHD_Connection *c, void **exchange,
                     enum MHD_RequestTerminationCode code);
