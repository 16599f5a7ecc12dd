// What an operator may ask of this host: the control socket (RuntimeDirectory/control.sock, HTTP
// and JSON) and the admin address (metrics, health, status, dashboard; orders for whoever has the
// token). Translates requests into calls of `ops` and answers; decides nothing itself.
#pragma once
#include "base/error.h"
#include "control/view.h"
#include "state/order.h"
#include "state/plan.h"
#include <cjson/cJSON.h>
#include <systemd/sd-event.h>

// What stands behind the routes; the manager fills it. All run on the one event loop and answer at
// once: what takes time is begun, and its end is an event in the journal. Fallible ones return 0 or
// negative errno with *e set. A NULL member answers 501.
struct gr_control_ops {
    const struct gr_view *(*view)(
        void *u); // borrowed until the next turn of the event loop; never NULL
    struct gr_journal *(*journal)(void *u); // borrowed; for history, events
    const char *(*config)(void *u);         // the merged configuration as text, borrowed
    // What would happen if these documents were the desired state of their modules and all others
    // stayed; touches nothing. Owns: *ret by the caller, with borrowed parts of `wishes` and of the
    // manager's own tables (good until the next turn of the loop).
    int (*plan)(void *u, const struct gr_wishes *wishes, struct gr_plans **ret, struct gr_error *e);
    // Goes back to the last good version, or to version `to` (NULL: last good). -ENOENT: no such
    // module or version; -EALREADY: in force. *ret (caller frees):
    // {"module","rollout","from":{"version","hash"},"to":{"version","hash"},"message",
    // "document":{...},"documents":{"pay":{...}}}; `documents` is what the desired state has to
    // become so that nothing drifts back (a rollout takes all its modules back; null: there was
    // nothing before), `document` that of the module: the operator's command writes them. Of a
    // rollout in progress an undo is the abort; one that is on its way back is left alone, and
    // "message" says so.
    // With `local` a release in force is left by a rollout of this host alone, without steps;
    // without, that is for the documents to bring about.
    // The order is an abort's: actor, reason, the rollout that was seen (-1: any), and whether the
    // state may be left behind.
    int (*undo)(void *u, const char *module, const char *to, const struct gr_order *o, cJSON **ret,
                struct gr_error *e);
    // The newest rollout of the module obeys; see gr_rollout_steer() and gr_manager_retry().
    int (*steer)(void *u, const struct gr_name *module, const struct gr_order *o,
                 struct gr_error *e);
    // Takes the newest rollout back, which obeys as in steer; *ret as in undo.
    int (*abort)(void *u, const struct gr_name *module, const struct gr_order *o, cJSON **ret,
                 struct gr_error *e);
    int (*lift)(void *u, const struct gr_digest *digest, const char *actor, const char *reason,
                struct gr_error *e); // -ENOENT: not convicted
    // -EALREADY: under way; -EPERM: a module's state would be lost, and `one_way` does not agree.
    int (*replace_worker)(void *u, const char *actor, const char *reason, bool one_way,
                          struct gr_error *e);
    int (*freeze)(void *u, const char *const *modules, size_t n, uint64_t for_usec,
                  struct gr_error *e);
    int (*thaw)(void *u, const char *const *modules, size_t n, struct gr_error *e);
    int (*accept_rewind)(void *u, const char *actor, const char *reason,
                         struct gr_error *e); // -EALREADY: nothing is held
    int (*leave_safe_mode)(void *u, const char *actor, const char *reason,
                           struct gr_error *e); // -EALREADY: it is not in it
    // Begins a profile of the serving worker, and hands its text out (worker/profile.h):
    // gr_profiles_begin(), gr_profiles_take(). -EAGAIN: no worker serves.
    int (*profile)(void *u, unsigned hz, uint64_t usec, uint64_t *ret_id, struct gr_error *e);
    int (*profiled)(void *u, uint64_t id, char **ret, size_t *ret_len, struct gr_error *e);
    void (*reachable)(
        void *u); // the control socket is open, after gr_control_trouble() said why not
    void *userdata;
};

struct gr_control_config {            // strings are copied
    const char *runtime_dir;          // holds control.sock; NULL: no control socket
    const char *admin_listen;         // "127.0.0.1:9464", port 0: any; NULL: none
    const char *admin_hosts;          // names that clients of it may use; NULL: see admin-guard.h
    const char *admin_token_file;     // who has what it holds may give orders there; NULL: nobody
    const struct gr_control_ops *ops; // copied
};
struct gr_control;
// Listens on both. A runtime directory that is full or cannot be written is no failure: the control
// socket is tried again until there is room. Fails: as gr_admin_token_load(); -EADDRINUSE (a living
// daemon owns the socket, or the port is taken), errno of bind; nothing is left behind then.
GR_MUST_CHECK int gr_control_start(sd_event *event, const struct gr_control_config *c,
                                   struct gr_control **ret, struct gr_error *e);
// Closes both and removes the socket. Not from inside an operation. NULL is fine.
void gr_control_free(struct gr_control *c);
static inline void gr_control_freep(struct gr_control **c)
{
    gr_control_free(*c);
}
// Reads the token's file anew. 1: from now on another token is the right one, and the one before is
// refused; 0: the same, or none is configured. Fails: as gr_admin_token_load(); the old one stays
// in force then.
GR_MUST_CHECK int gr_control_reload_token(struct gr_control *c, struct gr_error *e);
// Something happened (a row of events was journaled, the view changed): answers those who wait for
// it. Safe inside an operation.
void gr_control_notify(struct gr_control *c);
// Why there is no control socket just now; "": there is one, or none is wanted.
const char *gr_control_trouble(const struct gr_control *c);
const char *gr_control_admin_address(const struct gr_control *c); // with the real port; NULL: none
const char *gr_control_socket_path(const struct gr_control *c);   // NULL: none, or none yet
