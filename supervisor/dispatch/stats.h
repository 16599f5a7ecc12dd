// The statistics segment: one shared-memory object (memfd) that the supervisor makes, every worker
// writes and which outlives the worker. Written without shared cache lines (one row per thread and
// version), read by the supervisor without locks. Layout is private to stats.c; both sides are
// built from the same tree and check `layout` of the header.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include "dispatch/breaker.h"
#include <stdint.h>

struct gr_stats; // a mapping of the segment

// Supervisor: makes the memfd (sealed against resizing) and maps it. Standalone hosts too.
GR_MUST_CHECK int gr_stats_new(struct gr_stats **ret, int *ret_fd);
// Worker, or a restarted supervisor: maps an existing one. Fails: -EPROTO when the layout differs.
GR_MUST_CHECK int gr_stats_map(int fd, struct gr_stats **ret);
void gr_stats_free(struct gr_stats *s); // unmaps only

// Latency histogram: log-linear, 16 linear buckets per power of two of nanoseconds, relative error
// under 1/16.
#define GR_HISTOGRAM_BUCKETS 608
struct gr_histogram {
    uint64_t count[GR_HISTOGRAM_BUCKETS];
};
unsigned gr_histogram_bucket(uint64_t nsec);
uint64_t gr_histogram_upper_nsec(unsigned bucket); // largest value of the bucket
// Smallest upper bound under which at least q (0..1) of the counts lie; 0 when empty.
uint64_t gr_histogram_quantile_nsec(const struct gr_histogram *h, double q);

#define GR_CODES 17   // gRPC status codes 0..16
enum gr_fault_kind {  // how a call ended that did not return
    GR_FAULT_SIGNAL,  // SIGSEGV, SIGBUS, SIGFPE, SIGILL in the module's own text
    GR_FAULT_ABORT,   // it called abort()
    GR_FAULT_ASSERT,  // an assertion of it failed
    GR_FAULT_EXIT,    // it called exit() or one of its kin, or pthread_exit()
    GR_FAULT_TIMEOUT, // it has not ended at all: given up after its deadline and the grace
    GR_FAULT_KINDS,
};
// "signal", "abort", "assert", "exit", "timeout"
const char *gr_fault_kind_name(enum gr_fault_kind kind);
struct gr_shadow_counters {  // copies of real requests, which count nowhere else
    uint64_t same, diverged; // run and compared with stable's answer
    uint64_t errors;         // of these: a server's error, or a fault
    uint64_t dropped;        // not run, or not compared: no room, too late, a gate was closed
    uint64_t noise_same, noise_diverged; // stable, compared with its own first answer
};
struct gr_counters { // sums over threads of one version (slot); monotonic while the slot is bound
    uint64_t requests[GR_CODES];
    uint64_t nested[GR_CODES]; // of `requests`: those that another module made
    uint64_t in_flight;
    uint64_t faults, rescued, timeouts; // timeouts: answered after the deadline, or given up
    uint64_t faults_by[GR_FAULT_KINDS]; // `faults` is their sum
    uint64_t latency_sum_nsec;
    struct gr_histogram latency;
    struct gr_shadow_counters shadow; // of a candidate
};
// Binds a slot to a fresh version: zeroes it and raises its generation. Supervisor only, before
// `load`.
void gr_stats_bind(struct gr_stats *s, unsigned slot, const char *module, const char *version);
// Reads a consistent-enough sum (each counter exact, the set not atomic). Errors of the code 13,
// 14, 15, 2 and 4 are the server's fault.
void gr_stats_read(const struct gr_stats *s, unsigned slot, struct gr_counters *ret);
uint64_t gr_counters_total(const struct gr_counters *c);
uint64_t gr_counters_nested(const struct gr_counters *c);
bool gr_code_is_server_error(int32_t code);
uint64_t gr_counters_server_errors(
    const struct gr_counters *c); // codes unknown, deadline_exceeded, internal, unavailable,
                                  // data_loss, unimplemented excluded

