// A drill while it is told: where the story stands, and what was measured.
#pragma once
#include "cli/drill/drill.h"
#include "cli/drill/traffic.h"
#include "cli/drill/world.h"

struct gr_story {
    struct gr_world *w;
    const struct gr_drill *drill;
    const char *modules; // where builds are
    struct gr_traffic *traffics[GR_DRILL_TRAFFICS_MAX];
    size_t n_traffics;
    struct gr_traffic_seen ended; // sums of traffics that were stopped
    int64_t begun;                // sequence number of the last event before the story
    cJSON *seen;                  // {module: ... of the last one of it that was waited for}
    cJSON *event;                 // the one that was waited for last
    cJSON *latest;                // {module: document} as they were put last
    cJSON *batch;                 // changes between begin and commit; NULL: none is open
    // measured; 0: not yet
    struct gr_wall acted;    // the last put, fault or order
    struct gr_wall harmed;   // what the figures count from: first harm after it, else the act
    struct gr_wall detected; // the first event that tells of a refusal, a hold or a way back
    struct gr_wall recovered;
};
struct gr_story_figures {
    int64_t detect_usec, recover_usec; // -1: nothing to tell
    uint64_t answered, failed, rescued, lost;
};

// Each does one line. Fails: the sentence says what was expected and what came.
GR_MUST_CHECK int gr_story_act(struct gr_story *s, const struct gr_drill_line *l,
                               struct gr_error *e);
GR_MUST_CHECK int gr_story_steer(struct gr_story *s, const struct gr_drill_line *l,
                                 struct gr_error *e);
GR_MUST_CHECK int gr_story_expect(struct gr_story *s, const struct gr_drill_line *l,
                                  struct gr_error *e);
// The whole story from an empty instance; figures are told in any case.
GR_MUST_CHECK int gr_story_tell(struct gr_world *w, const struct gr_drill *d, const char *modules,
                                struct gr_story_figures *ret, struct gr_error *e);

// Used by several of the above.
void gr_story_sum(struct gr_story *s, struct gr_traffic_seen *ret);
// The next event of `module` with `phase` and, unless NULL, `reason`. An end of another kind fails.
GR_MUST_CHECK int gr_story_await_event(struct gr_story *s, const char *module, const char *phase,
                                       const char *reason, uint64_t timeout_usec,
                                       struct gr_error *e);
// Of the build of `module` that was put last; "": none was.
const char *gr_story_hash(const struct gr_story *s, const char *module);
