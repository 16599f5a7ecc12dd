// What graylingd is to a worker, in miniature: spawns it, owns its listeners and statistics, gives
// orders and waits for each answer. Every failure ends the test.
#pragma once
#include "base/channel.h"
#include "base/child.h"
#include "dispatch/harm.h"
#include "dispatch/stats.h"

struct fake {
    struct gr_child child;
    int channel, stats_fd, harms_fd, tcp, unix_;
    unsigned short port;
    char unix_path[108], adopt_path[108];
    struct gr_stats *stats;
    struct gr_harms *harms;
    uint64_t next_id, next_table;
    cJSON *unasked;    // array of what the worker said by itself
    size_t n_fds_seen; // descriptors that came with the last message; they are closed
};

// A worker that has said hello-ok, with one TCP and one unix listener.
struct fake *fake_start(unsigned threads, uint64_t orphan_usec);
// Waits for the worker's end. Returns its exit status, or minus the signal. Frees.
int fake_finish(struct fake *f);
// Sends an order (taken; "id" is added) with fd (-1: none); returns the answer (caller deletes).
cJSON *fake_order(struct fake *f, cJSON *order, int fd);
// Only sends; returns the id.
uint64_t fake_send(struct fake *f, cJSON *order, int fd);
cJSON *fake_await(struct fake *f, uint64_t id);
// The next message that answers nothing.
cJSON *fake_await_unasked(struct fake *f);

// Loads GRAYLING_BUILD/modules/{module}-{version}.so. `config` is JSON text or NULL.
cJSON *fake_try_load(struct fake *f, int slot, const char *module, const char *version,
                     const char *config);
// The same, with what it is told of its peers (JSON text; NULL: nothing).
cJSON *fake_try_load_told(struct fake *f, int slot, const char *module, const char *version,
                          const char *config, const char *peers);
void fake_load(struct fake *f, int slot, const char *module, const char *version,
               const char *config);
// rescue -1: none. Returns the answer.
cJSON *fake_swap(struct fake *f, const char *module, int stable, int rescue);
void fake_serve(struct fake *f);
uint64_t fake_begin_drain(struct fake *f, uint64_t limit_usec);
cJSON *fake_message(const char *type);
bool fake_is(const cJSON *answer, const char *type);
