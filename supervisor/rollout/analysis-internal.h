// Between the files of the analysis; nobody else includes it.
#pragma once
#include "rollout/analysis.h"

// Logarithm, exponential and log-gamma from the four basic operations alone, so that a verdict
// replays bit for bit on another host: the C library's differ in the last digit between processors.
// Relative error under 1e-14. Log of 0: a large negative number; exp saturates, never infinite.
double gr_exact_log(double x);
double gr_exact_exp(double x);
double gr_exact_lgamma(double x); // x > 0

#define GR_EVIDENCE_MAX 1e15 // where an e-value stops: beyond any limit, and exact as JSON

// --- evidence ---------------------------------------------------------------------------

struct gr_block { // one block of both arms
    struct gr_pair suspect, other;
};
void gr_bet_begin(struct gr_bet *b);
double gr_bet_evidence(const struct gr_bet *b);
// Bets on one block against "the suspect's share <= the other's share + excess, on average over the
// block". `share` is the other's share as guessed before the block, `before` the suspect's requests
// bet on before it.
void gr_bet_block(struct gr_bet *b, const struct gr_block *block, double excess, double share,
                  uint64_t before);
// Expected growth of the logarithm per request of the suspect, of the strategy that fares best.
double gr_bet_growth(double suspect_share, double other_share, double excess, double ratio);

// E-value against "the share is at most limit", from counts alone.
double gr_share_evidence(struct gr_pair p, double limit);
// E-value against "suspect's share <= other's share + excess", both constant over time, from counts
// alone: the versions need not have run side by side.
double gr_pair_evidence(struct gr_pair suspect, struct gr_pair other, double excess);
// Log of the mixture likelihood ratio of k among n against share p, two-sided (Jeffreys' mixture).
double gr_mixture_log(double k, double n, double p);
// Radius of a sum of differences with this variance process, each side at alpha / 2.
double gr_difference_radius(double variance, double alpha);

// --- latency ----------------------------------------------------------------------------

uint64_t gr_latency_total(const struct gr_histogram *h);
// How many lie in each bucket and the ones above it; one more entry, so that "above the last" is 0.
struct gr_latency_sums {
    uint64_t from[GR_HISTOGRAM_BUCKETS + 1];
};
void gr_latency_add_up(const struct gr_histogram *h, const struct gr_histogram *more, // or NULL
                       struct gr_latency_sums *ret);
// Chooses the threshold for the next block from what is known of the fast version.
void gr_tail_open(struct gr_tail *t, unsigned level, const struct gr_latency_sums *known,
                  const struct gr_latency_sums *fast, const struct gr_latency_sums *slow,
                  double ratio);
void gr_tail_close(struct gr_tail *t, const struct gr_latency_sums *fast,
                   const struct gr_latency_sums *slow, uint64_t before);
// Anytime-valid interval of the p99, whole buckets outward. *ret_high is UINT64_MAX while there are
// too few.
void gr_latency_p99_interval(const struct gr_histogram *h, double alpha, uint64_t *ret_low,
                             uint64_t *ret_high);
// Largest excess of the slow version's share beyond ratio * x over the fast one's beyond x, over
// all x, and the time-uniform radius of both empirical distributions together.
void gr_latency_excess(const struct gr_histogram *slow, const struct gr_histogram *fast,
                       double ratio, double alpha, double *ret_excess, double *ret_radius);
// So many latencies of the version it is compared with have to lie beyond a quantile before that
// quantile is compared; for a p99 that makes GR_P99_REQUESTS_MIN requests.
#define GR_TAIL_BEYOND_MIN 3
#define GR_P99_REQUESTS_MIN (GR_TAIL_BEYOND_MIN * 100)
// How many surely exceed the limit.
uint64_t gr_latency_beyond(const struct gr_histogram *h, double limit_nsec);

// --- the parts of one look --------------------------------------------------------------

// false: the measurement contradicts itself, or what was seen before.
bool gr_analysis_is_sound(const struct gr_analysis_state *s, const struct gr_analysis_input *in);
// Takes the numbers of a look into the state: blocks are closed, bets are paid out.
void gr_analysis_advance(struct gr_analysis_state *s, const struct gr_analysis_input *in);
// Evidence of the gates that compare side by side, as it is now: errors, p99, shape.
double gr_evidence_beside(const struct gr_analysis_state *s, enum gr_gate gate);
void gr_gates_errors(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                     struct gr_analysis_verdict *v);
void gr_gates_latency(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      struct gr_analysis_verdict *v);
void gr_gates_harm(const struct gr_analysis_input *in, struct gr_analysis_verdict *v);
void gr_gates_resources(const struct gr_analysis_input *in, struct gr_analysis_verdict *v);
// Keeps the largest evidence of a gate, and tells Failed, Inconclusive or Successful by it.
// `within`: the estimate keeps the limit. `enough`: requests.
void gr_gate_conclude(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                      enum gr_gate gate, struct gr_gate_verdict *g, double evidence, bool within,
                      bool enough);
// A comparison that ended with too few requests, since stable gets none any more, is not judged: it
// could only hold the candidate for ever.
void gr_gate_leave_if_over(const struct gr_analysis_input *in, struct gr_gate_verdict *g,
                           bool enough);
// A promise of the contract that stable breaks as well, with evidence, is no reason to go back to
// stable: the gate is undecided then, and an operator chooses.
void gr_gate_hold_to_promise(const struct gr_analysis_input *in, struct gr_gate_verdict *g,
                             double stable_evidence, struct gr_analysis_verdict *v);