// Counters of the module's own (host->count()), in the order in which they were first raised.
// Returns how many.
#define GR_COUNTER_NAME_MAX 40
struct gr_module_counter {
    char name[GR_COUNTER_NAME_MAX + 1];
    uint64_t value;
};
size_t gr_stats_counters(const struct gr_stats *s, unsigned slot, struct gr_module_counter *ret,
                         size_t cap);

// The breaker of a slot's version. A snapshot, of which each word is exact.
void gr_stats_breaker(const struct gr_stats *s, unsigned slot, struct gr_breaker *ret);
// Supervisor only, after gr_stats_bind() and before the worker serves.
void gr_stats_set_breaker(struct gr_stats *s, unsigned slot, const struct gr_breaker *b);

// Who was inside which call, for blame after a worker's death: one entry per dispatch thread that
// is inside a call.
struct gr_in_call {
    int32_t pid;           // the worker whose thread it is
    unsigned thread, slot; // innermost version that runs
    uint64_t started_mono_usec;
    char method[64];
    char request_id[40];
    bool faulted; // the fatal-signal handler marked this thread
};
size_t gr_stats_in_calls(const struct gr_stats *s, struct gr_in_call *ret, size_t cap);

// Evidence of a fatal signal, written by the dying worker's handler (async-signal-safe stores),
// read after its death.
#define GR_EVIDENCE_FRAMES 32
struct gr_evidence {
    uint32_t seq; // 0: none; odd while written
    int32_t signal, code;
    uint64_t address, pc;
    int32_t slot;   // version whose text holds pc or a frame of the module; -1: none
    int32_t thread; // dispatch thread; -1: another
    int32_t pid;    // the worker that died
    uint32_t n_frames;
    uint64_t frame_offset[GR_EVIDENCE_FRAMES]; // offset in the object, frame_slot tells which; for
                                               // slot -1 the raw address
    int32_t frame_slot[GR_EVIDENCE_FRAMES];
    char method[64], request_id[40];
};
// true: *ret is the evidence that a worker left since the last clear.
bool gr_stats_evidence(const struct gr_stats *s, struct gr_evidence *ret);
void gr_stats_clear_evidence(struct gr_stats *s);

// Gauges of the worker as a whole.
struct gr_worker_gauges {
    uint64_t parked, connections, connections_total, refused_framing, heartbeat_mono_usec;
    uint64_t patterns_given_up;    // match rules that met a bound of their cost
    uint64_t pool_waiting;         // calls that wait for a thread of the pool now
    uint64_t pool_full, pool_late; // ... that found no room; whose deadline passed meanwhile
    uint64_t swaps_ok, swaps_failed, freeze_last_usec;
    uint64_t handovers_ok, handovers_failed; // exchanges under which state was to change hands
    uint64_t handover_last_usec, handover_last_bytes;
    uint64_t handover_bytes; // of all that succeeded
    uint64_t handover_sum_usec;
    struct gr_histogram freeze, handover; // nsec
};
void gr_stats_gauges(const struct gr_stats *s, struct gr_worker_gauges *ret);
// Worker side.
void gr_stats_parked_add(struct gr_stats *s, int64_t delta);
void gr_stats_connections_set(struct gr_stats *s, uint64_t now, uint64_t total);
void gr_stats_refused_framing_add(struct gr_stats *s);
void gr_stats_patterns_given_up(struct gr_stats *s, uint64_t n);
void gr_stats_pool_waiting_add(struct gr_stats *s, int64_t delta);
void gr_stats_pool_refused_add(struct gr_stats *s, bool late);
void gr_stats_heartbeat(struct gr_stats *s);
void gr_stats_freeze(struct gr_stats *s, uint64_t usec, bool ok);
void gr_stats_handover(struct gr_stats *s, uint64_t usec, uint64_t bytes, bool ok);
