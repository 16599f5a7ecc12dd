// The worker's end of the channel: any thread may send, the supervisor behind it may change.
#pragma once
#include "base/error.h"
#include "base/json.h"
#include <pthread.h>

struct gr_wire {
    pthread_mutex_t lock;
    int fd; // -1: nobody listens
};
void gr_wire_init(struct gr_wire *w, int fd);
// Takes fd (or -1) instead of the former one, which is closed.
void gr_wire_attach(struct gr_wire *w, int fd);
// Takes `message` (NULL: out of memory, which is logged). What cannot be sent is logged and lost:
// the supervisor's own timeout or pidfd tells it.
void gr_wire_send(struct gr_wire *w, cJSON *message);
// The same for what may be lost: false when it cannot be sent at once; nothing is logged.
GR_MUST_CHECK bool gr_wire_offer(struct gr_wire *w, cJSON *message);
// gr_wire_send() with descriptors beside it, which stay the caller's.
void gr_wire_send_fds(struct gr_wire *w, cJSON *message, const int *fds, size_t n_fds);

// {"type":type,"id":id}; NULL: out of memory.
cJSON *gr_wire_answer(const char *type, uint64_t id);
// {"type":"failed","id","reason","message","retryable"}
cJSON *gr_wire_failure(uint64_t id, const struct gr_error *e);
