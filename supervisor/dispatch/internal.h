// The objects behind dispatch.h, shared by the files of this directory only.
//
// Who may do what: `current`, the gates, the seats' list, the retired tables and the parked
// requests change under `lock`, which nobody holds while waiting or while foreign code runs.
// `swapping` makes the exchange a one-at-a-time affair.
#pragma once
#include "dispatch/asym.h"
#include "dispatch/carry.h"
#include "dispatch/dispatch.h"
#include "dispatch/guard.h"
#include "dispatch/ring.h"
#include "dispatch/stats-layout.h"
#include "dispatch/table.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

#define GR_BATCHES_MAX (GR_MODULES_MAX / 2) // each has two modules

struct gr_thread { // one calling thread's seat
    // Written by its thread at every call, read by the writer: the record that the outermost call
    // entered; NULL: outside.
    _Alignas(128) _Atomic(const struct gr_record *) entered;
    _Alignas(64) struct gr_dispatch *dispatch;
    struct gr_guard_self *guard;
    struct gr_stats_inside *inside;
    unsigned index, row;
    bool taken; // under lock
    // Of the request that the outermost call answers, for all calls that it makes (cohort.c).
    const struct grayling_request *request;
    _Atomic bool shadow;  // the outermost call is a shadow's (shadow.c)
    void *room;           // where the outermost call's answer is put; NULL: where there is room
    struct gr_ring *ring; // calls of modules go to who asked there; NULL: to the pinned table
    unsigned ring_slot;
    uint64_t bound_nsec; // nothing that is called for another process runs longer; 0: no such bound
    // The outermost call was given up, and has been answered and counted without its thread.
    _Atomic bool lost;
    // A version that failed where only the whole request can be answered again; NULL outside.
    struct gr_instance *broken;
    unsigned broken_batch;           // the batch that it came with; GR_BATCH_NONE: a candidate
    uint8_t cohorts[GR_GRAYS_MAX];   // GR_COHORT_, by the table's rollouts
    uint8_t batches[GR_BATCHES_MAX]; // GR_BATCH_, by the table's batches
};

struct gr_held { // responses of one version that point into its memory, counted by the thread that
                 // answered
    _Alignas(64) _Atomic uint64_t n;
};

struct gr_away;

struct gr_instance {
    const struct grayling_module *block;
    void *self;
    struct gr_away *away; // it runs in a process of its own; NULL: in this one
    struct gr_contract *contract;
    struct gr_stats_breaker *breaker; // of the slot
    unsigned slot;
    size_t module_len, version_len;
    struct gr_dispatch *dispatch;
    struct grayling_host host;
    struct gr_held *held; // max_threads of them
    _Atomic bool faulted; // something of it was left half-done: never destroyed, never unmapped
    _Atomic bool hung;    // a call of it was given up
    _Atomic uint64_t allocated_bytes;
    // import_state() was called and no exchange has followed: it answers nothing, and what it holds
    // is good for nothing but another import.
    _Atomic bool unsettled;
    bool trial; // of a preflight
    // Its process has ended since it began, or took state over: it holds what began anew.
    _Atomic bool lost;
    uint64_t number;        // no other instance has or had it
    uint64_t took_from;     // of the version whose state it took over; 0: of none
    unsigned handing;       // hand-overs whose thread may be in it; under the dispatch lock
    struct gr_hold *memory; // objects that it keeps state in; under the dispatch lock
    void *handle;           // dlopen's
    char *path;             // as the loader knows it
    char *name;             // of the file, for evidence
    char build_id[81];      // hex; "" none
    int sealed_fd;          // what path names; -1: path is a file
    struct gr_text *text;
    struct gr_instance *next; // all loaded instances
};

struct gr_dispatch {
    // Read by every call; written by the writer only.
    _Alignas(128) _Atomic(struct gr_table *) current;
    _Atomic uint32_t any_closed;
    _Atomic uint32_t waiting; // writers that want to be woken by leaving calls
    _Atomic uint64_t closed[GR_MODULES_MAX / 64];
    struct gr_thread *threads;
    unsigned max_threads;

