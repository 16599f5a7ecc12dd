// What the files of a rollout share. Private to rollout/.
#pragma once
#include "rollout/rollout.h"
#include "rollout/transition.h"

#define GR_JUDGE_USEC (250 * GR_USEC_PER_MSEC)
#define GR_CHECKPOINT_USEC                                                                         \
    (5 * GR_USEC_PER_SEC)    // so much of a pause or bake is waited again at most
#define GR_STAGE_TRIES_MAX 2 // workers that may die while they load it

struct gr_member {
    struct gr_rollout *rollout;
    size_t index;
    int64_t revision; // of the transaction that asked for it
    struct gr_verification *verification;
    struct gr_verified *verified;
    bool fetched;
    int slot;
    double sla_error_rate; // of the contract; < 0: none
    uint64_t sla_p99_usec; // 0: none
    // Sums since the first weight, and the worker's counters as they were read last.
    bool has_state; // its new version declares state, or the one before it does
    bool isolated;  // in a process of its own, whose resources are judged
    struct gr_growth growth;
    bool began, seen;
    uint64_t harmed; // of the harm budget, read before the counters were
    struct gr_arm_sample candidate, stable, reference;
    struct gr_arm_sample last_candidate, last_stable;
    uint64_t share_base[2]; // requests of candidate and stable when the share was set last
    struct gr_analysis_state state;
    bool judged;
    struct gr_verdict_record record;
};

// What the worker was asked last.
enum gr_ask { GR_ASK_ROUTE, GR_ASK_FORWARD, GR_ASK_BACK };

struct gr_rollout {
    struct gr_rollout_env env;
    struct gr_rollout_row row;
    struct gr_member *members;
    const struct gr_strategy *ladder; // NULL: no steps
    sd_event_source *timer;
    struct gr_mono deadline, bake_end, pause_end, checkpointed;
    size_t *order;            // members that are loaded, in this order; NULL: as they stand
    size_t n_order, n_staged; // ... how many, and how many of them were given to the worker
    size_t staging;           // answers outstanding
    size_t asks;              // answers outstanding: they come in order, the last one counts
    enum gr_ask ask;          // the last one
    bool taking_back;         // nothing was committed: the worker goes back before the rollout ends
    bool awaiting;            // all verified, waiting to be admitted
    bool admitted;            // what others do must not take away what it needs
    bool stage_wanted;        // admitted, waiting for a worker that can stage

    bool swap_asked;  // the swap was, so that it may have taken place
    bool forced_back; // an order: back, though state is lost by that
    unsigned back_tries;
    struct gr_mono back_again; // the hand-over back failed: then once more; 0: it is not waited for

    unsigned stage_tries;
    bool in_table;                     // candidates are, or may be, in the worker's table
    bool step_entered;                 // the step's intent is journaled and its effect asked for
    bool step_resumed;                 // the step goes on where the journal says
    uint64_t pause_base;               // requests of the candidates when the pause began
    enum gr_rollout_event restored_as; // what ends RollingBack
};

// --- rollout.c ---
struct gr_mono gr_rollout_now(const struct gr_rollout *r);
// Of its members, whose longest one counts; the default where none names one.
uint64_t gr_rollout_longest_deadline(const struct gr_rollout_row *row);
// Look up, journal the intent, report. The effect is the caller's next line. Fails only where going
// on without a journaled intent would be wrong.
int gr_rollout_set_phase(struct gr_rollout *r, enum gr_rollout_event ev);
// Journals the row in the phase that it has.
GR_MUST_CHECK int gr_rollout_write(struct gr_rollout *r, struct gr_error *e);
// The row as it will be after `phase` was entered, for the transaction that commits the table with
// it.
struct gr_rollout_row gr_rollout_row_as(struct gr_rollout *r, enum gr_phase phase);
void gr_rollout_set_reason(struct gr_rollout *r, size_t member, const struct gr_error *why);
void gr_rollout_end(struct gr_rollout *r, enum gr_rollout_event ev);
// The first strategy that has steps; NULL: none has.
const struct gr_strategy *gr_rollout_find_ladder(const struct gr_rollout_row *row);
void gr_rollout_drop_candidates(struct gr_rollout *r);
static inline bool gr_rollout_is_stepping(const struct gr_rollout *r)
{
    return r->row.phase == GR_PHASE_PROGRESSING || r->row.phase == GR_PHASE_PAUSED;
}

