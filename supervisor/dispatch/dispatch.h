// Dispatch: routes calls to loaded module versions and exchanges those versions atomically while
// calls run. A library without I/O and without threads of its own, usable by any host program
// (modules/examples/host shows one).
//
// One immutable routing table stands behind one pointer. A call publishes, in its thread's slot,
// the table record that it entered, then looks whether a gate that it could reach is closed (one
// load in the quiet case); the writer closes gates, issues membarrier, and waits until no slot's
// reach meets the closed set. That one mechanism serves the freeze, the grace period and the
// deadline on both (docs/DISPATCH.md).
#pragma once
#include "base/clock.h"
#include "base/contract.h"
#include "base/digest.h"
#include "base/error.h"
#include "dispatch/gray.h"
#include "dispatch/harm.h"
#include "dispatch/stats.h"
#include <grayling/module.h>
#include <sys/types.h>

struct gr_dispatch; // the table, its gates, its threads
struct gr_instance; // one loaded, initialised module version
struct gr_thread;   // a thread that calls

struct gr_fault { // a contained fault of a call, given to on_fault on the faulting thread, after
                  // the jump (normal context), or by whoever gave the call up
    unsigned slot;
    enum gr_fault_kind kind;
    int signal; // 0: of another kind
    uint64_t address;
    pid_t pid;            // of the process of its own in which it happened; 0: in this one
    const char *detail;   // the assertion that failed, or what was called; "" for a signal
    const char *build_id; // hex, of the object that the frames are in; "" none
    const char *interface_name, *method_name, *request_id;
    size_t n_frames;
    const char (*frames)[96]; // "pay-1.2.0-0123456789abcdef.so+0x12f"
};

struct gr_dispatch_options {
    struct gr_stats *stats; // borrowed; NULL: makes a private one
    unsigned max_threads;   // 1..GR_THREADS_MAX
    void (*on_log)(void *userdata, unsigned slot, int level, const char *message);
    void (*on_fault)(void *userdata, const struct gr_fault *fault);
    // The breaker of a version opened, or closed: on the thread whose call did it.
    void (*on_breaker)(void *userdata, unsigned slot, enum gr_breaker_state state, unsigned recent,
                       uint64_t left_usec);
    struct gr_breaker_policy breaker; // zeroed: none ever opens
    // A call is overdue when it has run for longer than its contract's deadline, or without one for
    // call_timeout_usec (0: for ever), and for call_grace_usec on top: gr_dispatch_overdue(). One
    // into a process of its own is given up by its caller then.
    uint64_t call_timeout_usec, call_grace_usec;
    // The last bad answer of a harm budget was given, on the thread that gave it. No decision of
    // this table sends anybody to a candidate of that rollout any more.
    void (*on_harm)(void *userdata, const struct gr_harm *harm);
    void *userdata;
};
GR_MUST_CHECK int gr_dispatch_new(const struct gr_dispatch_options *o, struct gr_dispatch **ret,
                                  struct gr_error *e);
// All threads detached, every instance unloaded. Blocks.
void gr_dispatch_free(struct gr_dispatch *d);

// --- versions ----------------------------------------------------------------------------------

struct gr_load {
    const char *path; // absolute, unique among what is mapped: glibc finds libraries by it, and
                      // then by inode
    int fd; // the descriptor that was hashed: device and inode are compared with what got mapped;
            // -1: not compared
    bool sealed; // load what is behind fd (a sealed memfd) instead of path, which only names it in
                 // evidence. A duplicate stays open as long as the version is mapped: a number that
                 // another file takes over would bring this version back
    const char *build_id; // hex; NULL: not compared
    const char *module;   // expected name and version; NULL: as the contract says
    const char *version;
    const char *config; // JSON text; NULL: "{}"
    unsigned slot;      // statistics slot
    bool preflight;     // passed to init()
    // Who provides what the contract needs, passed to init() in the contract's order; an interface
    // that is not named here is provided by nobody. Borrowed.
    const struct grayling_peer *peers;
    size_t n_peers;
};
// Reads the contract of the file behind l->fd, of which nothing is mapped. Fails: NotAModule,
// LoadFailed.
GR_MUST_CHECK int gr_load_contract(const struct gr_load *l, struct gr_contract **ret,
                                   struct gr_error *e);
