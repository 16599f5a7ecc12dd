// One isolated version and the process that it has at the time. Shared by nursery.c, which has the
// thread and the lock, and ward*.c; everything here runs under the nursery's lock.
#pragma once
#include "dispatch/away.h"
#include "worker/fault-message.h"
#include "worker/nursery.h"
#include <pthread.h>

enum ward_state {
    WARD_ABSENT,   // no process; one is asked for when it is due
    WARD_SPAWNING, // the spawner has been asked
    WARD_LOADING,  // the process has its order
    WARD_SERVING,
    WARD_LEAVING, // it was told to end, or killed
    WARD_OVER,    // there will be no other process
};

struct ward {
    struct gr_nursery *nursery;
    struct ward *next;
    struct gr_instance *instance;
    enum ward_state state;
    uint64_t due_usec; // when absent: to be started; else to be killed
    unsigned deaths;   // in a row

    // what every process of it is given
    cJSON *order;
    int file_fd;
    unsigned slot;
    const char *module, *version, *path, *build_id; // in `order`

    // of the process
    uint64_t id; // with the spawner
    uint64_t since_usec;
    int channel, pidfd;
    pid_t pid;
    struct gr_ring *ring; // until it is attached
    struct gr_stats *stats;
    int ring_fd, stats_fd; // until they are sent
    struct gr_module_counter counted[32];
    size_t n_counted;
    cJSON *fault;            // what it said itself
    struct gr_error refusal; // ... of its load
    struct ward_late {
        bool is;
        char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1], request_id[40];
    } late;

    const char *given_up; // why it is to be replaced, for which nobody is blamed; NULL: it is not
    struct ward_hook {
        uint64_t id;
        struct gr_state_hook *of;
        bool done;
        int r;
    } * hook; // that is under way: of the thread that waits for it

    // for whoever waits for the first process, or for the end
    bool ending;
    bool settled; // `outcome` says how the first load went
    struct gr_error outcome;
};

struct gr_nursery {
    struct gr_nursery_options o;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int wake_fd;
    struct ward *wards;
    uint64_t last_id, last_hook;
    unsigned waiting; // threads, for a hook
    bool stopping, lost;
};

// --- ward.c
// ------------------------------------------------------------------------------------------------
// What is due by now: starts, kills. Returns when something will be next.
uint64_t gr_ward_step(struct ward *w, uint64_t now_usec);
// What the spawner said of its process. `pidfd` is taken.
void gr_ward_spawned(struct ward *w, pid_t pid, int pidfd);
void gr_ward_not_spawned(struct ward *w, const char *why);
void gr_ward_ended(struct ward *w, bool by_signal, int status);
// Its process said something, or has closed the channel.
void gr_ward_listen(struct ward *w);
void gr_ward_kill(struct ward *w);
// It serves, and what it holds is good for nothing: another process takes its place. `why` stays
// the caller's.
void gr_ward_give_up(struct ward *w, const char *why);
// What the module counted since the last time goes into the worker's statistics.
void gr_ward_count(struct ward *w);
void gr_ward_free(struct ward *w);

// --- ward-state.c
// ------------------------------------------------------------------------------------------------
// As gr_away_hook(); waits, and gives up the lock meanwhile.
GR_MUST_CHECK int gr_ward_hook(struct ward *w, struct gr_state_hook *h);
void gr_ward_hooked(struct ward *w, const cJSON *m); // its process says so
void gr_ward_hook_lost(struct ward *w);              // its process is gone

// --- ward-peers.c
// ------------------------------------------------------------------------------------------------
// Before another process gets the order. A version that no table names keeps what it was told.
void gr_ward_bind_peers(struct ward *w);

// --- ward-fault.c
// ------------------------------------------------------------------------------------------------
struct ward_fault { // a fault and what it points into
    struct gr_fault fault;
    struct gr_fault_texts texts;
    char detail[160], interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1],
        request_id[40];
};
// Why a process that served has ended. false: nobody is to blame, it was killed from outside.
bool gr_ward_blame(const struct ward *w, bool by_signal, int status, struct ward_fault *ret);