// --- rollout-admit.c ---
// Asks whether it may come into force now: on to the worker, or waits, or is refused.
void gr_rollout_consider(struct gr_rollout *r);

// --- rollout-timer.c ---
void gr_rollout_arm(struct gr_rollout *r);
void gr_rollout_refresh_left(struct gr_rollout *r); // the row's times, as of now

// --- rollout-stage.c ---
void gr_rollout_try_stage(struct gr_rollout *r);
void gr_rollout_swap_forward(struct gr_rollout *r);

// --- rollout-back.c ---
void gr_rollout_ask_back(struct gr_rollout *r);
void gr_rollout_restored(struct gr_rollout *r);
void gr_rollout_try_back_again(struct gr_rollout *r);
void gr_rollout_back_answered(struct gr_rollout *r, const struct gr_error *why);

// --- rollout-door.c ---
extern const struct gr_strategy gr_no_steps;
// All members are verified. Fails: -EPERM, and the rollout is refused: it has ended.
GR_MUST_CHECK int gr_door_negotiate(struct gr_rollout *r);
bool gr_door_holds(
    struct gr_rollout *r); // nobody has agreed to a swap without a way back: it waits
// Whether the order goes through a door without saying so. Fails: -EPERM.
GR_MUST_CHECK int gr_door_refuse_promote(const struct gr_rollout *r, const struct gr_order *o,
                                         struct gr_error *e);
GR_MUST_CHECK int gr_door_refuse_abort(const struct gr_rollout *r, const struct gr_order *o,
                                       struct gr_error *e);
void gr_door_open(struct gr_rollout *r, const struct gr_order *o); // if the order says so
bool gr_door_keeps(const struct gr_rollout *r, const struct gr_error *why);
void gr_door_keep(struct gr_rollout *r, size_t member, const struct gr_error *why);
void gr_door_leave(struct gr_rollout *r);

// --- rollout-bake.c ---
void gr_rollout_begin_bake(struct gr_rollout *r);
void gr_rollout_bake_over(struct gr_rollout *r);

// --- rollout-judge.c ---
void gr_rollout_begin_measuring(struct gr_rollout *r); // before the first weight, or the swap
void gr_rollout_begin_share(struct gr_rollout *r);     // a share was set
// Looks at the numbers; a failed verdict fails the rollout. Returns whether it goes on.
bool gr_rollout_judge(struct gr_rollout *r);
uint64_t gr_rollout_seen_requests(const struct gr_rollout *r); // of the candidate seen most
bool gr_rollout_all_successful(const struct gr_rollout *r);
bool gr_rollout_blames_stable(const struct gr_rollout *r);
void gr_rollout_say_undecided(const struct gr_rollout *r, char *buf, size_t cap);

// --- step.c ---
enum gr_step_result { GR_STEP_DONE, GR_STEP_WAIT, GR_STEP_FAILED };
// May be entered again at any time; what was done is not done twice.
typedef enum gr_step_result gr_step_handler(struct gr_rollout *r, const struct gr_step *s);
gr_step_handler gr_step_weight, gr_step_shadow, gr_step_pause, gr_step_analysis;
void gr_steps_walk(struct gr_rollout *r); // as far as it goes now
void gr_steps_lost(struct gr_rollout *r); // the worker went: entered again in the next one
void gr_steps_worker_ready(struct gr_rollout *r);
void gr_steps_leave(struct gr_rollout *r); // the step that it is at is over
// Journals that the step begins, and tells.
GR_MUST_CHECK int gr_step_begin(struct gr_rollout *r, const char *format, ...) GR_PRINTF(2, 3);
// Asks the worker for the shares of the row; nobody serves now: it is asked again later.
enum gr_step_result gr_step_route(struct gr_rollout *r);
void gr_steps_hold(struct gr_rollout *r, enum gr_hold h, const char *sentence);
