// The bytes of the statistics segment and the stores that dispatch makes into it. Private to
// dispatch/: whoever only reads uses stats.h. Every field that two processes or threads touch is
// atomic; a row has exactly one writer, so its counters are raised by a plain load and store, never
// by a locked instruction.
#pragma once
#include "dispatch/stats.h"
#include <stdatomic.h>
#include <string.h>

#define GR_STATS_MAGIC UINT64_C(0x5354415453475259)
#define GR_STATS_ROWS (2 * GR_THREADS_MAX) // a draining worker and its successor write side by side
#define GR_STATS_COUNTERS 32               // of a module's own, host->count()
#define GR_STATS_ID_WORDS 5                // request id: 39 bytes and a NUL

struct gr_stats_row { // one thread's share of one version
    _Alignas(128) _Atomic uint64_t requests[GR_CODES];
    _Atomic uint64_t nested[GR_CODES]; // of them: by other modules
    _Atomic uint64_t faults[GR_FAULT_KINDS], rescued, timeouts, latency_sum_nsec;
    _Atomic uint64_t latency[GR_HISTOGRAM_BUCKETS];
    _Atomic uint64_t shadow[sizeof(struct gr_shadow_counters) / sizeof(uint64_t)]; // in its order
};

struct gr_stats_inside {                 // where one thread is just now
    _Alignas(128) _Atomic int32_t owner; // process that claimed the row; 0: free
    _Atomic uint32_t depth;              // 0: outside
    _Atomic uint32_t faulted;
    _Atomic uint64_t started_usec;
    _Atomic uint64_t request_id[GR_STATS_ID_WORDS];
    _Atomic uint32_t frames[GR_CALL_DEPTH_MAX];   // slot << 16 | method
    _Atomic uint64_t due_nsec[GR_CALL_DEPTH_MAX]; // when each is given up
};

struct gr_stats_counter {
    _Atomic bool named; // published after the name
    char name[GR_COUNTER_NAME_MAX + 1];
    _Atomic uint64_t value;
};

#define GR_STATS_BREAKER_WORDS (sizeof(struct gr_breaker) / sizeof(uint64_t))
struct gr_stats_breaker { // a gr_breaker; its first word, `open`, is all that a call looks at
    _Alignas(64) _Atomic uint64_t words[GR_STATS_BREAKER_WORDS];
};

struct gr_stats_slot { // what all threads share about one version; written rarely
    _Atomic uint64_t generation;
    char module[72], version[128];
    _Atomic uint32_t n_methods; // published last
    char methods[GR_METHODS_MAX][64];
    struct gr_stats_counter counters[GR_STATS_COUNTERS];
    struct gr_stats_breaker breaker;
};

struct gr_stats_evidence {
    _Atomic uint32_t seq;
    _Atomic uint32_t n_frames; // published last
    struct gr_evidence body;
};

struct gr_stats_gauges {
    _Atomic uint64_t parked, connections, connections_total, refused_framing, heartbeat_usec;
    _Atomic uint64_t patterns_given_up, pool_waiting, pool_full, pool_late;
    _Atomic uint64_t swaps_ok, swaps_failed, freeze_last_usec;
    _Atomic uint64_t handovers_ok, handovers_failed, handover_last_usec, handover_last_bytes;
    _Atomic uint64_t handover_bytes, handover_sum_usec;
    _Atomic uint64_t freeze[GR_HISTOGRAM_BUCKETS], handover[GR_HISTOGRAM_BUCKETS];
};

struct gr_stats_segment {
    uint64_t magic, layout;
    _Atomic uint32_t
        rows_used; // rows beyond were never written: reading them would only allocate pages
    struct gr_stats_gauges gauges;
    struct gr_stats_evidence evidence;
    struct gr_stats_inside inside[GR_STATS_ROWS];
    struct gr_stats_slot slots[GR_INSTANCES_MAX];
    _Alignas(4096) struct gr_stats_row rows[GR_INSTANCES_MAX][GR_STATS_ROWS];
};
_Static_assert(sizeof(((struct gr_stats_segment *)0)->rows[0]) % 4096 == 0,
               "a slot's rows are dropped by the page");
_Static_assert(GR_METHODS_MAX <= UINT16_MAX && GR_INSTANCES_MAX <= UINT16_MAX,
               "a frame is packed into 32 bits");

struct gr_stats {
    struct gr_stats_segment *seg;
};

// Claims a row for the calling process. Rows of processes that are gone are taken over. Fails:
// -ENOSPC.
GR_MUST_CHECK int gr_stats_claim_row(struct gr_stats *s, unsigned *ret_row);
void gr_stats_release_row(struct gr_stats *s, unsigned row);
// Names of a version's methods, so that a call in flight costs a number and blame still reads a
// name.
void gr_stats_name_methods(struct gr_stats *s, unsigned slot, const char (*names)[64], size_t n);
void gr_stats_count(struct gr_stats *s, unsigned slot, const char *name, uint64_t add);
// The method's name as text for a frame word; "" when unknown.
const char *gr_stats_frame_method(const struct gr_stats_segment *seg, uint32_t frame);
// Request id that `row` published; buf of 40.
void gr_stats_request_id(const struct gr_stats_segment *seg, unsigned row, char buf[40]);

void gr_stats_breaker_read(const struct gr_stats_breaker *s, struct gr_breaker *ret);
void gr_stats_breaker_write(struct gr_stats_breaker *s, const struct gr_breaker *b);

static inline void gr_stats_raise(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + by, memory_order_relaxed);
}

static inline void gr_stats_shadow(struct gr_stats_row *row, const struct gr_shadow_counters *add)
{
    uint64_t by[GR_COUNT(row->shadow)];
    memcpy(by, add, sizeof(by));
    for (unsigned i = 0; i < GR_COUNT(by); i++)
        gr_stats_raise(&row->shadow[i], by[i]);
}

static inline void gr_stats_enter(struct gr_stats_inside *in, const char *request_id,
                                  uint64_t now_usec)
{
    uint64_t words[GR_STATS_ID_WORDS] = {0};
    if (request_id)
        memcpy(words, request_id, strnlen(request_id, sizeof(words) - 1));
    for (unsigned i = 0; i < GR_STATS_ID_WORDS; i++)
        atomic_store_explicit(&in->request_id[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&in->started_usec, now_usec, memory_order_relaxed);
}

static inline void gr_stats_push(struct gr_stats_inside *in, unsigned depth, unsigned slot,
                                 unsigned method, uint64_t due_nsec)
{
    atomic_store_explicit(&in->frames[depth], slot << 16 | method, memory_order_relaxed);
    atomic_store_explicit(&in->due_nsec[depth], due_nsec, memory_order_relaxed);
    atomic_store_explicit(&in->depth, depth + 1, memory_order_release);
}

static inline void gr_stats_pop(struct gr_stats_inside *in, unsigned depth)
{
    atomic_store_explicit(&in->depth, depth, memory_order_release);
}

static inline void gr_stats_code(struct gr_stats_row *row, int32_t code, bool nested)
{
    gr_stats_raise(&row->requests[code], 1);
    if (nested)
        gr_stats_raise(&row->nested[code], 1);
}

static inline void gr_stats_record(struct gr_stats_row *row, int32_t code, uint64_t nsec, bool late,
                                   bool nested)
{
    gr_stats_code(row, code, nested);
    gr_stats_raise(&row->latency_sum_nsec, nsec);
    gr_stats_raise(&row->latency[gr_histogram_bucket(nsec)], 1);
    if (late)
        gr_stats_raise(&row->timeouts, 1);
}
