// Judging a version by its numbers. Pure: no clock, no I/O, no log. The same state and the same
// numbers give the same verdict, bit for bit. docs/ANALYSIS.md tells the rules for a person.
#pragma once
#include "dispatch/stats.h"
#include "state/desired.h"

// Names the arithmetic that a stored verdict was made with; raised whenever a number could change.
#define GR_ANALYSIS_RULE "grayling-sequential"
#define GR_ANALYSIS_RULE_VERSION 1

// A candidate may be so much slower than stable whatever latency_p99.max_ratio says: beside the way
// through a front door, a ratio of a few microseconds is no regression that anybody meets.
#define GR_LATENCY_SLACK_NSEC 50000

enum gr_verdict {
    GR_VERDICT_INCONCLUSIVE, // undecided: hold
    GR_VERDICT_SUCCESSFUL,
    GR_VERDICT_FAILED,
    GR_VERDICT_ERROR // the measurement is broken: neither passes nor fails
};
const char *gr_verdict_name(enum gr_verdict v);

enum gr_gate {
    GR_GATE_HARM,          // bad responses against the harm budget
    GR_GATE_CRASHES,       // faults of the candidate
    GR_GATE_ERRORS,        // error share against concurrent stable
    GR_GATE_ERRORS_ALONE,  // ... of the requests that had no concurrent stable, against before
    GR_GATE_LATENCY_P99,   // p99 against concurrent stable
    GR_GATE_LATENCY_SHAPE, // the whole distribution against concurrent stable
    GR_GATE_SLA_ERRORS,    // error share against what the contract promises
    GR_GATE_SLA_P99,       // p99 against what the contract promises
    GR_GATE_MEMORY,        // growth per request, of versions that run isolated
    GR_GATE_DESCRIPTORS,
    GR_GATE_THREADS,
    GR_GATE_COUNT
};
const char *gr_gate_name(enum gr_gate g); // "errors", "latency_p99", ...
GR_MUST_CHECK int gr_gate_parse(const char *name, enum gr_gate *ret);

// What one version has shown, cumulative since the candidate got its first weight.
struct gr_arm_sample {
    uint64_t requests, errors; // errors: bad responses
    uint64_t crashes;          // faults of the version
    struct gr_histogram latency;
};

// Growth of a resource per request; see gr_slope_fit().
#define GR_SLOPE_UNBOUNDED 1e15 // a bound that says nothing
struct gr_slope {
    uint64_t points;               // 0: not measured
    double per_request, low, high; // least squares, with an anytime-valid interval
};

// Everything that a verdict depends on besides the state. The limits and has_stable must stay the
// same while one state lives.
struct gr_analysis_input {
    struct gr_analysis limits;
    uint64_t harm_bad_responses; // 0: no budget
    uint64_t crashes_allowed;    // 0: the first one fails
    double sla_error_rate;       // < 0: none
    uint64_t sla_p99_usec;       // 0: none
    double slope_limit[3];       // per request: memory bytes, descriptors, threads; < 0: gate off
    bool has_stable;             // false: first deployment, nothing to compare with
    bool measured;               // false: the worker gives no data
    bool concurrent;             // stable gets traffic beside the candidate just now
    struct gr_arm_sample candidate, stable; // since the candidate's first weight
    struct gr_arm_sample reference;         // what stable had shown before that; zero: unknown
    struct gr_slope slope[3];
};

