// One rollout: the modules that changed between two snapshots, taken together through fetch,
// verify, stage, the steps of their strategy, swap and bake, or taken back together. Owns the row,
// its verifications and its timer. Everything it does to the world goes through `ops`; the phase is
// set in one place (gr_rollout_set_phase), journaled before its effect.
#pragma once
#include "rollout/analysis-record.h"
#include "rollout/growth.h"
#include "state/journal.h"
#include "state/order.h"
#include "state/plan.h"
#include "state/resolve.h"
#include "verifier/verify.h"
#include <systemd/sd-event.h>

struct gr_rollout;

// FORWARD: the new versions; BACK: what was in force before, and no candidate; SETTLE: the bake
// ended well, what was before may go.
enum gr_direction { GR_FORWARD, GR_BACK, GR_SETTLE };

// Whether a rollout may come into force as things are now. GO: on to the worker. WAIT: later,
// perhaps. REFUSE: never.
struct gr_admission {
    size_t culprit; // REFUSE: whom it blames; SIZE_MAX: nobody in particular
    struct gr_error why;
    size_t n_order; // GO: members in the order in which they are loaded; 0: any
    size_t order[GR_MODULES_MAX];
};

struct gr_rollout_ops {
    // One member's bytes are proven; told once, for those who count how long each station took.
    void (*verified)(void *u, const struct gr_verified *v);
    // What the version in force declares; borrowed until the next call of an operation. NULL (also
    // the operation itself): none is in force, or it is not known.
    const struct gr_contract *(*in_force)(void *u, const struct gr_name *module);
    // All members are verified, or it only removes; before anything is staged, and again with each
    // gr_rollout_reconsider(). May absorb older ones that wait. NULL: GO, always.
    enum gr_resolve_verdict (*admit)(void *u, struct gr_rollout *r, struct gr_admission *ret);
    // Asynchronous; answered by gr_rollout_staged() exactly once, unless the rollout was freed. `v`
    // stays the rollout's.
    int (*stage)(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v);
    // A staged version that no table names is not wanted any more.
    void (*unstage)(void *u, int slot);
    // Puts the members' staged versions beside the stable ones with the shares of row.gray; again:
    // with other shares. Answered by gr_rollout_answered().
    int (*route)(void *u, struct gr_rollout *r);
    // Exchanges the table for all members at once; answered by gr_rollout_answered(). BACK restores
    // what was in force before. An order that was given before is obeyed before.
    int (*swap)(void *u, struct gr_rollout *r, enum gr_direction d);
    // Journals the table that direction d makes, together with the rollout's row `as`, in one
    // transaction, and takes it up in memory. Fails (disk full): FORWARD changed nothing; BACK and
    // SETTLE are taken up in memory all the same.
    int (*commit)(void *u, struct gr_rollout *r, enum gr_direction d,
                  const struct gr_rollout_row *as, struct gr_error *e);
    // After a commit, or a way back that had nothing to commit: versions that no row names any more
    // leave the worker.
    void (*release)(void *u, struct gr_rollout *r, enum gr_direction d);
    // What the worker that serves has counted of a member's new version and of the one before it,
    // since each was loaded there. False: no worker, or not loaded; both are untouched then.
    bool (*sample)(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *candidate,
                   struct gr_arm_sample *stable);
    // What the process of a member's new version holds, if it has one of its own just now. False:
    // none, or it cannot be told; *ret is untouched then. NULL: no version has one.
    bool (*usage)(void *u, struct gr_rollout *r, size_t member, struct gr_usage *ret);
    // What the version in force has shown so far, over all workers; zero: nothing.
    void (*history)(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *ret);
    // Bad answers that workers have counted in a member's harm budget, also those whose numbers
    // nobody samples any more; 0: it has none. NULL: there are no budgets.
    uint64_t (*harmed)(void *u, const struct gr_rollout *r, size_t member);
    void (*convict)(void *u, struct gr_rollout *r, size_t member);
    bool (*can_stage)(void *u);                     // a worker serves and is not being replaced
    void (*changed)(void *u, struct gr_rollout *r); // after each phase; tells log, journal, status
    // A step began, or an operator's order was obeyed: the same for what is no phase.
    void (*noted)(void *u, struct gr_rollout *r, const char *message_id, const char *sentence);
    void (*ended)(void *u, struct gr_rollout *r); // terminal; may free r later, not inside
    struct gr_mono (*now)(void *u);               // NULL: the machine's clock
    void *userdata;
};
struct gr_rollout_env {
    sd_event *event;
    struct gr_journal *journal;
    struct gr_verifier *verifier;
    const struct gr_rollout_ops *ops;
};

// From a plan that is not refused. Owns copies. Journals the row as Pending. `salt` chooses who
// sees the new versions; 0: a fresh one. Fails: -ENOMEM; DiskFull when the intent cannot be written
// (nothing began).
GR_MUST_CHECK int gr_rollout_new(const struct gr_rollout_env *env, const struct gr_plan *plan,
                                 uint64_t salt, struct gr_rollout **ret, struct gr_error *e);
// From a journaled row after a start (takes it). Progressing, Paused, Baking and RollingBack go on;
// nothing of the others was ever in force.
GR_MUST_CHECK int gr_rollout_resume(const struct gr_rollout_env *env, struct gr_rollout_row *take,
                                    struct gr_rollout **ret);
void gr_rollout_free(struct gr_rollout *r);

void gr_arm_add(struct gr_arm_sample *into, const struct gr_arm_sample *more);

