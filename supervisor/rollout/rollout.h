// One rollout: the modules that changed between two snapshots, taken together through fetch,
// verify, stage, swap and bake, or taken back together. Owns the row, its verifications and its
// timer. Everything it does to the world goes through `ops`; the phase is set in one place
// (set_phase), journaled before its effect.
#pragma once
#include "rollout/analysis.h"
#include "state/journal.h"
#include "state/plan.h"
#include "verifier/verify.h"
#include <systemd/sd-event.h>

struct gr_rollout;

// FORWARD: the new versions; BACK: what was in force before; SETTLE: the bake ended well, what was
// before may go.
enum gr_direction { GR_FORWARD, GR_BACK, GR_SETTLE };

struct gr_rollout_ops {
    // One member's bytes are proven; told once, for those who count how long each station took.
    void (*verified)(void *u, const struct gr_verified *v);
    // Asynchronous; answered by gr_rollout_staged() exactly once, unless the rollout was freed. `v`
    // stays the rollout's.
    int (*stage)(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v);
    // A staged version that no table names is not wanted any more.
    void (*unstage)(void *u, int slot);
    // Exchanges the table for all members at once; answered by gr_rollout_swapped(). BACK restores
    // what was in force before.
    int (*swap)(void *u, struct gr_rollout *r, enum gr_direction d);
    // Journals the table that direction d makes, together with the rollout's row `as`, in one
    // transaction, and takes it up in memory. Fails (disk full): FORWARD changed nothing; BACK and
    // SETTLE are taken up in memory all the same.
    int (*commit)(void *u, struct gr_rollout *r, enum gr_direction d,
                  const struct gr_rollout_row *as, struct gr_error *e);
    // After a commit: versions that no row names any more leave the worker.
    void (*release)(void *u, struct gr_rollout *r, enum gr_direction d);
    // What a member's new version has shown since it was bound, and what the one before had shown
    // until then.
    void (*sample)(void *u, struct gr_rollout *r, size_t member, struct gr_error_sample *candidate,
                   struct gr_error_sample *baseline);
    void (*convict)(void *u, struct gr_rollout *r, size_t member);
    bool (*can_stage)(void *u);                     // a worker serves and is not being replaced
    void (*changed)(void *u, struct gr_rollout *r); // after each phase; tells log, journal, status
    void (*ended)(void *u, struct gr_rollout *r);   // terminal; may free r later, not inside
    void *userdata;
};
struct gr_rollout_env {
    sd_event *event;
    struct gr_journal *journal;
    struct gr_verifier *verifier;
    const struct gr_rollout_ops *ops;
};

// From a plan that is not refused. Owns copies. Journals the row as Pending. Fails: -ENOMEM;
// DiskFull when the intent cannot be written (nothing began).
GR_MUST_CHECK int gr_rollout_new(const struct gr_rollout_env *env, const struct gr_plan *plan,
                                 struct gr_rollout **ret, struct gr_error *e);
// From a journaled row after a start (takes it). Only Baking goes on; see control/recovery.c for
// the others.
GR_MUST_CHECK int gr_rollout_resume(const struct gr_rollout_env *env, struct gr_rollout_row *take,
                                    struct gr_rollout **ret);
void gr_rollout_free(struct gr_rollout *r);

const struct gr_rollout_row *gr_rollout_row(const struct gr_rollout *r);
int gr_rollout_slot(const struct gr_rollout *r, size_t member); // of the new version; -1
bool gr_rollout_names(const struct gr_rollout *r, const struct gr_name *module);
bool gr_rollout_is_waiting(const struct gr_rollout *r); // an answer of the worker is outstanding
const struct gr_error_verdict *gr_rollout_verdict(const struct gr_rollout *r, size_t member);
uint64_t gr_rollout_bake_left_usec(const struct gr_rollout *r);

// What happens to it.
void gr_rollout_begin(struct gr_rollout *r);  // nothing older is in the way
void gr_rollout_settle(struct gr_rollout *r); // what it asks for is in force already
void gr_rollout_supersede(struct gr_rollout *r, int64_t by);
// reason names the cause; `member` is the culprit.
void gr_rollout_fail(struct gr_rollout *r, size_t member, const struct gr_error *why);
void gr_rollout_staged(
    struct gr_rollout *r, size_t member, int slot,
    const struct gr_error *why); // slot < 0: failed. code -ECONNRESET: the worker went
void gr_rollout_swapped(struct gr_rollout *r, const struct gr_error *why); // why NULL: done
// A worker serves the committed table (again): stage anew, or continue a bake whose versions have
// these slots.
void gr_rollout_worker_ready(struct gr_rollout *r);
void gr_rollout_set_slot(struct gr_rollout *r, size_t member, int slot);
// A dead worker took the effect along; the journal's word alone decides. Returns true when the
// table rows were taken back, before a new worker is built.
bool gr_rollout_restore_without_worker(struct gr_rollout *r, size_t member,
                                       const struct gr_error *why);