// dlopen(NOW|LOCAL), compare identity, read the contract from the mapped note, init(), self_test().
// Blocks; for a loader thread that is not in a call. Fails: LoadFailed, NotAModule,
// AbiIncompatible, ContractIncompatible, InitFailed, SelfTestFailed; nothing stays behind
// (destroy() was called if init() had succeeded).
GR_MUST_CHECK int gr_instance_load(struct gr_dispatch *d, const struct gr_load *l,
                                   struct gr_instance **ret, struct gr_error *e);
const struct gr_contract *gr_instance_contract(const struct gr_instance *i);
unsigned gr_instance_slot(const struct gr_instance *i);
// The version of the interface in which another module provides it, by the table in force, and to a
// candidate by its rollout; "": nobody does. false: the table does not name `i`.
bool gr_instance_peer(struct gr_instance *i, const struct gr_contract_need *need,
                      char ret_version[GR_VERSION_MAX + 1]);
// For a version that no table names any more: waits (at most budget_usec) for the calls that may
// still be inside, for a hand-over that overran its budget and for responses that still point into
// it, then destroy() and dlclose.
// 0: gone; -EBUSY: pinned (a call or response is stuck, or it faulted, or dlclose did not unmap):
// counted, memory kept for ever, *i must not be used again; -EINVAL: the table in force names it.
GR_MUST_CHECK int gr_instance_unload(struct gr_dispatch *d, struct gr_instance *i,
                                     uint64_t budget_usec);

// --- the exchange ------------------------------------------------------------------------------

struct gr_change { // what the table says of one module from now on
    const char *module;
    // NULL: the module goes away, or (with a candidate) has no stable version yet: whom the gray
    // does not send to the candidate gets UNAVAILABLE.
    struct gr_instance *stable;
    // Answers again for a faulted idempotent call of `stable`; NULL: none. Unless one of the two
    // declares state: what the previous version holds is no longer true, and an answer that leaves
    // no trace in stable's state would be lost.
    struct gr_instance *rescue;
    // The version on trial and who sees it: both or neither. `stable` answers again for its faulted
    // idempotent calls. Grays of one rollout are one object; a change of it is a change for all
    // modules that the table has in that rollout.
    struct gr_instance *candidate;
    struct gr_gray *gray; // borrowed; the table takes a reference
    // Budget of bad answers of the candidate, or without one of `stable`; NULL: none. Must outlive
    // every table that got it.
    struct gr_harm *harm;
    // The operator agreed that state which cannot be handed over is lost: `stable` begins with what
    // it has, from init() or from when it was left. What can be handed over is handed over all the
    // same.
    bool one_way;
    // The rollout that put `stable` in force together with other modules' versions: a request sees
    // all of them or, once one faulted, all of their rescues. 0: it came alone.
    int64_t batch;
};
struct gr_swap_result {
    uint64_t table;         // number of the table now in force
    uint64_t freeze_usec;   // gates closed to gates open
    unsigned parked;        // requests that waited
    unsigned handed;        // modules whose state was handed over
    uint64_t handover_usec; // of the freeze: all hooks together
    uint64_t state_bytes;   // that were handed over
};
// Closes the gates of all changed modules, waits for the calls in flight (at most budget_usec),
// hands state over, exchanges one pointer, opens the gates. All or nothing. One swap at a time
// (-EALREADY). State goes from the stable version in force to the next one where both contracts
// declare it, module by module in the order of `changes`, within what is left of the budget. Fails:
// FreezeTimeout (the sentence names module, method, request and thread that it waited for);
// StateHandoverFailed (before a gate closes, where the contracts do not fit; a hook that failed,
// crashed or overran the budget); -EINVAL; then the old table is in force, with its state. A
// version whose import_state() was called for nothing answers no more calls; another swap may give
// it state again, or it is unloaded. Blocks; not from a thread that is inside a call.
GR_MUST_CHECK int gr_dispatch_swap(struct gr_dispatch *d, const struct gr_change *changes, size_t n,
                                   uint64_t budget_usec, struct gr_swap_result *ret,
                                   struct gr_error *e);
