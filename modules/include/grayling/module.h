/*
 * grayling/module.h - the contract between a Grayling host and a module. C11, C++-safe, fixed-width
 * types only.
 *
 * A module exports one function, grayling_module_entry(), which returns a constant block. Its first
 * five fields are frozen for ever; everything after them is valid up to struct_size. The host
 * passes a table of functions that has its own struct_size: test a late member with
 * GRAYLING_HAS(host, member) before you call it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GRAYLING_MODULE_H
#define GRAYLING_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRAYLING_MAGIC UINT64_C(0x474e494c59415247) /* "GRAYLING", little endian */
#define GRAYLING_ABI_MAJOR 1u
#define GRAYLING_ABI_MINOR 0u
#define GRAYLING_EXPORT __attribute__((visibility("default")))
#define GRAYLING_HAS(block, member)                                                                \
    ((block)->struct_size >= offsetof(__typeof__(*(block)), member) + sizeof((block)->member))

/* gRPC's status codes, which Connect names in JSON errors. Module functions return them as int32_t.
 */
#define GRAYLING_OK 0
#define GRAYLING_CANCELED 1
#define GRAYLING_UNKNOWN 2
#define GRAYLING_INVALID_ARGUMENT 3
#define GRAYLING_DEADLINE_EXCEEDED 4
#define GRAYLING_NOT_FOUND 5
#define GRAYLING_ALREADY_EXISTS 6
#define GRAYLING_PERMISSION_DENIED 7
#define GRAYLING_RESOURCE_EXHAUSTED 8
#define GRAYLING_FAILED_PRECONDITION 9
#define GRAYLING_ABORTED 10
#define GRAYLING_OUT_OF_RANGE 11
#define GRAYLING_UNIMPLEMENTED 12
#define GRAYLING_INTERNAL 13
#define GRAYLING_UNAVAILABLE 14
#define GRAYLING_DATA_LOSS 15
#define GRAYLING_UNAUTHENTICATED 16

#define GRAYLING_LOG_ERROR 3
#define GRAYLING_LOG_WARNING 4
#define GRAYLING_LOG_INFO 6
#define GRAYLING_LOG_DEBUG 7

#define GRAYLING_CODEC_JSON 1u  /* application/json */
#define GRAYLING_CODEC_PROTO 2u /* application/proto */

/* Bytes with a length; not NUL-terminated unless said so. */
struct grayling_bytes {
    const void *data;
    uint64_t size;
};

struct grayling_header {
    const char *name;  /* lower case, NUL-terminated */
    const char *value; /* NUL-terminated */
};

/* One request. Every pointer is the host's and valid until handle() returns. */
struct grayling_request {
    uint32_t struct_size;
    uint32_t method; /* index in declaration order over the contract's interfaces and methods */
    const char *interface_name; /* "com.example.pay.PayService" */
    const char *method_name;    /* "Charge" */
    uint32_t codec;             /* GRAYLING_CODEC_* */
    uint32_t n_headers;
    const struct grayling_header
        *headers; /* metadata: tracestate, traceparent, x-tenant-id and the caller's own */
    struct grayling_bytes payload;
    uint64_t deadline_usec; /* CLOCK_MONOTONIC; 0: none */
    const char *request_id; /* for logs; NUL-terminated */
};

struct grayling_host;
struct grayling_call; /* one call in flight; opaque */

/* A memory object in which a module keeps its state, so that the state changes hands without a
 * copy. It is zeroed at first, cannot change its size, and this mapping is the only one through
 * which it can be written. */
struct grayling_memory {
    uint32_t struct_size;
    int32_t fd; /* names the object in grayling_state; the host's: not to be closed */
    void *data;
    uint64_t size; /* as asked */
};

/* How a response buffer that was handed over is given back. Called exactly once, maybe on another
 * thread, before unload. */
typedef void (*grayling_release_fn)(void *owner, const void *data, uint64_t size);

/* What the host offers. `host` is passed back as the first argument. Every function may be called
 * from handle(); those marked (any) from every hook and from the module's own threads. */
struct grayling_host {
    uint32_t struct_size;
    uint32_t abi_minor;
    void *opaque;

    /* (any) One line of log, copied. */
    void (*log)(const struct grayling_host *host, int32_t level, const char *message);
    /* (any) Memory of the host's allocator, counted against the module. NULL: out of memory. */
    void *(*alloc)(const struct grayling_host *host, uint64_t size);
    void (*free)(const struct grayling_host *host, void *memory);

    /* Answers the call. respond() copies; respond_take() hands the buffer over without a copy. At
     * most one of them once per call; GRAYLING_FAILED_PRECONDITION when answered already,
     * GRAYLING_RESOURCE_EXHAUSTED when too large. */
    int32_t (*respond)(struct grayling_call *call, struct grayling_bytes payload);
    int32_t (*respond_take)(struct grayling_call *call, struct grayling_bytes payload,
                            grayling_release_fn release, void *owner);
    /* Sets the sentence that goes with a non-zero code returned by handle(). Copied. */
    void (*fail)(struct grayling_call *call, const char *message);

