// What the manager's files share. Private to control/manager*.c, crew.c and status-writer.c.
#pragma once
#include "control/contracts.h"
#include "control/control-api.h"
#include "control/fault-book.h"
#include "control/intents.h"
#include "control/listeners.h"
#include "control/manager.h"
#include "control/mend.h"
#include "control/orphan.h"
#include "control/pressure.h"
#include "control/profiles.h"
#include "control/quarantine.h"
#include "control/status-writer.h"
#include "control/tally.h"
#include "control/telemetry.h"
#include "control/worker.h"
#include "rollout/rollout.h"
#include "state/plan.h"
#include "watchers/source.h"

// Where one module's versions sit in one worker.
struct gr_place {
    struct gr_name module;
    int stable, previous, candidate; // slots; -1: none
    int64_t rollout;                 // whose version the candidate is
    int harm;                        // budget of the version on trial; -1: none
    bool one_way;  // in an order: state that cannot be handed to the stable version may be lost
    int64_t batch; // of an order only: the rollout that stable came with, beside others
    // what the stable version, and the one before it, had shown in workers before this one
    struct gr_arm_sample carried, previous_carried;
};
struct gr_hosted { // a worker and what it holds
    struct gr_hosted *next;
    struct gr_manager *manager;
    struct gr_worker *worker;
    enum { GR_HOSTED_STARTING, GR_HOSTED_SERVING, GR_HOSTED_DRAINING } state;
    size_t n_places;
    struct gr_place places[GR_MODULES_MAX];
    bool slot_used[GR_INSTANCES_MAX];   // by what is loaded, on its way in or out, or pinned
    bool slot_pinned[GR_INSTANCES_MAX]; // by what could not be unloaded
    struct gr_held_file {
        struct gr_digest digest;
        unsigned copy;
        struct gr_name module;
        char version[GR_VERSION_MAX + 1], build_id[81];
        bool isolated;        // it has processes of its own
        int pid;              // ... just now this one; 0: none
        bool ended;           // it had one before
    } held[GR_INSTANCES_MAX]; // what a used slot has mapped
    size_t loading;           // answers outstanding while it is built
    struct gr_mono spawned;
    sd_event_source *limit; // ends a drain that does not end
    bool tainted;
    char *adopt_path; // where it waits when this supervisor dies
    bool incomplete;  // built while another serves, it lacks something of the table: not taken
    uint64_t number;  // of the workers of this supervisor
};

enum gr_restart { // of workers, counted
    GR_RESTART_CRASH,
    GR_RESTART_REPLACE,
    GR_RESTART_MEMORY,
    GR_RESTART_COUNT
};

struct gr_start {   // of this process
    int64_t number; // of its mark in the journal; 0: it has none
    bool stable;
    sd_event_source *timer;
    // of the start before, when it died before it was stable
    int64_t dead;
    char died_of[96]; // "": killed from outside, or it did not die
    bool blamed;
    unsigned deaths; // in a row, that nothing explains
    struct gr_safe_mode safe;
};

enum { GR_STATION_LOAD = GR_VERIFY_STATIONS, GR_STATIONS }; // the verifier's come first

