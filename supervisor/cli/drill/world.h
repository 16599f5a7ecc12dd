// The instance that a drill is told to: a throw-away graylingd with all that it needs, on loopback
// and below one directory; or one that runs already.
#pragma once
#include "base/child.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/drill/store.h"
#include <limits.h>

#define GR_WORLD_SETS_MAX 24
struct gr_world_asked {
    const char *dir;   // for all that is written; exists, removed by whoever made it
    bool etcd;         // an own one; else a directory source
    char *const *sets; // "SECTION.KEY=VALUE"
    size_t n_sets;
};
struct gr_misserver;
struct gr_world {
    char dir[PATH_MAX - 64], incoming[PATH_MAX], control[PATH_MAX];
    bool live;
    char door[256];  // "127.0.0.1:8080"
    char admin[256]; // "": none
    unsigned etcd_port, etcd_peer, etcd_member;
    struct gr_child daemon, etcd; // pid 0: not running
    char *sets[2 * GR_WORLD_SETS_MAX];
    size_t n_sets;
    char armed[128];   // fault points of the next start
    char server[64];   // "http://127.0.0.1:PORT" of the artifact server; "": none
    struct gr_cli cli; // asks this instance
    struct gr_drill_store *store;
    struct gr_misserver *misserver;
};
// Starts it and waits until it is ready. Fails: the sentence ends with what it said last.
GR_MUST_CHECK int gr_world_new(const struct gr_world_asked *asked, struct gr_world **ret,
                               struct gr_error *e);
// The one that `cli` names. Its source is written under a lease, or in a file of the drill's own.
GR_MUST_CHECK int gr_world_live(struct gr_cli *cli, struct gr_world **ret, struct gr_error *e);
// Ends every process of it, by pid.
void gr_world_free(struct gr_world *w);
static inline void gr_world_freep(struct gr_world **w)
{
    gr_world_free(*w);
}

// With what is armed. `dying`: until it has ended, and not until it is ready.
GR_MUST_CHECK int gr_world_start(struct gr_world *w, bool dying, struct gr_error *e);
// Until it has ended.
GR_MUST_CHECK int gr_world_stop(struct gr_world *w, int sig, struct gr_error *e);
bool gr_world_is_dead(const struct gr_world *w); // the daemon ended by itself
enum gr_world_etcd {                             // what can be done to the own etcd
    GR_WORLD_ETCD_KILLED,
    GR_WORLD_ETCD_STARTED,
    GR_WORLD_ETCD_SILENT, // answers nothing, closes nothing
    GR_WORLD_ETCD_RESUMED,
    GR_WORLD_ETCD_COMPACTED,
    GR_WORLD_ETCD_REPLACED, // by an empty one at the same address
};
GR_MUST_CHECK int gr_world_etcd(struct gr_world *w, enum gr_world_etcd how, struct gr_error *e);

// Long polls of the control socket. *ret is the caller's.
GR_MUST_CHECK int gr_world_ask(struct gr_world *w, const char *method, const char *path,
                               const cJSON *body, cJSON **ret, struct gr_error *e);
// Until holds() does: looked at again whenever the state changes. *ret_last (may be NULL): the
// state that was looked at last. Fails: -ETIME; what asking may give.
GR_MUST_CHECK int gr_world_await(struct gr_world *w,
                                 bool (*holds)(const cJSON *status, const void *userdata),
                                 const void *userdata, uint64_t timeout_usec, cJSON **ret_last,
                                 struct gr_error *e);
// Every document of drills removed, and gone from the instance.
GR_MUST_CHECK int gr_world_clear(struct gr_world *w, struct gr_error *e);