// The same exchange without closing a gate: no request waits, calls in flight end in the table that
// they pinned. For another weight, and for taking a candidate out. Does not wait for anybody. Fails
// also where a stable version would be exchanged whose state is to be handed over.
GR_MUST_CHECK int gr_dispatch_route(struct gr_dispatch *d, const struct gr_change *changes,
                                    size_t n, struct gr_swap_result *ret, struct gr_error *e);
// The rule by which the table in force routes a rollout, for the next one to continue its turns; a
// reference of the caller's. NULL: the table has no such rollout.
struct gr_gray *gr_dispatch_gray(struct gr_dispatch *d, int64_t rollout);
// Closes gates until thaw (operators' freeze). The caller bounds the time.
GR_MUST_CHECK int gr_dispatch_freeze(struct gr_dispatch *d, const char *const *modules, size_t n,
                                     uint64_t budget_usec, struct gr_error *e);
void gr_dispatch_thaw(struct gr_dispatch *d, const char *const *modules, size_t n);

// --- calls -------------------------------------------------------------------------------------

// Fails: -ENOSPC over max_threads; -EALREADY when this thread is attached. Installs the alternate
// signal stack for this thread.
GR_MUST_CHECK int gr_thread_attach(struct gr_dispatch *d, struct gr_thread **ret);
void gr_thread_detach(struct gr_thread *t);

struct gr_response {
    int32_t code; // GRAYLING_*
    struct grayling_bytes payload;
    grayling_release_fn release; // NULL: nothing to release
    void *owner;
    char message[256];                                         // for a non-zero code
    char module[GR_NAME_MAX + 1], version[GR_VERSION_MAX + 1]; // who answered; "" when nobody
    bool rescued;   // stable/previous answered for a faulted version
    bool candidate; // (role) the candidate answered
    struct gr_shadow_turn {
        bool chosen; // this request is to be answered by the candidate too, out of sight
        bool noise;  // ... and by stable once more
        int64_t rollout;
    } shadow;
    void *private_; // library's own
};
enum gr_call_result {
    GR_CALL_DONE,   // response is filled (also for NOT_FOUND routes: code UNIMPLEMENTED, module "")
    GR_CALL_PARKED, // a gate is closed: enqueue with gr_dispatch_park() and call again when
                    // resumed; nothing ran
    GR_CALL_PLACED, // it is for another thread; nothing ran. Only gr_dispatch_place() says so
};
// request->interface_name, method_name, headers, payload, deadline_usec, request_id are the
// caller's; `method` is filled in by the library. A fault of the module ends the call: the response
// is the rescue's answer or GRAYLING_INTERNAL. The response may point into memory of the module: a
// published response keeps its version pinned until gr_response_done().
enum gr_call_result gr_dispatch_call(struct gr_thread *t, const struct grayling_request *request,
                                     struct gr_response *ret);
// Gives buffers back and unpins. May run on another thread than the call.
void gr_response_done(struct gr_dispatch *d, struct gr_response *r);

// --- calls for which a thread must not wait ----------------------------------------------------

struct gr_place { // where such a call is to run
    // Keeps room for one call of the version in `slot`, and never waits: the table is pinned
    // meanwhile. false: there is none.
    bool (*reserve)(void *userdata, unsigned slot);
    void *userdata;
    unsigned slot; // whose call it is
    // What has been decided about the request: it takes no second turn. Zeroed before the first
    // time.
    int64_t rollout; // 0: nothing
    bool candidate;
};
// As gr_dispatch_call(), for a thread that others wait for: a call that can reach a version with
// `execution: pool` is not run, but gets room there (GR_CALL_PLACED), or without room the answer
// RESOURCE_EXHAUSTED in the name of its version. A version whose breaker is open is passed over for
// the one that answers in its place; without one the answer is UNAVAILABLE, at once. What has room
// holds nothing of the table: it sees whatever is in force when it runs.
enum gr_call_result gr_dispatch_place(struct gr_thread *t, const struct grayling_request *request,
                                      struct gr_place *place, struct gr_response *ret);
