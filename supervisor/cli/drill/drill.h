// A drill: a short story that is told to an instance, and what is expected to come of it. This is
// the story as a value, parsed and checked as a whole before any of it is done.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include "base/name.h"
#include <stdint.h>

// What a line says, and how it is written. A word in capitals stands for what it names; a part in
// brackets may be left out. The order of the words in capitals is that of gr_drill_line.args.
#define GR_DRILL_FORMS(X)                                                                          \
    X(GIVEN, "given MODULE VERSION [build WORD] [with JSON]")                                      \
    X(PUT, "put MODULE VERSION [build WORD] [from HOW] [digest WRONG] [with JSON]")                \
    X(PUT_AGAIN, "put again MODULE [with JSON]")                                                   \
    X(WRITE, "write MODULE TEXT")                                                                  \
    X(REMOVE, "remove MODULE")                                                                     \
    X(BEGIN, "begin")                                                                              \
    X(COMMIT, "commit")                                                                            \
    X(TRAFFIC, "traffic MODULE METHOD [clients NUMBER] [rate NUMBER] [header HEADER]")             \
    X(STOP_TRAFFIC, "stop traffic")                                                                \
    X(AWAIT, "await NUMBER requests")                                                              \
    X(ASK, "ask ORDER MODULE [refused TEXT]")                                                      \
    X(LIFT, "lift MODULE")                                                                         \
    X(REPLACE, "replace worker")                                                                   \
    X(ACCEPT, "accept rewind")                                                                     \
    X(FREEZE, "freeze MODULE DURATION")                                                            \
    X(THAW, "thaw MODULE")                                                                         \
    X(FAULT_SUPERVISOR, "fault supervisor SIGNAL")                                                 \
    X(FAULT_WORKER, "fault worker SIGNAL")                                                         \
    X(FAULT_ETCD, "fault etcd ETCD")                                                               \
    X(FAULT_STORED, "fault stored MODULE VERSION DAMAGE")                                          \
    X(FAULT_POINT, "fault point POINT")                                                            \
    X(START, "start")                                                                              \
    X(START_DYING, "start dying")                                                                  \
    X(EVENT, "expect event MODULE PHASE [because REASON] [within DURATION]")                       \
    X(TOLD, "expect told TEXT")                                                                    \
    X(SERVED, "expect served by MODULE VERSION [or VERSION]")                                      \
    X(ANSWER, "expect answer MODULE METHOD NUMBER [by VERSION] [header HEADER]")                   \
    X(STATUS, "expect status MODULE FIELD VALUE [within DURATION]")                                \
    X(SERVICE, "expect service FIELD VALUE [within DURATION]")                                     \
    X(LOST, "expect lost BOUND")                                                                   \
    X(FAILED, "expect failed BOUND")                                                               \
    X(RESCUED, "expect rescued BOUND")                                                             \
    X(METRIC, "expect metric SERIES BOUND [within DURATION]")                                      \
    X(QUARANTINED, "expect quarantined MODULE")                                                    \
    X(NOT_QUARANTINED, "expect not quarantined MODULE")

enum gr_drill_act {
#define X(id, form) GR_DRILL_##id,
    GR_DRILL_FORMS(X)
#undef X
        GR_DRILL_ACT_COUNT
};
const char *gr_drill_form(enum gr_drill_act act); // as it is written above

enum gr_drill_need { // what a drill cannot do without
    GR_DRILL_NEEDS_FAULTS = 1,
    GR_DRILL_NEEDS_ETCD = 2,
    GR_DRILL_NEEDS_FRESH = 4, // an instance that no other drill has used
    GR_DRILL_NEEDS_THROWAWAY = 8,
};
// "faults etcd"; buf of 64.
const char *gr_drill_needs_format(unsigned needs, char buf[64]);

struct gr_drill_line {
    unsigned number; // of the file, from 1
    enum gr_drill_act act;
    char *args[GR_DRILL_ARGS_MAX]; // NULL: was left out
};
struct gr_drill {
    struct gr_name name; // the file's, without its suffix
    char *shows;         // one sentence
    size_t n_rows;
    unsigned rows[GR_DRILL_ROWS_MAX]; // of the table in docs/DRILLS.md
    unsigned needs;
    size_t n_sets;
    char *sets[GR_DRILL_SETS_MAX]; // "SECTION.KEY=VALUE"
    size_t n_lines;
    struct gr_drill_line *lines;
};
// `file` is named in refusals ("FILE:LINE: ..."), its last part gives the name.
// Fails: -EINVAL, -E2BIG, -ENOMEM.
GR_MUST_CHECK int gr_drill_parse(const char *file, const char *text, size_t len,
                                 struct gr_drill **ret, struct gr_error *e);
GR_MUST_CHECK int gr_drill_load(const char *file, struct gr_drill **ret, struct gr_error *e);
void gr_drill_free(struct gr_drill *d);
static inline void gr_drill_freep(struct gr_drill **d)
{
    gr_drill_free(*d);
}
// "at most 3" and the like, as BOUND stores it.
bool gr_drill_holds(const char *bound, uint64_t n);