    _Alignas(128) _Atomic uint32_t left; // futex: raised by leaving calls while somebody waits
    pthread_mutex_t lock;
    bool swapping;
    struct gr_gates held_by_swap, held_by_operator;
    struct gr_table *retired;
    struct gr_waiter *parked, **parked_end; // in the order of arrival
    unsigned n_parked;
    struct gr_name gates[GR_MODULES_MAX]; // which name has which gate; "" is free
    struct gr_instance *instances;
    _Atomic uint64_t pinned;
    pthread_mutex_t breakers_lock; // taken last
    unsigned handing;              // threads of hand-overs that may still look here

    struct gr_stats *stats;
    int private_stats_fd; // >= 0: `stats` is our own
    struct gr_dispatch *next_kept;
    struct gr_dispatch_options options;
};

// --- threads.c ---------------------------------------------------------------------------------
// Tells a waiting writer that something was left. Cheap when nobody waits.
void gr_leave_notify(struct gr_dispatch *d); // also under the lock

// --- loader.c ----------------------------------------------------------------------------------
// Of those that are loaded there, else of those that were pinned; NULL: none. Under the lock.
struct gr_instance *gr_instance_in_slot_locked(const struct gr_dispatch *d, unsigned slot);

// --- pin.c -------------------------------------------------------------------------------------
enum gr_entry { GR_ENTERED, GR_NO_ROUTE, GR_GATE_CLOSED };
// Pins the table in force for this thread and finds the request's route in it (*ret, unless there
// is none). Whatever it returns, gr_unpin() follows.
enum gr_entry gr_pin(struct gr_thread *t, const struct grayling_request *request,
                     const struct gr_route **ret);
void gr_unpin(struct gr_thread *t);

// --- change.c ----------------------------------------------------------------------------------
struct gr_pass { // a module's state, from the version in force to the next one
    struct gr_instance *from, *to;
};
struct gr_plan { // zeroed but for the changes
    const struct gr_change *changes;
    size_t n_changes;
    struct gr_pass passes[GR_MODULES_MAX]; // in the order of the changes
    size_t n_passes;
    struct gr_pass left[GR_MODULES_MAX]; // not handed back: `from` has lost what it got of `to`
    size_t n_left;
    struct gr_gates gates; // of the changed modules
    struct gr_member members[GR_MODULES_MAX];
    size_t n_members;
    char what[160]; // "modules pay, auth"
};
// Fills the plan and builds the table that the changes make of the one in force, which must not
// change meanwhile. Fails: -EINVAL, ContractIncompatible, StateHandoverFailed, -ENOMEM; gates may
// have got names.
GR_MUST_CHECK int gr_plan_next(struct gr_dispatch *d, struct gr_plan *p, struct gr_table **ret,
                               struct gr_error *e);

// --- cohort.c ----------------------------------------------------------------------------------
enum {
    GR_COHORT_DECIDED = 1,
    GR_COHORT_CANDIDATE = 2,
    GR_COHORT_USED = 4, // a candidate of it has run
};
enum {
    GR_BATCH_USED = 1, // a version of it has run
    GR_BATCH_BACK = 2, // this request sees the versions before it
};
// Forgets what the previous request decided. `table` is pinned for this one.
static inline void gr_cohorts_begin(struct gr_thread *t, const struct gr_table *table,
                                    const struct grayling_request *request)
{
    if (__builtin_expect((table->n_rollouts | table->n_batches) == 0, 1))
        return;
    t->request = request;
    memset(t->cohorts, 0, table->n_rollouts);
    memset(t->batches, 0, table->n_batches);
}
// The cohort of the record's rollout, decided at first touch. Only for records with a gray.
uint8_t gr_cohort(struct gr_thread *t, const struct gr_record *r);
// The candidate of `r`, which is about to run, is the first of its rollout in this request, or the
// rollout's only module: stable may answer for it without mixing two views.
bool gr_cohort_use(struct gr_thread *t, const struct gr_record *r);
// Nothing of the record's rollout has run for this request yet: it may still change its cohort.
bool gr_cohort_is_fresh(const struct gr_thread *t, const struct gr_record *r);
// From here on this request belongs to the stable cohort of the record's rollout.
void gr_cohort_leave(struct gr_thread *t, const struct gr_record *r);
// The same for every rollout that a candidate of has run.
void gr_cohorts_leave_used(struct gr_thread *t, const struct gr_table *table);