struct gr_manager {
    sd_event *event;
    struct gr_wall swapped; // the last exchange of the table; 0: none yet
    struct gr_config *config;
    char *config_path;
    char *const *sets;
    size_t n_sets;
    struct gr_journal *journal;
    struct gr_transport *transport;
    struct gr_verifier *verifier;
    struct gr_contracts *contracts;
    struct gr_source *source;
    struct gr_source_health health;
    struct gr_intents *intents;       // NULL: the source is a directory
    struct gr_quarantine *quarantine; // the fleet's; NULL: the source is a directory
    struct gr_status_writer *status;
    struct gr_control *control;
    struct gr_profiles profiles;
    struct gr_listeners listeners;
    struct gr_orphans orphans; // until the first worker serves
    struct gr_harms *harms;    // what the workers count bad answers in
    int harms_fd;
    char *config_text; // for the control socket
    // state
    struct gr_table_rows table;
    struct gr_wishes before, now;
    struct gr_floor floor; // how far the run before had followed the source
    bool planned_once;
    struct gr_start start;
    struct gr_conviction *convictions;
    size_t n_convictions;
    struct gr_rollout *rollouts[GR_ROLLOUTS_MAX]; // in progress, oldest first
    size_t n_rollouts;
    struct gr_rollout *ended[GR_ROLLOUTS_MAX]; // to be freed at the next turn
    size_t n_ended;
    struct gr_rollout_env env;
    struct gr_rollout_ops ops;
    sd_event_source *advance; // deferred: begin what can begin, free what has ended
    // crew
    struct gr_program worker_program;
    struct gr_hosted *crew;   // all that live
    struct gr_hosted *active; // the one that serves; NULL: none now
    uint64_t n_workers;       // ever
    struct gr_mend *mends;    // artifacts that the store lost
    struct gr_fault_book *faults;
    bool replace_wanted;
    enum gr_restart replace_counts; // ... as what
    char replace_why[128];
    struct {
        struct gr_pressure state;
        uint64_t worker;       // number of the one that was measured last
        struct gr_mono fault;  // the last one that any module made
        sd_event_source *look; // while that counts
    } memory;
    unsigned deaths_in_a_row;
    sd_event_source *respawn;
    bool stopping, ready_told;
    struct gr_wall started;
    // what was told last about each module
    struct gr_told {
        struct gr_name module;
        enum gr_reason reason;
        char message[GR_MESSAGE_MAX];
        int64_t rollout, revision;
        enum gr_phase phase;
        int64_t step;
        struct gr_wall at;
        struct gr_wall moved;      // when phase or step changed last
        struct gr_mono entered;    // when the phase did, in this process
        struct {                   // what of the committed table cannot be served
            enum gr_reason reason; // NONE: nothing
            char message[GR_MESSAGE_MAX];
            struct gr_digest digest;
            uint64_t worker;                    // number of the one that found out
            char meanwhile[GR_VERSION_MAX + 1]; // the older version that serves; "": none does
        } lack;
    } * told;
    size_t n_told;
    uint64_t restarts[GR_RESTART_COUNT];
    struct gr_tallies tallies;
    struct gr_telemetry *telemetry;               // NULL: no spans
    struct gr_view_station stations[GR_STATIONS]; // since the start
    struct gr_view view;
    void *view_memory;
};

// manager.c
void gr_manager_tell(struct gr_manager *m, const char *message_id, int level, const char *module,
                     const char *version, int64_t rollout, const char *phase, enum gr_reason reason,
                     const char *message);
// As above, with the evidence as fields.
void gr_manager_tell_fault(struct gr_manager *m, const char *message_id, const char *module,
                           const char *version, int64_t rollout, const struct gr_fault_note *n,
                           const char *message);
struct gr_told *gr_manager_told(struct gr_manager *m, const struct gr_name *module); // makes it
// Part of what is committed cannot be served now: Degraded until a worker newer than the one of
// this number has it, or no row names it any more. `loud`: also an event.
void gr_manager_lacks(struct gr_manager *m, const struct gr_desired *d, const struct gr_error *why,
                      uint64_t worker, bool loud);
void gr_manager_advance(struct gr_manager *m); // look again at the next turn of the loop
void gr_manager_changed(struct gr_manager *m); // status keys, READY, waiting operators

// Opens and follows what the desired state and operators' orders come from. Fails: as
// gr_source_etcd_new() and the like.
GR_MUST_CHECK int gr_manager_follow_source(struct gr_manager *m, struct gr_error *e);

// manager-start.c
void gr_start_begin(struct gr_manager *m); // journals it, and looks how the one before ended
// A rollout that was open when the start before died: is charged when it was in play. True: that
// was its last try, and what it brings is quarantined.
bool gr_start_accuse(struct gr_manager *m, const struct gr_rollout_row *row);
void gr_start_take_back(struct gr_manager *m, struct gr_rollout *r); // one that had its last try
void gr_start_decide(struct gr_manager *m);                          // safe mode, or not
void gr_start_serves(struct gr_manager *m);                          // a worker does
void gr_start_worker_lost(struct gr_manager *m);                     // and no other does
// A worker whose death no rollout answers for yet.
void gr_start_worker_died(struct gr_hosted *h, const struct gr_worker_death *d, const char *how);
void gr_start_end(struct gr_manager *m); // in order
bool gr_manager_is_safe(const struct gr_manager *m);
int gr_start_refuse(struct gr_error *e); // -EPERM: in safe mode no rollout begins
// Fails: -EALREADY; as gr_journal_set_safe_mode() and gr_manager_follow_source().
GR_MUST_CHECK int gr_manager_leave_safe_mode(struct gr_manager *m, const char *actor,
                                             const char *reason, struct gr_error *e);

// manager-plan.c
// Borrows from before, now and the manager's state.
GR_MUST_CHECK int gr_manager_make_plans(struct gr_manager *m, const struct gr_wishes *before,
                                        const struct gr_wishes *now, struct gr_plans **ret);
