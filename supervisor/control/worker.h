// One worker process as the supervisor sees it: spawned, spoken to over its channel, watched by
// pidfd. Knows nothing of rollouts.
#pragma once
#include "base/child.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "dispatch/stats.h"
#include <systemd/sd-event.h>

struct gr_worker;

// Exactly once per request. reply NULL: it failed, *e says why; code -ECONNRESET when the worker
// went, -ETIME when it did not answer, -EBUSY when something of what it was to load stays mapped.
typedef void (*gr_worker_reply)(void *userdata, const cJSON *reply, const struct gr_error *e);

struct gr_worker_death {
    bool by_signal;
    int status; // exit status or signal number
};
// Nothing in it ended it: an operator, the kernel out of memory, a test.
bool gr_worker_was_killed(const struct gr_worker_death *d);
struct gr_worker_callbacks {
    void (*hello)(void *userdata, struct gr_worker *w); // it can take requests
    void (*event)(void *userdata, struct gr_worker *w, const cJSON *message); // unasked
    // The process ended; all requests have been answered with -ECONNRESET. May free w.
    void (*died)(void *userdata, struct gr_worker *w, const struct gr_worker_death *d);
    void *userdata;
};
struct gr_worker_listener {
    int fd;
    const char *address; // "127.0.0.1:8080" or "unix:/path", for logs
};
struct gr_worker_config {
    const struct gr_program *program; // grayling-worker
    const char *service, *instance, *store_dir;
    int harms_fd; // borrowed
    int adopt_fd; // where an orphan waits for the next supervisor; borrowed; -1: nowhere
    unsigned threads;
    unsigned pool_threads, pool_queue; // of one version
    struct gr_breaker_policy breaker;
    bool access_log;
    bool records;    // spans of requests
    uint32_t sample; // of 2^32 traces that begin here
    uint64_t call_timeout_usec, call_grace_usec;
    const struct gr_worker_listener *listeners;
    size_t n_listeners;
};
GR_MUST_CHECK int gr_worker_spawn(sd_event *event, const struct gr_worker_config *c,
                                  const struct gr_worker_callbacks *cb, struct gr_worker **ret,
                                  struct gr_error *e);
// Kills it when it still runs (SIGKILL) and reaps it. Pending requests are not answered. NULL is
// fine.
void gr_worker_free(struct gr_worker *w);

// Takes `message` (an object with "type"; "id" is added). fd -1: none. timeout 0: none. The answer
// always comes from the event loop. Fails: -ECONNRESET: the worker went, died() follows; no answer
// comes then.
GR_MUST_CHECK int gr_worker_request(struct gr_worker *w, cJSON *message, int fd,
                                    uint64_t timeout_usec, gr_worker_reply reply, void *userdata);
struct gr_stats *gr_worker_stats(struct gr_worker *w);
int gr_worker_pid(const struct gr_worker *w);
void gr_worker_kill(struct gr_worker *w); // SIGKILL; died() follows