// --- drain.c -----------------------------------------------------------------------------------
// Waits until blocked(d, arg) is false; it is called under the lock, at first and after each call
// that was left. Fails: -ETIMEDOUT at the deadline, with the lock's view at that time already shown
// to `blocked`.
GR_MUST_CHECK int gr_drain(struct gr_dispatch *d, bool (*blocked)(struct gr_dispatch *d, void *arg),
                           void *arg, struct gr_mono deadline);
// What a thread is inside of, safe to read under the lock; NULL: nothing (any more).
const struct gr_record *gr_entered_locked(struct gr_dispatch *d, const struct gr_thread *thread);
// Frees the retired tables that no thread is inside any more. Under the lock.
void gr_reclaim_locked(struct gr_dispatch *d);
// Opens what the held_by_ sets no longer hold and closes what they do. Under the lock; a heavy
// barrier must follow a close.
void gr_gates_publish_locked(struct gr_dispatch *d);

// --- hook.c ------------------------------------------------------------------------------------
#define GR_HOOK_WHERE_MAX 160
// Runs fn(arg), a hook of `i`, on this thread, giving it a signal stack for the while. false: it
// faulted, `where` says how.
bool gr_hook_run(struct gr_instance *i, const char *hook, int32_t (*fn)(void *), void *arg,
                 int32_t *ret_code, char where[GR_HOOK_WHERE_MAX]);

// --- memory.c ----------------------------------------------------------------------------------
struct gr_memory; // a sealed object and its one mapping
// Makes one that `i` holds. Fails: -EINVAL for its size, -ENOMEM, also over GR_STATE_OBJECTS_MAX.
GR_MUST_CHECK int gr_memory_new(struct gr_instance *i, uint64_t size, struct gr_memory **ret);
// Frees it when nobody else holds it. An address that `i` does not hold is nothing.
void gr_memory_let_go(struct gr_instance *i, const void *data);
void gr_memory_let_all_go(struct gr_instance *i);
void gr_memory_describe(const struct gr_memory *m, struct grayling_bytes *ret, int *ret_fd);
// Lets `to` hold the object of `from` that fd names, after a look at its seals. Fails: -EINVAL,
// -ENOMEM, and says why.
GR_MUST_CHECK int gr_memory_take(struct gr_instance *from, struct gr_instance *to, int fd,
                                 uint64_t used, struct gr_memory **ret,
                                 char why[GR_HOOK_WHERE_MAX]);
// The same without a holder: it stays for as long as somebody looks at it. gr_memory_return()
// follows.
GR_MUST_CHECK int gr_memory_borrow(struct gr_instance *from, int fd, uint64_t used,
                                   struct gr_memory **ret, char why[GR_HOOK_WHERE_MAX]);
void gr_memory_return(struct gr_instance *from, struct gr_memory *m);
// For everybody who has the mapping. Fails: -ENOMEM.
GR_MUST_CHECK int gr_memory_protect(const struct gr_memory *m, bool writable);

// --- transfer.c --------------------------------------------------------------------------------
struct gr_transfer; // the hooks of one exchange, on a thread of their own
// Starts the thread, which waits. Without anything to hand over *ret is NULL, which all the others
// take. Fails: StateHandoverFailed.
GR_MUST_CHECK int gr_transfer_new(struct gr_dispatch *d, const struct gr_plan *p,
                                  struct gr_transfer **ret, struct gr_error *e);
