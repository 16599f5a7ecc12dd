// The desired state of one module: an operator's document as a value (INTERFACES §3), strictly
// decoded. Pure.
#pragma once
#include "base/digest.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/version.h"

#define GR_STEPS_MAX 64
#define GR_WARNINGS_MAX 16
enum gr_step_kind { GR_STEP_WEIGHT, GR_STEP_SHADOW, GR_STEP_PAUSE, GR_STEP_ANALYSIS };
struct gr_step {
    enum gr_step_kind kind;
    unsigned permyriad;               // weight, shadow
    uint64_t duration_usec, requests; // pause; both 0: until promote
};
enum gr_on_failure { GR_ON_FAILURE_ROLLBACK, GR_ON_FAILURE_PAUSE };
enum gr_on_inconclusive {
    GR_INCONCLUSIVE_PAUSE,
    GR_INCONCLUSIVE_ROLLBACK
};                      // undecided never promotes
enum gr_resource {      // of the process of an isolated version
    GR_RESOURCE_MEMORY, // resident
    GR_RESOURCE_DESCRIPTORS,
    GR_RESOURCE_THREADS,
    GR_RESOURCES
};
struct gr_analysis { // defaults of INTERFACES §3; a gate that is off has a negative limit
    double error_rate_max_increase; // 0.005
    double latency_p99_max_ratio;   // 1.2
    double alpha;                   // 0.01
    uint64_t min_requests;          // 200
    enum gr_on_inconclusive on_inconclusive;
    double growth_max[GR_RESOURCES]; // per request; off, 0.5 and 0.5 in 10,000
    uint64_t warm_up_requests;       // 1000: growth before does not count
};
struct gr_strategy {
    size_t n_steps;
    struct gr_step *steps;
    char *match_json; // canonical text of "match", NULL: none (decoded and checked by routing)
    char *shadow_ignore_json; // canonical text of "shadow_ignore" (checked), NULL: none
    char sticky[128];         // "": low-discrepancy sequence
    struct gr_analysis analysis;
    uint64_t harm_bad_responses; // 0: none declared
    uint64_t freeze_budget_usec, bake_usec, deadline_usec;
    enum gr_on_failure on_failure;
};
struct gr_desired { // one module's document
    struct gr_name module;
    int64_t mod_revision;
    struct gr_version version;
    struct gr_digest digest;
    size_t n_sources;
    char **sources;
    uint64_t size; // 0: not said
    char *config;  // canonical JSON text, NULL: none
    struct gr_strategy strategy;
    char *release_json; // the signed envelope as it came, NULL: none
    bool one_way;       // may be put in force though state is lost by that, or by the way back
    char actor[128], reason[512];
};
// Owns: *ret (heap) by the caller. Fails: -EINVAL DocumentInvalid, the sentence begins with the
// field's path.
GR_MUST_CHECK int gr_desired_parse(const struct gr_name *module, int64_t mod_revision,
                                   const char *bytes, size_t len, struct gr_desired **ret,
                                   struct gr_error *e);
// Reads back what gr_desired_format() wrote once, also in an older release: what was accepted then
// is never refused here. Fails as gr_desired_parse().
GR_MUST_CHECK int gr_desired_restore(const struct gr_name *module, int64_t mod_revision,
                                     const char *text, struct gr_desired **ret, struct gr_error *e);
// A strategy that judges nothing, or by numbers that make no sense; part of gr_desired_parse().
// Fails: -EINVAL DocumentInvalid with path, expected and actual.
GR_MUST_CHECK int gr_analysis_check(const struct gr_strategy *s, struct gr_error *e);
// What is allowed and probably not meant, one sentence that begins with the field's path each.
struct gr_warnings {
    size_t n;
    char text[GR_WARNINGS_MAX][GR_MESSAGE_MAX];
};
void gr_desired_warn(const struct gr_desired *d, struct gr_warnings *ret);
void gr_desired_free(struct gr_desired *d);
static inline void gr_desired_freep(struct gr_desired **d)
{
    gr_desired_free(*d);
}
GR_MUST_CHECK int gr_desired_copy(const struct gr_desired *d, struct gr_desired **ret);
// Same code and same configuration, so that nothing has to change in the worker (strategy, actor
// and sources may differ).
bool gr_desired_same_release(const struct gr_desired *a, const struct gr_desired *b);
// One digest for code and configuration together: what a change of configuration alone convicts
// when it misbehaves, since the same bytes serve well with the configuration before. Fails:
// -ENOMEM.
GR_MUST_CHECK int gr_desired_fingerprint(const struct gr_desired *d, struct gr_digest *ret);
// The document as canonical JSON, for undo (writing the last good back) and the journal; caller
// frees. NULL: out of memory.
char *gr_desired_format(const struct gr_desired *d);
