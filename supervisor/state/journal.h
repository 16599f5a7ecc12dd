// The journal: one SQLite database (WAL, synchronous=FULL) in the state directory with what must
// survive any instant of death: the committed table, the rollout in progress with its intents,
// history, events, quarantine, and the source's floor. Blocks (fsync). Every function: 0 or
// negative errno; *e has reason DiskFull for -ENOSPC. A reserve file keeps room for the journal on
// a full disk; a second file keeps a copy of what must not be lost with the database.
#pragma once
#include "base/clock.h"
#include "state/desired.h"

struct gr_journal;
GR_MUST_CHECK int gr_journal_open(const char *state_dir, struct gr_journal **ret,
                                  struct gr_error *e);
void gr_journal_close(struct gr_journal *j);
// What was lost at open, and what came back from the copy, in sentences; "": nothing was lost. A
// damaged database is kept aside as journal.db.corrupt-TIME, one that a newer graylingd wrote as
// journal.db.newer-TIME: a downgrade has to serve. When the directory cannot be written, the
// journal is in memory: rollouts are refused (-EROFS), and all else is forgotten at the end.
const char *gr_journal_damage(const struct gr_journal *j);

// Rollout phases of INTERFACES §4, in its order.
#define GR_PHASES(X)                                                                               \
    X(PENDING, "Pending")                                                                          \
    X(FETCHING, "Fetching")                                                                        \
    X(VERIFYING, "Verifying")                                                                      \
    X(STAGED, "Staged")                                                                            \
    X(PROGRESSING, "Progressing")                                                                  \
    X(PAUSED, "Paused")                                                                            \
    X(BAKING, "Baking")                                                                            \
    X(HEALTHY, "Healthy")                                                                          \
    X(ROLLING_BACK, "RollingBack")                                                                 \
    X(ROLLED_BACK, "RolledBack") X(REJECTED, "Rejected") X(SUPERSEDED, "Superseded")
enum gr_phase {
#define X(id, text) GR_PHASE_##id,
    GR_PHASES(X)
#undef X
        GR_PHASE_COUNT
};
const char *gr_phase_name(enum gr_phase p);
bool gr_phase_is_terminal(enum gr_phase p); // Healthy RolledBack Rejected Superseded

// --- the committed table: what a start must serve
// -------------------------------------------------------------------- A row per module;
// `last_good` is the release that finished its bake last (it equals the row itself when that is
// healthy).
struct gr_committed {
    struct gr_name module;
    struct gr_desired *release;   // what is in force (version, digest, config, sources...); owned
    struct gr_desired *previous;  // last good before it while it bakes; NULL otherwise; owned
    struct gr_desired *last_good; // owned; NULL: never had one
};
struct gr_table_rows {
    int64_t number;
    size_t n;
    struct gr_committed *rows;
};
GR_MUST_CHECK int gr_journal_load_table(struct gr_journal *j, struct gr_table_rows *ret,
                                        struct gr_error *e);
void gr_table_rows_done(struct gr_table_rows *t);

// --- rollouts ------------------------------------------------------------------------------------
// Why a rollout is Paused. A person's hold is told apart: it may come on top of each.
#define GR_HOLDS(X)                                                                                \
    X(NONE, "")                                                                                    \
    X(STEP, "step")             /* a pause step */                                                 \
    X(UNDECIDED, "undecided")   /* before the swap: the verdict is not Successful yet */           \
    X(BAD_STABLE, "bad-stable") /* the verdict blames stable: a person has to decide */            \
    X(FAILURE, "failure")       /* on_failure: pause, or a bake with no way back of its own */     \
    X(ONE_WAY, "one-way")       /* before a swap that has no way back without a loss */
enum gr_hold {
#define X(id, text) GR_HOLD_##id,
    GR_HOLDS(X)
#undef X
        GR_HOLD_COUNT
};
const char *gr_hold_name(enum gr_hold h);

#define GR_UNDO_VERB "undo" // of a rollout that began by an order on this host alone

// An operator's order that was obeyed last, so that the next one can be told who, what and when.
struct gr_order_row {
    char verb[16], actor[128], reason[512]; // verb "": none yet
    int64_t step;
    struct gr_wall at;
};
// A swap whose way back loses state is a door that opens to one side only.
enum gr_door {
    GR_DOOR_NONE,   // there is a way back, or there was nothing before
    GR_DOOR_CLOSED, // nobody has agreed yet
    GR_DOOR_OPEN,   // a person has, by order or in the document
    GR_DOOR_COUNT
};
const char *gr_door_name(enum gr_door d); // "", "closed", "open"

#define GR_DOOR_WHY_MAX 544
// What a gray release has reached: a restart goes on from here. Times are what was left when the
// row was written.
struct gr_gray_row {
    uint64_t salt;
    unsigned weight_permyriad, shadow_permyriad;
    uint64_t deadline_left_usec; // 0: not known (written before there were gray releases)
    uint64_t pause_left_usec, pause_requests_left;
    enum gr_hold hold;
    char held_by[128]; // person who paused it; "": nobody
    bool full;         // promote --full: the swap is next, whatever the steps and verdicts say
    bool overruled;    // a person put it above its verdict: only a crash takes it back now
    bool swapped;      // its table was committed
    enum gr_door door;
    char door_why[GR_DOOR_WHY_MAX]; // whose state, and why there is no way back for it
    struct gr_order_row order;
};

