// Judging a version by its numbers. Pure: no clock, no I/O, no log. The same numbers give the same
// verdict, bit for bit.
#pragma once
#include "state/desired.h"

enum gr_verdict {
    GR_VERDICT_INCONCLUSIVE,
    GR_VERDICT_SUCCESSFUL,
    GR_VERDICT_FAILED,
    GR_VERDICT_ERROR
};
const char *gr_verdict_name(enum gr_verdict v);

struct gr_error_sample {
    uint64_t requests, errors;
};
struct gr_error_verdict {
    enum gr_verdict verdict;
    struct gr_error_sample candidate, baseline;
    double limit;    // largest error share that is allowed
    double evidence; // e-value against "the share is within the limit"; Failed at 1/alpha
};
// Is the version's error share above the limit = baseline's share + max_increase?
//
// A test that may be looked at after every request (Ville 1939; Robbins 1970, "Statistical methods
// related to the law of the iterated logarithm"): the likelihood ratio of k errors in n requests,
// mixed uniformly over all shares above the limit, is a supermartingale while the true share is at
// most the limit, so that it ever passes 1/alpha with a probability of at most alpha. Right for a
// baseline without a single error. The baseline is what the previous version had shown when the new
// one took over; none: 0.
//
// Successful needs min_requests; fewer: Inconclusive unless the evidence already convicts. Error:
// more errors than requests.
struct gr_error_verdict gr_analyse_errors(struct gr_error_sample candidate,
                                          struct gr_error_sample baseline,
                                          const struct gr_analysis *a);
