// The breaker of one version: counts faults, and says whether the version may be called. Pure: the
// time is passed in, in microseconds of the monotonic clock.
//
// Closed: every call goes through. So many faults within the window open it: no call goes through
// until the back-off has passed. Then it is half-open: one call at a time goes through as a probe.
// A probe that does not fault closes it, one that faults opens it again for twice as long. The
// memory of how often it opened fades only when it has been closed for a whole window without a
// fault.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>

struct gr_breaker_policy {
    unsigned faults; // so many open it; 0: never; at most GR_BREAKER_FAULTS_MAX
    uint64_t window_usec;
    uint64_t backoff_usec; // the first; doubles up to GR_BREAKER_BACKOFF_USEC_MAX, if it is less
};
#define GR_BREAKER_POLICY_DEFAULT                                                                  \
    ((struct gr_breaker_policy){.faults = GR_BREAKER_FAULTS_DEFAULT,                               \
                                .window_usec = GR_BREAKER_WINDOW_USEC_DEFAULT,                     \
                                .backoff_usec = GR_BREAKER_BACKOFF_USEC_DEFAULT})

enum gr_breaker_state { GR_BREAKER_CLOSED, GR_BREAKER_HALF_OPEN, GR_BREAKER_OPEN };

// Words only, so that it can lie in shared memory and be handed to the next worker; zeroed: closed.
struct gr_breaker {
    uint64_t open;         // 1: not closed
    uint64_t until_usec;   // ... and no call goes through before
    uint64_t probe;        // 1: a call is under way that will decide
    uint64_t closed_usec;  // when a probe closed it last; faults before it count no more
    uint64_t times_opened; // in a row, for the back-off
    uint64_t n_faults;     // ever
    uint64_t fault_usec[GR_BREAKER_FAULTS_MAX]; // the latest; a ring, by n_faults
};

const char *gr_breaker_state_name(enum gr_breaker_state s); // "closed", "half-open", "open"
enum gr_breaker_state gr_breaker_state(const struct gr_breaker *b, uint64_t now_usec);
// Until it may be half-open; 0 unless it is open.
uint64_t gr_breaker_left_usec(const struct gr_breaker *b, uint64_t now_usec);
// Faults within the window before now, since it was closed last.
unsigned gr_breaker_recent(const struct gr_breaker *b, const struct gr_breaker_policy *p,
                           uint64_t now_usec);

enum gr_breaker_answer { GR_BREAKER_PASS, GR_BREAKER_PROBE, GR_BREAKER_REFUSE };
// May a call go through now? A probe's end must be told: by _fault() or _probe_ended().
GR_MUST_CHECK enum gr_breaker_answer gr_breaker_ask(struct gr_breaker *b, uint64_t now_usec);
// true: it opened, or opened again. A call that began before it opened may be the one that faults.
bool gr_breaker_fault(struct gr_breaker *b, const struct gr_breaker_policy *p, uint64_t now_usec,
                      bool probe);
// The probe returned; the breaker is closed.
void gr_breaker_probe_ended(struct gr_breaker *b, uint64_t now_usec);
// As the next worker takes it up: a probe that the old one made will never end here.
struct gr_breaker gr_breaker_handed_over(const struct gr_breaker *b);