const struct gr_rollout_row *gr_rollout_row(const struct gr_rollout *r);
int gr_rollout_slot(const struct gr_rollout *r, size_t member); // of the new version; -1
bool gr_rollout_names(const struct gr_rollout *r, const struct gr_name *module);
// Revision of the transaction that asked for this member.
int64_t gr_rollout_revision(const struct gr_rollout *r, size_t member);
// What a member's verified bytes declare; NULL: not verified yet, loaded long since, or a removal.
const struct gr_contract *gr_rollout_contract(const struct gr_rollout *r, size_t member);
// All is verified, and it waits in Pending to be admitted.
bool gr_rollout_is_awaiting(const struct gr_rollout *r);
// It may come into force, or is: others have to reckon with it.
bool gr_rollout_is_admitted(const struct gr_rollout *r);
bool gr_rollout_is_waiting(const struct gr_rollout *r); // an answer of the worker is outstanding
// Its new versions are, or may be, in the worker's table beside the stable ones.
bool gr_rollout_is_gray(const struct gr_rollout *r);
// The strategy whose steps it walks; NULL: it has none.
const struct gr_strategy *gr_rollout_ladder(const struct gr_rollout *r);
// The swap was asked for and may have taken place, so that state may have changed hands: the way
// back needs a freeze.
bool gr_rollout_swap_was_asked(const struct gr_rollout *r);
// The order to exchange the table in direction d may lose state that cannot be handed over: a
// person agreed, or it was never to be served.
bool gr_rollout_is_one_way(const struct gr_rollout *r, size_t member, enum gr_direction d);
// What failed behind a door without a way back, or waits for its state on the way back: a person
// should look.
bool gr_rollout_is_stuck(const struct gr_rollout *r);
const struct gr_verdict_record *gr_rollout_verdict(const struct gr_rollout *r,
                                                   size_t member); // NULL: not judged yet
// Requests that a member's new version and the one beside it got since the share was set last.
void gr_rollout_share(const struct gr_rollout *r, size_t member, uint64_t *ret_candidate,
                      uint64_t *ret_stable);
// How many bad answers a member's new version may give until it ends, and how many are known of it;
// false: no matter how many, since nothing is declared or a person put it above its verdict.
bool gr_rollout_harm(const struct gr_rollout *r, size_t member, uint64_t *ret_total,
                     uint64_t *ret_known);
struct gr_rollout_left {
    uint64_t deadline_usec, bake_usec, pause_usec, pause_requests;
    bool gate; // a pause without an end of its own
};
struct gr_rollout_left gr_rollout_left(const struct gr_rollout *r);

// Whether a version that failed so is quarantined: it misbehaved under traffic.
bool gr_rollout_convicts(enum gr_reason reason);

// What happens to it.
void gr_rollout_begin(struct gr_rollout *r);  // nothing older is in the way
void gr_rollout_settle(struct gr_rollout *r); // what it asks for is in force already
void gr_rollout_supersede(struct gr_rollout *r, int64_t by);
// One that waits to be admitted asks again; nothing else is touched.
void gr_rollout_reconsider(struct gr_rollout *r);
// Takes along what an older one, which waits to be admitted, would have changed: one rollout of
// both. `r` waits too, or is asking just now; the older one ends as Superseded. Fails: -ENOMEM,
// nothing is changed.
GR_MUST_CHECK int gr_rollout_absorb(struct gr_rollout *r, struct gr_rollout *older);
// reason names the cause; `member` is the culprit; the number of members: none in particular.
void gr_rollout_fail(struct gr_rollout *r, size_t member, const struct gr_error *why);
void gr_rollout_staged(
    struct gr_rollout *r, size_t member, int slot,
    const struct gr_error *why); // slot < 0: failed. code -ECONNRESET: the worker went
// The answer to the oldest route or swap that is outstanding; why NULL: done.
void gr_rollout_answered(struct gr_rollout *r, const struct gr_error *why);
// A worker serves the committed table (again) with the candidates of open rollouts at these slots:
// stage anew, or go on.
void gr_rollout_worker_ready(struct gr_rollout *r);
// A way back that failed so is tried again in the same worker, which holds the state.
bool gr_rollout_tries_back_again(const struct gr_rollout *r, const struct gr_error *why);
void gr_rollout_set_slot(struct gr_rollout *r, size_t member, int slot);
void gr_rollout_set_contract(struct gr_rollout *r, size_t member, const struct gr_contract *c);
// Takes up what was counted so far: before a worker goes.
void gr_rollout_measure(struct gr_rollout *r);
// The supervisor ends in order: the numbers are journaled for the next one.
void gr_rollout_keep_numbers(struct gr_rollout *r);
// The next sample is of another worker, whose counters began at zero.
void gr_rollout_new_counters(struct gr_rollout *r);
// A dead worker took the effect along; the journal's word alone decides. Returns true when what was
// in force before is what the next worker has to be built with.
bool gr_rollout_restore_without_worker(struct gr_rollout *r, size_t member,
                                       const struct gr_error *why);
// Its timer's work: looks at the clock and the numbers. At the next moment, at the latest, it has
// to be called again.
void gr_rollout_tick(struct gr_rollout *r);

// --- operators (rollout-steer.c) ---

// Obeys, or refuses with a sentence; retry is not for a rollout that lives. Fails: -ESTALE (another
// rollout or step by now: the sentence says who did what and when), -EPERM (not possible in this
// phase), -EALREADY (nothing to do), -EINVAL (a promote that names no step).
GR_MUST_CHECK int gr_rollout_steer(struct gr_rollout *r, const struct gr_order *o,
                                   struct gr_error *e);