// Under the freeze: has all state handed over before the deadline. Fails: StateHandoverFailed; at
// the deadline the thread is left alone with what it is stuck in, and *t is NULL.
GR_MUST_CHECK int gr_transfer_run(struct gr_transfer **t, struct gr_mono deadline,
                                  struct gr_swap_result *ret, struct gr_error *e);
// Before the gates open: who may write to the state from now on.
void gr_transfer_settle(struct gr_transfer *t, bool committed);
// After the gates have opened.
void gr_transfer_free(struct gr_transfer *t);

// --- image.c -----------------------------------------------------------------------------------
struct gr_image {                        // what the loader really mapped
    uint64_t base, text_start, text_end; // text_: the executable segments
    struct gr_contract *contract;        // NULL: no contract note
    char build_id[81];                   // hex; "" none
};
// Reads the mapped headers of a dlopen handle. Fails: LoadFailed, NotAModule.
GR_MUST_CHECK int gr_image_read(void *handle, const char *path, struct gr_image *ret,
                                struct gr_error *e);
// 0: what is mapped at `address` is the file behind fd. Fails: LoadFailed with both identities.
GR_MUST_CHECK int gr_image_same_file(uint64_t address, int fd, const char *path,
                                     struct gr_error *e);

// --- loader.c ----------------------------------------------------------------------------------
// Makes a version known whose code is elsewhere: calls go to `block` with `away`. Takes `contract`
// and `away` on success. Fails: -EINVAL, -ENOMEM.
GR_MUST_CHECK int gr_instance_adopt(struct gr_dispatch *d, const struct gr_load *l,
                                    struct gr_contract *contract,
                                    const struct grayling_module *block, struct gr_away *away,
                                    struct gr_instance **ret, struct gr_error *e);

// --- away.c ------------------------------------------------------------------------------------
// There is a process that calls can go to.
bool gr_away_present(struct gr_away *a);
void gr_away_free(struct gr_away *a); // NULL is nothing
// Runs a hook of state where the version is. Blocks until it has ended: the budget is the asker's.
// Fails: -ENOTCONN, nothing was asked; -EPIPE, the process ended meanwhile; -EPROTO, it answered
// what is none.
GR_MUST_CHECK int gr_away_hook(struct gr_away *a, struct gr_state_hook *h);
// What its process holds is good for nothing any more: another one is to take its place.
void gr_away_give_up(struct gr_away *a, const char *why);

// --- afar.c ------------------------------------------------------------------------------------
// What a module calls of others here is called where its question came from. As the host's call().
int32_t gr_afar_call(struct grayling_call *call, const char *interface_name,
                     const char *method_name, struct grayling_bytes payload,
                     struct grayling_bytes *ret);

// --- host.c ------------------------------------------------------------------------------------
void gr_host_init(struct gr_instance *i);
// What the instance of `call` may call of others, by the table that the request pinned. As the
// host's call().
int32_t gr_host_call(struct grayling_call *call, const char *interface_name,
                     const char *method_name, struct grayling_bytes payload,
                     struct grayling_bytes *ret);

// --- breakers.c --------------------------------------------------------------------------------
// One load: true nearly always.
static inline bool gr_breakers_closed(const struct gr_instance *i)
{
    return atomic_load_explicit(&i->breaker->words[0], memory_order_relaxed) == 0;
}
// It is not closed: may a call go through all the same? Then *ret_probe says whether its end
// decides, and must be told.
bool gr_breakers_admit(struct gr_instance *i, uint64_t now_usec, bool *ret_probe);
// Would it say no now? Decides nothing: no probe is begun.
bool gr_breakers_refuse(const struct gr_instance *i, uint64_t now_usec);
#define GR_BREAKER_SENTENCE "the module failed too often: its breaker is open, try again later"
void gr_breakers_fault(struct gr_instance *i, bool probe, uint64_t now_usec);
void gr_breakers_probe_ended(struct gr_instance *i, uint64_t now_usec);