// Runs it, on a thread that may wait; may park. Never GR_CALL_PLACED.
enum gr_call_result gr_dispatch_call_placed(struct gr_thread *t,
                                            const struct grayling_request *request,
                                            const struct gr_place *place, struct gr_response *ret);

// --- shadow ------------------------------------------------------------------------------------

// Runs a copy of a request that stable has answered (gr_response.shadow), now that its client no
// longer waits: by the candidate of `rollout`, or by stable. It counts nowhere as a request, draws
// no turn of a weight, is answered by nobody else, and what it calls of other modules is answered
// with UNAVAILABLE unless the contract calls it idempotent. A fault is a fault as any. For a thread
// that serves nothing else. false: nothing ran and there is no response, since the rollout is over,
// a method is not idempotent (any more) or a gate is closed.
enum gr_shadow_role { GR_SHADOW_CANDIDATE, GR_SHADOW_NOISE };
GR_MUST_CHECK bool gr_dispatch_shadow(struct gr_thread *t, const struct grayling_request *request,
                                      int64_t rollout, enum gr_shadow_role role,
                                      struct gr_response *ret);
// Adds to the candidate's counters, if the rollout is still on.
void gr_dispatch_shadow_count(struct gr_thread *t, const struct grayling_request *request,
                              int64_t rollout, const struct gr_shadow_counters *add);

struct gr_waiter {
    void (*resume)(struct gr_waiter
                       *w); // called once, from the thread that opens the gates; must only enqueue
    struct gr_waiter *next;
};
// 0: enqueued, resume() will come; -EAGAIN: the gates are open again, call at once; -ENOBUFS:
// GR_PARKED_MAX reached, answer UNAVAILABLE.
GR_MUST_CHECK int gr_dispatch_park(struct gr_dispatch *d, const struct grayling_request *request,
                                   struct gr_waiter *w);

// Names of what the table in force routes (stable versions and candidates), for status. fn runs
// under the library's lock: it must only copy, and call nothing of dispatch.
void gr_dispatch_each(struct gr_dispatch *d,
                      void (*fn)(void *userdata, const char *module, const char *version,
                                 unsigned slot),
                      void *userdata);
// Stable versions that the table in force routes and whose breaker is not closed; as above.
void gr_dispatch_each_broken(struct gr_dispatch *d,
                             void (*fn)(void *userdata, const char *module, const char *version,
                                        enum gr_breaker_state state, uint64_t left_usec),
                             void *userdata);
uint64_t gr_dispatch_pinned(const struct gr_dispatch *d); // versions that could not be released
// A hook of a hand-over that overran its budget has not come back yet.
bool gr_dispatch_is_astray(struct gr_dispatch *d);

// --- calls that do not end ---------------------------------------------------------------------

struct gr_overdue { // a call that is about to be given up
    const struct gr_thread *thread;
    const char *module, *version; // whom its request had asked
    bool candidate;               // in that role
    const char *request_id;
};
// Gives up every call that is overdue: nothing ends it, its thread stays where it is until the
// module returns, if it ever does. For each it first asks `claim` (NULL: yes), under the library's
// lock; claim answers the client and says true, or false when the call's thread does so after all.
// Then the call counts as a fault of the version that runs, of kind timeout, and on_fault is told;
// freezes do not wait for it any more, except where state is handed over. Returns how many. For a
// thread that looks from time to time; one call is given up once.
unsigned gr_dispatch_overdue(struct gr_dispatch *d,
                             bool (*claim)(void *userdata, const struct gr_overdue *o),
                             void *userdata);

// For a thread that goes on after a call that was given up: only from here on its calls count
// again, although it may have returned while it was being given up.
void gr_thread_is_back(struct gr_thread *t);

// --- containment -------------------------------------------------------------------------------

// Installs the process-wide handlers (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT): a fault in a
// module's own text inside a guarded call ends that call; any other writes evidence into the
// statistics segment and dies with the default action. Once per process, before any module is
// loaded.
GR_MUST_CHECK int gr_guard_install(struct gr_dispatch *d);