void gr_manager_plan(struct gr_manager *m);
// For a rollout that no transaction asked for; `newest`: the newest id that the journal knows.
int64_t gr_manager_next_id(const struct gr_manager *m, int64_t newest);
// manager-passage.c
void gr_manager_note_passages(struct gr_manager *m, const struct gr_wishes *now,
                              struct gr_plans *p);
// manager-pooling.c: warnings about the documents `asked`, which are part of `now`. Fails: -ENOMEM.
GR_MUST_CHECK int gr_manager_note_pooling(struct gr_manager *m, const struct gr_wishes *asked,
                                          const struct gr_wishes *now, struct gr_plans *p);
// Begins a rollout. `salt` 0: a fresh one. Fails: as gr_rollout_new(); -EBUSY: too many.
GR_MUST_CHECK int gr_manager_begin(struct gr_manager *m, const struct gr_plan *p, uint64_t salt,
                                   struct gr_error *e);

// manager-table.c
const struct gr_committed *gr_manager_row(const struct gr_manager *m, const struct gr_name *module);
// Journals what `row` makes of its modules' rows in direction d together with the rollout's row
// `as`, and takes it up in memory. Fails (disk full): FORWARD changed nothing; BACK and SETTLE are
// taken up in memory all the same.
GR_MUST_CHECK int gr_manager_commit_rows(struct gr_manager *m, const struct gr_rollout_row *row,
                                         enum gr_direction d, const struct gr_rollout_row *as,
                                         struct gr_error *e);
void gr_manager_collect_store(struct gr_manager *m);
bool gr_manager_row_names(const struct gr_committed *row, const struct gr_digest *digest);

// manager-control.c
// May the worker be replaced as a precaution? State is in its memory, and another one begins
// without it. Fails: -EPERM.
GR_MUST_CHECK int gr_manager_check_state(struct gr_manager *m, struct gr_error *e);

// manager-ops.c
// The release in force declares state, which is in the worker's memory.
bool gr_manager_holds_state(struct gr_manager *m, const struct gr_committed *row);
// Keeps what a verified release declares, for gr_manager_contract().
void gr_manager_keep_contract(struct gr_manager *m, const struct gr_verified *v);
// What a release declares, when its bytes were verified or loaded since the start, or the store has
// them (blocks once: hash). Borrowed until GR_CONTRACTS_KEPT others were asked for. NULL: not known
// (or d is NULL).
const struct gr_contract *gr_manager_contract(struct gr_manager *m, const struct gr_desired *d);
void gr_manager_worker_ops(struct gr_rollout_ops *ret); // what a rollout does to the worker
// A worker that is being built with what is not wanted any more must not come up.
void gr_manager_rebuild_starting(struct gr_manager *m);
// For an order: `p`, a member of `row`, is in force with the others of its batch. A request that a
// fault sends back sees all of them as they were; where one was removed that cannot be shown, and
// nobody answers in place of what faults.
void gr_place_join_batch(struct gr_place *p, const struct gr_rollout_row *row);
// What a slot's version has shown in worker h.
struct gr_arm_sample gr_hosted_arm(struct gr_hosted *h, int slot);

// manager-harm.c
GR_MUST_CHECK int gr_manager_open_harms(struct gr_manager *m, struct gr_error *e);
void gr_manager_close_harms(struct gr_manager *m);
// The number of the budget of a rollout's member, which begins with the first call; -1: none.
int gr_manager_harm(struct gr_manager *m, const struct gr_rollout *r, size_t member);
uint64_t gr_manager_harmed(void *manager, const struct gr_rollout *r, size_t member); // the op
void gr_manager_on_harm(struct gr_manager *m, const cJSON *message);

// manager-trace.c
// With [Telemetry] Endpoint=: spans are exported from now on. Fails: as gr_telemetry_new().
GR_MUST_CHECK int gr_manager_open_telemetry(struct gr_manager *m, struct gr_error *e);
uint32_t gr_manager_sample(const struct gr_manager *m); // [Telemetry] SampleRatio=, of 2^32
void gr_manager_on_spans(struct gr_manager *m, const cJSON *message);
// A rollout is about to be told to be in another phase or step than `t` says; or to have ended.
void gr_manager_trace_move(struct gr_manager *m, const struct gr_told *t,
                           const struct gr_rollout_row *row);

// table-message.c
// `set` and `rollouts` are arrays of the order that they are added to.
void gr_table_add_place(cJSON *order, const struct gr_place *p);
void gr_table_add_rollout(cJSON *order, const struct gr_rollout *r);
cJSON *gr_table_order(const char *type, int64_t table, uint64_t budget_usec);