// --- answer.c ----------------------------------------------------------------------------------
struct gr_answer { // one response's bytes, copied or taken over
    struct gr_answer *next;
    const void *data;
    uint64_t size;
    grayling_release_fn release; // of the module; NULL: `data` is in `copy`
    void *owner;
    struct gr_held *held; // pins the version while its buffer is out
    char copy[];
};
// NULL: out of memory.
struct gr_answer *gr_answer_copy(struct grayling_bytes payload);
// Copies to `room`, which stays the caller's.
struct gr_answer *gr_answer_place(struct grayling_bytes payload, void *room);
struct gr_answer *gr_answer_take(struct grayling_bytes payload, grayling_release_fn release,
                                 void *owner, struct gr_held *held);
// Gives the bytes back and unpins; may be the last thing that an unload waits for. NULL is nothing.
void gr_answer_free(struct gr_dispatch *d, struct gr_answer *a);

// --- serve.c -----------------------------------------------------------------------------------
enum gr_end {    // of a call into another process
    GR_END_HERE, // answered
    GR_END_LATE, // not by its deadline
    GR_END_LOST, // the process ended meanwhile
};
#define GR_NEVER_NSEC (UINT64_MAX / 2) // after any beginning
static inline uint64_t gr_now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct grayling_call { // one version at work on one request
    struct gr_thread *thread;
    const struct gr_record *record; // whose reach bounds what it may call
    struct gr_instance *instance;
    const struct grayling_request *request;
    unsigned depth;
    uint64_t limit_nsec; // after which it is given up
    bool probe;          // of the instance's breaker
    // Only of instances that are away, which set them.
    bool end_counts; // the version's fault is counted with this call
    enum gr_end end;
    enum gr_fault_kind end_kind;
    struct gr_answer *answer;
    struct gr_answer *kept; // of callees: valid until handle() returns
    char *message;          // GR_SENTENCE_BYTES of them; "": it has said nothing
    int32_t passed; // `message` is of a callee that ended with this code; 0: of this version
};

#define GR_SENTENCE_BYTES sizeof(((struct gr_response *)0)->message)

struct gr_served { // who answered what
    int32_t code;
    struct gr_instance *by; // NULL: nobody has the method
    bool rescued, candidate;
    bool failed; // `by` faulted
    bool ran;    // a version of the module said so, not the library in its place
    bool passed; // the sentence comes from further down
    struct gr_answer *answer;
};
// Does this request see the candidate of a record that has one, and does it have the method?
bool gr_sees_candidate(struct gr_thread *t, const struct gr_route *route);
// Runs a route on the pinned table: deadline, guard, statistics, rescue. `message` as in
// grayling_call.
void gr_serve(struct gr_thread *t, const struct gr_route *route,
              const struct grayling_request *request, unsigned depth, char *message,
              struct gr_served *ret);
void gr_count_rescue(const struct gr_thread *t, const struct gr_instance *failed);

// --- call.c ------------------------------------------------------------------------------------
// Everything but the long texts, of which the terminator is enough.
void gr_response_clear(struct gr_response *r);
void gr_response_fill(struct gr_response *r, const struct gr_served *served);

// --- place.c -----------------------------------------------------------------------------------
// After gr_cohorts_begin(): what was decided when the call was placed.
void gr_place_recall(struct gr_thread *t, const struct gr_record *r, const struct gr_place *place);
// Finds room for a call whose record is pooled. GR_CALL_DONE: there is none, or the breakers of all
// who may answer are open, and *ret says so.
// false: it may run here, since no version will.
GR_MUST_CHECK bool gr_place_find(struct gr_thread *t, const struct gr_route *route,
                                 struct gr_place *place, struct gr_response *ret,
                                 enum gr_call_result *ret_result);