    /* Calls another interface through the table that this request pinned: same thread, same cohort,
     * same deadline. *ret points to the callee's answer and is valid until handle() returns.
     * Returns the callee's code; UNIMPLEMENTED when nobody provides it; RESOURCE_EXHAUSTED beyond
     * the depth limit. */
    int32_t (*call)(struct grayling_call *call, const char *interface_name, const char *method_name,
                    struct grayling_bytes payload, struct grayling_bytes *ret);
    /* Microseconds left until the request's deadline; UINT64_MAX: none. */
    uint64_t (*time_left_usec)(struct grayling_call *call);
    /* (any) Adds to a counter of the module's own, by name [a-z_]{1,40}; at most 32 names. */
    void (*count)(const struct grayling_host *host, const char *name, uint64_t add);

    /* (any) A new memory object. RESOURCE_EXHAUSTED: out of memory, or over 1 GiB or 16 objects.
     * Set ret->struct_size. Late: test with GRAYLING_HAS. */
    int32_t (*memory_new)(const struct grayling_host *host, uint64_t size,
                          struct grayling_memory *ret);
    /* (any) The module does without the object at `data`, made by itself or imported; whoever else
     * has it keeps it. What is left after destroy() is let go by the host. */
    void (*memory_free)(const struct grayling_host *host, void *data);
};

/* One interface that the contract names under requires or optional, and the version in which
 * another module provides it; NULL: nobody provides one that its range allows. Calls to it are
 * answered with UNIMPLEMENTED then. */
struct grayling_peer {
    const char *interface_name; /* "com.example.auth.TokenValidator" */
    const char *version;        /* of the interface: "1.2.0" */
};

/* What init() gets. `config` is the document's `config` object as JSON text ("{}" when absent),
 * valid during init() only. */
struct grayling_init {
    uint32_t struct_size;
    uint32_t preflight; /* 1: this is the sandboxed trial run; touch nothing outside */
    struct grayling_bytes config;
    const char *version; /* the version that the key names */
    /* What the contract's needs are bound to when this version is loaded: those required, then the
     * optional ones, in the contract's order; valid during init() only. In preflight nobody is
     * there. Later changes show in what host->call() answers. */
    const struct grayling_peer *peers;
    uint32_t n_peers;
};

/* State on its way from the version in force to the next one.
 *
 * It is either `bytes`, which stay the exporter's until `release` (NULL: nothing to release) is
 * called with them, exactly once, after import_state() returned; or a memory object that the
 * exporter got from memory_new() or by import. For the importer `bytes` is filled in both cases,
 * and of a memory object it may keep the address: it holds the object from then on, until
 * memory_free().
 *
 * Who may write to a memory object, and when: the version in force, while it answers calls; nobody
 * from the call of export_state() on; after a hand-over that succeeded the importer, from its first
 * call on; after one that failed the exporter, from its next call on. A version that has exported
 * must not write to it any more, in destroy() neither: the pages may be another's. During
 * import_state() the pages are read-only: a write is a fault of the importer. */
struct grayling_state {
    uint32_t struct_size;
    uint32_t schema; /* filled in before export_state() with what the contract says */
    struct grayling_bytes bytes;
    grayling_release_fn release;
    void *owner;
    /* Late: test with GRAYLING_HAS. */
    int32_t memory; /* fd of a memory object that holds the state in place of `bytes`; -1: none */
    uint32_t reserved;
    uint64_t memory_size; /* how much of it is state, from its beginning */
};

/* The constant block. `self` is what init() stored; hooks that are NULL are not wanted. */
struct grayling_module {
    uint64_t magic;       /* frozen */
    uint32_t struct_size; /* frozen */
    uint16_t abi_major;   /* frozen */
    uint16_t abi_minor;   /* frozen */

    /* May fail with a code; nothing is called after a failure. */
    int32_t (*init)(const struct grayling_host *host, const struct grayling_init *init,
                    void **self);
    /* Proves that the instance works; may fail. Runs in preflight and again before traffic. */
    int32_t (*self_test)(void *self);
    /* Answers one request: respond*() then return GRAYLING_OK, or return a code. Called from many
     * threads at once. */
    int32_t (*handle)(void *self, struct grayling_call *call,
                      const struct grayling_request *request);
    /* State, both or none: a contract that declares `state` needs them. Called under the freeze: no
     * call runs, none begins, and all must be done within the freeze budget (50 ms unless the
     * document says otherwise). They run on a thread of the host's, one after the other.
     *
     * export_state() hands the state out and does not destroy or change it: when the hand-over
     * fails, here or later, this instance goes on with it, without being told. Threads of the
     * module's own leave the state alone until the next call. When it overruns the budget calls
     * begin again while it still runs, so it reads under the locks that handle() takes. */
    int32_t (*export_state)(void *self, struct grayling_state *out);
    /* Takes over the state of `in`, whose schema is one that the contract names, in place of all
     * that this instance has: it may have answered copies of requests (x-grayling-shadow), been in
     * force before, or failed in an import_state() before. Validates; what it refuses with a code
     * stays with the exporter. After OK calls follow, or, when another module of the batch fails,
     * nothing, or another import_state(). Does not call memory_free() of what it imports. */
    int32_t (*import_state)(void *self, const struct grayling_state *in);
    /* May not fail: joins its threads, frees everything. Nothing of the module runs afterwards. */
    void (*destroy)(void *self);
};

/* The only export. */
GRAYLING_EXPORT const struct grayling_module *grayling_module_entry(void);
typedef const struct grayling_module *(*grayling_module_entry_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