struct gr_rollout_member {
    struct gr_name module;
    struct gr_desired *to;   // NULL: removal
    struct gr_desired *from; // what was in force; NULL: first deployment
    enum gr_reason reason;   // why this member failed
    char message[GR_MESSAGE_MAX];
    char *verdict; // JSON: the last verdict's record, which holds the numbers and the state; NULL:
                   // none; owned
};
struct gr_rollout_row {
    int64_t id; // revision of the desired state that asked for it
    enum gr_phase phase;
    int64_t step; // index of the step that it is at; the number of steps: past the last one
    enum gr_reason reason;
    char message[GR_MESSAGE_MAX];
    struct gr_wall created, updated;
    uint64_t bake_left_usec; // at the last write
    int64_t table_number;    // table that its swap commits; 0 before
    struct gr_gray_row gray;
    size_t n;
    struct gr_rollout_member *members;
};
void gr_rollout_row_done(struct gr_rollout_row *r);
// Intent before effect: writes the row as given (insert or replace), members too. The event that
// tells of it is the caller's. Ended rollouts are kept as history up to GR_HISTORY_ROWS_MAX and
// GR_HISTORY_BYTES_MAX.
GR_MUST_CHECK int gr_journal_put_rollout(struct gr_journal *j, const struct gr_rollout_row *r,
                                         struct gr_error *e);
// The swap's commit: rollout row and new table rows (only the members' modules change; n of rows
// may hold release==NULL for removal) in one transaction.
GR_MUST_CHECK int gr_journal_commit_table(struct gr_journal *j, const struct gr_rollout_row *r,
                                          int64_t table_number, const struct gr_committed *rows,
                                          size_t n, struct gr_error *e);
// 1: *ret is the phase of the rollout with that id; 0: there is none.
GR_MUST_CHECK int gr_journal_find_rollout(struct gr_journal *j, int64_t id, enum gr_phase *ret,
                                          struct gr_error *e);
// 1: *ret is to be done with; 0: there is none.
GR_MUST_CHECK int gr_journal_get_rollout(struct gr_journal *j, int64_t id,
                                         struct gr_rollout_row *ret, struct gr_error *e);
// Id of the newest rollout; 0: there is none.
GR_MUST_CHECK int gr_journal_newest_rollout(struct gr_journal *j, int64_t *ret, struct gr_error *e);
// All that are not terminal, oldest first; array of heap rows, caller frees each and the array.
GR_MUST_CHECK int gr_journal_open_rollouts(struct gr_journal *j, struct gr_rollout_row **ret,
                                           size_t *ret_n, struct gr_error *e);
// Newest first; module NULL: all; limit.
GR_MUST_CHECK int gr_journal_history(struct gr_journal *j, const char *module, size_t limit,
                                     struct gr_rollout_row **ret, size_t *ret_n,
                                     struct gr_error *e);

// --- events, quarantine, floor -------------------------------------------------------------------
struct gr_event_row {
    int64_t seq;
    struct gr_wall at;
    char module[65], version[128], phase[16], reason[32];
    int64_t rollout;
    char message[GR_MESSAGE_MAX];
};
// Does not wait for the disk: the rollout's row, which does, says where it stands. Capped
// GR_HISTORY_ROWS_MAX.
GR_MUST_CHECK int gr_journal_add_event(struct gr_journal *j, const struct gr_event_row *ev,
                                       struct gr_error *e);
GR_MUST_CHECK int gr_journal_events(struct gr_journal *j, int64_t after_seq, size_t limit,
                                    struct gr_event_row **ret, size_t *ret_n, struct gr_error *e);

// *ret is the seq of the newest event; 0: there is none.
GR_MUST_CHECK int gr_journal_newest_event(struct gr_journal *j, int64_t *ret, struct gr_error *e);

struct gr_conviction {
    struct gr_digest digest;
    struct gr_name module;
    char version[128];
    enum gr_reason reason;
    char evidence[GR_MESSAGE_MAX];
    char instance[65];
    struct gr_wall at;
};
GR_MUST_CHECK int gr_journal_convict(struct gr_journal *j, const struct gr_conviction *c,
                                     struct gr_error *e);
GR_MUST_CHECK int gr_journal_pardon(struct gr_journal *j, const struct gr_digest *d,
                                    const char *actor, const char *reason,
                                    struct gr_error *e); // -ENOENT
// Who let a digest go, and why.
struct gr_lift {
    char actor[128], reason[512];
    struct gr_wall at; // 0: it stands
};
// A pardon that is to be told to etcd yet: the conviction as it was, and the lift. `d` must be
// convicted. Fails: as gr_journal_pardon().
GR_MUST_CHECK int gr_journal_lift(struct gr_journal *j, const struct gr_digest *d,
                                  const struct gr_lift *lift, struct gr_error *e);
