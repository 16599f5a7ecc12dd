// What this host does, as one plain value: filled by the manager, rendered by the control socket,
// /metrics and the status keys. Renderers never look behind it.
#pragma once
#include "base/contract.h"
#include "control/fault-book.h"
#include "control/tally.h"
#include "dispatch/stats.h"
#include "rollout/analysis-record.h"
#include "state/journal.h"
#include "watchers/source.h"

struct gr_view_version {
    bool present;
    const struct gr_desired *release;   // borrowed; NULL: not known
    const struct gr_contract *contract; // of the release, borrowed; NULL: not known
    char version[GR_VERSION_MAX + 1];
    char hash[GR_DIGEST_TEXT_MAX];
    char role[12];                        // "stable", "candidate", "previous"
    unsigned permyriad;                   // share of traffic
    int slot;                             // statistics slot, -1: not loaded
    bool isolated;                        // it runs in a process of its own ...
    int pid;                              // ... just now this one; 0: none
    struct gr_counters *counters;         // NULL: not loaded
    const struct gr_fault_record *faults; // in all workers; NULL: none
    enum gr_breaker_state breaker;
    unsigned breaker_faults;    // within the window
    uint64_t breaker_left_usec; // until it is half-open
};
// Where a rollout is on its way; borrowed parts.
struct gr_view_gray {
    int64_t step;
    size_t n_steps;
    const struct gr_step *steps;
    unsigned weight_permyriad, shadow_permyriad;
    uint64_t seen_candidate, seen_stable; // requests since the share was set last
    const char *sticky;                   // "": none
    const char *match_json;               // canonical list of rules; NULL: none
    uint64_t salt;
    uint64_t pause_left_usec, pause_requests_left, deadline_left_usec;
    bool gate; // only a person ends the pause
    enum gr_hold hold;
    const char *held_by; // "": nobody
    enum gr_door door;   // of a swap without a way back
    const char *door_why;
    const struct gr_order_row *order;
    uint64_t bake_usec; // as the strategy says
};
struct gr_view_module {
    struct gr_name module;
    char phase[16];        // module phase: Healthy Progressing Paused Degraded
    enum gr_reason reason; // of the last thing that went wrong, NONE when all is well
    char message[GR_MESSAGE_MAX];
    int64_t observed_revision; // mod_revision of the key that this state answers
    int64_t rollout;           // newest rollout of the module; 0: none
    char rollout_phase[16];
    struct gr_view_version stable, candidate, previous;
    char last_good[GR_VERSION_MAX + 1];
    uint64_t bake_left_usec;
    struct gr_wall moved; // when it entered its newest phase or step; 0: no rollout is in progress
    const struct gr_tally *tally;            // NULL: nothing was counted
    struct gr_view_gray gray;                // of the rollout in progress; zero: none
    const struct gr_verdict_record *verdict; // of the newest rollout; NULL: none yet
    const struct gr_fault_record *fault;     // whose last fault is the module's; NULL: none
    size_t n_intents;                        // what came of the newest ones, newest first
    const struct gr_intent_row *intents;
    struct gr_wall updated;
};
struct gr_view_count {
    char labels[256];
    double value;
}; // `module="pay",reason="Crashed"`: built from validated names only
// `name` without the prefix "grayling_" ("safe_mode"); type "counter" or "gauge".
struct gr_view_series {
    const char *name, *help, *type;
    size_t n;
    struct gr_view_count *values;
};                       // counters of the supervisor itself
struct gr_view_station { // of the way of a release
    const char *name;    // "fetch" "check" "store" "preflight" "load"
    struct gr_histogram took;
    uint64_t sum_nsec;
};
struct gr_view {
    const char *service, *instance, *version;
    int pid, worker_pid; // worker_pid 0: none now
    struct gr_wall started;
    char phase[16];      // "Starting" "Serving" "Degraded" "Draining"
    const char *message; // what is wrong with the host itself, in sentences; NULL or "": nothing
    struct gr_wall safe_since; // safe mode; 0: off
    const char *source_kind;   // "etcd", "directory"
    struct gr_source_health source;
    const char *intents_trouble; // why no operators' intents come; NULL: they do
    bool trust_root;             // false: digest only
    size_t n_endpoints;
    const char *const *endpoints; // front doors, as listened (real ports)
    const char *admin;            // real address or NULL
    size_t n_modules;
    struct gr_view_module *modules; // sorted by name
    struct gr_worker_gauges gauges;
    struct gr_wall swapped; // the last exchange of this process; 0: none yet
    uint64_t loaded; // versions in the worker that serves, those on their way in or out included
    uint64_t pinned; // of them, those that could not be unloaded and are kept
    size_t n_convictions;
    struct gr_conviction *convictions;
    size_t n_series;
    struct gr_view_series *series;
    size_t n_stations;
    const struct gr_view_station *stations;
    const struct gr_tallies *tallies;
};
