// What came of drills: one JSON file each, of the last run. It says "aborted" from the beginning,
// and something else only at the end: a runner that died leaves the truth behind.
#pragma once
#include "cli/drill/story.h"

#define GR_RESULT_ABORTED "aborted"
#define GR_RESULT_PASSED "passed"
#define GR_RESULT_FAILED "failed"
#define GR_RESULT_SKIPPED "skipped"
struct gr_result {
    const struct gr_drill *drill;
    const char *verdict;
    const char *message; // why not passed; ""
    bool live;
    struct gr_wall started;
    uint64_t took_usec;
    struct gr_story_figures figures;
};
// $XDG_STATE_HOME/grayling/drills, or below ~/.local/state. Fails: -ENOENT.
GR_MUST_CHECK int gr_result_default_dir(char *buf, size_t cap, struct gr_error *e);
GR_MUST_CHECK int gr_result_save(const char *dir, const struct gr_result *r, struct gr_error *e);
// The results in `dir` as an array, by name; the caller's. Fails: negative errno of the directory.
GR_MUST_CHECK int gr_result_load_all(const char *dir, cJSON **ret, struct gr_error *e);
// As it is saved.
cJSON *gr_result_json(const struct gr_result *r);
