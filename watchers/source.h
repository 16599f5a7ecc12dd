// Where desired state comes from: consistent snapshots of all documents of one service, from etcd
// or from a directory. A snapshot is complete or it is not delivered; what it means is other
// people's business.
#pragma once
#include "base/clock.h"
#include "base/error.h"
#include "base/name.h"
#include "watchers/etcd.h"
#include "watchers/transport/transport.h"
#include <limits.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct gr_entry {          // one document
    struct gr_name module; // empty when the key's own name is the fault (then error says so)
    int64_t mod_revision, create_revision;
    char *value; // NUL-terminated after value_len bytes; NULL when error is set
    size_t value_len;
    struct gr_error error;     // reason NONE, or why this key could not be used
    char origin[NAME_MAX + 1]; // the file of a directory that holds it; "": etcd
};
struct gr_gone { // a document that was deleted, and the revision that deleted it
    struct gr_name module;
    int64_t revision;
};
struct gr_snapshot {     // all documents at one revision
    uint64_t cluster_id; // 0: directory
    int64_t revision;
    size_t n;
    struct gr_entry *entries; // sorted by module (strcmp); nameless ones first
    // Deletions that were seen, of modules that are not there now; capped, and never complete: what
    // nobody watched is not in it.
    size_t n_gone;
    struct gr_gone *gone;
};
GR_MUST_CHECK int gr_snapshot_copy(const struct gr_snapshot *s, struct gr_snapshot **ret);
void gr_snapshot_free(struct gr_snapshot *s);
static inline void gr_snapshot_freep(struct gr_snapshot **s)
{
    gr_snapshot_free(*s);
}
// NULL: not there.
const struct gr_entry *gr_snapshot_find(const struct gr_snapshot *s, const struct gr_name *module);

// Why a watch was opened again, and why everything was read again; labels of /metrics.
#define GR_WATCH_RESTARTS(X)                                                                       \
    X(CLOSED, "closed")                                                                            \
    X(ERROR, "error")                                                                              \
    X(CANCELED, "canceled")                                                                        \
    X(COMPACTED, "compacted")                                                                      \
    X(AUTH, "auth")                                                                                \
    X(NO_ANSWER, "no_answer")                                                                      \
    X(BEHIND, "behind")                                                                            \
    X(CLUSTER, "cluster")
#define GR_RESYNCS(X)                                                                              \
    X(START, "start")                                                                              \
    X(EVENT, "event")                                                                              \
    X(RECONNECT, "reconnect")                                                                      \
    X(COMPACTED, "compacted")                                                                      \
    X(BEHIND, "behind")
#define X(id, text) GR_WATCH_RESTART_##id,
enum gr_watch_restart { GR_WATCH_RESTARTS(X) GR_WATCH_RESTART_COUNT };
#undef X
#define X(id, text) GR_RESYNC_##id,
enum gr_resync { GR_RESYNCS(X) GR_RESYNC_COUNT };
#undef X
const char *gr_watch_restart_name(enum gr_watch_restart r);
const char *gr_resync_name(enum gr_resync r);

struct gr_source_health {
    bool up;   // the last read worked and the watch, if any, is alive
    bool held; // rewound or foreign: the last good snapshot is kept until gr_source_accept_rewind()
    bool rewound; // held for good: its revision went backwards, and only an operator can tell
    enum gr_reason reason;        // NONE when all is well
    char message[GR_MESSAGE_MAX]; // a sentence; "" when all is well
    int64_t revision;             // newest known of the source, also when our keys did not change
    uint64_t cluster_id;
    char endpoint[256];       // which endpoint or directory
    struct gr_wall confirmed; // when a read last agreed with what the watch told; 0: never
    uint64_t watch_restarts[GR_WATCH_RESTART_COUNT];
    uint64_t resyncs[GR_RESYNC_COUNT];
};

struct gr_source_callbacks { // called from the event loop, never from inside the functions below
    // After the first complete read, then whenever the set of (key, mod_revision) changed.
    void (*snapshot)(void *userdata, const struct gr_snapshot *borrowed);
    // When anything but the counters or the revision changed.
    void (*health)(void *userdata, const struct gr_source_health *borrowed);
    void *userdata;
};

struct gr_source_floor { // what was accepted before the restart; zero: nothing
    uint64_t cluster_id;
    int64_t revision;
    bool rewound; // and health said so: stays held, whatever the revision has become since
};

// Which keys of etcd are followed: prefix, a name, suffix. Others below the prefix are ignored.
struct gr_source_keys {
    char prefix[GR_NAME_MAX + 64], suffix[8];
    const char *what; // for sentences: "module"
    size_t max;       // more are refused
};
struct gr_source_keys gr_source_keys_documents(const struct gr_name *service);
struct gr_source_keys gr_source_keys_intents(const struct gr_name *service);
struct gr_source_keys gr_source_keys_quarantine(const struct gr_name *service);

struct gr_source;
// Copies config and keys. Fails: -EINVAL (no endpoint, bad URL), -ENOMEM.
GR_MUST_CHECK int
gr_source_etcd_new(sd_event *event, struct gr_transport *t, const struct gr_etcd_config *config,
                   const struct gr_source_keys *keys, const struct gr_source_callbacks *cb,
                   struct gr_source_floor floor, struct gr_source **ret, struct gr_error *e);
// The directory need not exist yet: health says so until it does.
GR_MUST_CHECK int gr_source_directory_new(sd_event *event, const char *path,
                                          const struct gr_source_callbacks *cb,
                                          struct gr_source **ret, struct gr_error *e);
GR_MUST_CHECK int gr_source_start(struct gr_source *s, struct gr_error *e);
// Safe inside a callback. NULL is fine.
void gr_source_free(struct gr_source *s);
static inline void gr_source_freep(struct gr_source **s)
{
    gr_source_free(*s);
}
// The operator says that the restored or foreign cluster is right: forgets the floor, reads again
// and delivers, also when the documents are the same. Nothing is held: nothing happens.
void gr_source_accept_rewind(struct gr_source *s);
// Borrowed, with the newest counters.
const struct gr_source_health *gr_source_peek_health(const struct gr_source *s);