// manager-rollouts.c
struct gr_rollout *gr_manager_find_rollout(const struct gr_manager *m, int64_t id,
                                           const struct gr_name *module, size_t *ret_member);
void gr_manager_init_ops(struct gr_manager *m);
void gr_manager_report(struct gr_manager *m, const struct gr_rollout_row *row);
// What the status says of a module until its rollout says more.
void gr_manager_adopt_told(struct gr_manager *m, const struct gr_rollout_row *row);
int gr_manager_advance_rollouts(struct gr_manager *m);
int gr_manager_recover(struct gr_manager *m, struct gr_error *e);
void gr_manager_free_rollouts(struct gr_manager *m);
void gr_manager_reload_convictions(struct gr_manager *m);
bool gr_manager_is_waiting(const struct gr_manager *m);
// Puts what the member brings into quarantine, for its reason and message.
void gr_manager_convict(struct gr_manager *m, const struct gr_rollout_member *mem, int64_t rollout);
// What is convicted when it misbehaves: the digest, or with a change of configuration alone digest
// and configuration together. Fails: -ENOMEM.
GR_MUST_CHECK int gr_member_accused(const struct gr_rollout_member *mem, struct gr_digest *ret);
// The member changes the configuration and keeps the code.
bool gr_member_reconfigures(const struct gr_rollout_member *mem);

// manager-sets.c
// Modules that serve together, and what each declares (NULL: it is not there, or not known).
struct gr_set {
    size_t n;
    const struct gr_name *modules[GR_MODULES_MAX];
    const struct gr_contract *contracts[GR_MODULES_MAX];
};
// What is in force, with the members of r as they will be (FORWARD) or were (BACK); r NULL: as it
// is. Borrowed for this turn of the loop.
void gr_manager_set(struct gr_manager *m, const struct gr_rollout *r, enum gr_direction d,
                    struct gr_set *ret);
// The members of a rollout whose set it is, dependencies first. ret_order has row->n places;
// returns how many are filled.
size_t gr_set_order(const struct gr_set *s, const struct gr_rollout_row *row, size_t *ret_order);
// What a version with that contract is told of its peers when it is loaded. NULL: out of memory.
cJSON *gr_set_peers(const struct gr_set *s, const struct gr_contract *c);

// manager-admission.c
// May the rollout's versions come into force, as far as modules need each other?
enum gr_resolve_verdict gr_manager_resolve(struct gr_manager *m, struct gr_rollout *r,
                                           struct gr_admission *ret);

// manager-lock.c
// Does the rollout have all that its members' upgrade locks ask for? Takes along what older ones
// that wait bring. WAIT: UpgradeLockIncomplete; REFUSE: what waits for it goes up other steps.
enum gr_resolve_verdict gr_manager_lock(struct gr_manager *m, struct gr_rollout *r,
                                        struct gr_admission *ret);
// Writes into the plans what follows from the contracts that are known before bytes are fetched.
void gr_manager_note_locks(struct gr_manager *m, const struct gr_wishes *now, struct gr_plans *p);
// Who has to change when this module becomes `to` and nothing else does: rows of the table. ret has
// GR_MODULES_MAX places.
size_t gr_manager_locked_with(struct gr_manager *m, const struct gr_name *module,
                              const struct gr_desired *to, const struct gr_committed **ret);

// manager-intents.c
// Fails: as gr_intents_new() and gr_intents_follow().
GR_MUST_CHECK int gr_manager_follow_intents(struct gr_manager *m, const struct gr_etcd_config *c,
                                            struct gr_error *e);

// manager-quarantine.c
// Fails: as gr_quarantine_new().
GR_MUST_CHECK int gr_manager_follow_quarantine(struct gr_manager *m, const struct gr_etcd_config *c,
                                               struct gr_error *e);
// Lets a digest go, here and, once etcd answers, everywhere. Fails: -ENOENT (not convicted here).
GR_MUST_CHECK int gr_manager_lift(struct gr_manager *m, const struct gr_digest *digest,
                                  const char *actor, const char *reason, struct gr_error *e);

// manager-steer.c
// The newest rollout of the module obeys; see gr_rollout_steer(). Fails: -ENOENT too (none is in
// progress).
int gr_manager_steer(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     struct gr_error *e);
// The newest rollout of the module, which has ended, once more: the same documents, and the same
// requests see them. Fails: -ENOENT, -ESTALE (the order names another rollout), -EPERM (it is in
// progress, it is Healthy, or something else is desired by now), -EKEYREJECTED (quarantined).
int gr_manager_retry(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     struct gr_error *e);