// Capital of one bettor, split over strategies; the first one holds its share in cash. The sum is
// the evidence (an e-value) of now.
#define GR_BET_STRATEGIES 9
struct gr_bet {
    double capital[GR_BET_STRATEGIES];
};
// A latency threshold, fixed while a block of requests is open. "Fast" is the version whose
// distribution chose it, "slow" the one that is suspected: its latencies count when they surely
// exceed max_ratio times the threshold.
struct gr_tail {
    bool set;
    uint64_t fast_bucket; // latencies of fast in higher buckets exceed the threshold
    uint64_t slow_bucket; // latencies of slow in this bucket and higher ones exceed its multiple
    uint64_t fast_base, slow_base;     // exceedances when the block began
    uint64_t fast_before, slow_before; // latencies when the block began
    double share;                      // of fast beyond the threshold, as known then
    struct gr_bet bet;
};
#define GR_BLOCK_REQUESTS 16 // of both versions, before a block is closed
#define GR_TAILS 5           // the first is the p99 gate's, the others are the shape gate's
struct gr_pair {
    uint64_t requests, errors;
};
// What must be kept between looks; plain numbers, may be journaled (gr_analysis_state_format).
struct gr_analysis_state {
    uint64_t looks, blocks;
    struct gr_pair candidate_seen, stable_seen;     // totals of the look before
    uint64_t candidate_latencies, stable_latencies; // the same of the histograms
    struct gr_pair candidate_open, stable_open;     // in the block that is open
    struct gr_pair candidate_paired, stable_paired; // in all closed blocks
    struct gr_pair alone;                           // the candidate's without concurrent stable
    double difference, difference_weight, difference_variance; // sums over closed blocks
    struct gr_bet errors, errors_stable;         // worse by more than the limit: each version
    struct gr_tail tails[GR_TAILS], tail_stable; // candidate suspected; stable suspected
    double peak[GR_GATE_COUNT];                  // largest evidence of each gate so far
};
void gr_analysis_begin(struct gr_analysis_state *s);

struct gr_gate_verdict {
    bool enabled;
    enum gr_verdict verdict;
    uint64_t candidate_n, stable_n;
    double candidate, stable;   // measured: share, nanoseconds, count or growth
    double estimate, low, high; // of the difference, ratio or count, with an anytime-valid interval
    double limit;               // what `estimate` is held against
    double evidence, evidence_limit; // e-value against "within the limit"; Failed at the limit
};

// Findings about stable. With any of them a candidate that has not failed should be held, and
// `promote --over-bad-stable` offered.
#define GR_FINDING_STABLE_WORSE 1u    // stable is worse than the candidate, with evidence
#define GR_FINDING_STABLE_VIOLATES 2u // stable breaks the contract's SLA, with evidence
#define GR_FINDING_STABLE_DEGRADED 4u // stable is worse than it was before, with evidence
#define GR_FINDING_BOTH_BAD 8u // ... and the candidate is as bad, but no worse: never Failed for it

struct gr_analysis_verdict {
    enum gr_verdict verdict;
    enum gr_gate gate;     // that decided; GR_GATE_COUNT: none in particular
    enum gr_reason reason; // of a failure; NONE otherwise
    unsigned findings;
    struct gr_gate_verdict gates[GR_GATE_COUNT];
};

// One look: takes the numbers into the state and judges. May be called at any moment and as often
// as one likes; false rollbacks of a candidate that is no worse than allowed stay under
// limits.alpha over the whole life of the state. A broken measurement leaves the state untouched.
void gr_analysis_judge(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                       struct gr_analysis_verdict *ret);

// Part of limits.alpha that a gate may spend: fixed weights over the gates that the input enables
// (Bonferroni), so that together they stay under alpha. 0: the gate is off or needs no chance.
double gr_analysis_level(const struct gr_analysis_input *in, enum gr_gate gate);

// Growth of a resource over requests.
struct gr_slope_point {
    double requests, value;
};
// Least squares with the anytime-valid interval for linear models (Lindon, Ham, Tingley, Bojinov
// 2022, arXiv:2210.08589, from the invariant mixture likelihood ratio of the t statistic). Fewer
// than four points, or all at one place: the interval is as wide as numbers go. Fails: -EINVAL for
// a value that is no number.
GR_MUST_CHECK int gr_slope_fit(const struct gr_slope_point *p, size_t n, double alpha,
                               struct gr_slope *ret);

// Who is touched before a fault is found; for `plan`.
struct gr_harm_question {
    double stable_error_rate, candidate_error_rate; // the fault that one imagines
    double max_increase, alpha;
    uint64_t harm_bad_responses; // 0: none
    double candidate_share;      // of the traffic while it is found, 0..1
};
struct gr_harm_expectation {
    double requests;       // of the candidate, until it ends; < 0: would not be found
    double bad_responses;  // among them
    double total_requests; // of both versions
    bool by_budget;        // the harm budget ends it before the statistics do
};
// requests = log(1 / level) + what the search over strategies costs, divided by the growth rate of
// the best strategy per candidate request (Kelly); see docs/ANALYSIS.md.
struct gr_harm_expectation gr_harm_expect(const struct gr_harm_question *q);
