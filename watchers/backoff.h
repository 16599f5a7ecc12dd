// Full-jitter back-off: a random wait between nothing and a ceiling that doubles, so that a fleet
// does not come back in step.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
#pragma once
#include <stdint.h>

struct gr_backoff {
    unsigned failures; // 0 after a success
};
// Counts one more failure and returns how long to wait. `patience` failures in a row cost (nearly)
// nothing: one for each endpoint that was not tried yet.
uint64_t gr_backoff_next_usec(struct gr_backoff *b, unsigned patience);
// Pure part: the ceiling after so many failures.
uint64_t gr_backoff_ceiling_usec(unsigned failures);