// manager-undo.c
struct gr_rollout *gr_manager_newest_open(struct gr_manager *m, const struct gr_name *module);
// As gr_control_ops.abort and .undo.
int gr_manager_abort(struct gr_manager *m, const struct gr_name *module, const struct gr_order *o,
                     cJSON **ret, struct gr_error *e);
int gr_manager_undo(struct gr_manager *m, const char *module, const char *to,
                    const struct gr_order *o, cJSON **ret, struct gr_error *e);
// The desired state asks for another release than the one in force, and nothing is on its way: a
// person of this host took it back. *ret is what is desired, borrowed.
bool gr_manager_differs(const struct gr_manager *m, const struct gr_name *module,
                        const struct gr_desired **ret);
// manager-steer.c: what the source asks for; NULL: nothing, or what cannot be read.
const struct gr_desired *gr_manager_wish(const struct gr_manager *m, const struct gr_name *module);
const struct gr_conviction *gr_manager_conviction(const struct gr_manager *m,
                                                  const struct gr_digest *d); // NULL: none

// crew.c
int gr_crew_start(struct gr_manager *m, struct gr_error *e);
void gr_crew_replace_when_quiet(struct gr_manager *m);
void gr_crew_drain_all(struct gr_manager *m);
void gr_crew_free(struct gr_manager *m);
// hosted.c
struct gr_place *gr_hosted_place(struct gr_hosted *h, const struct gr_name *module); // NULL: none
struct gr_place *gr_hosted_make_place(struct gr_hosted *h,
                                      const struct gr_name *module); // NULL: full
void gr_hosted_drop_place(struct gr_hosted *h, const struct gr_name *module);
typedef void (*gr_loaded)(void *userdata, int slot, const struct gr_error *e);
// Sends `load`, of a copy when this worker has the file mapped already; the version is told of its
// peers in `set`. done is called from the loop. Fails: LoadFailed, DiskFull; *e always has the
// sentence, and done is not called.
int gr_hosted_load(struct gr_hosted *h, const struct gr_verified *v, const char *config,
                   const struct gr_set *set, gr_loaded done, void *userdata, struct gr_error *e);
void gr_hosted_unload(struct gr_hosted *h, int slot);
// The worker tells of the process of an isolated version, or that it has none any more.
void gr_hosted_on_process(struct gr_hosted *h, const cJSON *msg);

// crew-build.c
void gr_crew_build(void *hosted, struct gr_worker *w); // it said hello

// crew-older.c
// The nth release (from 0) to try when the committed one cannot be had. Caller frees. NULL: none.
struct gr_desired *gr_crew_older(struct gr_manager *m, const struct gr_committed *row, size_t nth);

// crew-blame.c
// The version in a slot, and the rollout that answers for it; r NULL: it is in force without one.
struct gr_blame {
    struct gr_place *place; // NULL: nobody
    int slot;
    const struct gr_desired *version;
    struct gr_rollout *r;
    size_t member;
    char method[64], request_id[40]; // of a death
};
void gr_crew_on_fault(struct gr_hosted *h, const cJSON *message);
// Whom the death is blamed on, and *e says so.
struct gr_blame gr_crew_culprit(struct gr_hosted *h, const struct gr_worker_death *d,
                                struct gr_error *e);

// crew-faults.c
// Into the book. The slot is one that the worker holds or has held.
const struct gr_fault_note *gr_crew_note_fault(struct gr_hosted *h, int slot, const cJSON *message);
// Into the book; NULL: nobody is to blame.
const struct gr_fault_note *gr_crew_note_death(struct gr_hosted *h, const struct gr_blame *b,
                                               const struct gr_worker_death *d);
void gr_crew_count_death(struct gr_hosted *h, const struct gr_blame *b); // for the breaker
void gr_crew_tell_breaker(struct gr_hosted *h, int slot, enum gr_breaker_state state,
                          unsigned recent, uint64_t left_usec);
void gr_crew_on_breaker(struct gr_hosted *h, const cJSON *message);
// From the worker that serves into the book, and from there to one that does not serve yet.
void gr_crew_keep_breakers(struct gr_hosted *h);
void gr_crew_give_breakers(struct gr_hosted *h);

// crew-memory.c
// A module faulted, or a worker died of one: from now on its memory is looked at for a while.
void gr_crew_watch_memory(struct gr_manager *m);

// manager-view.c
const struct gr_view *gr_manager_view(struct gr_manager *m);
void gr_manager_view_done(struct gr_manager *m);
// manager-control.c
void gr_manager_control_ops(struct gr_manager *m, struct gr_control_ops *ret);