struct gr_lifted {
    struct gr_conviction conviction;
    struct gr_lift lift;
};
GR_MUST_CHECK int gr_journal_lifts(struct gr_journal *j, struct gr_lifted **ret, size_t *ret_n,
                                   struct gr_error *e);
GR_MUST_CHECK int gr_journal_drop_lift(struct gr_journal *j, const struct gr_digest *d,
                                       struct gr_error *e);
GR_MUST_CHECK int gr_journal_convictions(struct gr_journal *j, struct gr_conviction **ret,
                                         size_t *ret_n, struct gr_error *e);

// --- starts (journal-starts.c)
// --------------------------------------------------------------------

// A start has begun, then it is stable, then it has ended in order. One that died before stays as
// it was.
#define GR_START_STATES(X)                                                                         \
    X(BEGUN, "begun")                                                                              \
    X(STABLE, "stable")                                                                            \
    X(ENDED, "ended")
enum gr_start_state {
#define X(id, text) GR_START_##id,
    GR_START_STATES(X)
#undef X
        GR_START_STATE_COUNT
};
#define GR_BOOT_ID_MAX 40
struct gr_start_row {
    int64_t number;
    char boot[GR_BOOT_ID_MAX]; // of the host; "": not known
    struct gr_mono at;         // of that boot
    enum gr_start_state state;
    bool blamed; // its death was put down to a candidate
};
// Keeps the newest GR_STARTS_KEPT.
GR_MUST_CHECK int gr_journal_begin_start(struct gr_journal *j, const struct gr_start_row *row,
                                         int64_t *ret_number, struct gr_error *e);
GR_MUST_CHECK int gr_journal_mark_start(struct gr_journal *j, int64_t number,
                                        enum gr_start_state state, struct gr_error *e);
GR_MUST_CHECK int gr_journal_blame_start(struct gr_journal *j, int64_t number, struct gr_error *e);
// Newest first; ret has room for GR_STARTS_KEPT.
GR_MUST_CHECK int gr_journal_starts(struct gr_journal *j, struct gr_start_row *ret, size_t *ret_n,
                                    struct gr_error *e);
// A start died with this digest in play; *ret_tries counts this one.
GR_MUST_CHECK int gr_journal_add_try(struct gr_journal *j, const struct gr_digest *d,
                                     unsigned *ret_tries, struct gr_error *e);
GR_MUST_CHECK int gr_journal_forget_tries(struct gr_journal *j, const struct gr_digest *digests,
                                          size_t n, struct gr_error *e);

struct gr_safe_mode {
    struct gr_wall since; // 0: off
    char why[GR_MESSAGE_MAX];
};
GR_MUST_CHECK int gr_journal_get_safe_mode(struct gr_journal *j, struct gr_safe_mode *ret,
                                           struct gr_error *e);
// NULL: off; starts before do not count any more.
GR_MUST_CHECK int gr_journal_set_safe_mode(struct gr_journal *j, const struct gr_safe_mode *s,
                                           struct gr_error *e);

// --- steering (journal-intents.c, journal-verdicts.c) --------------------------------------------

struct gr_intent_row { // what came of the newest intent of a module
    struct gr_name module;
    uint64_t cluster_id; // of the etcd that it was read from
    int64_t revision;    // of its key
    bool applied;        // false: refused
    char verb[16], actor[128];
    char message[GR_MESSAGE_MAX];
    struct gr_wall at;
};
// Replaces what was kept of the module.
GR_MUST_CHECK int gr_journal_put_intent(struct gr_journal *j, const struct gr_intent_row *row,
                                        struct gr_error *e);
GR_MUST_CHECK int gr_journal_intents(struct gr_journal *j, struct gr_intent_row **ret,
                                     size_t *ret_n, struct gr_error *e);

struct gr_verdict_row {
    int64_t rollout;
    struct gr_name module;
    struct gr_wall at;
    char *record; // JSON; owned
};
void gr_verdict_rows_free(struct gr_verdict_row *rows, size_t n);
// Keeps the newest GR_VERDICTS_MAX of each member and, of all, as many as GR_VERDICTS_BYTES_MAX
// holds.
GR_MUST_CHECK int gr_journal_add_verdict(struct gr_journal *j, const struct gr_verdict_row *row,
                                         struct gr_error *e);
// Of one rollout, oldest first.
GR_MUST_CHECK int gr_journal_verdicts(struct gr_journal *j, int64_t rollout,
                                      struct gr_verdict_row **ret, size_t *ret_n,
                                      struct gr_error *e);

struct gr_floor {
    uint64_t cluster_id;
    int64_t revision;
    bool held; // what the source held afterwards was older, and nobody has accepted that yet
};             // last snapshot that was taken up; zero: none
GR_MUST_CHECK int gr_journal_get_floor(struct gr_journal *j, struct gr_floor *ret,
                                       struct gr_error *e);
GR_MUST_CHECK int gr_journal_set_floor(struct gr_journal *j, const struct gr_floor *f,
                                       struct gr_error *e);
